"""`billingbot scheduler`: what happens by itself; several of them share the work."""


def scheduler() -> None:
    """Rings for forgotten jobs and starts the regular ones, until SIGTERM."""
    import structlog

    from billingbot.cli.serving import role
    from billingbot.worker.schedule import keep_schedule

    log = structlog.get_logger(__name__)
    with role(pool_size=2) as (_, runtime, stop):  # one thread, and whatever a task reads beside its own transaction
        log.info("scheduler.ready")
        keep_schedule(runtime.desk, runtime.bell, stop)
        log.info("scheduler.stopped")
