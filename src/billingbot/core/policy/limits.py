"""The limits inside which a refund leaves without a person, checked one by one and all of them told."""

from collections.abc import Callable
from typing import Final, TypeAlias

from billingbot.core.decision import Limit, LimitTrace, Truth
from billingbot.core.facts import FactValue
from billingbot.core.money import Money
from billingbot.core.policy.rules import CountBy, Limits

AUTO: Final = "auto"
Lookup: TypeAlias = Callable[[str], FactValue | None]
"""From a fact's name to its value, None where unknown: `Facts.known`, or `get` of a mapping of known values."""

_COUNT_FACTS: Final = {
    CountBy.CUSTOMER: "history.refunds_customer",
    CountBy.CARD: "history.refunds_card",
    CountBy.EMAIL: "history.refunds_email",
}


def check_limits(known: Lookup, limits: Limits) -> tuple[LimitTrace, ...]:
    """Every limit that can be checked from facts, in the order in which a decision names the first that fails.

    The day's budget is not among them: it depends on what else leaves meanwhile (see `daily_limits`).
    """
    return (
        _mode(known),
        _currency(known, limits),
        _amount(known, limits),
        _earlier_refunds(known, limits),
        _denied_before(known),
    )


def limit_facts(limit: Limit, limits: Limits) -> tuple[str, ...]:
    """The facts that this limit is checked on; none for those that depend on other refunds."""
    match limit:
        case Limit.MODE:
            return ("desk.mode",)
        case Limit.CURRENCY:
            return ("charge.currency",)
        case Limit.AMOUNT:
            return ("charge.refundable_minor", "charge.currency")
        case Limit.EARLIER_REFUND:
            return tuple(_COUNT_FACTS[by] for by in limits.earlier_refunds_by)
        case Limit.DENIED_BEFORE:
            return ("history.denied_before",)
        case Limit.DAILY_AMOUNT | Limit.DAILY_COUNT | Limit.BREAKER | Limit.MONEY:
            return ()


def _mode(known: Lookup) -> LimitTrace:
    mode = known("desk.mode")
    passed = Truth.UNKNOWN if mode is None else _truth(holds=mode == AUTO)
    return _trace(Limit.MODE, passed, f"mode {mode or 'unknown'}", f"mode {AUTO}")


def _currency(known: Lookup, limits: Limits) -> LimitTrace:
    currency = known("charge.currency")
    passed = Truth.UNKNOWN if currency is None else _truth(holds=currency in limits.automatic_refund_max)
    listed = ", ".join(sorted(limits.automatic_refund_max)) or "none"
    return _trace(Limit.CURRENCY, passed, str(currency or "unknown"), f"one of {listed}")


def _amount(known: Lookup, limits: Limits) -> LimitTrace:
    currency, amount = known("charge.currency"), known("charge.refundable_minor")
    most = limits.automatic_refund_max.get(str(currency))
    if not isinstance(amount, int) or not isinstance(currency, str):
        return _trace(Limit.AMOUNT, Truth.UNKNOWN, "unknown", "an amount within the currency's limit")
    observed = str(Money(amount_minor=amount, currency=currency))
    if most is None:
        return _trace(Limit.AMOUNT, Truth.UNKNOWN, observed, f"no limit is set for {currency}")
    allowed = f"above zero, at most {Money(amount_minor=most, currency=currency)}"
    return _trace(Limit.AMOUNT, _truth(holds=0 < amount <= most), observed, allowed)


def _earlier_refunds(known: Lookup, limits: Limits) -> LimitTrace:
    counts = {by: known(_COUNT_FACTS[by]) for by in limits.earlier_refunds_by}
    observed = ", ".join(f"{by} {'unknown' if count is None else count}" for by, count in counts.items())
    if any(isinstance(count, int) and count > 0 for count in counts.values()):
        passed = Truth.FALSE
    else:
        passed = Truth.UNKNOWN if None in counts.values() else Truth.TRUE
    return _trace(Limit.EARLIER_REFUND, passed, observed, f"none within {limits.one_automatic_refund_per_days} days")


def _denied_before(known: Lookup) -> LimitTrace:
    denied = known("history.denied_before")
    passed = Truth.UNKNOWN if denied is None else _truth(holds=denied is False)
    observed = {Truth.UNKNOWN: "unknown", Truth.TRUE: "never denied", Truth.FALSE: "denied by a person"}[passed]
    return _trace(Limit.DENIED_BEFORE, passed, observed, "never denied")


def _truth(*, holds: bool) -> Truth:
    return Truth.TRUE if holds else Truth.FALSE


def _trace(limit: Limit, passed: Truth, observed: str, allowed: str) -> LimitTrace:
    return LimitTrace(limit=limit, passed=passed, observed=observed, allowed=allowed)
