"""Breaks: what becomes of each place where Stripe and our books differ, whoever met it."""

from dataclasses import dataclass, field
from typing import Final

from billingbot.core.books.breaks import Break, BreakKind, BreakState, Mismatch, Side
from billingbot.core.case import Case, CaseState
from billingbot.core.decision import Priority
from billingbot.core.ids import Kind
from billingbot.core.ledger import Draft, EntryKind
from billingbot.core.notice import Notice, NoticeKind
from billingbot.core.refund import state_of
from billingbot.flows.assess import give_up
from billingbot.flows.desk import Account, Desk, Step
from billingbot.flows.notify import tell
from billingbot.flows.settle import SHOWN_DUE, show_charge
from billingbot.store import breaks, cases, database, refunds

# Reasons that other flows give for the same thing; the rest are named after the kind of their break.
_REASONS: Final = {
    BreakKind.AMOUNT: "refund-amount-differs",
    BreakKind.CURRENCY: "refund-amount-differs",
    BreakKind.OUTCOME_UNKNOWN_PAST_KEY: "outcome-unknown",
    BreakKind.SECOND_REFUND: "refunded-twice",
    BreakKind.STATUS: "refund-status-differs",
}


@dataclass(slots=True, kw_only=True)
class Breaks:
    """The breaks of an account: met by a pass, or by an event (`pass_id` is None then)."""

    desk: Desk
    account: Account
    pass_id: str | None = None
    found: set[str] = field(default_factory=set)
    settled: set[str] = field(default_factory=set)
    to_person: set[str] = field(default_factory=set)

    def meet(self, this: Step, what: Mismatch) -> Break:
        """Writes the break down, or finds it again; locked until the transaction ends."""
        met = breaks.note(
            this.db,
            this.new_id(Kind.BREAK),
            account=self.account.name,
            livemode=self.account.livemode,
            pass_id=self.pass_id,
            what=what,
        )
        if met.state is not BreakState.SETTLED:
            self.found.add(met.id)
        return met

    def hold(self, this: Step, object_id: str) -> None:
        """Holds one object until the transaction ends: two passes at once look at it one after the other."""
        database.advisory_lock(this.db, f"reconcile:{self.account.name}:{object_id}")

    def settle(self, this: Step, met: Break, how: str) -> None:
        """Ends a break by itself, with its ledger entry; once, whoever is first."""
        if met.state is BreakState.SETTLED:
            return
        breaks.settle(this.db, met, how=how)
        self.settled.add(met.id)
        this.record(_draft(EntryKind.BREAK_SETTLED, met, {"how": how}))

    def hand_over(self, this: Step, met: Break) -> None:
        """Puts a break in front of a person: the charge's case, soon, or a new one. Once for each break.

        Where the case was closed since, a person has dealt with it. RetryLaterError where the charge is just being
        assessed.
        """
        if met.state is BreakState.SETTLED:
            return
        if met.state is BreakState.CASE and met.case_id is not None:
            self.follow_case(this, met)
            return
        case = self._case(this, met)
        if case is None:
            self.leave(this, met, "no charge is known of it")
            return
        breaks.hand_over(this.db, met, case_id=case.id)
        self.to_person.add(met.id)
        this.record(_draft(EntryKind.BREAK_HANDED_OVER, met, {"case": case.id}))
        tell(this, _notice(met, case.id, f"Case {case.id} is with a person, soon: billingbot cases show {case.id}."))

    def follow_case(self, this: Step, met: Break) -> bool:
        """Ends a break whose case a person has closed. True where it did."""
        case = cases.get(this.db, met.case_id) if met.case_id else None
        if case is None or case.state is not CaseState.CLOSED:
            return False
        self.settle(this, met, f"case {case.id} was closed: {case.outcome}")
        return True

    def leave(self, this: Step, met: Break, why: str) -> None:
        """Leaves a break open for the next pass, with the reason why it could not be settled."""
        if met.state is not BreakState.OPEN:
            return
        if met.how is None:
            tell(this, _notice(met, met.id, f"It could not be settled: {why}. The next pass tries again."))
        if met.how != why:
            breaks.leave_open(this.db, met, why=why)

    def _case(self, this: Step, met: Break) -> Case | None:
        what = met.what
        if what.charge_id is None:
            return None
        refund = refunds.get(this.db, what.refund_id) if what.refund_id else None
        shown = show_charge(
            this,
            met.account,
            what.charge_id,
            reason=_reason(what),
            reopen=True,
            case_id=refund.case_id if refund else None,
        )
        return shown or self._new_case(this, met, what.charge_id)

    def _new_case(self, this: Step, met: Break, charge_id: str) -> Case:
        """A case that nobody asked for, straight to a person: without a request nothing is ever paid by itself."""
        case, _ = cases.open_case(
            this.db, this.new_id(Kind.CASE), account=met.account, livemode=met.livemode, charge_id=charge_id
        )
        body = {"break": met.id, "charge": charge_id}
        this.record(
            Draft(kind=EntryKind.CASE_OPENED, account=met.account, subject=case.id, actor="billingbot", body=body)
        )
        give_up(this, case, reason=_reason(met.what))
        due = database.now(this.db) + SHOWN_DUE
        found = met.what.found if met.what.found.amount_minor is not None else met.what.expected
        amounts = {"amount_minor": found.amount_minor, "currency": found.currency}
        return cases.change(this.db, cases.lock(this.db, case.id), priority=Priority.HIGH, due_at=due, **amounts)


def _reason(what: Mismatch) -> str:
    if what.kind is BreakKind.STATUS and state_of(what.found.status or "") is None:
        return "refund-status-unrecognised"
    return _REASONS.get(what.kind, what.kind.replace("_", "-"))


def _headline(what: Mismatch) -> str:
    if what.kind is BreakKind.RETURNED_TWICE:
        return f"a customer has the money twice: refunded, and through dispute {what.object_id}"
    return f"Stripe and our books disagree: {what.kind.replace('_', ' ')}, {what.object_id}"


def _notice(met: Break, subject: str, body: str) -> Notice:
    what = met.what
    return Notice(
        kind=NoticeKind.RECONCILE_BREAK,
        account=met.account,
        subject=subject,
        headline=_headline(what),
        body=f"{body} All of them: billingbot reconcile report.",
    )


def _draft(kind: EntryKind, met: Break, body: dict[str, object]) -> Draft:
    what = met.what
    told = {
        "kind": what.kind,
        "object": what.object_id,
        "charge": what.charge_id,
        "refund": what.refund_id,
        "expected": _told(what.expected),
        "found": _told(what.found),
    }
    return Draft(kind=kind, account=met.account, subject=met.id, actor="billingbot", body={**told, **body})


def _told(side: Side) -> dict[str, object]:
    return {"amount_minor": side.amount_minor, "currency": side.currency, "status": side.status}
