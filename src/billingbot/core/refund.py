"""A refund: our intent and its life, one keyed attempt at a time, as transition tables."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from billingbot.core.errors import ConflictError
from billingbot.core.refund_terms import CancelWhen, RefundWith

# Law 4. Stripe forgets a key after 24 h and then runs it anew; half of that leaves room for clocks that differ
# and for a request that hangs. https://docs.stripe.com/api/idempotent_requests
KEY_LIFE: Final = timedelta(hours=12)
# An absence at Stripe counts as proven only when our last call is this old. The longest call we allow takes 25 s and a
# list may lag behind a write for a minute; but what was answered with a 500 Stripe may roll forward by itself later,
# and names no time (https://docs.stripe.com/error-low-level). Unknown outcomes are rare, and two hours are little.
QUIET_BEFORE_ABSENT: Final = timedelta(hours=2)
# After this many attempts were proven absent something is wrong that a further key will not mend.
MOST_ATTEMPTS: Final = 3


class RefundState(StrEnum):
    """Where a refund of ours stands; the last group is Stripe's own words for its status."""

    INTENDED = "intended"
    SUBMITTING = "submitting"
    UNKNOWN = "unknown"
    REFUSED = "refused"
    WITHDRAWN = "withdrawn"
    PENDING = "pending"
    REQUIRES_ACTION = "requires_action"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELED = "canceled"


class Origin(StrEnum):
    """Who wanted the refund."""

    POLICY = "policy"
    PERSON = "person"
    EXTERNAL = "external"
    """Made outside billingbot (Dashboard, another program) and adopted into our books."""


_STRIPE: Final = frozenset(
    {
        RefundState.PENDING,
        RefundState.REQUIRES_ACTION,
        RefundState.SUCCEEDED,
        RefundState.FAILED,
        RefundState.CANCELED,
    }
)
_NEXT: Final[dict[RefundState, frozenset[RefundState]]] = {
    RefundState.INTENDED: frozenset({RefundState.SUBMITTING, RefundState.WITHDRAWN}) | _STRIPE,
    RefundState.SUBMITTING: frozenset({RefundState.UNKNOWN, RefundState.REFUSED, RefundState.WITHDRAWN}) | _STRIPE,
    RefundState.UNKNOWN: frozenset({RefundState.SUBMITTING, RefundState.REFUSED, RefundState.WITHDRAWN}) | _STRIPE,
    RefundState.REFUSED: _STRIPE,  # Stripe rolled it forward after all and tells by webhook
    RefundState.WITHDRAWN: _STRIPE,  # likewise: books follow Stripe, never the other way round
    RefundState.PENDING: _STRIPE - {RefundState.PENDING},
    RefundState.REQUIRES_ACTION: _STRIPE - {RefundState.REQUIRES_ACTION},
    # Banks return money up to 30 days later. https://docs.stripe.com/refunds#failed-refunds
    RefundState.SUCCEEDED: frozenset({RefundState.FAILED, RefundState.CANCELED}),
    RefundState.FAILED: frozenset(),
    RefundState.CANCELED: frozenset(),
}

# States that stand in the way of a second intent for the same charge (also a unique index in the database).
LIVE_STATES: Final = (
    RefundState.INTENDED,
    RefundState.SUBMITTING,
    RefundState.UNKNOWN,
    RefundState.PENDING,
    RefundState.REQUIRES_ACTION,
    RefundState.SUCCEEDED,
)
# States in which money has left, or is about to, for all that Stripe knows.
AT_STRIPE: Final = (RefundState.PENDING, RefundState.REQUIRES_ACTION, RefundState.SUCCEEDED)
# From here on the subscription is cancelled: Stripe has taken the refund on. Waiting for `succeeded` would let the next
# period be charged while money is pending, and would be no safer: a refund may fail weeks after it succeeded. One that
# waits for the customer's bank details may never be paid, so it cancels nothing yet.
CANCELS_AFTER: Final = (RefundState.PENDING, RefundState.SUCCEEDED)
ENDED_BADLY: Final = (RefundState.FAILED, RefundState.CANCELED)


def may_become(state: RefundState, following: RefundState) -> bool:
    """Whether a refund in `state` may become `following`."""
    return following in _NEXT[state]


def become(state: RefundState, following: RefundState) -> RefundState:
    """`following`, where the table allows it; ConflictError where it does not."""
    if not may_become(state, following):
        raise ConflictError(f"a refund that is {state} cannot become {following}")
    return following


def state_of(stripe_status: str) -> RefundState | None:
    """Our state for Stripe's `refund.status`; None for a status that Stripe added since (a person looks)."""
    return next((state for state in _STRIPE if state.value == stripe_status), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class RefundIntent:
    """A refund of ours, or one made elsewhere and adopted. Amount in minor units."""

    id: str
    case_id: str | None
    account: str
    livemode: bool
    charge_id: str
    amount_minor: int
    currency: str
    state: RefundState
    origin: Origin
    decision_id: str | None
    clause: str | None
    decided_by: str
    """`policy:<id>@<version>`, or the person who approved."""
    stripe_refund_id: str | None
    why: str | None
    """Refusal or failure in words, where there is one."""
    intended_at: datetime
    settled_at: datetime | None
    invoice_id: str | None = None
    subscription_id: str | None = None
    refund_with: RefundWith = RefundWith.REFUND
    """As the policy said when it was decided, as is the next: what was approved does not change meanwhile."""
    cancel_subscription: CancelWhen = CancelWhen.NO
    credit_note_id: str | None = None
    credit_note_number: str | None = None


class AttemptOutcome(StrEnum):
    """What became of one keyed call."""

    OPEN = "open"
    UNKNOWN = "unknown"
    ACCEPTED = "accepted"
    REFUSED = "refused"
    ABSENT = "absent"
    """Proven absent at Stripe after its key's life: a new attempt may follow."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One keyed call: key and parameters frozen before it was first sent, the same bytes on every send."""

    id: str
    refund_id: str
    number: int
    key: str
    params: Mapping[str, str | int | Mapping[str, str]]
    outcome: AttemptOutcome
    sends: int
    first_sent_at: datetime
    last_sent_at: datetime

    def may_resend(self, now: datetime) -> bool:
        """True while the key is certain to be remembered by Stripe (law 4)."""
        return now - self.first_sent_at < KEY_LIFE

    def is_quiet(self, now: datetime) -> bool:
        """True once no call of ours can still come to an effect, so that an absence means something."""
        return now - self.last_sent_at >= QUIET_BEFORE_ABSENT
