"""Each check notices what it is there for, on books made by hand; untouched books are in order."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from billingbot.core.ledger import GENESIS, Draft, Entry, EntryKind, Flaw, seal
from billingbot.sandbox.client import SandboxClient
from tests.torture.books import Books
from tests.torture.checks import check_all, saved_by_stripe
from tests.torture.evidence import Evidence
from tests.torture.load import Load
from tests.torture.product import Product
from tests.torture.town import AMOUNT, Charge, Town

_AT = datetime(2026, 11, 24, tzinfo=UTC)


def entries(*drafts: tuple[Any, ...], days_apart: int = 0) -> list[Entry]:
    """A chain of these kinds, subjects and bodies; and of these actors, where it was not billingbot."""
    chain: list[Entry] = []
    for number, (kind, subject, body, *by) in enumerate(drafts):
        actor = by[0] if by else "billingbot"
        draft = Draft(kind=kind, account="default", subject=subject, actor=actor, body=body)
        previous = chain[-1].hash if chain else GENESIS
        at = _AT + timedelta(days=days_apart * number)
        chain.append(seal(draft, seq=len(chain) + 1, at=at, previous_hash=previous))
    return chain


def life(refund: str, *, origin: str = "policy") -> list[tuple[EntryKind, str, dict[str, Any]]]:
    return [
        (EntryKind.REFUND_INTENDED, refund, {"origin": origin, "currency": "usd", "amount_minor": AMOUNT}),
        (EntryKind.REFUND_ATTEMPTED, refund, {}),
        (EntryKind.REFUND_CHANGED, refund, {"to": "succeeded"}),
    ]


def at_stripe(refund: str = "re_1", charge: str = "ch_1", ours: str = "rfd_1") -> dict[str, Any]:
    metadata = {"billingbot_refund": ours, "billingbot_key": f"key-{ours}"} if ours else {}
    known = {"id": refund, "charge": charge, "amount": AMOUNT, "currency": "usd", "status": "succeeded"}
    return {**known, "metadata": metadata}


def with_us(refund: str = "rfd_1", charge: str = "ch_1", stripe: str = "re_1", **other: Any) -> dict[str, Any]:
    known = {"id": refund, "charge_id": charge, "case_id": "case_1", "origin": "policy", "state": "succeeded"}
    paid = {"amount_minor": AMOUNT, "currency": "usd", "stripe_refund_id": stripe}
    return {**known, **paid, "refund_with": "refund", "credit_note_id": None, **other}


def a_case(state: str = "closed", reason: str | None = None) -> dict[str, Any]:
    return {"id": "case_1", "state": state, "charge_id": "ch_1", "reason": reason, "assignee": None}


def call(**other: Any) -> dict[str, Any]:
    known = {"key": "key-rfd_1", "form": "charge=ch_1", "witness": "ok", "replayed": False, "status": 200}
    return {**known, "code": None, "ended": None, **other}


@pytest.fixture
def seen() -> Evidence:
    """One charge, asked for once and refunded once."""
    town = Town(stripe=SandboxClient("http://127.0.0.1:9"), product=Product(), dice=None)  # type: ignore[arg-type] # nobody arrives
    town.charges["ch_1"] = Charge(
        kind="unused", customer="cus_1", subscription="sub_1", group="one", payable=True, id="ch_1", invoice="in_1"
    )
    load = Load(stage=None, api_key="", seed=0)  # type: ignore[arg-type] # nobody asks
    load.asked["ch_1-0"], load.answered["ch_1-0"] = {}, "case_1"
    books = Books(
        at_stripe={"re_1": at_stripe()},
        captured={"ch_1": AMOUNT},
        paying_calls=[call()],
        answering_calls=[],
        notes=[],
        refunds={"rfd_1": with_us()},
        attempts=[{"refund_id": "rfd_1", "key": "key-rfd_1", "outcome": "accepted"}],
        cases={"case_1": a_case()},
        requests=[{"idempotency_key": "ch_1-0", "case_id": "case_1"}],
        jobs=[],
        entries=entries(*life("rfd_1")),
        flaws=[],
        breaks=[],
        cancellations=[],
        canceled={"sub_1"},
        disputes_at_stripe=[],
        disputes={},
        answers=[],
        undelivered=[],
    )
    return Evidence(
        books=books,
        town=town,
        load=load,
        limits={"usd": 10 * AMOUNT},
        daily_count=10,
        one_person={"usd": AMOUNT},
        accepted_by_database=[],
        at_rest=True,
    )


def broken(seen: Evidence, **books: Any) -> set[str]:
    """The checks that notice, with these parts of the books changed."""
    return {one.check for one in check_all(replace(seen, books=replace(seen.books, **books)))}


def test_a_second_call_that_stripe_alone_refused_is_counted(seen: Evidence) -> None:
    def counted(*calls: dict[str, Any], ours: str = "rfd_1") -> int:
        books = replace(seen.books, paying_calls=list(calls), at_stripe={"re_1": at_stripe(ours=ours)})
        return saved_by_stripe(replace(seen, books=books))

    second = call(code="charge_already_refunded", status=400)
    assert counted(call(), second) == 1
    assert counted(second, ours="") == 0
    assert counted(call(form="invoice=in_1&amount=4900", status=400)) == 1


def test_books_in_order_give_no_violation(seen: Evidence) -> None:
    assert check_all(seen) == []


def test_a_request_without_an_answer_is_noticed(seen: Evidence) -> None:
    seen.load.answered.clear()
    assert broken(seen) == {"requests"}


def test_a_request_that_is_stored_twice_is_noticed(seen: Evidence) -> None:
    assert broken(seen, requests=seen.books.requests * 2) == {"requests"}


@pytest.mark.parametrize("state", ["assessing", "refunding"])
def test_a_case_in_nobodys_hands_is_noticed(seen: Evidence, state: str) -> None:
    assert "requests" in broken(seen, cases={"case_1": a_case(state)})


@pytest.mark.parametrize(("kind", "checks"), [("unused", {"stuck"}), ("silent", set())])
def test_a_gap_that_nobody_looked_at_again_is_noticed(seen: Evidence, kind: str, checks: set[str]) -> None:
    seen.town.charges["ch_1"] = replace(seen.town.charges["ch_1"], kind=kind)
    waiting = {"case_1": a_case("review", "evidence-incomplete")}
    assert broken(seen, cases=waiting) == checks
    halfway = entries((EntryKind.CASE_FIRST_APPROVED, "case_1", {}, "kim"), *life("rfd_1"))
    assert broken(seen, cases=waiting, entries=halfway) == set()


def test_two_refunds_of_one_charge_are_noticed(seen: Evidence) -> None:
    twice = {**seen.books.at_stripe, "re_2": at_stripe("re_2")}
    assert "paid-once" in broken(seen, at_stripe=twice)


def test_more_than_was_captured_is_noticed(seen: Evidence) -> None:
    assert "paid-once" in broken(seen, captured={"ch_1": AMOUNT - 1})


@pytest.mark.parametrize("kind", ["used", "silent", "flips", "charged-back"])
def test_money_that_the_policy_does_not_give_is_noticed(seen: Evidence, kind: str) -> None:
    seen.town.charges["ch_1"] = replace(seen.town.charges["ch_1"], kind=kind, payable=False)
    assert broken(seen) == {"policy"}


def test_a_second_automatic_refund_to_the_same_person_is_noticed(seen: Evidence) -> None:
    seen.town.charges["ch_2"] = replace(seen.town.charges["ch_1"], id="ch_2")
    assert "policy" in broken(
        seen,
        at_stripe={**seen.books.at_stripe, "re_2": at_stripe("re_2", "ch_2", "rfd_2")},
        captured={"ch_1": AMOUNT, "ch_2": AMOUNT},
        refunds={**seen.books.refunds, "rfd_2": with_us("rfd_2", "ch_2", "re_2")},
    )


@pytest.mark.parametrize("outside", [True, False])
def test_a_refund_at_stripe_that_is_not_in_our_books_is_noticed(seen: Evidence, outside: bool) -> None:
    found = at_stripe(ours="" if outside else "rfd_1")
    assert "books" in broken(seen, at_stripe={"re_1": found}, refunds={}, entries=[], attempts=[], canceled=set())


@pytest.mark.parametrize(
    "change",
    [
        {"amount_minor": 1},
        {"currency": "eur"},
        {"state": "pending"},
        {"state": "withdrawn"},
        {"stripe_refund_id": "re_9"},
        {"state": "unknown", "stripe_refund_id": None},
    ],
)
def test_a_row_that_says_something_else_than_stripe_is_noticed(seen: Evidence, change: dict[str, Any]) -> None:
    assert "books" in broken(seen, refunds={"rfd_1": with_us(**change)})


def test_a_refund_without_its_ledger_entries_is_noticed(seen: Evidence) -> None:
    assert broken(seen, entries=entries(*life("rfd_1")[:1])) == {"books"}


def test_a_refund_without_its_attempt_is_noticed(seen: Evidence) -> None:
    assert broken(seen, attempts=[]) == {"books"}


def test_two_live_intents_for_one_charge_are_noticed(seen: Evidence) -> None:
    assert "books" in broken(
        seen, refunds={**seen.books.refunds, "rfd_2": with_us("rfd_2", stripe_refund_id=None, state="pending")}
    )


@pytest.mark.parametrize("calls", ["paying_calls", "answering_calls"])
def test_a_call_without_a_committed_attempt_is_noticed(seen: Evidence, calls: str) -> None:
    assert broken(seen, **{calls: [call(witness="no attempt of this key is committed")]}) == {"attempt-before-call"}


@pytest.mark.parametrize("limit", [{"limits": {"usd": AMOUNT - 1}}, {"daily_count": 0}])
def test_a_limit_that_was_passed_is_noticed(seen: Evidence, limit: dict[str, Any]) -> None:
    assert {one.check for one in check_all(replace(seen, **limit))} == {"limits"}


def test_a_refund_that_was_withdrawn_makes_room_within_a_limit(seen: Evidence) -> None:
    first = [life("rfd_0")[0], (EntryKind.REFUND_CHANGED, "rfd_0", {"to": "withdrawn"})]
    books = {"entries": entries(*first, *life("rfd_1"))}
    rows = {**seen.books.refunds, "rfd_0": with_us("rfd_0", stripe_refund_id=None, state="withdrawn")}
    assert broken(replace(seen, daily_count=1), **books, refunds=rows) == set()


def test_each_day_has_its_own_limit(seen: Evidence) -> None:
    both = {**seen.books.refunds, "rfd_0": with_us("rfd_0", stripe_refund_id=None, state="withdrawn")}
    intents = [life("rfd_0")[0], *life("rfd_1")]
    once = replace(seen, daily_count=1)
    assert broken(once, entries=entries(*intents), refunds=both) == {"limits"}
    assert broken(once, entries=entries(*intents, days_apart=1), refunds=both) == set()


def test_a_flaw_of_the_chain_is_noticed(seen: Evidence) -> None:
    assert broken(seen, flaws=[Flaw(seq=1, what="was changed after it was written")]) == {"ledger"}


@pytest.mark.parametrize("state", ["failed", "ready"])
def test_a_job_that_is_left_is_noticed(seen: Evidence, state: str) -> None:
    job = {"actor": "submit", "subject": "rfd_1", "state": state, "attempts": 3, "last_error": "no answer"}
    assert broken(seen, jobs=[job]) == {"stuck"}


@pytest.mark.parametrize(
    ("what", "check"),
    [
        ({"undelivered": ["evt_1"]}, "events"),
        ({"breaks": [{"kind": "amount", "object_id": "re_1", "state": "open", "charge_id": "ch_1"}]}, "reconcile"),
        ({"canceled": set()}, "subscriptions"),
        ({"canceled": {"sub_1"}, "at_stripe": {}, "refunds": {}, "entries": [], "attempts": []}, "subscriptions"),
    ],
)
def test_what_follows_a_refund_is_looked_at_too(seen: Evidence, what: dict[str, Any], check: str) -> None:
    assert check in broken(seen, **what)


@pytest.mark.parametrize(
    "seen_so",
    [
        lambda seen: replace(seen, accepted_by_database=["a second live refund of one charge"]),
        lambda seen: replace(seen, at_rest=False),
    ],
)
def test_what_was_seen_meanwhile_counts(seen: Evidence, seen_so: Callable[[Evidence], Evidence]) -> None:
    assert len(check_all(seen_so(seen))) == 1


def dispute(status: str = "needs_response", *, withdrawn: int = 0, sent: int = 0) -> dict[str, Any]:
    details = {
        "due_by": int(_AT.timestamp()) + 86_400,
        "submission_count": sent,
        "submission_method": "manual" if sent else "not_submitted",
    }
    booked = [{"amount": -withdrawn}] if withdrawn else []
    return {
        "id": "dp_1", "charge": "ch_1", "status": status, "evidence_details": details, "balance_transactions": booked,
    }  # fmt: skip


def disputed(found: dict[str, Any], *, status: str | None = None, **books: Any) -> dict[str, Any]:
    """Books in which this dispute is known, and no refund stands beside it."""
    mine = {"dp_1": {"dispute_id": "dp_1", "status": status or found["status"]}}
    unpaid = {"at_stripe": {}, "refunds": {}, "attempts": [], "entries": [], "canceled": set()}
    return {**unpaid, "disputes_at_stripe": [found], "disputes": mine, **books}


def in_queue(*, due_in_hours: int | None = 20) -> dict[str, Any]:
    due_at = None if due_in_hours is None else _AT + timedelta(hours=due_in_hours)
    return {"case_1": {**a_case("review", "open-chargeback"), "outcome": None, "due_at": due_at}}


def an_answer(state: str = "done", kind: str = "send", **other: Any) -> dict[str, Any]:
    known = {
        "id": "ans_1",
        "dispute_id": "dp_1",
        "charge_id": "ch_1",
        "kind": kind,
        "state": state,
        "stage": "chargeback",
    }
    return {**known, "amount_minor": AMOUNT, "currency": "usd", "first_by": None, "decided_by": "kim", **other}


def test_a_refund_of_ours_beside_a_dispute_that_keeps_the_money_is_noticed(seen: Evidence) -> None:
    lost = dispute("lost", withdrawn=AMOUNT)
    mine = {"dp_1": {"dispute_id": "dp_1", "status": "lost"}}
    assert broken(seen, disputes_at_stripe=[lost], disputes=mine) == {"paid-once"}


@pytest.mark.parametrize(("status", "checks"), [("needs_response", set()), ("lost", {"disputes"})])
def test_a_dispute_that_has_moved_on_without_us_is_noticed(seen: Evidence, status: str, checks: set[str]) -> None:
    assert broken(seen, **disputed(dispute(), status=status, cases=in_queue())) == checks


@pytest.mark.parametrize(("due", "checks"), [(20, set()), (30, {"deadlines"}), (None, {"deadlines"})])
def test_a_case_that_is_due_after_the_banks_deadline_is_noticed(
    seen: Evidence, due: int | None, checks: set[str]
) -> None:
    assert broken(seen, **disputed(dispute(), cases=in_queue(due_in_hours=due))) == checks


def test_a_bank_that_waits_for_nobody_is_noticed(seen: Evidence) -> None:
    closed = {"case_1": {**a_case(), "outcome": "refunded", "due_at": None}}
    assert broken(seen, **disputed(dispute(), cases=closed)) == {"deadlines"}
    decided = {"case_1": {**closed["case_1"], "outcome": "denied"}}
    assert broken(seen, **disputed(dispute(), cases=decided)) == set()


@pytest.mark.parametrize(
    ("sent", "answers"),
    [(2, [an_answer()]), (2, [an_answer()] * 2), (1, []), (0, [an_answer()]), (1, [an_answer("unknown")])],
)
def test_an_answer_that_went_twice_or_is_told_wrongly_is_noticed(
    seen: Evidence, sent: int, answers: list[dict[str, Any]]
) -> None:
    found = dispute("under_review", sent=sent)
    assert broken(seen, **disputed(found, cases=in_queue(), answers=answers)) == {"answers"}


def test_an_inquiry_and_the_chargeback_that_it_became_take_an_answer_each(seen: Evidence) -> None:
    both = [an_answer(stage="inquiry"), an_answer()]
    assert broken(seen, **disputed(dispute("under_review", sent=2), cases=in_queue(), answers=both)) == set()


@pytest.mark.parametrize(
    ("ended", "answers", "checks"),
    [
        (1, [an_answer(kind="accept")], set()),
        (1, [], {"accepted"}),
        (0, [an_answer(kind="accept")], {"accepted"}),
        (2, [an_answer(kind="accept")] * 2, {"accepted"}),
        (0, [an_answer("asked", kind="accept")], set()),
    ],
)
def test_a_dispute_that_was_given_up_otherwise_than_once_is_noticed(
    seen: Evidence, ended: int, answers: list[dict[str, Any]], checks: set[str]
) -> None:
    found = dispute("lost", withdrawn=AMOUNT)
    calls = [call(ended="dp_1")] * ended
    assert broken(seen, **disputed(found, cases=in_queue(), answers=answers, answering_calls=calls)) == checks


def test_an_acceptance_that_nobody_confirmed_lets_no_deadline_pass(seen: Evidence) -> None:
    closed = {"case_1": {**a_case(), "outcome": "refunded", "due_at": None}}
    asked = [an_answer("asked", kind="accept")]
    assert broken(seen, **disputed(dispute(), cases=closed, answers=asked)) == {"deadlines"}


@pytest.mark.parametrize(
    ("first", "limit", "checks"),
    [
        ("robin", AMOUNT - 1, set()),
        ("kim", AMOUNT - 1, {"two-people"}),
        (None, AMOUNT - 1, {"two-people"}),
        (None, AMOUNT, set()),
    ],
)
def test_what_one_person_alone_approved_or_gave_up_is_noticed(
    seen: Evidence, first: str | None, limit: int, checks: set[str]
) -> None:
    small = replace(seen, one_person={"usd": limit})
    words = [(EntryKind.CASE_FIRST_APPROVED, "case_1", {}, first)] if first else []
    words += [(EntryKind.CASE_APPROVED, "case_1", {}, "kim")]
    paid = entries(*words, *life("rfd_1", origin="person"))
    assert broken(small, entries=paid, refunds={"rfd_1": with_us(origin="person")}) == checks
    given_up = [an_answer(kind="accept", first_by=first)]
    lost = disputed(dispute("lost"), cases=in_queue(), answers=given_up, answering_calls=[call(ended="dp_1")])
    assert broken(small, **lost) == checks


def test_one_approval_does_not_count_for_two_refunds(seen: Evidence) -> None:
    small = replace(seen, one_person={"usd": AMOUNT - 1})
    words = [(EntryKind.CASE_FIRST_APPROVED, "case_1", {}, "robin"), (EntryKind.CASE_APPROVED, "case_1", {}, "kim")]
    rows = {name: with_us(name, origin="person", state="withdrawn") for name in ("rfd_0", "rfd_1")}
    twice = entries(*words, *life("rfd_0", origin="person")[:1], *life("rfd_1", origin="person"))
    assert "two-people" in broken(small, entries=twice, refunds=rows)


def a_note(*amounts: int, refund: str = "re_1") -> dict[str, Any]:
    made = [{"refund": refund} for _ in amounts]
    return {"id": "cn_1", "amount": sum(amounts), "refunds": made, "metadata": {"billingbot_refund": "rfd_1"}}


def test_a_refund_by_credit_note_counts_once(seen: Evidence) -> None:
    by_note = {"rfd_1": with_us(refund_with="credit_note", credit_note_id="cn_1")}
    assert broken(seen, refunds=by_note, notes=[a_note(AMOUNT)]) == set()
    for notes in ([], [a_note(AMOUNT)] * 2, [a_note(AMOUNT - 1)], [a_note(AMOUNT, AMOUNT)]):
        assert broken(seen, refunds=by_note, notes=notes) == {"credit-notes"}
    assert broken(seen, notes=[a_note(AMOUNT)]) == {"credit-notes"}
    elsewhere = {"rfd_1": with_us(refund_with="credit_note", credit_note_id="cn_2")}
    assert broken(seen, refunds=elsewhere, notes=[a_note(AMOUNT)]) == {"credit-notes"}


def test_what_the_machine_pays_while_its_breaker_is_open_is_noticed(seen: Evidence) -> None:
    opened = (EntryKind.BREAKER_OPENED, "default", {})
    closed = (EntryKind.BREAKER_CLOSED, "default", {}, "kim")
    assert broken(seen, entries=entries(opened, *life("rfd_1"))) == {"breaker"}
    assert broken(seen, entries=entries(opened, closed, *life("rfd_1"))) == set()
    assert broken(seen, entries=entries(opened, closed[:3], *life("rfd_1"))) == {"breaker"}
