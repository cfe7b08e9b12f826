"""Fixtures of the workers' tests."""

from collections.abc import Iterator

import pytest
import sqlalchemy as sa

from tests.desks import a_desk
from tests.engines.shared import Database
from tests.worker.bench import Bench


@pytest.fixture
def bench(database: Database) -> Iterator[Bench]:
    """A desk whose Stripe never answers, and the tables open to the test."""
    owner = sa.create_engine(database.superuser_url)
    with a_desk(database) as desk:
        yield Bench(desk=desk, owner=owner)
    owner.dispose()
