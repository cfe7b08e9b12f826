"""`/api/v1/breakers`: accounts whose automatic refunds were stopped, and letting them go on."""

from datetime import datetime
from typing import Self

from fastapi import APIRouter
from pydantic import BaseModel

from billingbot.flows.breaker import close_breaker, list_breakers
from billingbot.store.breakers import Breaker
from billingbot.web.api.fields import Body, Person, Prose
from billingbot.web.auth import SignedInRoute, TheDesk, bearer

router = APIRouter(prefix="/breakers", tags=["mode"], route_class=SignedInRoute, dependencies=[bearer])


class BreakerShown(BaseModel):
    """A breaker that opened: what was observed, what the policy allows, and who closed it."""

    account: str
    open: bool
    tripped_by: str
    observed: str
    allowed: str
    case_id: str | None
    opened_at: datetime
    closed_at: datetime | None
    closed_by: str | None
    why: str | None

    @classmethod
    def of(cls, breaker: Breaker) -> Self:
        """The breaker from outside."""
        same = {name: getattr(breaker, name) for name in cls.model_fields if name != "open"}
        return cls(**same, open=breaker.is_open)


class BreakersShown(BaseModel):
    """Every breaker that ever opened."""

    breakers: list[BreakerShown]


class Closing(Body):
    """Who closes a breaker, and why."""

    by: Person
    why: Prose


@router.get("", summary="Every account whose breaker ever opened")
def show_breakers(desk: TheDesk) -> BreakersShown:
    """While a breaker is open, its account's mode is not auto, and cannot be set to it."""
    return BreakersShown(breakers=[BreakerShown.of(one) for one in list_breakers(desk)])


@router.post("/{account}/close", summary="Close a breaker")
def close(account: str, closing: Closing, desk: TheDesk) -> BreakerShown:
    """Restores mode auto, unless somebody has set another mode since; refunds are counted anew."""
    return BreakerShown.of(close_breaker(desk, account, by=closing.by, why=closing.why))
