"""`/api/v1/cases`: the human queue, and everything about a case."""

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import AwareDatetime, Field

from billingbot.core.case import CaseState
from billingbot.core.decision import Priority
from billingbot.core.ids import Kind
from billingbot.flows.casework import review
from billingbot.store import views
from billingbot.web.api.fields import Body, Cursor, Rows, Word, id_of
from billingbot.web.api.shown import CasePageShown, CaseShown, Listed
from billingbot.web.auth import SignedInRoute, TheDesk, bearer
from billingbot.web.reading import read

router = APIRouter(prefix="/cases", tags=["cases"], route_class=SignedInRoute, dependencies=[bearer])


class CaseQuery(Body):
    """Which cases: all that are given must hold."""

    state: Annotated[CaseState | None, Field(description="`review` is the queue, by due time, then priority")] = None
    account: Word | None = None
    assignee: Word | None = None
    unassigned: Annotated[bool, Field(description="Only cases in nobody's hands")] = False
    snoozed: Annotated[bool | None, Field(description="Only cases that are put off now, or that are not")] = None
    charge: Word | None = None
    customer: Word | None = None
    reason: Word | None = None
    priority: Priority | None = None
    after: Cursor | None = None
    limit: Rows = views.PAGE_ROWS


@router.get("", summary="List cases")
def list_cases(query: Annotated[CaseQuery, Query()], desk: TheDesk) -> Listed[CaseShown]:
    """The queue by due time and priority where `state=review`; any other list newest first."""
    filters = views.CaseFilter(
        state=query.state,
        account=query.account,
        assignee=query.assignee,
        unassigned=query.unassigned,
        snoozed=query.snoozed,
        charge_id=query.charge,
        customer_id=query.customer,
        reason=query.reason,
        priority=query.priority,
    )
    page = read(desk, views.queue, filters, after=query.after, limit=query.limit)
    return Listed(items=[CaseShown.of(case) for case in page.items], next=page.next)


@router.get("/{case_id}", summary="Everything about a case")
def show_case(case_id: str, desk: TheDesk) -> CasePageShown:
    """Requests, facts with their sources, the verdict and its trace, refunds, notes, and what happened when."""
    page = read(desk, views.case_page, id_of(Kind.CASE, case_id))
    blockers = review.blockers_of(desk, page.case) if page.case.state is CaseState.REVIEW else ()
    return CasePageShown.of(page, blockers)


@router.get("/{case_id}/explanation", summary="Why it was decided so")
def explain_case(
    case_id: str,
    desk: TheDesk,
    at: Annotated[AwareDatetime | None, Query(description="The verdict it stood on then")] = None,
    policy: Annotated[Word | None, Query(description="Also decide the same facts by this version or digest")] = None,
) -> views.Explanation:
    """The newest verdict in words with its nearest flips, decided again from what is stored."""
    return read(desk, views.explanation, id_of(Kind.CASE, case_id), at=at, under=policy)
