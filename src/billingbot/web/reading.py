"""Reading: one read model, in one short transaction."""

from collections.abc import Callable
from typing import Concatenate, ParamSpec, TypeVar

from sqlalchemy import Connection
from starlette.requests import Request

from billingbot.flows.desk import Desk
from billingbot.store.database import transaction

P = ParamSpec("P")
T = TypeVar("T")


def read(desk: Desk, view: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
    """What the read model shows. RetryLaterError where Postgres is away."""
    with transaction(desk.db) as connection:
        return view(connection, *args, **kwargs)


async def desk_of(request: Request) -> Desk:
    """The desk of the application that this request came to."""
    desk: Desk = request.app.state.desk
    return desk
