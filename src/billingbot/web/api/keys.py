"""`/api/v1/keys`: which programs may come in, and ending that. A key is made where a person sees its secret."""

from datetime import datetime
from typing import Annotated, Self

from fastapi import APIRouter, Query
from pydantic import BaseModel

from billingbot.core.access.powers import Power
from billingbot.flows.switch import list_keys, revoke_key
from billingbot.store.keys import ApiKey
from billingbot.store.views.paging import PAGE_ROWS
from billingbot.web.api.fields import Body, ByName, Cursor, Person, Rows, Word
from billingbot.web.api.shown import Listed
from billingbot.web.auth import SignedInRoute, TheDesk, bearer

router = APIRouter(prefix="/keys", tags=["access"], route_class=SignedInRoute, dependencies=[bearer])


class KeyQuery(Body):
    """Which keys: all that are given must hold."""

    made_by: Person | None = None
    in_use: bool = False
    after: Cursor | None = None
    limit: Rows = PAGE_ROWS


class KeyShown(BaseModel):
    """A key without its secret, which nobody has but its program."""

    id: str
    name: str
    powers: list[Power]
    created_at: datetime
    last_used_at: datetime | None
    revoked_at: datetime | None

    @classmethod
    def of(cls, key: ApiKey) -> Self:
        """The key from outside."""
        same = {name: getattr(key, name) for name in cls.model_fields if name in ApiKey.__slots__}
        return cls(**{**same, "powers": [power for power in Power if power in key.powers]})


class ListedKey(KeyShown):
    """A key, and who made it."""

    made_by: str | None


class Revoking(ByName):
    """Who ends which key, by its name."""

    name: Word


@router.get("", summary="List API keys")
def show_keys(query: Annotated[KeyQuery, Query()], desk: TheDesk) -> Listed[ListedKey]:
    """Newest first. Takes the power `manage`."""
    page = list_keys(desk, made_by=query.made_by, in_use=query.in_use, after=query.after, limit=query.limit)
    items = [ListedKey(**KeyShown.of(key).model_dump(), made_by=key.made_by) for key in page.items]
    return Listed(items=items, next=page.next)


@router.post("/revoke", summary="End an API key")
def revoke(wanted: Revoking, desk: TheDesk) -> KeyShown:
    """It opens nothing from this moment on. 404 where none in use has this name. Takes the power `manage`."""
    return KeyShown.of(revoke_key(desk, wanted.name, by=wanted.by))
