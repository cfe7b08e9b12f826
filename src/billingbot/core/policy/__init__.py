"""The refund policy: rules loaded from a file, and the one function that decides by them."""

from billingbot.core.policy.deciding import approval_blockers, decide, still_holds, with_limit
from billingbot.core.policy.file import load_policy
from billingbot.core.policy.rules import (
    PLACEHOLDERS,
    Clause,
    CountBy,
    DailyLimits,
    Limits,
    Policy,
    PolicyError,
    Rule,
    daily_limits,
    render_reply,
)

__all__ = [
    "PLACEHOLDERS",
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
    "load_policy",
    "render_reply",
    "still_holds",
    "with_limit",
]
