"""`/api/v1/cancellations`: subscriptions that a refund was to end and did not, and what people do about them."""

from typing import Annotated

from fastapi import APIRouter, Query

from billingbot.core.aftercare import Cancellation
from billingbot.core.ids import Kind
from billingbot.flows import cancel
from billingbot.store import cancellations
from billingbot.web.api.fields import Body, ByName, Rows, id_of
from billingbot.web.api.shown import Listed
from billingbot.web.auth import SignedInRoute, TheDesk, bearer
from billingbot.web.reading import read

router = APIRouter(prefix="/cancellations", tags=["cancellations"], route_class=SignedInRoute, dependencies=[bearer])


class WaitingQuery(Body):
    """How many to show."""

    limit: Rows = 50


@router.get("", summary="Cancellations that wait for a person")
def list_waiting(query: Annotated[WaitingQuery, Query()], desk: TheDesk) -> Listed[Cancellation]:
    """Oldest first; all of a case's, with those that went well, stand on the case."""
    return Listed(items=list(read(desk, cancellations.waiting, limit=query.limit)), next=None)


@router.get("/{cancellation_id}", summary="One cancellation")
def show(cancellation_id: str, desk: TheDesk) -> Cancellation:
    """As it stands."""
    return read(desk, cancellations.get, id_of(Kind.CANCELLATION, cancellation_id))


@router.post("/{cancellation_id}/retry", summary="Have it tried again")
def retry(cancellation_id: str, act: ByName, desk: TheDesk) -> Cancellation:
    """It looks afresh first. 409 where it was neither refused nor handed over."""
    return cancel.try_again(desk, id_of(Kind.CANCELLATION, cancellation_id), by=act.by)


@router.post("/{cancellation_id}/settled", summary="Say that a person has seen to the subscription")
def settled(cancellation_id: str, act: ByName, desk: TheDesk) -> Cancellation:
    """Nothing waits any more, and the case closes. 409 where nothing waited."""
    return cancel.settled_by_hand(desk, id_of(Kind.CANCELLATION, cancellation_id), by=act.by)
