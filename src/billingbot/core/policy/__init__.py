"""The refund policy: rules loaded from a file, and the one function that decides by them."""

from billingbot.core.policy.deciding import (
    approval_blockers,
    decide,
    held_by_breaker,
    held_by_money,
    still_holds,
    with_limit,
)
from billingbot.core.policy.file import load_policy
from billingbot.core.policy.rules import (
    Clause,
    CountBy,
    DailyLimits,
    Limits,
    Policy,
    PolicyError,
    Rule,
    daily_limits,
)

__all__ = [
    "Clause",
    "CountBy",
    "DailyLimits",
    "Limits",
    "Policy",
    "PolicyError",
    "Rule",
    "approval_blockers",
    "daily_limits",
    "decide",
    "held_by_breaker",
    "held_by_money",
    "load_policy",
    "still_holds",
    "with_limit",
]
