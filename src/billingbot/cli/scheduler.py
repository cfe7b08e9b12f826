"""`billingbot scheduler`: what happens by itself; several of them share the work."""

from typing import Final

# A statement ends within five seconds, but for a Postgres that hangs; the supervisor kills after thirty.
_LEAVES_AFTER_SECONDS: Final = 20.0


def scheduler() -> None:
    """Rings for forgotten jobs and starts the regular ones, until SIGTERM."""
    import structlog

    from billingbot.cli.serving import leave_after, role
    from billingbot.worker.schedule import keep_schedule

    log = structlog.get_logger(__name__)
    with role(pool_size=2) as (_, runtime, stop):  # one thread, and whatever a task reads beside its own transaction
        leave_after(stop, _LEAVES_AFTER_SECONDS)
        log.info("scheduler.ready")
        keep_schedule(runtime.desk, runtime.bell, stop)
        log.info("scheduler.stopped")
