"""Receive: raw webhook bytes become a stored event with its job, or a reason why not; nothing in between."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from billingbot.core.ids import IdSource, Kind
from billingbot.core.signals import SIGNALS, Envelope, base_type
from billingbot.flows.desk import Desk, Step
from billingbot.gateway.envelope import EnvelopeError, decode
from billingbot.gateway.signature import SignatureError, verify
from billingbot.store import inbox
from billingbot.store.database import transaction

# Events of one statement, as many as the door commits at once: far within the five seconds that a statement has.
_AT_ONCE: Final = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One webhook endpoint: which account's events it takes, and under which secrets."""

    account: str
    livemode: bool
    secrets: tuple[str, ...]
    stripe_account: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A verified event that somebody here needs."""

    envelope: Envelope


@dataclass(frozen=True, slots=True, kw_only=True)
class NotNeeded:
    """A verified event of a type that nobody here needs: acknowledged and counted."""

    type: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected:
    """Not acceptable; `reason` is a short exact word, `says` one sentence without any of the payload."""

    reason: str
    says: str


Admission: TypeAlias = Wanted | NotNeeded | Rejected


def admit(endpoint: Endpoint, body: bytes, header: bytes | None, *, now: int) -> Admission:
    """Verifies and decodes one delivery; `now` in unix seconds. Pure, and never raises."""
    try:
        verify(body, header, endpoint.secrets, now=now)
    except SignatureError as fault:
        return Rejected(reason=f"signature_{fault.reason}", says=str(fault))
    try:
        envelope = decode(
            body, account=endpoint.account, livemode=endpoint.livemode, stripe_account=endpoint.stripe_account
        )
    except EnvelopeError as fault:
        return Rejected(reason=fault.reason, says=str(fault))
    if base_type(envelope.type) not in SIGNALS:
        return NotNeeded(type=envelope.type)
    return Wanted(envelope=envelope)


def store(desk: Desk, envelopes: Sequence[Envelope]) -> int:
    """Stores many events in one commit, each once; returns how many were new. RetryLaterError if Postgres is away."""
    deliveries = [_delivery(desk.new_id, envelope) for envelope in envelopes]
    with transaction(desk.db) as connection:
        job_ids = inbox.receive(connection, deliveries)
    desk.bell.ring(job_ids)
    return len(job_ids)


def take_in(this: Step, envelopes: Sequence[Envelope]) -> list[Envelope]:
    """Stores these events in this step, each once; rings for the new ones in their order, and returns them."""
    new: list[Envelope] = []
    for start in range(0, len(envelopes), _AT_ONCE):
        deliveries = [_delivery(this.new_id, envelope) for envelope in envelopes[start : start + _AT_ONCE]]
        stored = set(inbox.receive(this.db, deliveries))
        for delivery in deliveries:
            if delivery.job_id in stored:
                new.append(delivery.envelope)
                this.bells.append(delivery.job_id)
    return new


def _delivery(new_id: IdSource, envelope: Envelope) -> inbox.Delivery:
    return inbox.Delivery(id=new_id(Kind.INBOX), job_id=new_id(Kind.JOB), envelope=envelope)
