"""`/api/v1/purchases`: the product pushes what a bank may ask about a purchase and Stripe does not know."""

from fastapi import APIRouter
from pydantic import BaseModel

from billingbot.core.disputes.purchase_facts import PurchaseFact
from billingbot.flows.disputes.purchase_facts import tell_purchase
from billingbot.web.api.fields import Body, Word
from billingbot.web.auth import SignedInRoute, TheDesk, bearer

router = APIRouter(prefix="/purchases", tags=["activity"], route_class=SignedInRoute, dependencies=[bearer])


class PurchasePushed(Body):
    """Facts of one customer's purchase: the newest of each counts, null takes one away."""

    account: Word = "default"
    customer_id: Word
    facts: dict[PurchaseFact, str | None]


class PurchaseTaken(BaseModel):
    """How many facts were taken."""

    facts: int


@router.post("", summary="Push facts of a purchase")
def push_purchase(pushed: PurchasePushed, desk: TheDesk) -> PurchaseTaken:
    """Told to banks in drafts made from then on, and to nobody else. Twice is once."""
    tell_purchase(desk, pushed.account, pushed.customer_id, pushed.facts)
    return PurchaseTaken(facts=len(pushed.facts))
