"""The one call that pays: a refund asked for once, under a key, and every outcome told apart."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import stripe

from billingbot.core.errors import InputError, StripeAnswerError
from billingbot.core.evidence.dossier import Refund
from billingbot.gateway import translate
from billingbot.gateway.answers import (
    Accepted,
    Halted,
    NotDone,
    RefundAnswer,
    RefusalReason,
    Refused,
    UnknownOutcome,
)
from billingbot.gateway.transport import Transport, code_of, describe, is_stripes_own, said_by

# `fraudulent` is left out on purpose: it puts the card and the e-mail on the account's block lists.
# https://docs.stripe.com/api/refunds/create#create_refund-reason
REASONS: Final = frozenset({"requested_by_customer", "duplicate"})
# Stripe's limits: https://docs.stripe.com/api/idempotent_requests and https://docs.stripe.com/api/metadata
_LONGEST_KEY: Final = 255
_MOST_METADATA, _LONGEST_NAME, _LONGEST_VALUE = 50, 40, 500
_LONGEST_WAIT_SECONDS: Final = 3600  # a Retry-After beyond an hour is not Stripe's; our own schedule knows better

_R = RefusalReason
_REFUSALS: Final[dict[str, RefusalReason]] = {
    "charge_already_refunded": _R.ALREADY_REFUNDED,
    "charge_disputed": _R.DISPUTED,
    "refund_disputed_payment": _R.DISPUTED,
    "amount_too_large": _R.AMOUNT_TOO_LARGE,
    "charge_not_refundable": _R.NOT_REFUNDABLE,
    "charge_expired_for_capture": _R.NOT_REFUNDABLE,
    "charge_invalid_parameter": _R.NOT_REFUNDABLE,
    "payment_intent_unexpected_state": _R.NOT_REFUNDABLE,
    "resource_missing": _R.NOT_FOUND,
    "livemode_mismatch": _R.WRONG_MODE,
    "testmode_charges_only": _R.WRONG_MODE,
    "balance_insufficient": _R.BALANCE_INSUFFICIENT,
    "insufficient_funds": _R.BALANCE_INSUFFICIENT,
}
_NOT_YET: Final = frozenset({"lock_timeout", "rate_limit", "idempotency_key_in_use"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """One attempt at a refund, frozen: the same values give the same request, byte for byte.

    Raises InputError for what must never be sent: no amount (Stripe would refund all that is left), a key it
    would replace by a random one, or a refund that could not be found again by our ids.
    """

    charge_id: str
    amount_minor: int
    currency: str | None
    reason: str
    metadata: Mapping[str, str]
    key: str

    def __post_init__(self) -> None:
        if type(self.amount_minor) is not int or self.amount_minor <= 0:
            raise InputError("amount_minor", "expected an integer of minor units above zero")
        if self.reason not in REASONS:
            raise InputError("reason", f"expected one of {', '.join(sorted(REASONS))}")
        if not _is_plain(self.charge_id, _LONGEST_KEY):
            raise InputError("charge_id", "expected the id of a charge")
        if not _is_plain(self.key, _LONGEST_KEY):
            raise InputError("idempotency_key", "expected 1 to 255 printable ASCII characters without spaces")
        if len(self.metadata) > _MOST_METADATA or not all(map(_fits, self.metadata, self.metadata.values())):
            raise InputError("metadata", "expected at most 50 names of 40 and values of 500 plain characters")
        if not self.metadata.get(translate.OUR_REFUND) or self.metadata.get(translate.OUR_KEY) != self.key:
            raise InputError("metadata", f"expected {translate.OUR_REFUND}, and {translate.OUR_KEY} equal to the key")

    def params(self) -> dict[str, Any]:
        """The body of the request."""
        return {
            "charge": self.charge_id,
            "amount": self.amount_minor,
            "reason": self.reason,
            "metadata": dict(sorted(self.metadata.items())),
        }


def pay(transport: Transport, ask: Ask) -> RefundAnswer:
    """Ask Stripe for the refund, once. What comes of it is a value, whatever Stripe or the network does.

    No retry of any kind in here: the caller has a committed attempt and decides when the same key goes out again.
    """
    try:
        return _asked(transport, ask)
    except Exception as error:  # noqa: BLE001 - the request may be out already: whatever broke here, it is unknown
        return UnknownOutcome(why=f"the answer could not be taken in ({type(error).__name__})")


def _asked(transport: Transport, ask: Ask) -> RefundAnswer:
    try:
        body, headers = transport.post_once("refunds", ask.params(), ask.key)
    except stripe.StripeError as error:
        return answer_of(error, transport)
    return _accepted(body, headers, ask)


def _accepted(body: object, headers: Mapping[str, str], ask: Ask) -> RefundAnswer:
    try:
        refund = translate.refund(body)
    except StripeAnswerError as error:
        return UnknownOutcome(why=f"Stripe accepted something that cannot be read: {error}")
    strange = differences(refund, ask)
    if strange:
        return UnknownOutcome(
            why=f"A PERSON MUST LOOK: Stripe accepted {refund.id} for {ask.charge_id}, but {'; '.join(strange)}"
        )
    return Accepted(refund=refund, replayed=headers.get("Idempotent-Replayed") == "true")


def differences(refund: Refund, ask: Ask) -> list[str]:
    """Where the refund that was made is not the one that was asked for."""
    pairs = {
        "charge": (ask.charge_id, refund.charge_id),
        "amount": (ask.amount_minor, refund.amount_minor),
        "currency": (ask.currency or refund.currency, refund.currency),
        translate.OUR_KEY: (ask.key, refund.our_attempt_key),
    }
    return [f"{name} is {got}, not {asked}" for name, (asked, got) in pairs.items() if asked != got]


def answer_of(error: stripe.StripeError, transport: Transport) -> Refused | NotDone | UnknownOutcome | Halted:
    """The outcome by HTTP status and Stripe's code; whatever is not plainly a no is unknown."""
    status, code = error.http_status, code_of(error)
    why = transport.redact(describe(error))
    if isinstance(error, stripe.APIConnectionError) or not is_stripes_own(error):
        return UnknownOutcome(why=why)
    if status in (401, 403):
        return Halted(why=why)
    if status in (409, 429) or code in _NOT_YET:
        return NotDone(why=why, retry_after_seconds=_retry_after(error))
    if status in (400, 402, 404):
        return Refused(reason=_reason(error, code), code=code, message=transport.redact(said_by(error)))
    return UnknownOutcome(why=why)


def _reason(error: stripe.StripeError, code: str | None) -> RefusalReason:
    said = said_by(error).lower()
    if isinstance(error, stripe.IdempotencyError):
        return RefusalReason.IDEMPOTENCY_MISMATCH
    if "a similar object exists in" in said:  # resource_missing, of an object that the other mode has
        return RefusalReason.WRONG_MODE
    if code is None and "greater than unrefunded amount" in said:  # recorded: Stripe gives this one no code
        return RefusalReason.AMOUNT_TOO_LARGE
    known = _REFUSALS.get(code or "")
    if known is not None:
        return known
    is_parameter = (code or "").startswith("parameter_") or getattr(error, "param", None)
    return RefusalReason.INVALID if is_parameter else RefusalReason.OTHER


def _retry_after(error: stripe.StripeError) -> int | None:
    told = str((error.headers or {}).get("Retry-After", "")).strip()
    return min(int(told), _LONGEST_WAIT_SECONDS) if told.isascii() and told.isdigit() and len(told) < 10 else None


def _is_plain(text: object, longest: int) -> bool:
    return isinstance(text, str) and 1 <= len(text) <= longest and all("!" <= char <= "~" for char in text)


def _fits(name: object, value: object) -> bool:
    if not isinstance(name, str) or not isinstance(value, str):
        return False
    readable = name.isascii() and name.isprintable() and value.isprintable()
    return readable and 1 <= len(name) <= _LONGEST_NAME and len(value) <= _LONGEST_VALUE
