"""`billingbot worker`: runs jobs, one process of as many as you like."""

from typing import Annotated

import typer


def worker(
    threads: Annotated[
        int | None, typer.Option(min=2, max=64, help="Jobs at a time. Default: BILLINGBOT_THREADS, or 8.")
    ] = None,
) -> None:
    """Runs jobs until SIGTERM, then ends what runs (within 30 s)."""
    from billingbot.bootstrap.settings import read_environment
    from billingbot.cli.serving import leave, role
    from billingbot.worker.process import connections, work

    at_a_time = threads or read_environment().threads
    with role(pool_size=connections(at_a_time)) as (_, runtime, stop):
        ended = stop.is_set() or work(runtime.desk, runtime.broker, threads=at_a_time, stop=stop)
    if not ended:
        leave()  # the leases of what still runs see to its jobs
