"""`/api/v1/reconcile`: where Stripe and our books differ, the passes that looked, and having one look now."""

from datetime import datetime
from typing import Annotated, Self

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from billingbot.core.books.breaks import Break, BreakKind, BreakState, Pass, PassState, Side, Stage
from billingbot.flows.reconcile import passing
from billingbot.store import views
from billingbot.store.views import reconcile
from billingbot.web.api.fields import Body, ByName, Cursor, Instant, Rows, Word
from billingbot.web.api.shown import AmountShown, Listed
from billingbot.web.auth import SignedInRoute, TheDesk, bearer
from billingbot.web.reading import read

router = APIRouter(prefix="/reconcile", tags=["reconcile"], route_class=SignedInRoute, dependencies=[bearer])


class SideShown(BaseModel):
    """What one side says; nothing where it knows nothing."""

    amount: AmountShown | None
    status: str | None

    @classmethod
    def of(cls, side: Side) -> Self:
        """The side from outside."""
        known = side.amount_minor is not None and side.currency is not None
        amount = AmountShown.of(side.amount_minor or 0, side.currency or "") if known else None
        return cls(amount=amount, status=side.status)


class BreakShown(BaseModel):
    """One break. `expected` is what our books say, `found` what Stripe says."""

    id: str
    account: str
    livemode: bool
    kind: BreakKind
    object: str
    charge: str | None
    refund: str | None
    expected: SideShown
    found: SideShown
    state: BreakState
    how: str | None
    case_id: str | None
    first_seen_at: datetime
    last_seen_at: datetime
    settled_at: datetime | None

    @classmethod
    def of(cls, one: Break) -> Self:
        """The break from outside."""
        same = {name: getattr(one, name) for name in cls.model_fields if name in Break.__slots__}
        return cls(
            **same,
            kind=one.what.kind,
            object=one.what.object_id,
            charge=one.what.charge_id,
            refund=one.what.refund_id,
            expected=SideShown.of(one.what.expected),
            found=SideShown.of(one.what.found),
        )


class PassShown(BaseModel):
    """One pass. It reads what Stripe made from `since` on and before `until`; refunds from `refunds_since` on."""

    id: str
    account: str
    by: str
    deep: bool
    refunds_since: datetime
    since: datetime
    until: datetime
    state: PassState
    stage: Stage
    seen: int
    found: int
    settled: int
    to_person: int
    began_at: datetime
    advanced_at: datetime
    finished_at: datetime | None

    @classmethod
    def of(cls, one: Pass) -> Self:
        """The pass from outside."""
        same = {name: getattr(one, name) for name in cls.model_fields if name in Pass.__slots__}
        tally = one.tally
        return cls(**same, seen=tally.seen, found=tally.found, settled=tally.settled, to_person=tally.to_person)


class BreakQuery(Body):
    """Which breaks: all that are given must hold."""

    account: Word | None = None
    kind: BreakKind | None = None
    state: BreakState | None = None
    charge: Word | None = None
    case: Word | None = None
    since: Annotated[Instant | None, Field(description="First seen at or after")] = None
    until: Annotated[Instant | None, Field(description="First seen before")] = None
    after: Cursor | None = None
    limit: Rows = views.PAGE_ROWS


class PassWanted(ByName):
    """Whose books are compared, over which time; without one what the next pass by itself would take."""

    account: Word
    since: Annotated[Instant | None, Field(description="Made at Stripe at or after")] = None
    until: Annotated[Instant | None, Field(description="Made before")] = None


class PassQuery(Body):
    """Which passes."""

    account: Word | None = None
    after: Cursor | None = None
    limit: Rows = views.PAGE_ROWS


@router.get("/breaks", summary="List where Stripe and our books differ, or did")
def list_breaks(query: Annotated[BreakQuery, Query()], desk: TheDesk) -> Listed[BreakShown]:
    """The one first seen last comes first."""
    filters = reconcile.BreakFilter(
        account=query.account,
        kind=query.kind,
        state=query.state,
        charge_id=query.charge,
        case_id=query.case,
        since=query.since,
        until=query.until,
    )
    page = read(desk, reconcile.break_list, filters, after=query.after, limit=query.limit)
    return Listed(items=[BreakShown.of(one) for one in page.items], next=page.next)


@router.get("/passes", summary="List comparisons with Stripe")
def list_passes(query: Annotated[PassQuery, Query()], desk: TheDesk) -> Listed[PassShown]:
    """Newest first."""
    page = read(desk, reconcile.pass_list, account=query.account, after=query.after, limit=query.limit)
    return Listed(items=[PassShown.of(one) for one in page.items], next=page.next)


@router.post("/passes", summary="Compare an account with Stripe now", status_code=202)
def begin_pass(wanted: PassWanted, desk: TheDesk) -> PassShown:
    """The workers do. It pays nothing itself; a dispute of which no event told is acted on as on its event."""
    return PassShown.of(passing.ask(desk, wanted.account, by=wanted.by, since=wanted.since, until=wanted.until))
