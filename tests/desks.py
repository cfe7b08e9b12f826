"""Desks for tests: on a real database, with a gateway that calls nobody until it is asked to."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Final

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
        db=make_engine(database.app_url, pool_size=10),
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
