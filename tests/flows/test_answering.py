"""Answering a bank at the doors: drafted by itself, edited, staged, sent once, or given up by people."""

import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from billingbot.core.access.powers import Power
from billingbot.core.case import CaseState
from billingbot.core.disputes.answering import AnswerIntent, AnswerKind, AnswerState
from billingbot.core.disputes.evidence_fields import Field
from billingbot.core.disputes.house_texts import HouseTexts
from billingbot.core.disputes.life import Stage
from billingbot.core.errors import ConflictError, ForbiddenError, InputError, RetryLaterError
from billingbot.core.evidence.dossier import Dossier
from billingbot.core.job import Actor
from billingbot.core.mode import Mode
from billingbot.flows.casework import review
from billingbot.flows.desk import step
from billingbot.flows.disputes import accepting, answer_page, drafting, editing, note_for_bank, sending
from billingbot.flows.disputes.answer import answer
from billingbot.flows.disputes.drafting import AnswerAct
from billingbot.gateway.client import StripeGateway
from billingbot.store import answer_drafts, answers, jobs
from billingbot.store.answer_drafts import DraftVersion
from tests.flows.shop import Shop, Trial, in_days

_S = AnswerState
SENT = "answer_not_sent"


def disputed(shop: Shop, *, used: bool = True, **how: Any) -> tuple[Trial, str, str]:
    """A charge under a chargeback that awaits an answer for some days; the case is decided, the answer drafted."""
    trial, charge = shop.charged_trial()
    if used:
        shop.usage.used_by.add(trial.customer)
    due_by = int((datetime.now(UTC) + timedelta(days=5)).timestamp())  # Stripe's clock here stands before ours
    how = {"status": "needs_response", "reason": "product_not_received", "due_by": due_by} | how
    dispute = str(shop.stripe.dispute(charge, **how)["id"])
    shop.deliver()
    shop.work()
    return trial, charge, dispute


def act(dispute: str, by: str = "kim", version: int | None = None) -> AnswerAct:
    return AnswerAct(account="default", dispute_id=dispute, by=by, version=version)


def at_stripe(shop: Shop, dispute: str) -> Any:
    return shop.stripe.get(f"/disputes/{dispute}")


def current(shop: Shop, dispute: str) -> DraftVersion:
    with shop.desk.db.begin() as connection:
        draft = answer_drafts.find(connection, "default", dispute)
        assert draft is not None
        return answer_drafts.current(connection, draft)


def intents(shop: Shop, dispute: str) -> list[AnswerIntent]:
    with shop.desk.db.begin() as connection:
        return list(answers.of_dispute(connection, "default", dispute))


def states(shop: Shop, dispute: str) -> list[tuple[AnswerKind, AnswerState]]:
    return [(one.kind, one.state) for one in intents(shop, dispute)]


def submissions(shop: Shop, dispute: str) -> int:
    return int(at_stripe(shop, dispute)["evidence_details"]["submission_count"])


def escalate(shop: Shop, dispute: str) -> None:
    """The bank was not convinced: the inquiry is a chargeback by now, with a deadline of its own."""
    shop.stripe.move_dispute(dispute, "needs_response", due_by=int((datetime.now(UTC) + timedelta(days=9)).timestamp()))
    shop.deliver()
    shop.work()


def ledgered(shop: Shop, dispute: str) -> list[str]:
    rows = shop.rows("SELECT kind FROM ledger_entries WHERE subject = :d ORDER BY seq", d=dispute)
    return [row.kind for row in rows if row.kind.startswith("answer.")]


def let_settle(shop: Shop) -> None:
    """Time passes until what Stripe does not show was not done."""
    with shop.owner.begin() as connection:
        connection.exec_driver_sql("UPDATE dispute_answers SET last_sent_at = last_sent_at - interval '1 hour'")
    shop.hurry()
    shop.work()


# ---------------------------------------------------------------- the draft


def test_an_answer_drafts_itself_when_the_bank_asks_and_only_once(shop: Shop) -> None:
    _, _, dispute = disputed(shop)
    first = current(shop, dispute)
    assert (first.version, first.made_by) == (1, "billingbot")
    assert first.content is not None
    assert Field.ACCESS_ACTIVITY_LOG in first.content.fields
    shop.stripe.post(f"/disputes/{dispute}", metadata={"seen": "yes"})
    shop.deliver()
    shop.work()
    assert current(shop, dispute).version == 1
    assert ledgered(shop, dispute) == ["answer.drafted"]
    assert submissions(shop, dispute) == 0


@pytest.mark.parametrize("how", [{"status": "lost"}, {"due_by": 0}])
def test_nothing_is_drafted_where_no_answer_is_awaited(shop: Shop, how: dict[str, Any]) -> None:
    _, _, dispute = disputed(shop, **how)
    assert shop.rows("SELECT * FROM dispute_drafts WHERE dispute_id = :d", d=dispute) == []


def test_a_persons_words_are_versions_ledgered_by_digest_and_survive_fresh_facts(shop: Shop) -> None:
    _, _, dispute = disputed(shop)
    editing.edit(shop.desk, act(dispute, version=1), Field.UNCATEGORIZED_TEXT, "As the person puts it.")
    editing.drop(shop.desk, act(dispute), Field.SERVICE_DATE)
    again = drafting.draft_again(shop.desk, act(dispute))
    assert again.content is not None
    assert again.content.fields[Field.UNCATEGORIZED_TEXT] == "As the person puts it."
    assert Field.SERVICE_DATE not in again.content.fields
    back = editing.restore(shop.desk, act(dispute), Field.SERVICE_DATE)
    assert back.content is not None
    assert Field.SERVICE_DATE in back.content.fields
    fresh = drafting.draft_again(shop.desk, act(dispute), keep_edits=False)
    assert fresh.content is not None
    assert fresh.content.fields[Field.UNCATEGORIZED_TEXT] != "As the person puts it."
    assert fresh.version == 6
    told = str(shop.rows("SELECT body FROM ledger_entries WHERE subject = :d", d=dispute))
    assert "As the person puts it" not in told
    assert fresh.digest in told


def test_what_the_facts_have_come_to_say_since_a_person_wrote_is_pointed_out(shop: Shop) -> None:
    trial, _, dispute = disputed(shop, used=False)
    editing.edit(shop.desk, act(dispute), Field.ACCESS_ACTIVITY_LOG, "They never came.")
    shop.usage.used_by.add(trial.customer)
    again = drafting.draft_again(shop.desk, act(dispute))
    assert again.content is not None
    piece = again.content.pieces[Field.ACCESS_ACTIVITY_LOG]
    assert piece.outdated
    assert piece.says is not None
    assert piece.says.text == "They never came."


def test_two_people_who_edit_at_once_do_not_overwrite_each_other(shop: Shop) -> None:
    _, _, dispute = disputed(shop)
    editing.edit(shop.desk, act(dispute, "kim", version=1), Field.SERVICE_DATE, "May")
    with pytest.raises(ConflictError, match="has changed since you looked"):
        editing.edit(shop.desk, act(dispute, "ada", version=1), Field.SERVICE_DATE, "June")


@pytest.mark.parametrize("text", ["  ", "x" * 20_001])
def test_words_that_stripe_would_not_take_are_refused(shop: Shop, text: str) -> None:
    _, _, dispute = disputed(shop)
    with pytest.raises(InputError, match="service_date: expected 1 to 20000"):
        editing.edit(shop.desk, act(dispute), Field.SERVICE_DATE, text)


def test_a_note_is_told_to_a_bank_only_where_a_person_marks_it(shop: Shop) -> None:
    _, charge, dispute = disputed(shop)
    [case] = shop.cases_of(charge)
    review.note(shop.desk, shop.person(case.id), "Called us, and was happy.")
    [note] = shop.rows("SELECT id FROM notes")
    plain = drafting.draft_again(shop.desk, act(dispute))
    assert plain.content is not None
    assert Field.CUSTOMER_COMMUNICATION not in plain.content.fields
    note_for_bank.mark_note(shop.desk, note.id, by="kim", for_bank=True)
    marked = drafting.draft_again(shop.desk, act(dispute))
    assert marked.content is not None
    assert "Called us" in marked.content.fields[Field.CUSTOMER_COMMUNICATION]


def test_the_texts_can_be_erased_and_what_was_done_stays(shop: Shop) -> None:
    _, _, dispute = disputed(shop)
    sending.send(shop.desk, act(dispute))
    shop.work()
    with shop.desk.db.begin() as connection:
        answers.erase(connection, "default", dispute)
    assert current(shop, dispute).content is None
    [done] = intents(shop, dispute)
    assert (done.state, done.fields) == (_S.DONE, None)
    assert shop.ledger_flaws() == []


# ---------------------------------------------------------------- staging and sending


def test_a_staged_answer_is_seen_at_stripe_and_not_sent(shop: Shop) -> None:
    _, _, dispute = disputed(shop)
    sending.stage(shop.desk, act(dispute))
    shop.work()
    staged = at_stripe(shop, dispute)
    assert (staged["status"], staged["evidence_details"]["submission_count"]) == ("needs_response", 0)
    assert "Recorded events: 7" in staged["evidence"]["access_activity_log"]
    assert states(shop, dispute) == [(AnswerKind.STAGE, _S.DONE)]


def test_a_sent_answer_goes_out_once_with_its_papers_and_closes_the_case(shop: Shop) -> None:
    _, charge, dispute = disputed(shop)
    sending.send(shop.desk, act(dispute, version=1))
    shop.work()
    sent = at_stripe(shop, dispute)
    assert (sent["status"], sent["evidence_details"]["submission_count"]) == ("under_review", 1)
    assert sent["evidence"]["receipt"].startswith("file_")
    assert states(shop, dispute) == [(AnswerKind.SEND, _S.DONE)]
    [case] = shop.cases_of(charge)
    assert (case.state, case.outcome) == (CaseState.CLOSED, "answered")
    assert ledgered(shop, dispute) == ["answer.drafted", "answer.intended", "answer.attempted", "answer.changed"]
    with pytest.raises((ConflictError, ForbiddenError)):
        sending.send(shop.desk, act(dispute))
    shop.deliver()
    shop.work()
    assert submissions(shop, dispute) == 1
    shop.assert_not_paid(charge)


def test_what_was_staged_and_then_dropped_does_not_go_to_the_bank(shop: Shop) -> None:
    _, _, dispute = disputed(shop)
    sending.stage(shop.desk, act(dispute))
    shop.work()
    editing.drop(shop.desk, act(dispute), Field.UNCATEGORIZED_TEXT)
    editing.drop(shop.desk, act(dispute), Field.RECEIPT)
    sending.send(shop.desk, act(dispute))
    shop.work()
    evidence = at_stripe(shop, dispute)["evidence"]
    assert (evidence["uncategorized_text"], evidence["receipt"]) == (None, None)
    assert evidence["service_documentation"].startswith("file_")
    uploaded = [file for file in shop.stripe.objects("file") if "service_documentation" in file["filename"]]
    assert len(uploaded) == 1


def test_evidence_from_the_dashboard_goes_along_only_where_a_person_means_it(shop: Shop) -> None:
    _, _, dispute = disputed(shop)
    shop.stripe.post(f"/disputes/{dispute}", evidence={"shipping_carrier": "UPS"}, submit=False)
    with pytest.raises(ForbiddenError, match="shipping_carrier"):
        sending.send(shop.desk, act(dispute))
    sending.send(shop.desk, act(dispute), with_theirs=True)
    shop.work()
    assert at_stripe(shop, dispute)["evidence"]["shipping_carrier"] == "UPS"


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"status": "lost"}, "the dispute is lost"),
        ({"submission_method": "smart_disputes"}, "Smart Disputes has answered"),
        ({"enhanced_eligibility_types": ["visa_compliance"]}, "the acknowledgement of a fee"),
    ],
)
def test_a_fresh_look_stands_back_before_the_intent_and_again_before_the_call(
    shop: Shop, change: dict[str, Any], why: str
) -> None:
    _, _, dispute = disputed(shop)
    sending.send(shop.desk, act(dispute))
    alter(shop, dispute, change)
    shop.work()
    [stood] = intents(shop, dispute)
    assert stood.state in {_S.STOOD_BACK, _S.OVERTAKEN}
    assert stood.sends == 0
    assert [row.kind for row in shop.rows("SELECT kind FROM notices WHERE kind = :k", k=SENT)] == [SENT]
    with pytest.raises(ForbiddenError, match=why):
        sending.send(shop.desk, act(dispute))


def alter(shop: Shop, dispute: str, change: dict[str, Any]) -> None:
    """The dispute becomes so at Stripe, without anybody of ours."""
    held = shop.sandbox.state.tables["dispute"].rows[dispute]
    for name, value in change.items():
        (held["evidence_details"] if name == "submission_method" else held)[name] = value


def test_a_large_amount_takes_the_power_to_check_and_any_other_the_power_to_decide(shop: Shop) -> None:
    shop.allow(second_approval_above={"usd": 4899})
    _, _, dispute = disputed(shop)
    desk = shop.desk
    shop.desk = replace(desk, powers=frozenset({Power.SEE, Power.DECIDE}))
    for verb in (sending.send, accepting.ask_to_accept):
        with pytest.raises(ForbiddenError, match="approver"):
            verb(shop.desk, act(dispute))
    assert {one.act: one.power for one in answer_page.answer_page(shop.desk, dispute).acts}["send"] is Power.CHECK
    sending.stage(shop.desk, act(dispute))
    shop.work()
    shop.desk = replace(desk, powers=frozenset({Power.SEE}))
    for verb in (sending.stage, sending.send, drafting.draft_again):
        with pytest.raises(ForbiddenError):
            verb(shop.desk, act(dispute))


# ---------------------------------------------------------------- bad days


@pytest.mark.parametrize("fault", ["lost_answer", "error_after"])
def test_an_answer_whose_outcome_was_lost_is_read_back_and_never_sent_again(shop: Shop, fault: str) -> None:
    _, charge, dispute = disputed(shop)
    sending.send(shop.desk, act(dispute))
    shop.stripe.fault(fault, method="POST", path=f"/v1/disputes/{dispute}", times=1)
    shop.work()
    assert states(shop, dispute) == [(AnswerKind.SEND, _S.UNKNOWN)]
    shop.hurry()
    shop.work()
    assert states(shop, dispute) == [(AnswerKind.SEND, _S.DONE)]
    assert (submissions(shop, dispute), intents(shop, dispute)[0].sends) == (1, 1)
    [case] = shop.cases_of(charge)
    assert case.outcome == "answered"


@pytest.mark.parametrize("fault", ["lost_request", "error_before"])
def test_an_answer_that_stripe_never_had_waits_for_a_person_who_sends_it_anew(shop: Shop, fault: str) -> None:
    _, charge, dispute = disputed(shop)
    sending.send(shop.desk, act(dispute))
    shop.stripe.fault(fault, method="POST", path=f"/v1/disputes/{dispute}", times=1)
    shop.work()
    shop.hurry()
    shop.work()
    assert states(shop, dispute) == [(AnswerKind.SEND, _S.UNKNOWN)]  # it may still be on its way
    with pytest.raises(ConflictError, match="is unknown"):
        sending.send(shop.desk, act(dispute))
    let_settle(shop)
    assert states(shop, dispute) == [(AnswerKind.SEND, _S.ABSENT)]
    assert submissions(shop, dispute) == 0
    assert len(shop.rows("SELECT 1 FROM notices WHERE kind = :k", k=SENT)) == 1
    assert shop.cases_of(charge)[0].state is CaseState.REVIEW
    sending.send(shop.desk, act(dispute))
    shop.work()
    assert submissions(shop, dispute) == 1


def test_a_busy_stripe_is_tried_again_by_itself(shop: Shop) -> None:
    _, _, dispute = disputed(shop)
    sending.send(shop.desk, act(dispute))
    shop.stripe.fault("rate_limit", method="POST", path=f"/v1/disputes/{dispute}", times=1)
    shop.work()
    assert states(shop, dispute) == [(AnswerKind.SEND, _S.INTENDED)]
    shop.hurry()
    shop.work()
    assert states(shop, dispute) == [(AnswerKind.SEND, _S.DONE)]
    assert submissions(shop, dispute) == 1


@pytest.mark.parametrize(("path", "needed"), [("/v1/files", "Files: write"), ("/v1/disputes/", "Disputes: write")])
def test_a_key_without_the_permission_is_told_and_drafting_goes_on(shop: Shop, path: str, needed: str) -> None:
    _, _, dispute = disputed(shop)
    sending.send(shop.desk, act(dispute))
    shop.stripe.fault("forbidden", method="POST", path=path, times=None)
    shop.work()
    [refused] = intents(shop, dispute)
    assert refused.state is _S.REFUSED
    assert needed in (refused.why or "")
    assert drafting.draft_again(shop.desk, act(dispute)).version == 2
    shop.stripe.clear_faults()
    sending.send(shop.desk, act(dispute))
    shop.work()
    assert submissions(shop, dispute) == 1


def test_a_paper_whose_upload_was_lost_is_uploaded_under_the_same_key(shop: Shop) -> None:
    _, _, dispute = disputed(shop)
    sending.send(shop.desk, act(dispute))
    shop.stripe.fault("lost_answer", method="POST", path="/v1/files", times=1)
    shop.work()
    shop.hurry()
    shop.work()
    assert states(shop, dispute) == [(AnswerKind.SEND, _S.DONE)]
    names = [file["filename"] for file in shop.stripe.objects("file")]
    assert sorted(names) == sorted(set(names))


def test_a_worker_that_died_before_the_call_leaves_it_to_a_person(shop: Shop) -> None:
    _, _, dispute = disputed(shop)
    intent = sending.send(shop.desk, act(dispute))
    with shop.desk.db.begin() as connection:  # the commit before the call, and then nothing
        answers.send(connection, answers.get(connection, intent.id, lock=True), "a key", {})
    let_settle(shop)
    assert states(shop, dispute) == [(AnswerKind.SEND, _S.ABSENT)]
    assert submissions(shop, dispute) == 0


@pytest.mark.parametrize("held_up_at", [1, 2])
def test_a_worker_that_was_held_up_before_the_call_makes_it_no_more(shop: Shop, held_up_at: int) -> None:
    _, _, dispute = disputed(shop)
    intent = sending.send(shop.desk, act(dispute))
    [row] = shop.rows("SELECT id FROM jobs WHERE subject = :i", i=intent.id)
    with shop.desk.db.begin() as connection:
        job = jobs.claim(connection, row.id, "a token")
    assert job is not None
    ticks = iter([0.0] * held_up_at + [600.0] * 9)  # others have taken its silence for absence by then
    with pytest.raises(RetryLaterError):
        answer(shop.desk, job, clock=lambda: next(ticks))
    assert states(shop, dispute) == [(AnswerKind.SEND, _S.INTENDED)]
    assert submissions(shop, dispute) == 0
    shop.restart()
    assert states(shop, dispute) == [(AnswerKind.SEND, _S.DONE)]
    assert submissions(shop, dispute) == 1


def test_a_worker_that_died_after_the_call_is_read_back(shop: Shop) -> None:
    _, _, dispute = disputed(shop)
    intent = sending.send(shop.desk, act(dispute))
    with shop.desk.db.begin() as connection:
        answers.send(connection, answers.get(connection, intent.id, lock=True), "a key", {})
    shop.desk.account("default").stripe.put_evidence(
        dispute_id=dispute,
        evidence=dict(intent.fields or {}) | {"receipt": "", "service_documentation": ""},
        submit=True,
        answer_id=intent.id,
        idempotency_key="a key",
    )
    shop.work()
    assert states(shop, dispute) == [(AnswerKind.SEND, _S.DONE)]
    assert submissions(shop, dispute) == 1


def test_somebody_elses_answer_is_told_from_ours(shop: Shop) -> None:
    _, charge, dispute = disputed(shop)
    sending.send(shop.desk, act(dispute))
    shop.stripe.post(f"/disputes/{dispute}", evidence={"uncategorized_text": "by hand"})
    shop.work()
    [overtaken] = intents(shop, dispute)
    assert (overtaken.state, overtaken.sends) == (_S.OVERTAKEN, 0)
    assert submissions(shop, dispute) == 1
    assert shop.cases_of(charge)[0].outcome is None


def at_once(*acts: Callable[[], object]) -> list[Exception]:
    """Runs them in threads that start together; what they raised."""
    faults: list[Exception] = []
    together = threading.Barrier(len(acts))

    def run(one: Callable[[], object]) -> None:
        together.wait()
        try:
            one()
        except (ConflictError, ForbiddenError) as fault:
            faults.append(fault)

    threads = [threading.Thread(target=run, args=(one,)) for one in acts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return faults


def test_two_people_who_send_at_once_send_one_answer(shop: Shop) -> None:
    _, _, dispute = disputed(shop)
    faults = at_once(*(lambda by=by: sending.send(shop.desk, act(dispute, by)) for by in ("kim", "ada")))  # type: ignore[misc]
    assert len(faults) == 1
    shop.work()
    assert submissions(shop, dispute) == 1
    assert [one.state for one in intents(shop, dispute)] == [_S.DONE]


def test_sending_and_accepting_at_once_comes_to_one_of_them(shop: Shop) -> None:
    _, _, dispute = disputed(shop)
    asked, _ = accepting.ask_to_accept(shop.desk, act(dispute, "ada"))
    faults = at_once(
        lambda: sending.send(shop.desk, act(dispute, "kim")),
        lambda: accepting.confirm_acceptance(shop.desk, asked.dispute_id, asked.id, by="ada"),
    )
    assert len(faults) == 1
    shop.work()
    live = [one for one in intents(shop, dispute) if one.state is _S.DONE]
    assert len(live) == 1
    assert at_stripe(shop, dispute)["status"] == ("lost" if live[0].kind is AnswerKind.ACCEPT else "under_review")


def test_two_workers_on_one_answer_make_one_call(shop: Shop) -> None:
    _, _, dispute = disputed(shop)
    sending.send(shop.desk, act(dispute))
    with shop.owner.begin() as connection:
        connection.exec_driver_sql(
            "INSERT INTO jobs (id, actor, subject, state, run_at)"
            " SELECT id || 'x', actor, subject, 'ready', now() FROM jobs WHERE actor = 'answer'"
        )
    shop.work(only=Actor.ANSWER)
    shop.restart()
    assert submissions(shop, dispute) == 1
    assert intents(shop, dispute)[0].sends == 1


def test_an_answer_that_no_job_carries_is_found(shop: Shop) -> None:
    _, _, dispute = disputed(shop)
    sending.send(shop.desk, act(dispute))
    with shop.owner.begin() as connection:
        connection.exec_driver_sql("UPDATE jobs SET state = 'done' WHERE actor = 'answer'")
        connection.exec_driver_sql("UPDATE dispute_answers SET intended_at = intended_at - interval '1 hour'")
    assert shop.do("resolve_answers") == 1
    shop.work()
    assert submissions(shop, dispute) == 1


# ---------------------------------------------------------------- giving in


def test_accepting_takes_two_steps_and_closes_the_dispute_for_ever(shop: Shop) -> None:
    _, charge, dispute = disputed(shop, used=False)
    asked, seen = accepting.ask_to_accept(shop.desk, act(dispute))
    assert (asked.state, seen.status) == (_S.ASKED, "needs_response")
    shop.work()
    assert at_stripe(shop, dispute)["status"] == "needs_response"
    accepting.confirm_acceptance(shop.desk, asked.dispute_id, asked.id, by="kim")
    shop.work()
    assert at_stripe(shop, dispute)["status"] == "lost"
    assert submissions(shop, dispute) == 0
    [case] = shop.cases_of(charge)
    assert (case.state, case.outcome) == (CaseState.CLOSED, "dispute_accepted")
    with pytest.raises((ConflictError, ForbiddenError)):
        sending.send(shop.desk, act(dispute))
    shop.assert_not_paid(charge)


def test_a_large_dispute_is_accepted_by_two_people(shop: Shop) -> None:
    shop.allow(second_approval_above={"usd": 1000})
    _, _, dispute = disputed(shop)
    asked, _ = accepting.ask_to_accept(shop.desk, act(dispute, "kim"))
    assert asked.needs_second
    for same in ("kim", " KIM"):
        with pytest.raises(ConflictError, match="somebody else confirms"):
            accepting.confirm_acceptance(shop.desk, asked.dispute_id, asked.id, by=same)
    again, _ = accepting.ask_to_accept(shop.desk, act(dispute, "kim"))
    assert again.id == asked.id
    done = accepting.confirm_acceptance(shop.desk, asked.dispute_id, asked.id, by="ada")
    assert (done.first_by, done.decided_by) == ("kim", "ada")
    shop.work()
    assert at_stripe(shop, dispute)["status"] == "lost"


def test_an_amount_that_has_come_to_want_two_people_since_it_was_asked_for_takes_two(shop: Shop) -> None:
    _, _, dispute = disputed(shop)
    asked, _ = accepting.ask_to_accept(shop.desk, act(dispute, "kim"))
    shop.allow(second_approval_above={"usd": 1000})
    with pytest.raises(ConflictError, match="somebody else confirms"):
        accepting.confirm_acceptance(shop.desk, dispute, asked.id, by="kim")
    assert accepting.confirm_acceptance(shop.desk, dispute, asked.id, by="ada").needs_second


def test_an_asking_that_was_taken_back_or_too_long_ago_confirms_nothing(shop: Shop) -> None:
    _, _, dispute = disputed(shop)
    taken, _ = accepting.ask_to_accept(shop.desk, act(dispute))
    accepting.take_back(shop.desk, taken.dispute_id, taken.id, by="kim")
    old, _ = accepting.ask_to_accept(shop.desk, act(dispute))
    with shop.owner.begin() as connection:
        connection.exec_driver_sql("UPDATE dispute_answers SET confirm_by_at = now() WHERE state = 'asked'")
    for one in (taken, old):
        with pytest.raises(ConflictError, match="nothing waits to be confirmed"):
            accepting.confirm_acceptance(shop.desk, one.dispute_id, one.id, by="kim")
    assert at_stripe(shop, dispute)["status"] == "needs_response"


def test_an_answer_that_is_sent_ends_the_asking_to_accept(shop: Shop) -> None:
    _, _, dispute = disputed(shop)
    asked, _ = accepting.ask_to_accept(shop.desk, act(dispute))
    sending.send(shop.desk, act(dispute))
    with pytest.raises(ConflictError):
        accepting.confirm_acceptance(shop.desk, asked.dispute_id, asked.id, by="kim")
    shop.work()
    assert at_stripe(shop, dispute)["status"] == "under_review"


def test_an_acceptance_whose_answer_was_lost_is_read_back(shop: Shop) -> None:
    _, _, dispute = disputed(shop)
    asked, _ = accepting.ask_to_accept(shop.desk, act(dispute))
    accepting.confirm_acceptance(shop.desk, asked.dispute_id, asked.id, by="kim")
    shop.stripe.fault("lost_answer", method="POST", path=f"/v1/disputes/{dispute}/close", times=1)
    shop.work()
    shop.hurry()
    shop.work()
    [done] = intents(shop, dispute)
    assert (done.state, done.sends) == (_S.DONE, 1)


# ---------------------------------------------------------------- and the case


class Meanwhile(StripeGateway):
    """Something happens just after this look at the charge's dossier."""

    then: Callable[[], object] = staticmethod(lambda: None)

    def dossier(self, charge_id: str, **how: Any) -> Dossier:
        found = super().dossier(charge_id, **how)
        then, self.then = self.then, lambda: None
        then()
        return found


def assessed_while_answered(shop: Shop, charge: str, answered: Callable[[], object]) -> Any:
    """The case, whose assessment has begun when an answer to the bank is carried out, and ends afterwards."""
    [before] = shop.cases_of(charge)
    review.ask_again(shop.desk, review.Act(case_id=before.id, by="kim"), "more is known")
    gateway = Meanwhile("default", "rk_test_shop", False, api_base=shop.stripe.url)
    shop.replace_gateway(gateway)
    gateway.then = answered
    shop.work(only=Actor.ASSESS)
    return shop.case(before.id)


def test_a_case_that_was_just_being_assessed_closes_with_the_answer_all_the_same(shop: Shop) -> None:
    _, charge, dispute = disputed(shop)
    sending.send(shop.desk, act(dispute))
    case = assessed_while_answered(shop, charge, lambda: shop.work(only=Actor.ANSWER))
    assert (case.state, case.outcome) == (CaseState.CLOSED, "answered")


def test_a_case_that_somebody_has_asked_for_since_the_answer_was_decided_stays(shop: Shop) -> None:
    _, charge, dispute = disputed(shop)
    sending.send(shop.desk, act(dispute))
    shop.ask(charge, unused=True)
    shop.work()
    assert at_stripe(shop, dispute)["status"] == "under_review"
    assert [case.state for case in shop.cases_of(charge)] == [CaseState.REVIEW]


def test_a_case_whose_other_dispute_awaits_an_answer_stays_until_that_is_answered_too(shop: Shop) -> None:
    _, charge, first = disputed(shop)
    second = str(shop.stripe.dispute(charge, status="needs_response", reason="fraudulent", due_by=in_days(4))["id"])
    shop.deliver()
    shop.work()
    sending.send(shop.desk, act(first))
    shop.work()
    assert [case.state for case in shop.cases_of(charge)] == [CaseState.REVIEW]
    sending.send(shop.desk, act(second))
    shop.work()
    shop.deliver()
    shop.work()
    assert [(case.state, case.outcome) for case in shop.cases_of(charge)] == [(CaseState.CLOSED, "answered")]


# ---------------------------------------------------------------- by itself


def by_itself(shop: Shop, *reasons: str) -> None:
    shop.desk = replace(shop.desk, texts=HouseTexts(submit_by_itself_for=frozenset(reasons)))


def test_a_setting_that_names_the_reason_sends_by_itself_what_nothing_speaks_against(shop: Shop) -> None:
    by_itself(shop, "product_not_received")
    _, _, dispute = disputed(shop)
    assert submissions(shop, dispute) == 1
    [done] = intents(shop, dispute)
    assert (done.state, done.decided_by) == (_S.DONE, "config:submit_by_itself_for")


def test_what_was_to_go_by_itself_stays_once_the_mode_is_no_longer_auto(shop: Shop) -> None:
    by_itself(shop, "product_not_received")
    shop.stripe.fault("rate_limit", method="POST", path="/v1/disputes/", times=1)
    _, _, dispute = disputed(shop)
    assert states(shop, dispute) == [(AnswerKind.SEND, _S.INTENDED)]
    shop.set_mode(Mode.OFF)
    shop.hurry()
    shop.work()
    assert states(shop, dispute) == [(AnswerKind.SEND, _S.STOOD_BACK)]
    assert submissions(shop, dispute) == 0


@pytest.mark.parametrize(("minutes", "sent"), [(1, 1), (60, 0)])
def test_a_draft_that_is_no_longer_fresh_goes_by_nobody_but_a_person(shop: Shop, minutes: int, sent: int) -> None:
    by_itself(shop, "product_not_received")
    shop.set_mode(Mode.ASSIST)
    _, _, dispute = disputed(shop)
    shop.write("UPDATE dispute_draft_versions SET made_at = made_at - make_interval(mins => :age)", age=minutes)
    shop.set_mode(Mode.AUTO)
    with step(shop.desk) as this:
        this.enqueue(Actor.DRAFT_ANSWER, shop.rows("SELECT id FROM dispute_drafts")[0].id)
    shop.work()
    assert submissions(shop, dispute) == sent


def test_by_itself_an_answer_is_tried_once_and_then_it_is_a_persons(shop: Shop) -> None:
    by_itself(shop, "product_not_received")
    shop.stripe.fault("lost_request", method="POST", path="/v1/disputes/", times=1)
    _, _, dispute = disputed(shop)
    let_settle(shop)
    assert states(shop, dispute) == [(AnswerKind.SEND, _S.ABSENT)]
    shop.write("UPDATE jobs SET state = 'ready', run_at = now() WHERE actor = 'draft_answer'")
    shop.work()
    assert states(shop, dispute) == [(AnswerKind.SEND, _S.ABSENT)]
    assert submissions(shop, dispute) == 0


@pytest.mark.parametrize("how", [{"reason": "fraudulent"}, {"amount": 9800}])
def test_any_doubt_or_another_reason_leaves_it_to_a_person(shop: Shop, how: dict[str, Any]) -> None:
    by_itself(shop, "product_not_received")
    _, _, dispute = disputed(shop, **how)
    assert submissions(shop, dispute) == 0
    assert intents(shop, dispute) == []


# ---------------------------------------------------------------- what else changes


def test_an_inquiry_that_becomes_a_chargeback_is_drafted_again_with_peoples_words(shop: Shop) -> None:
    _, _, dispute = disputed(shop, status="warning_needs_response", reason="general")
    editing.edit(shop.desk, act(dispute), Field.UNCATEGORIZED_TEXT, "As the person puts it.")
    shop.stripe.move_dispute(dispute, "needs_response")
    shop.deliver()
    shop.work()
    again = current(shop, dispute)
    assert (again.version, again.made_by) == (3, "billingbot")
    assert again.content is not None
    assert again.content.status == "needs_response"
    assert again.content.fields[Field.UNCATEGORIZED_TEXT] == "As the person puts it."


def test_an_inquiry_that_was_answered_is_answered_once_more_as_a_chargeback_and_no_third_time(shop: Shop) -> None:
    _, _, dispute = disputed(shop, status="warning_needs_response", reason="general")
    editing.edit(shop.desk, act(dispute), Field.DUPLICATE_CHARGE_ID, "ch_other")
    sending.send(shop.desk, act(dispute, version=2))
    shop.work()
    assert at_stripe(shop, dispute)["status"] == "warning_under_review"
    escalate(shop, dispute)
    page = answer_page.answer_page(shop.desk, dispute)
    assert (page.version, {one.act: one.why_not for one in page.acts}["send"]) == (3, None)  # drafted anew
    assert shop.rows("SELECT next_alarm_at FROM disputes WHERE next_alarm_at IS NOT NULL") != []
    editing.drop(shop.desk, act(dispute), Field.DUPLICATE_CHARGE_ID)
    sending.send(shop.desk, act(dispute, by="lee", version=4))  # what we sent before is not somebody else's
    shop.work()
    assert (at_stripe(shop, dispute)["status"], submissions(shop, dispute)) == ("under_review", 2)
    assert not at_stripe(shop, dispute)["evidence"]["duplicate_charge_id"]
    ours = [(one.stage, one.state) for one in intents(shop, dispute)]
    assert ours == [(Stage.INQUIRY, _S.DONE), (Stage.CHARGEBACK, _S.DONE)]
    box = shop.sandbox.state
    with box.lock:  # as no bank does: it asks for the same answer again
        box.tables["dispute"].rows[dispute]["status"] = "needs_response"
    with pytest.raises(ForbiddenError, match="sent already"):
        sending.send(shop.desk, act(dispute))
    assert submissions(shop, dispute) == 2


def test_an_inquiry_that_was_answered_in_the_dashboard_is_answered_here_once_it_escalates(shop: Shop) -> None:
    _, _, dispute = disputed(shop, status="warning_needs_response", reason="general")
    shop.stripe.post(f"/disputes/{dispute}", evidence={"uncategorized_text": "by hand"})
    shop.deliver()
    shop.work()
    escalate(shop, dispute)
    sending.send(shop.desk, act(dispute), with_theirs=True)
    shop.work()
    assert (states(shop, dispute), submissions(shop, dispute)) == ([(AnswerKind.SEND, _S.DONE)], 2)


def test_an_asking_to_close_an_inquiry_gives_up_no_chargeback(shop: Shop) -> None:
    _, _, dispute = disputed(shop, status="warning_needs_response", reason="general")
    asked, _ = accepting.ask_to_accept(shop.desk, act(dispute))
    shop.stripe.move_dispute(dispute, "needs_response")
    with pytest.raises(ConflictError, match="ask to accept it again"):
        accepting.confirm_acceptance(shop.desk, asked.dispute_id, asked.id, by="lee")
    assert at_stripe(shop, dispute)["status"] == "needs_response"


def test_a_dispute_that_has_no_draft_is_found_and_drafted(shop: Shop) -> None:
    _, _, dispute = disputed(shop)
    with shop.owner.begin() as connection:
        connection.exec_driver_sql("DELETE FROM dispute_draft_versions")
        connection.exec_driver_sql("DELETE FROM dispute_drafts")
    shop.do("resolve_answers")
    shop.work()
    assert current(shop, dispute).version == 1
