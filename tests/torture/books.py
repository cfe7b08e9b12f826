"""Both books, read side by side when everything is at rest: Stripe's own records and ours."""

from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import sqlalchemy as sa

from billingbot.core.ledger import Entry, Flaw, flaws
from billingbot.store import ledger
from tests.torture.heal import undelivered
from tests.torture.stage import Stage

Row: TypeAlias = dict[str, Any]

LIVE: Final = frozenset({"intended", "submitting", "unknown", "pending", "requires_action", "succeeded"})
GONE: Final = frozenset({"failed", "canceled"})
OUR_REFUND: Final = "billingbot_refund"
OUR_KEY: Final = "billingbot_key"


@dataclass(frozen=True, slots=True, kw_only=True)
class Books:
    """Everything that the checks compare."""

    at_stripe: dict[str, Row]
    """Refunds at Stripe by id."""
    captured: dict[str, int]
    """Minor units captured, by charge."""
    paying_calls: list[Row]
    answering_calls: list[Row]
    """Calls that answer a bank, or give a dispute up."""
    notes: list[Row]
    """Credit notes at Stripe that are ours."""
    refunds: dict[str, Row]
    attempts: list[Row]
    cases: dict[str, Row]
    requests: list[Row]
    jobs: list[Row]
    entries: list[Entry]
    flaws: list[Flaw]
    breaks: list[Row]
    """What reconciliation found and has not settled."""
    cancellations: list[Row]
    canceled: set[str]
    """Subscriptions that have ended at Stripe."""
    disputes_at_stripe: list[Row]
    disputes: dict[str, Row]
    """Ours, by Stripe's id."""
    answers: list[Row]
    """What people did about disputes."""
    undelivered: list[str]
    """Events that billingbot never took."""

    def refunds_of(self, charge: str) -> list[Row]:
        """Our rows for a charge."""
        return [row for row in self.refunds.values() if row["charge_id"] == charge]

    def at_stripe_of(self, charge: str) -> list[Row]:
        """Stripe's refunds of a charge."""
        return [found for found in self.at_stripe.values() if found["charge"] == charge]


def read_books(stage: Stage) -> Books:
    """Reads both sides. Nothing may be under way."""
    engine = sa.create_engine(stage.postgres.owner_url)
    try:
        with engine.connect() as connection:
            entries = list(ledger.entries(connection))
    finally:
        engine.dispose()
    notes = [note for note in stage.stripe.objects("credit_note") if OUR_REFUND in note["metadata"]]
    # A note keeps our metadata, and the refund that it makes has none.
    marks = {made["refund"]: note["metadata"] for note in notes for made in note["refunds"]}
    at_stripe = {str(found["id"]): found for found in stage.stripe.objects("refund")}
    calls = stage.calls()
    return Books(
        at_stripe={
            name: {**found, "metadata": {**found["metadata"], **marks.get(name, {})}}
            for name, found in at_stripe.items()
        },
        captured={str(charge["id"]): int(charge["amount_captured"]) for charge in stage.stripe.objects("charge")},
        paying_calls=[call for call in calls if "/disputes/" not in call["path"]],
        answering_calls=[call for call in calls if "/disputes/" in call["path"]],
        notes=notes,
        refunds={row["id"]: row for row in stage.rows("SELECT * FROM refunds")},
        attempts=stage.rows("SELECT * FROM refund_attempts ORDER BY first_sent_at"),
        cases={row["id"]: row for row in stage.rows("SELECT * FROM cases")},
        requests=stage.rows("SELECT * FROM requests"),
        jobs=stage.rows("SELECT * FROM jobs WHERE state <> 'done'"),
        entries=entries,
        flaws=list(flaws(entries)),
        breaks=stage.rows("SELECT * FROM breaks WHERE state <> 'settled'"),
        cancellations=stage.rows("SELECT * FROM cancellations"),
        canceled={str(one["id"]) for one in stage.stripe.objects("subscription") if one["status"] == "canceled"},
        disputes_at_stripe=list(stage.stripe.objects("dispute")),
        disputes={row["dispute_id"]: row for row in stage.rows("SELECT * FROM disputes")},
        answers=stage.rows("SELECT * FROM dispute_answers"),
        undelivered=undelivered(stage),
    )
