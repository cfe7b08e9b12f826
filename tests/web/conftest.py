"""Fixtures of the doors' tests: a desk on a database of its own, the application, and a server around it."""

from collections.abc import Iterator

import httpx
import pytest
import sqlalchemy as sa
from fastapi import FastAPI

from billingbot.core.access.powers import ALL
from billingbot.flows.desk import Desk
from billingbot.flows.switch import create_key
from billingbot.web.app import make_app
from tests.calls import visitor
from tests.engines.shared import Database
from tests.flows.conftest import shop as shop  # noqa: PLC0414  # pytest finds the fixture by this name
from tests.flows.shop import Shop
from tests.web.street import close_desk, endpoints, open_desk, served


@pytest.fixture
def desk(database: Database) -> Iterator[Desk]:
    """A desk whose Stripe is never called."""
    opened = open_desk(database.app_url)
    yield opened
    close_desk(opened)


@pytest.fixture
def app(desk: Desk) -> FastAPI:
    """The application over this desk."""
    return make_app(desk, endpoints())


@pytest.fixture
def street(app: FastAPI) -> Iterator[httpx.Client]:
    """A client of a real server, without a key."""
    with served(app) as url, visitor(url) as client:
        yield client


@pytest.fixture
def api(desk: Desk, street: httpx.Client) -> httpx.Client:
    """The same client with an API key."""
    street.headers["Authorization"] = f"Bearer {create_key(desk, 'helpdesk', by='tests', may=ALL)}"
    return street


@pytest.fixture
def owner(database: Database) -> Iterator[sa.Engine]:
    """The database as its superuser sees it."""
    engine = sa.create_engine(database.superuser_url)
    yield engine
    engine.dispose()


@pytest.fixture
def counter(shop: Shop) -> Iterator[httpx.Client]:
    """The API over a shop with a Stripe of its own."""
    with served(make_app(shop.desk, endpoints())) as url, visitor(url) as client:
        client.headers["Authorization"] = f"Bearer {create_key(shop.desk, 'helpdesk', by='tests', may=ALL)}"
        yield client
