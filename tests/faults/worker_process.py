"""A worker as a process of its own, for tests that kill it: runs one job on the shop's database and Stripe."""

import sys
from datetime import timedelta

from tests.builders import shipped_policy
from tests.flows.shop import CountingBell, StatedSupport, StatedUsage

from billingbot.bootstrap.build import new_id
from billingbot.flows.desk import Account, Desk
from billingbot.gateway.client import StripeGateway
from billingbot.store.database import make_engine
from billingbot.worker.run import run


def main(app_url: str, stripe_url: str, job_id: str) -> None:
    gateway = StripeGateway("default", "rk_test_shop", False, api_base=stripe_url)
    policy = shipped_policy()
    desk = Desk(
        db=make_engine(app_url),
        accounts={"default": Account(name="default", livemode=False, stripe=gateway)},
        usage=(StatedUsage(),),
        support=(StatedSupport(),),
        policy=lambda: policy,
        bell=CountingBell(),
        new_id=new_id,
        recheck_after=timedelta(seconds=60),
    )
    run(desk, job_id)


if __name__ == "__main__":
    main(*sys.argv[1:])
