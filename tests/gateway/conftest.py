"""Fixtures of the gateway's tests: the tapes, played or recorded anew with `--record`."""

import pytest
from tests.gateway.tapes import Tapes


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--record", action="store_true", help="record the cassettes anew instead of playing them")


@pytest.fixture
def tapes(request: pytest.FixtureRequest) -> Tapes:
    """The cassettes. Without --record nothing is asked of any network."""
    return Tapes(record=bool(request.config.getoption("--record", default=False)))
