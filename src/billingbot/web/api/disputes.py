"""`/api/v1/disputes`: what the banks ask and take, by deadline."""

from typing import Annotated, Self

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from billingbot.core.disputes.life import DisputeKind, DisputeOutcome
from billingbot.core.ledger import Entry
from billingbot.store import views
from billingbot.store.views import disputes
from billingbot.web.api.fields import Body, Cursor, Instant, Rows, Word
from billingbot.web.api.shown import DisputeShown, Listed, RefundShown
from billingbot.web.auth import SignedInRoute, TheDesk, bearer
from billingbot.web.reading import read

router = APIRouter(prefix="/disputes", tags=["disputes"], route_class=SignedInRoute, dependencies=[bearer])


class DisputePageShown(BaseModel):
    """One dispute with the charge's other disputes and refunds, and its history."""

    dispute: DisputeShown
    others: list[DisputeShown]
    refunds: list[RefundShown]
    timeline: list[Entry]

    @classmethod
    def of(cls, page: disputes.DisputePage) -> Self:
        """The page from outside."""
        return cls(
            dispute=DisputeShown.of(page.line),
            others=[DisputeShown.of(line) for line in page.others],
            refunds=[RefundShown.of(line) for line in page.refunds],
            timeline=list(page.timeline),
        )


class DisputeQuery(Body):
    """Which disputes: all that are given must hold."""

    account: Word | None = None
    kind: DisputeKind | None = None
    status: Annotated[Word | None, Field(description="Stripe's own status")] = None
    reason: Annotated[Word | None, Field(description="The bank's reason, as Stripe names it")] = None
    outcome: DisputeOutcome | None = None
    charge: Word | None = None
    case: Word | None = None
    open: Annotated[bool | None, Field(description="Not ended yet; false for those that have")] = None
    unassigned: Annotated[bool, Field(description="Only where nobody has the case")] = False
    missed: Annotated[bool, Field(description="Only where the deadline passed without an answer")] = False
    due_before: Annotated[Instant | None, Field(description="Open, and due before")] = None
    after: Cursor | None = None
    limit: Rows = views.PAGE_ROWS


@router.get("", summary="List disputes")
def list_disputes(query: Annotated[DisputeQuery, Query()], desk: TheDesk) -> Listed[DisputeShown]:
    """What is due first comes first; what has ended, or takes no answer, comes last."""
    filters = disputes.DisputeFilter(
        account=query.account,
        kind=query.kind,
        status=query.status,
        reason=query.reason,
        outcome=query.outcome,
        charge_id=query.charge,
        case_id=query.case,
        open=query.open,
        unassigned=query.unassigned,
        missed=query.missed,
        due_before=query.due_before,
    )
    page = read(desk, disputes.dispute_list, filters, after=query.after, limit=query.limit)
    return Listed(items=[DisputeShown.of(line) for line in page.items], next=page.next)


@router.get("/{dispute_id}", summary="One dispute")
def show_dispute(dispute_id: Word, desk: TheDesk, account: Word | None = None) -> DisputePageShown:
    """With the charge's refunds and other disputes; `account` where two accounts could have it."""
    return DisputePageShown.of(read(desk, disputes.dispute_page, dispute_id, account=account))
