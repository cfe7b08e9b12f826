"""Fixtures of the flows' tests: a shop in auto mode on a real database and a real local Stripe."""

from collections.abc import Iterator

import pytest

from billingbot.sandbox.server import RunningSandbox
from tests.engines.shared import Database
from tests.flows.shop import Shop, open_shop


@pytest.fixture
def shop(database: Database, stripe_here: RunningSandbox) -> Iterator[Shop]:
    """A shop in auto mode."""
    with open_shop(database, stripe_here) as opened:
        yield opened
