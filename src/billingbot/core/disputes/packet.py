"""The evidence packet: what our facts can say to a bank about a dispute, field by field, and what they cannot."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from billingbot.core.canonical import canonical_bytes, digest
from billingbot.core.disputes.evidence_fields import Field, fitted, wanted
from billingbot.core.disputes.life import returned_money
from billingbot.core.disputes.statements import Grounds, Silence, Statement, instant, statement
from billingbot.core.policy.undisputed import Opinion

ANSWERABLE: Final = frozenset({"needs_response", "warning_needs_response"})
"""Statuses in which a bank awaits an answer (an appeal is a process of its own, for the Dashboard)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Packet:
    """A draft for a person to read: statements by Stripe's names, and why a helpful one is missing.

    `doubts` speak for accepting the dispute or against any answer, and are read first. `digest` is of the texts. It
    holds the customer's name and addresses: it is for the bank and the person who answers it, never for logs or the
    ledger.
    """

    dispute_id: str
    charge_id: str
    reason: str
    status: str
    amount_minor: int
    currency: str
    due_by: datetime | None
    brand: str | None
    """Of the card: networks differ in how many pages they take."""
    read_at: datetime
    opinion: Opinion | None
    statements: Mapping[Field, Statement]
    left_out: Mapping[Field, str]
    doubts: tuple[str, ...]

    @property
    def fields(self) -> Mapping[Field, str]:
        """The texts alone."""
        return {field: one.text for field, one in self.statements.items()}

    @property
    def digest(self) -> str:
        """Of the texts."""
        return digest(canonical_bytes({field.value: text for field, text in self.fields.items()}))


def draft(on: Grounds) -> Packet:
    """The packet of a dispute of the dossier's charge. It says what is established; unknown is left out (law 5)."""
    dispute = on.dispute
    needed = wanted(dispute.reason)
    found = {field: statement(field, on) for field in Field if field in needed}
    return Packet(
        dispute_id=dispute.id,
        charge_id=dispute.charge_id,
        reason=dispute.reason,
        status=dispute.status,
        amount_minor=dispute.amount_minor,
        currency=dispute.currency,
        due_by=dispute.due_by,
        brand=on.purchase.brand if on.purchase else None,
        read_at=on.dossier.read_at,
        opinion=on.opinion,
        statements={
            field: Statement(text=fitted(one.text), source=one.source, as_of=one.as_of)
            for field, one in found.items()
            if isinstance(one, Statement)
        },
        left_out={field: one.why for field, one in found.items() if isinstance(one, Silence)},
        doubts=tuple(_doubts(on)),
    )


def _doubts(on: Grounds) -> Iterator[str]:
    dispute, charge = on.dispute, on.dossier.charge
    if returned_money(dispute) or dispute.status not in ANSWERABLE:
        yield f"the dispute is {dispute.status}: no answer is awaited"
    elif dispute.due_by is None:
        yield "Stripe names no due time: no answer is possible"
    elif dispute.due_by <= on.dossier.read_at:
        yield f"the answer was due by {instant(dispute.due_by)}"
    if on.cancelled.holds:
        yield "a cancellation is on record before the charge: the customer seems to be in the right"
    elif on.opinion is not None and on.opinion.accepts:
        yield f"the policy would have refunded this charge ({on.opinion.rule}): the customer seems to be in the right"
    if not on.used:
        yield "no use is on record: the policy may grant what the customer asks for"
    silent = sorted(one.source for one in on.usage if not one.answered)
    if silent:
        yield f"gave no answer about use: {', '.join(silent)}"
    if dispute.amount_minor != charge.amount_captured_minor or dispute.currency != charge.currency:
        yield "the dispute is not over the amount of this charge: it may cover several"
    if charge.amount_refunded_minor:
        yield "a refund of this charge is on record: say so in the answer"
