"""What this process counts and times, in a registry of its own; gauges of the whole desk are in `gauges`."""

from collections.abc import Callable
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector

# From a commit on a quiet machine to the statement timeout of five seconds.
_COMMIT_BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)
# From the intake's few milliseconds to an approval that asks Stripe and every source afresh.
_REQUEST_BUCKETS: Final = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25)
_BATCH_BUCKETS: Final = (1, 2, 4, 8, 16, 32, 64, 128, 256)
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class Metrics:
    """The instruments of one web process. Labels are words of ours only: accounts, reasons, route templates."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.webhooks = Counter(
            "billingbot_webhooks",
            "Deliveries to the webhook door: accepted, not_needed, rejected, unavailable.",
            ["account", "result"],
            registry=self.registry,
        )
        self._events = Counter(
            "billingbot_intake_events",
            "Accepted deliveries: stored, or a duplicate of what was stored before.",
            ["result"],
            registry=self.registry,
        )
        self.rejected = Counter(
            "billingbot_webhooks_rejected",
            "Deliveries that were rejected, by reason.",
            ["account", "reason"],
            registry=self.registry,
        )
        self.waiting = Gauge(
            "billingbot_intake_waiting_events", "Verified events that wait for their commit.", registry=self.registry
        )
        self._batch = Histogram(
            "billingbot_intake_batch_events",
            "Events stored in one commit.",
            buckets=_BATCH_BUCKETS,
            registry=self.registry,
        )
        self._commit = Histogram(
            "billingbot_intake_commit_seconds",
            "Time of one commit of events.",
            buckets=_COMMIT_BUCKETS,
            registry=self.registry,
        )
        self._request = Histogram(
            "billingbot_http_request_seconds",
            "Time of a request, by method, route and status.",
            ["method", "route", "status"],
            buckets=_REQUEST_BUCKETS,
            registry=self.registry,
        )

    def count_dropped_bells(self, dropped: Callable[[], int]) -> None:
        """Has the count of bells that were not rung read at each scrape."""
        bells = Gauge(
            "billingbot_bells_dropped",
            "Bells of this process that were not rung since too many waited; the sweeper found those jobs.",
            registry=self.registry,
        )
        bells.set_function(dropped)

    def stored(self, *, new: int, events: int, seconds: float) -> None:
        """One commit of the intake."""
        self._events.labels("stored").inc(new)
        self._events.labels("duplicate").inc(events - new)
        self._batch.observe(events)
        self._commit.observe(seconds)

    def rejection(self, account: str, reason: str) -> None:
        """A delivery that was rejected for this reason."""
        self.webhooks.labels(account, "rejected").inc()
        self.rejected.labels(account, reason).inc()

    def request(self, method: str, route: str, status: int, seconds: float) -> None:
        """A request that was answered; methods that nobody knows are one label, or a stranger could fill memory."""
        known = method if method in _METHODS else "other"
        self._request.labels(known, route, str(status)).observe(seconds)
