"""Gauges of how Stripe and our books agree, read from Postgres when somebody scrapes; silent while it is away."""

from collections.abc import Iterable

import structlog
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector
from sqlalchemy.exc import SQLAlchemyError

from billingbot.core.books.breaks import BreakKind
from billingbot.core.errors import BillingbotError
from billingbot.flows.desk import Desk
from billingbot.store.views import reconcile
from billingbot.web.reading import read

log = structlog.get_logger(__name__)


class AgreementGauges(Collector):
    """Breaks that are not settled, by kind, and the age of each account's last whole pass.

    Both come from small indexes, so that a scrape reads them anew each time.
    """

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def collect(self) -> Iterable[GaugeMetricFamily]:
        """Three families; none while Postgres is away, which `billingbot_postgres_up` tells."""
        try:
            found = read(self._desk, reconcile.agreement)
        except (BillingbotError, SQLAlchemyError) as fault:
            log.warning("metrics.postgres_away", why=type(fault).__name__)
            return
        count = GaugeMetricFamily(
            "billingbot_reconcile_breaks", "Where Stripe and our books differ, not settled.", labels=["kind"]
        )
        age = GaugeMetricFamily(
            "billingbot_reconcile_oldest_break_age_seconds", "Age of the oldest such break.", labels=["kind"]
        )
        for kind in BreakKind:
            count.add_metric([kind.value], found.unsettled.get(kind, 0))
            age.add_metric([kind.value], found.oldest_seconds.get(kind, 0))
        yield count
        yield age
        last = GaugeMetricFamily(
            "billingbot_reconcile_last_whole_age_seconds",
            "Since the account was last compared with Stripe to the end; not there before the first time.",
            labels=["account"],
        )
        for account, seconds in found.last_whole_seconds.items():
            last.add_metric([account], seconds)
        yield last

    def describe(self) -> Iterable[GaugeMetricFamily]:
        """Nothing beforehand: whoever registers this must not wait for Postgres."""
        return ()
