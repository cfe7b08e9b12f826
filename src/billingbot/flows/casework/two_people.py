"""Two people: above the policy's amount a refund goes out by the second approval, and never by one person's two."""

from collections.abc import Mapping

from billingbot.core.access.person import person_key
from billingbot.core.case import Case
from billingbot.core.errors import ConflictError, ForbiddenError
from billingbot.core.ids import Kind
from billingbot.core.ledger import Draft, EntryKind
from billingbot.core.money import Money
from billingbot.core.notice import Notice, NoticeKind
from billingbot.flows.desk import Step
from billingbot.flows.notify import tell
from billingbot.store import approvals, cases
from billingbot.store.approvals import FirstApproval


def second_of(
    this: Step, case: Case, by: str, amount_minor: int, currency: str, *, through: str | None
) -> FirstApproval | None:
    """The first approval that this person's completes; None where theirs is the first. Call it with the case locked.

    A first approval of another amount does not count: nobody has approved this one. ConflictError where the first
    is by the same person, however the name is written; ForbiddenError where both come `through` one API key.
    """
    first = approvals.waiting(this.db, case.id)
    if first is None:
        return None
    if (first.amount_minor, first.currency) != (amount_minor, currency):
        approvals.end(this.db, case.id, by="another_amount")
        return None
    if first.maker_key == person_key(by):
        raise ConflictError(f"case {case.id}: {first.maker} has approved it; one more is wanted, from somebody else")
    not_the_same_way(f"case {case.id}", first.maker_through, through)
    return first


def not_the_same_way(what: str, first: str | None, second: str | None) -> None:
    """ForbiddenError where both words came through one API key: whoever holds it can write any two names."""
    if first is not None and first == second:
        raise ForbiddenError(
            f"{what}: both words would come through one API key; the second person signs in, or uses a key of their own"
        )


def approve_first(
    this: Step,
    case: Case,
    by: str,
    amount_minor: int,
    currency: str,
    body: Mapping[str, object],
    *,
    through: str | None,
) -> Case:
    """Keeps the first approval, tells people that another is wanted, and puts the case back for anybody to take."""
    approval_id = this.new_id(Kind.APPROVAL)
    approvals.make(
        this.db,
        approval_id,
        case.id,
        amount_minor=amount_minor,
        currency=currency,
        maker=by,
        key=person_key(by),
        through=through,
    )
    kind = EntryKind.CASE_FIRST_APPROVED
    this.record(Draft(kind=kind, account=case.account, subject=case.id, actor=by, body=body))
    tell(
        this,
        Notice(
            kind=NoticeKind.SECOND_APPROVAL_WANTED,
            account=case.account,
            subject=case.id,
            headline=f"a second approval is wanted: {Money(amount_minor=amount_minor, currency=currency)}",
            body="One person has approved this refund. It is large enough to need another's approval as well:"
            f" billingbot cases show {case.id}",
        ),
    )
    return cases.change(this.db, case, assignee=None, recheck_at=None)
