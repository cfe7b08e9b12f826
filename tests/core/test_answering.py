"""When an answer may go out, what a fresh look makes of one that is under way, and drafts as values; no I/O at all."""

import json
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.builders import NOW, a_dispute, a_dossier, an_inquiry, no_cancellation, unused, used

from billingbot.core.canonical import canonical_bytes
from billingbot.core.disputes.answer_draft import (
    DraftContent,
    drafted,
    dropped,
    edited,
    restore_content,
    restored,
    shortcomings,
    stored,
)
from billingbot.core.disputes.answering import (
    BINDING,
    SETTLED_AFTER,
    AnswerIntent,
    AnswerKind,
    AnswerState,
    Move,
    Standing,
    become,
    consequence,
    next_step,
    not_to_be_accepted,
    stands_in_the_way,
)
from billingbot.core.disputes.contest_value import WinRate, contest_value
from billingbot.core.disputes.evidence_fields import LONGEST_FIELD, PAPERS, Field, most_pages
from billingbot.core.disputes.life import Stage
from billingbot.core.disputes.packet import draft
from billingbot.core.disputes.statements import Grounds
from billingbot.core.errors import ConflictError
from billingbot.core.evidence.dossier import DisputeMoney
from billingbot.core.paying import LEAVES_WITHIN

_S = AnswerState


def an_intent(**overrides: Any) -> AnswerIntent:
    base: dict[str, Any] = {
        "id": "ans_1",
        "account": "default",
        "livemode": False,
        "dispute_id": "dp_1",
        "charge_id": "ch_1",
        "kind": AnswerKind.SEND,
        "stage": Stage.CHARGEBACK,
        "state": _S.INTENDED,
        "draft_id": "drf_1",
        "draft_version": 1,
        "fields": {"customer_name": "Ada"},
        "cleared": (),
        "files": {},
        "digest": "sha256:1",
        "amount_minor": 4900,
        "currency": "usd",
        "key": None,
        "sends": 0,
        "why": None,
        "decided_by": "kim",
        "first_by": None,
        "needs_second": False,
        "confirm_by_at": None,
        "intended_at": NOW,
        "last_sent_at": None,
        "ended_at": None,
    }
    return AnswerIntent(**(base | overrides))


def standing(*, dispute: dict[str, Any] | None = None, **overrides: Any) -> Standing:
    return Standing(dispute=a_dispute(**(dispute or {})), **overrides)


@pytest.mark.parametrize(
    ("seen", "why"),
    [
        (standing(), None),
        (Standing(dispute=an_inquiry()), None),
        (standing(dispute={"status": "under_review"}), "no answer is awaited"),
        (standing(dispute={"status": "appeal_needs_response"}), "no answer is awaited"),
        (standing(dispute={"status": "lost"}), "no answer is awaited"),
        (standing(dispute={"case_type": "resolution"}), "no answer is awaited"),
        (standing(dispute={"due_by": None}), "the bank takes no answer"),
        (standing(dispute={"due_by": NOW}), "was due by"),
        (standing(dispute={"submission_count": 1}), "sent already"),
        (standing(dispute={"submission_method": "smart_disputes"}), "Smart Disputes has answered"),
        # What was an inquiry, and was answered as one, is answered once more; not what was answered since.
        (standing(dispute={"submission_count": 1}, at_inquiry=1), None),
        (standing(dispute={"submission_count": 1, "submission_method": "smart_disputes"}, at_inquiry=1), None),
        (standing(dispute={"submission_count": 0}, at_inquiry=1), None),
        (standing(dispute={"submission_count": 2}, at_inquiry=1), "sent already"),
        (Standing(dispute=an_inquiry(submission_count=1), at_inquiry=1), "sent already"),
        (standing(dispute={"intended_method": "smart_disputes"}), "is set to answer"),
        (standing(dispute={"intended_method": "prefer_manual"}), None),
        (standing(wants_fee=True), "acknowledgement of a fee"),
    ],
)
def test_an_answer_goes_out_only_where_the_bank_awaits_ours(seen: Standing, why: str | None) -> None:
    said = stands_in_the_way(seen, NOW)
    assert said is None if why is None else why in (said or "")


_LONG_AGO = NOW - timedelta(hours=1)
_CALLED: dict[str, Any] = {"state": _S.UNKNOWN, "last_sent_at": _LONG_AGO, "sends": 1}
_JUST_NOW = _CALLED | {"last_sent_at": NOW}
_ANSWERED = {"status": "under_review", "submission_count": 1}
_ESCALATED: dict[str, Any] = {"dispute": {"submission_count": 1}, "at_inquiry": 1}
_TO_INQUIRY: dict[str, Any] = {"stage": Stage.INQUIRY}


@pytest.mark.parametrize(
    ("intent", "seen", "move"),
    [
        (an_intent(), standing(), Move.GO),
        (an_intent(), standing(dispute={"status": "lost"}), Move.STOOD_BACK),
        (an_intent(), standing(dispute={"amount_minor": 100}), Move.STOOD_BACK),
        (an_intent(), standing(dispute=_ANSWERED), Move.OVERTAKEN),
        (an_intent(**_JUST_NOW), standing(), Move.WAIT),
        (an_intent(**_CALLED), standing(), Move.ABSENT),
        (an_intent(**_CALLED), standing(dispute=_ANSWERED, sent_by="ans_1"), Move.DONE),
        (an_intent(**_CALLED), standing(dispute=_ANSWERED, sent_by="ans_0"), Move.OVERTAKEN),
        (an_intent(**_CALLED), standing(sent_by="ans_1"), Move.ABSENT),
        (an_intent(kind=AnswerKind.STAGE, **_CALLED), standing(), Move.GO),
        (an_intent(kind=AnswerKind.STAGE, **_CALLED), standing(staged_by="ans_1"), Move.DONE),
        (an_intent(kind=AnswerKind.STAGE, **_CALLED), standing(dispute={"status": "lost"}), Move.ABSENT),
        # An inquiry becomes a chargeback around the call: what was meant for the one is not sent to the other.
        (an_intent(**_TO_INQUIRY), standing(), Move.STOOD_BACK),
        (an_intent(**_TO_INQUIRY, kind=AnswerKind.ACCEPT), standing(), Move.STOOD_BACK),
        (an_intent(**_TO_INQUIRY, **_CALLED), standing(), Move.ABSENT),
        (an_intent(**_TO_INQUIRY, **_JUST_NOW), standing(), Move.WAIT),
        (an_intent(**_TO_INQUIRY, **_CALLED), standing(dispute={"submission_count": 1}, sent_by="ans_1"), Move.DONE),
        (an_intent(), standing(**_ESCALATED, sent_by="ans_0"), Move.GO),
        (an_intent(**_CALLED), standing(**_ESCALATED, sent_by="ans_0"), Move.ABSENT),
        (an_intent(), standing(dispute=_ANSWERED | {"submission_count": 2}, at_inquiry=1), Move.OVERTAKEN),
        (an_intent(kind=AnswerKind.ACCEPT), standing(**_ESCALATED), Move.GO),
        (an_intent(kind=AnswerKind.ACCEPT), standing(), Move.GO),
        (an_intent(kind=AnswerKind.ACCEPT), standing(dispute={"due_by": None}), Move.GO),
        (an_intent(kind=AnswerKind.ACCEPT), standing(dispute=_ANSWERED), Move.STOOD_BACK),
        (an_intent(kind=AnswerKind.ACCEPT, **_CALLED), standing(dispute={"status": "lost"}), Move.DONE),
        (an_intent(kind=AnswerKind.ACCEPT, **_CALLED), standing(), Move.ABSENT),
        (an_intent(kind=AnswerKind.ACCEPT, **_JUST_NOW), standing(), Move.WAIT),
    ],
)
def test_what_may_be_with_the_bank_is_read_back_and_never_sent_again(
    intent: AnswerIntent, seen: Standing, move: Move
) -> None:
    assert next_step(intent, seen, NOW).move is move


@given(
    state=st.sampled_from([_S.SUBMITTING, _S.UNKNOWN]),
    status=st.sampled_from(["needs_response", "under_review", "lost", "won", "warning_closed"]),
    count=st.integers(0, 2),
    mark=st.sampled_from([None, "ans_1", "ans_0"]),
    age=st.integers(0, 10_000),
)
def test_no_look_of_any_kind_makes_a_second_call_of_a_last_word(
    state: AnswerState, status: str, count: int, mark: str | None, age: int
) -> None:
    seen = standing(dispute={"status": status, "submission_count": count}, sent_by=mark)
    for kind in (AnswerKind.SEND, AnswerKind.ACCEPT):
        intent = an_intent(kind=kind, state=state, last_sent_at=NOW - timedelta(seconds=age), sends=1)
        assert next_step(intent, seen, NOW).move is not Move.GO


def test_an_end_is_an_end() -> None:
    for over in (_S.DONE, _S.OVERTAKEN, _S.ABSENT, _S.REFUSED, _S.STOOD_BACK, _S.LAPSED):
        for following in _S:
            with pytest.raises(ConflictError):
                become(over, following)
    assert _S.DONE in BINDING
    assert _S.ABSENT not in BINDING


def test_an_acceptance_says_what_it_costs() -> None:
    moved = DisputeMoney(withdrawn_minor=4900, reinstated_minor=0, fees_minor=1500, currency="usd")
    told = consequence(a_dispute(moved=moved))
    assert "USD 49.00" in told
    assert "USD 15.00" in told
    assert "cannot be undone" in told
    assert "without an answer" in consequence(an_inquiry())
    assert not_to_be_accepted(standing(dispute={"status": "won"})) is not None


# ---------------------------------------------------------------- drafts


def a_draft(**overrides: Any) -> DraftContent:
    grounds = Grounds(
        dossier=a_dossier(), dispute=a_dispute(reason="general"), usage=(used(),), support=(no_cancellation(),)
    )
    return drafted(draft(replace(grounds, **overrides)))


def test_a_draft_comes_back_from_its_bytes() -> None:
    content = dropped(edited(a_draft(), Field.CUSTOMER_NAME, "Ada", by="kim", at=NOW), Field.SERVICE_DATE, by="kim")
    back = restore_content(json.loads(stored(content)))
    assert canonical_bytes(back) == canonical_bytes(content)
    assert back.digest == content.digest


def test_dropping_changes_what_goes_out_and_restoring_brings_it_back() -> None:
    content = a_draft()
    without = dropped(content, Field.SERVICE_DATE, by="kim")
    assert Field.SERVICE_DATE not in without.fields
    assert restored(without, Field.SERVICE_DATE).digest == content.digest
    with pytest.raises(ConflictError):
        restored(content, Field.SERVICE_DATE)
    with pytest.raises(ConflictError):
        dropped(without, Field.SERVICE_DATE, by="kim")


def test_a_field_that_only_a_person_filled_is_gone_when_it_is_restored() -> None:
    content = edited(a_draft(), Field.DUPLICATE_CHARGE_ID, "ch_2", by="kim", at=NOW)
    assert Field.DUPLICATE_CHARGE_ID in content.fields
    assert Field.DUPLICATE_CHARGE_ID not in restored(content, Field.DUPLICATE_CHARGE_ID).fields


def test_all_texts_together_stay_below_what_stripe_takes() -> None:
    long = dict.fromkeys([one for one in Field if one not in PAPERS][:8], "x" * LONGEST_FIELD)
    assert shortcomings(long) == ("all texts together have 160000 characters, and 150000 are the most",)
    assert shortcomings({}) == ("the answer says nothing at all",)
    assert shortcomings({Field.RECEIPT: "x" * 30_000}) == ()  # a paper is counted in pages
    assert (most_pages("visa"), most_pages(None), most_pages("mastercard")) == (49, 49, 19)  # "less than 50"


def test_unknown_is_never_stated() -> None:
    silent = a_draft(usage=(unused(answered=False, coverage=(), events=None),), support=())
    assert Field.ACCESS_ACTIVITY_LOG not in silent.fields
    assert Field.CANCELLATION_REBUTTAL not in silent.fields


# ---------------------------------------------------------------- what contesting is worth


@pytest.mark.parametrize(
    ("won", "cases", "expected", "low", "high"),
    [(0, 0, "50.0", "0", "100"), (1, 1, "66.7", "27.0", "100.0"), (30, 100, "30.4", "23.0", "38.0")],
)
def test_a_win_rate_says_how_little_it_knows(won: int, cases: int, expected: str, low: str, high: str) -> None:
    rate = WinRate(won=won, cases=cases)
    assert rate.expected_percent == Decimal(expected)
    assert abs(rate.low_percent - Decimal(low)) < 1
    assert abs(rate.high_percent - Decimal(high)) < 1


@given(st.integers(0, 10**9), st.integers(0, 10**6), st.integers(0, 500), st.integers(0, 500))
def test_contesting_is_worth_no_more_than_the_amount_and_loses_no_more_than_the_fee(
    amount: int, fee: int, won: int, lost: int
) -> None:
    worth = contest_value(
        amount_minor=amount, currency="usd", counter_fee_minor=fee, rate=WinRate(won=won, cases=won + lost)
    )
    assert -fee <= worth.low_minor <= worth.expected_minor <= worth.high_minor <= amount


def test_more_wins_than_cases_are_no_record() -> None:
    with pytest.raises(ValueError, match="no more wins than cases"):
        contest_value(amount_minor=1, currency="usd", counter_fee_minor=0, rate=WinRate(won=2, cases=1))


def test_who_was_held_up_is_back_before_silence_counts_as_absence() -> None:
    longest_call, wire = timedelta(seconds=25), timedelta(minutes=1)
    assert LEAVES_WITHIN + longest_call + wire < SETTLED_AFTER
