"""`/api/v1/conversions`: trials that turned into a charge, as noticed."""

from datetime import datetime
from typing import Annotated, Self

from fastapi import APIRouter, Query
from pydantic import BaseModel

from billingbot.store import views
from billingbot.web.api.fields import Body, Cursor, Rows, Word
from billingbot.web.api.shown import AmountShown, Listed
from billingbot.web.auth import SignedInRoute, TheDesk, bearer
from billingbot.web.reading import read

router = APIRouter(prefix="/conversions", tags=["conversions"], route_class=SignedInRoute, dependencies=[bearer])


class ConversionQuery(Body):
    """Which conversions: all that are given must hold."""

    account: Word | None = None
    customer: Word | None = None
    subscription: Word | None = None
    charge: Word | None = None
    after: Cursor | None = None
    limit: Rows = views.PAGE_ROWS


class ConversionShown(BaseModel):
    """One trial-end charge."""

    id: str
    account: str
    livemode: bool
    customer: str
    subscription: str
    invoice: str
    charge: str
    amount: AmountShown
    trial_start_at: datetime
    trial_end_at: datetime
    charged_at: datetime
    noticed_at: datetime

    @classmethod
    def of(cls, line: views.ConversionLine) -> Self:
        """The conversion from outside."""
        return cls(
            **{name: getattr(line, name) for name in cls.model_fields if hasattr(line, name)},
            customer=line.customer_id,
            subscription=line.subscription_id,
            invoice=line.invoice_id,
            charge=line.charge_id,
            amount=AmountShown.of(line.amount_minor, line.currency),
        )


@router.get("", summary="List conversions")
def list_conversions(query: Annotated[ConversionQuery, Query()], desk: TheDesk) -> Listed[ConversionShown]:
    """Newest first."""
    filters = views.ConversionFilter(
        account=query.account,
        customer_id=query.customer,
        subscription_id=query.subscription,
        charge_id=query.charge,
    )
    page = read(desk, views.conversion_list, filters, after=query.after, limit=query.limit)
    return Listed(items=[ConversionShown.of(line) for line in page.items], next=page.next)
