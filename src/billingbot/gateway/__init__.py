"""Everything that knows Stripe: signatures, event envelopes, reads in core types, and the one call that pays."""

from billingbot.gateway.answers import (
    Accepted,
    Halted,
    NotDone,
    RefundAnswer,
    RefusalReason,
    Refused,
    UnknownOutcome,
)
from billingbot.gateway.client import StripeGateway, TrialPage
from billingbot.gateway.envelope import EnvelopeError, EnvelopeReason, decode
from billingbot.gateway.signature import SignatureError, SignatureReason, verify
from billingbot.gateway.transport import API_VERSION

__all__ = [
    "API_VERSION",
    "Accepted",
    "EnvelopeError",
    "EnvelopeReason",
    "Halted",
    "NotDone",
    "RefundAnswer",
    "RefusalReason",
    "Refused",
    "SignatureError",
    "SignatureReason",
    "StripeGateway",
    "TrialPage",
    "UnknownOutcome",
    "decode",
    "verify",
]
