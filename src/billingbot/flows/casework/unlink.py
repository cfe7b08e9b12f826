"""Unlink: a person says that two customers are not linked by a card, a mailbox or a device; and may take it back."""

from collections.abc import Mapping
from dataclasses import dataclass

from billingbot.core.access.person import person
from billingbot.core.access.powers import Power
from billingbot.core.canonical import digest
from billingbot.core.case import Case
from billingbot.core.errors import ConflictError, InputError
from billingbot.core.evidence.history import LinkKind
from billingbot.core.evidence.links import Pair, pair
from billingbot.core.ids import Kind
from billingbot.core.ledger import Draft, EntryKind
from billingbot.core.wording import text_of
from billingbot.flows.casework.review import Act, check_version
from billingbot.flows.desk import Desk, Step, step
from billingbot.store import cases, links


@dataclass(frozen=True, slots=True, kw_only=True)
class Between:
    """A link: the case's customer, or `customer` where it is between two others, and `other`."""

    kind: LinkKind
    other: str
    customer: str | None = None


def unlink(desk: Desk, act: Act, between: Between, *, why: str, for_everybody: bool = False) -> Case:
    """Marks the link as wrong: for these two and this kind, in later cases too, until somebody takes it back.

    `for_everybody` marks what the two share instead (a card that many have, an office's device): it links nobody from
    then on. The limits on automatic refunds to one card or mailbox hold as before (see `store.refunds`): no mark opens
    the way for a machine to pay twice. The case is not decided anew by this; whoever wants that asks for it. Twice
    comes to the same. Raises InputError where the two share nothing of this kind, ConflictError where the case has
    changed.
    """
    desk.require(Power.DECIDE)
    why = text_of("why", why)
    with step(desk) as this:
        case, wrong = _locked(this, act, between)
        kind, one, other = wrong
        shared = links.shared_by(this.db, case.account, kind, one, other)
        if not shared:
            raise InputError("customer", f"expected a customer who shares a {kind} with {one}; {other} shares none")
        said = {"case_id": case.id, "by": person(act.by), "why": why}
        if for_everybody:
            new = [
                mark
                for one_shared in shared
                if links.mark_shared(
                    this.db, mark := this.new_id(Kind.LINK_MARK), case.account, (kind, one_shared), **said
                )
            ]
        else:
            mark = this.new_id(Kind.LINK_MARK)
            new = [mark] if links.mark_pair(this.db, mark, case.account, wrong, **said) else []
        if new:
            body = {"marks": new, "why_digest": digest(why.encode()), "for_everybody": for_everybody}
            this.record(_entry(EntryKind.LINK_MARKED_WRONG, case, act, wrong, body))
        return case


def relink(desk: Desk, act: Act, between: Between, *, why: str) -> Case:
    """Takes back what was marked of these two, and for everybody of what they share. Twice comes to the same."""
    desk.require(Power.DECIDE)
    why = text_of("why", why)
    with step(desk) as this:
        case, wrong = _locked(this, act, between)
        kind, one, other = wrong
        shared = links.shared_by(this.db, case.account, kind, one, other)
        ended = links.take_back(this.db, case.account, kind, by=person(act.by), wrong=wrong, digests=shared)
        if ended:
            body = {"marks": list(ended), "why_digest": digest(why.encode())}
            this.record(_entry(EntryKind.LINK_MARK_TAKEN_BACK, case, act, wrong, body))
        return case


def _locked(this: Step, act: Act, between: Between) -> tuple[Case, Pair]:
    case = cases.lock(this.db, act.case_id)
    check_version(case, act)
    customer = between.customer or case.customer_id
    if customer is None:
        raise ConflictError(f"case {case.id}: no customer is known of it yet")
    if between.other == customer:
        raise InputError("customer", f"expected another customer than {customer}")
    return case, pair(between.kind, customer, between.other)


def _entry(kind: EntryKind, case: Case, act: Act, wrong: Pair, body: Mapping[str, object]) -> Draft:
    link, one, other = wrong
    told = {"kind": link.value, "one": one, "other": other, **body}
    return Draft(kind=kind, account=case.account, subject=case.id, actor=act.by, body=told)
