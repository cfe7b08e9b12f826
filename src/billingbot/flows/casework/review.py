"""Review: what people do with a case: claim it, note on it, approve or deny it; two at once, and one wins."""

from collections.abc import Mapping
from dataclasses import dataclass

from billingbot.core.access.person import person, person_key
from billingbot.core.access.powers import Power
from billingbot.core.canonical import digest
from billingbot.core.case import Case, CaseMove, CaseState
from billingbot.core.decision import Recommendation
from billingbot.core.errors import ConflictError, ForbiddenError
from billingbot.core.ids import Kind
from billingbot.core.ledger import Draft, EntryKind
from billingbot.core.money_state import payment_blockers
from billingbot.core.policy import approval_blockers
from billingbot.core.refund import Origin, RefundIntent, RefundState
from billingbot.core.restore import restore_decision, restore_facts
from billingbot.core.wording import text_of
from billingbot.flows.aftercare import under_terms, waits_for_person
from billingbot.flows.assess import intend
from billingbot.flows.casework.mention import mention
from billingbot.flows.casework.two_people import approve_first, second_of
from billingbot.flows.desk import Desk, Step, step
from billingbot.flows.look import look, mode_of
from billingbot.flows.recheck import reassess
from billingbot.flows.verdict import letter, refunded_reply
from billingbot.store import approvals, cases, database, decisions, notes, refunds, requests
from billingbot.store.database import transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """Who acts on which case; `version` is the one that the person saw, so that nobody acts on stale news."""

    case_id: str
    by: str
    version: int | None = None


def claim(desk: Desk, act: Act) -> Case:
    """Takes the case into this person's hands. ConflictError where somebody else has it already."""
    desk.require(Power.DECIDE)
    with step(desk) as this:
        case = in_review(this, act)
        if case.assignee == act.by:
            return case
        if case.assignee is not None:
            raise ConflictError(f"case {case.id}: {case.assignee} has it already")
        _record(this, case, act, EntryKind.CASE_CLAIMED, {})
        return cases.change(this.db, case, assignee=act.by, recheck_at=None, snoozed_until=None)


def release(desk: Desk, act: Act) -> Case:
    """Puts the case back into the queue."""
    desk.require(Power.DECIDE)
    with step(desk) as this:
        case = in_review(this, act)
        if case.assignee is None:
            return case
        _record(this, case, act, EntryKind.CASE_RELEASED, {"was": case.assignee})
        if case.decision_id is not None:
            decided = restore_decision(decisions.get(this.db, case.decision_id).decision)
            if decided.awaited:  # in nobody's hands again: the machine goes on looking for what was missing
                cases.recheck_in(this.db, case.id, desk.recheck_after)
        return cases.change(this.db, case, assignee=None)


def note(desk: Desk, act: Act, text: str) -> tuple[str, ...]:
    """Writes a note on the case, and tells whom it mentions. The ledger keeps its digest; the text stays erasable."""
    desk.require(Power.DECIDE)
    text = text_of("text", text)
    with step(desk) as this:
        case = cases.lock(this.db, act.case_id)
        note_id = this.new_id(Kind.NOTE)
        notes.write(this.db, note_id, case.id, person(act.by), text)
        named = mention(this, case, note_id, text, by=act.by)
        body = {"note": note_id, "text_digest": digest(text.encode())}
        _record(this, case, act, EntryKind.CASE_NOTED, body | ({"mentioned": list(named)} if named else {}))
        return tuple(named)


def ask_again(desk: Desk, act: Act, why: str) -> Case:
    """Has the facts gathered and the case decided anew."""
    desk.require(Power.DECIDE)
    with step(desk) as this:
        case = in_review(this, act)
        reassess(this, case.id, by=person(act.by), why=text_of("why", why))
    with transaction(desk.db) as connection:
        return cases.get(connection, act.case_id)


def deny(desk: Desk, act: Act, *, reason: str, reply: str | None) -> Case:
    """Closes the case without a refund: a person's word, never the machine's (law 7).

    ConflictError while a refund of the charge may still leave or have left: nobody can deny what may be paid.
    """
    desk.require(Power.DECIDE)
    reason = text_of("reason", reason)
    with step(desk) as this:
        case = in_review(this, act)
        _nothing_under_way(this, case)
        text = text_of("reply", reply) if reply is not None else _declining_reply(case)
        # What a person wrote goes under the policy's subject; without one, under the case that an answer belongs to.
        written = {"reply": text, "reply_subject": text and (case.reply_subject or case.id)}
        body = {"reason_digest": digest(reason.encode()), "recommendation": case.recommendation}
        _record(this, case, act, EntryKind.CASE_DENIED, body)
        notes.write(this.db, this.new_id(Kind.NOTE), case.id, act.by, reason)
        return cases.move(
            this.db,
            case,
            CaseMove.DENIED,
            outcome="denied",
            **written,
            assignee=act.by,
            closed_at=database.now(this.db),
            recheck_at=None,
        )


def approve(desk: Desk, act: Act, *, reason: str) -> Case:
    """Approves a full refund of what is left of the charge; it goes out by the same path as the machine's.

    Above the policy's `second_approval_above` the first approval only waits for one of somebody else: the case that
    comes back is still in review then.

    Reads the charge afresh first. Raises ForbiddenError where the mode lets no money move, nothing may be refunded,
    or the second approval is not this person's to give or comes through the first one's API key; ConflictError where
    another person, or another refund, was faster, or where one person approves twice.
    """
    desk.require(Power.DECIDE)
    reason = text_of("reason", reason)
    with transaction(desk.db) as connection:
        case = cases.get(connection, act.case_id)
        asked = requests.of_case(connection, case.id)
    _check_state(case, act)
    mode = mode_of(desk, case.account)
    if not mode.lets_money_move:
        raise ForbiddenError(f"mode: is {mode}, and lets no refund leave; `billingbot mode assist` lets people pay")
    if case.charge_id is None:
        raise ForbiddenError(f"case {case.id}: names no single charge; ask again for the charge that is meant")
    found = look(desk, desk.account(case.account), case.charge_id, asked)
    blockers = payment_blockers(found.money, Origin.PERSON)
    amount = found.facts.known("charge.refundable_minor")
    currency = found.facts.known("charge.currency")
    if blockers or not isinstance(amount, int) or not isinstance(currency, str):
        raise ForbiddenError(f"case {case.id}: cannot be refunded now: {', '.join(blockers) or 'unknown amount'}")
    two = desk.policy_for(None).limits.wants_two(amount, currency)
    with step(desk) as this:
        case = in_review(this, act)
        notes.write(this.db, this.new_id(Kind.NOTE), case.id, act.by, reason)
        body = _approval(case, reason, amount, currency)
        first = second_of(this, case, act.by, amount, currency, through=desk.through) if two else None
        if two and first is None:
            return approve_first(this, case, act.by, amount, currency, body, through=desk.through)
        if first is not None:
            desk.require(Power.CHECK)
            body["first_by"] = first.maker
        _record(this, case, act, EntryKind.CASE_APPROVED, body)
        refund = under_terms(_intent(this, case, act, amount, currency), found)
        intend(this, refund, found.payee)
        if first is not None:
            approvals.check(
                this.db,
                first,
                checker=act.by,
                key=person_key(act.by),
                through=desk.through,
                refund_id=refund.id,
            )
        reply = letter(refunded_reply(found, case.id))
        return cases.move(this.db, case, CaseMove.APPROVED, assignee=act.by, recheck_at=None, **reply)


def _intent(this: Step, case: Case, act: Act, amount_minor: int, currency: str) -> RefundIntent:
    return RefundIntent(
        id=this.new_id(Kind.REFUND),
        case_id=case.id,
        account=case.account,
        livemode=case.livemode,
        charge_id=case.charge_id or "",
        amount_minor=amount_minor,
        currency=currency,
        state=RefundState.INTENDED,
        origin=Origin.PERSON,
        decision_id=case.decision_id,
        clause=case.clause,
        decided_by=act.by,
        stripe_refund_id=None,
        why=None,
        intended_at=database.now(this.db),
        settled_at=None,
    )


def blockers_of(desk: Desk, case: Case) -> tuple[str, ...]:
    """What the stored facts of a case say against paying it, for showing; approving reads them afresh."""
    desk.require(Power.SEE)
    if case.decision_id is None:
        return ()
    with transaction(desk.db) as connection:
        return approval_blockers(restore_facts(decisions.get(connection, case.decision_id).facts))


def _nothing_under_way(this: Step, case: Case) -> None:
    live = refunds.live_of_charge(this.db, case.account, case.charge_id) if case.charge_id else None
    if live is not None and live.state in refunds.MAY_STILL_BE_SENT and live.stripe_refund_id is None:
        raise ConflictError(
            f"case {case.id}: refund {live.id} may have been paid; it can be denied once that is known"
            " (`billingbot mode off` keeps it from being sent again)"
        )
    if live is not None and waits_for_person(this, live):
        raise ConflictError(
            f"case {case.id}: is refunded, and waits for its subscription: `billingbot cancellations list`"
        )


def _declining_reply(case: Case) -> str | None:
    """The reply that the policy wrote, where it advised to decline: any other would promise money."""
    return case.reply if case.recommendation is Recommendation.DECLINE else None


def _approval(case: Case, reason: str, amount_minor: int, currency: str) -> dict[str, object]:
    return {
        "charge": case.charge_id,
        "amount_minor": amount_minor,
        "currency": currency,
        "recommendation": case.recommendation,
        "reason_digest": digest(reason.encode()),
    }


def in_review(this: Step, act: Act) -> Case:
    """The case, locked, where it waits for a person and is as this one saw it. ConflictError where not."""
    case = cases.lock(this.db, act.case_id)
    _check_state(case, act)
    return case


def _check_state(case: Case, act: Act) -> None:
    person(act.by)
    if case.state is not CaseState.REVIEW:
        raise ConflictError(f"case {case.id}: is {case.state}, not waiting for a person")
    check_version(case, act)


def check_version(case: Case, act: Act) -> None:
    """ConflictError where the case has changed since this person saw it."""
    if act.version is not None and act.version != case.version:
        raise ConflictError(f"case {case.id}: has changed since you looked (version {case.version}); look again")


def _record(this: Step, case: Case, act: Act, kind: EntryKind, body: Mapping[str, object]) -> None:
    this.record(Draft(kind=kind, account=case.account, subject=case.id, actor=act.by, body=body))
