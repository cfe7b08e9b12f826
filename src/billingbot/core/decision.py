"""The verdict on a case, with the reason, the clause, and the whole trace that led to it."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from billingbot.core.facts import FactValue


class Outcome(StrEnum):
    """What happens now. The machine never declines (law 7)."""

    REFUND = "refund"
    REVIEW = "review"
    CLOSE = "close"


class Recommendation(StrEnum):
    """What a person is advised to do."""

    REFUND = "refund"
    DECLINE = "decline"
    ACCEPT_DISPUTE = "accept_dispute"
    CONTEST_DISPUTE = "contest_dispute"
    NONE = "none"


class Priority(StrEnum):
    """How soon a person should look."""

    URGENT = "urgent"
    HIGH = "high"
    NORMAL = "normal"


class Truth(StrEnum):
    """A condition's value in Kleene's logic, as CEL evaluates it over partly unknown facts."""

    TRUE = "true"
    FALSE = "false"
    UNKNOWN = "unknown"


class Limit(StrEnum):
    """The limits inside which a refund leaves without a person; a decision names the one that held it back."""

    MODE = "limit-mode"
    AMOUNT = "limit-amount"
    CURRENCY = "limit-currency"
    EARLIER_REFUND = "limit-earlier-refund"
    DENIED_BEFORE = "limit-denied-before"
    DAILY_AMOUNT = "limit-daily-amount"
    DAILY_COUNT = "limit-daily-count"
    BREAKER = "limit-breaker"
    MONEY = "limit-money"
    """Where the money is forbids it, whatever the policy grants (`core.money_state`)."""


class Blocker(StrEnum):
    """What forbids paying a refund whatever a person thinks: Stripe would refuse it, or pay twice."""

    NOT_SUCCEEDED = "charge-not-succeeded"
    NOT_CAPTURED = "charge-not-captured"
    NOTHING_REFUNDABLE = "nothing-refundable"
    MONEY_RETURNED = "returned-through-dispute"
    OPEN_CHARGEBACK = "open-chargeback"
    DISPUTE_FORBIDS = "dispute-forbids-refund"
    DISPUTE_WON = "dispute-won"
    """For a machine: what was won back is a person's to give."""
    PAID_TWICE = "paid-twice"
    MONEY_UNCLEAR = "money-unclear"
    """Several disputes at once, or one that may cover other charges, or in a state we do not know."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConditionTrace:
    """One named condition: what was wanted (always true), what was observed, from which facts."""

    name: str
    expression: str
    observed: Truth
    facts: Mapping[str, FactValue | None]
    """The facts the expression reads; None where unknown."""
    error: str | None = None
    """Why it could not be evaluated, where the reason is another than an unknown fact."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleTrace:
    """One rule that was looked at, in order; rules after the deciding one are not looked at."""

    rule: str
    clause: str | None
    observed: Truth
    conditions: tuple[ConditionTrace, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitTrace:
    """One limit of the policy on a refund: what was observed and what it allows."""

    limit: Limit
    passed: Truth
    observed: str
    allowed: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """The verdict on one set of facts under one policy; equal inputs give equal bytes.

    `rule` is the rule that matched; `reason` is that rule's id, or the limit that turned its refund into a
    review, or `undecided-rule` where an unknown in an earlier rule forbids the refund (law 5).
    `amount_minor` is set for a refund, and for a review that recommends one.
    """

    outcome: Outcome
    rule: str
    reason: str
    clause: str | None
    recommendation: Recommendation
    priority: Priority
    amount_minor: int | None
    currency: str | None
    missing: tuple[str, ...]
    """Names of unknown facts that stood in the way, for the person and for the automatic re-assessment."""
    reply: str | None
    """Name of the reply template for the customer."""
    policy_id: str
    policy_version: str
    policy_digest: str
    facts_digest: str
    trace: tuple[RuleTrace, ...]
    limits: tuple[LimitTrace, ...]

    @property
    def awaited(self) -> tuple[str, ...]:
        """The unknown facts in the way that a source, or our own records, may still supply by themselves."""
        return tuple(name for name in self.missing if name.startswith(("usage.", "cancellation.", "history.")))


UNDECIDED_RULE = "undecided-rule"
