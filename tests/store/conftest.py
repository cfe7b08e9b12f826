"""Fixtures of the store's tests: engines in the three roles that a database knows."""

from collections.abc import Iterator

import pytest
import sqlalchemy as sa
from sqlalchemy import Engine
from tests.desks import engine_on
from tests.engines.shared import Database


@pytest.fixture
def db(database: Database) -> Iterator[Engine]:
    """The application's own engine, in its least role."""
    engine = engine_on(database.app_url, pool_size=20)
    yield engine
    engine.dispose()


@pytest.fixture
def owner(database: Database) -> Iterator[Engine]:
    """Whoever owns the tables."""
    engine = sa.create_engine(database.owner_url)
    yield engine
    engine.dispose()


@pytest.fixture
def superuser(database: Database) -> Iterator[Engine]:
    """Whoever may do anything, triggers or not."""
    engine = sa.create_engine(database.superuser_url)
    yield engine
    engine.dispose()
