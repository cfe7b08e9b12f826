"""Gauges of the whole desk, read from Postgres when somebody scrapes; without Postgres they say so."""

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final

import structlog
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector
from sqlalchemy.exc import SQLAlchemyError

from billingbot.core.case import CaseState
from billingbot.core.errors import BillingbotError
from billingbot.core.mode import Mode
from billingbot.core.refund import RefundState
from billingbot.flows.desk import Desk
from billingbot.store import views
from billingbot.web.reading import read

# Several scrapers, or an impatient one, cost one reading in this time.
CACHE_SECONDS: Final = 5.0

log = structlog.get_logger(__name__)


class DeskGauges(Collector):
    """Collects the counts of `views.counts`; a scrape never fails for want of Postgres."""

    def __init__(self, desk: Desk, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._desk = desk
        self._clock = clock
        self._lock = threading.Lock()
        self._read_at: float | None = None
        self._counts: views.Counts | None = None

    def collect(self) -> Iterable[GaugeMetricFamily]:
        """One family after the other; only `billingbot_postgres_up` while Postgres is away."""
        counts = self._fresh()
        yield _gauge("postgres_up", "Whether Postgres could be read.", int(counts is not None))
        if counts is not None:
            yield from _families(counts, list(self._desk.accounts))

    def _fresh(self) -> views.Counts | None:
        with self._lock:
            if self._read_at is None or self._clock() - self._read_at >= CACHE_SECONDS:
                try:
                    self._counts = read(self._desk, views.counts)
                except (BillingbotError, SQLAlchemyError) as fault:
                    log.warning("metrics.postgres_away", why=type(fault).__name__)
                    self._counts = None
                self._read_at = self._clock()
            return self._counts


def _families(counts: views.Counts, accounts: list[str]) -> Iterator[GaugeMetricFamily]:
    yield _gauge("jobs_due", "Jobs that should run now.", counts.jobs_due)
    oldest = counts.oldest_due_job_seconds or 0
    yield _gauge("oldest_due_job_age_seconds", "How long the oldest due job has been due.", oldest)
    yield _gauge("jobs_failed", "Jobs that wait for a person.", counts.jobs_failed)
    yield _by("cases", "Cases by state.", "state", {state.value: counts.cases.get(state, 0) for state in CaseState})
    yield _gauge("reviews_overdue", "Cases that should have been looked at by now.", counts.reviews_overdue)
    refunds = {state.value: counts.refunds.get(state, 0) for state in RefundState}
    yield _by("refunds", "Refunds by state.", "state", refunds)
    unknown = counts.oldest_unknown_seconds or 0
    yield _gauge("oldest_unknown_refund_age_seconds", "Age of the oldest refund of unknown outcome.", unknown)
    yield _gauge("inbox_events", "Events stored, ever.", counts.inbox)
    yield _gauge("events_found_missing", "Events that never arrived and were fetched, ever.", counts.events_missed)
    unproven = counts.events_unproven_seconds or 0
    yield _gauge("events_unproven_seconds", "Since when Stripe's list of events was not compared.", unproven)
    yield _gauge("conversions", "Trials that turned into a charge, ever.", counts.conversions)
    yield _gauge("ledger_last_seq", "Number of the ledger's last entry.", counts.ledger_seq)
    modes = GaugeMetricFamily("billingbot_mode", "1 for the account's mode.", labels=["account", "mode"])
    for account in accounts:
        for mode in Mode:
            modes.add_metric([account, mode.value], int(counts.modes.get(account, Mode.SHADOW) is mode))
    yield modes
    breakers = GaugeMetricFamily("billingbot_breaker_open", "1 while the breaker is open.", labels=["account"])
    for account in accounts:
        breakers.add_metric([account], int(account in counts.breakers_open))
    yield breakers
    yield _gauge("notices_failed", "Notices that some destination never took.", counts.notices_failed)
    yield _gauge("disputes_missed", "Open disputes whose deadline passed without an answer.", counts.disputes_missed)
    if counts.dispute_due_seconds is not None:
        says = "Until the first deadline of a dispute that awaits an answer; not there while none does."
        yield _gauge("dispute_due_seconds", says, counts.dispute_due_seconds)


def _gauge(name: str, says: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"billingbot_{name}", says, value=value)


def _by(name: str, says: str, label: str, values: Mapping[str, int]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(f"billingbot_{name}", says, labels=[label])
    for key, value in values.items():
        family.add_metric([key], value)
    return family
