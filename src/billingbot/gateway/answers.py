"""What can come of a call that changes something at Stripe: closed unions that never leave the outcome to an
exception."""

from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from billingbot.core.disputes.answering import Standing
from billingbot.core.evidence.dossier import Refund, Subscription


class RefusalReason(StrEnum):
    """Why Stripe will not do this (https://docs.stripe.com/error-codes)."""

    ALREADY_REFUNDED = "already_refunded"
    DISPUTED = "disputed"
    AMOUNT_TOO_LARGE = "amount_too_large"
    NOT_REFUNDABLE = "not_refundable"
    NOT_FOUND = "not_found"
    WRONG_MODE = "wrong_mode"
    INVALID = "invalid"
    IDEMPOTENCY_MISMATCH = "idempotency_mismatch"
    BALANCE_INSUFFICIENT = "balance_insufficient"
    OTHER = "other"


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """Stripe made the refund; its status may still be anything. `replayed`: it answered this key before."""

    refund: Refund
    replayed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """Stripe said no and did nothing."""

    reason: RefusalReason
    code: str | None
    """Stripe's own code, where it gives one."""
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NotDone:
    """This call did nothing (an earlier one under the same key may have): the same key again, later."""

    why: str
    retry_after_seconds: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class UnknownOutcome:
    """It may have been done. Never a new key before its absence is proven."""

    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Halted:
    """The key is wrong or lacks the permission: nothing more goes out until a person mends it."""

    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Cancelled:
    """The subscription has ended, or is set to end with its period, as asked."""

    subscription: Subscription


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """The evidence was staged or sent, or the dispute closed: the dispute as it is since."""

    standing: Standing


@dataclass(frozen=True, slots=True, kw_only=True)
class Uploaded:
    """The file is at Stripe, for evidence."""

    file_id: str


AnswerOutcome: TypeAlias = Answered | Refused | NotDone | UnknownOutcome | Halted
UploadOutcome: TypeAlias = Uploaded | Refused | NotDone | UnknownOutcome | Halted
CancelAnswer: TypeAlias = Cancelled | Refused | NotDone | UnknownOutcome | Halted
RefundAnswer: TypeAlias = Accepted | Refused | NotDone | UnknownOutcome | Halted
