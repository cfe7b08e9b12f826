"""Desks for tests: on a real database, with a gateway that calls nobody until it is asked to."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, Final

import sqlalchemy as sa

from billingbot.bootstrap.build import new_id
from billingbot.core.policy import Policy
from billingbot.evidence.sources import SupportSource, UsageSource
from billingbot.flows.desk import Account, Bell, Desk
from billingbot.gateway.client import StripeGateway
from billingbot.store.database import make_engine
from tests.builders import shipped_policy
from tests.engines.shared import Database

# The discard port of this machine: nobody listens there, so a call ends at once.
NOWHERE: Final = "http://127.0.0.1:9"


_STATEMENTS: Final[dict[Any, Any]] = {}


def engine_on(url: str, *, pool_size: int = 10) -> sa.Engine:
    """An engine as processes have it, but that it knows what this process wrote as SQL for the engines before it.

    SQLAlchemy keeps what it compiled by engine and dialect; a new engine for each test would compile all of it again.
    """
    engine = make_engine(url, pool_size=pool_size)
    engine.dialect = _dialect(url)
    engine.update_execution_options(compiled_cache=_STATEMENTS)
    return engine


_known: list[sa.Dialect] = []


def _dialect(url: str) -> sa.Dialect:
    """The one dialect of this process: it has met the run's Postgres, as a first connection lets it."""
    if not _known:
        first = make_engine(url, pool_size=1)
        first.connect().close()
        first.dispose()
        _known.append(first.dialect)
    return _known[0]


class QuietBell:
    """Keeps who was rung for, and wakes nobody: the test runs the jobs itself."""

    def __init__(self) -> None:
        self.rung: list[str] = []

    def ring(self, job_ids: Sequence[str]) -> None:
        self.rung.extend(job_ids)


@contextmanager
def a_desk(
    database: Database,
    *,
    stripe_url: str = NOWHERE,
    usage: Sequence[UsageSource] = (),
    support: Sequence[SupportSource] = (),
    policy: Policy | None = None,
    bell: Bell | None = None,
) -> Iterator[Desk]:
    """A desk with one test-mode account `default`; closed at the end. `bell` is a QuietBell where none is given."""
    rules = policy or shipped_policy()
    gateway = StripeGateway("default", "rk_test_desk", False, api_base=stripe_url)
    desk = Desk(
        db=engine_on(database.app_url),
        accounts={"default": Account(name="default", livemode=False, stripe=gateway)},
        usage=tuple(usage),
        support=tuple(support),
        policy=lambda: rules,
        bell=bell or QuietBell(),
        new_id=new_id,
        recheck_after=timedelta(seconds=60),
    )
    try:
        yield desk
    finally:
        gateway.close()
        desk.db.dispose()
