"""The parts of a policy file that are no rules: clauses, limits and due times."""

from collections.abc import Mapping
from typing import Final

from billingbot.core.breaker import DEFAULT_BREAKER, BreakerLimits
from billingbot.core.decision import Priority
from billingbot.core.money import Money
from billingbot.core.policy.rules import Clause, CountBy, Limits
from billingbot.core.policy.tables import NAME, Table
from billingbot.core.refund_terms import CancelWhen, RefundTerms, RefundWith

# Stripe takes at most 12 digits in any currency: a larger limit is a typing mistake.
# https://docs.stripe.com/currencies#minimum-and-maximum-charge-amounts
AMOUNT_MINOR_MAX: Final = 999_999_999_999
# A day has 86,400 seconds; more automatic refunds than one each second is a typing mistake.
DAILY_COUNT_MAX: Final = 86_400
HOURLY_COUNT_MAX: Final = 3_600
# Ten years: longer than card disputes, tax records or customers last.
WINDOW_DAYS_MAX: Final = 3650
# A quarter: a review that may wait longer is not one that anybody means to do.
DUE_HOURS_MAX: Final = 24 * 92


def read_clauses(top: Table) -> dict[str, Clause]:
    """`[clauses.ID]` tables, each with a title and what it means in our words."""
    table = top.table("clauses", where="clauses")
    clauses: dict[str, Clause] = {}
    for clause_id in table.raw if table else ():
        entry = table.table(clause_id, where=f"clause '{clause_id}'") if table else None
        if entry is None or table is None:
            continue
        if not NAME.fullmatch(clause_id):
            table.problem(clause_id, f"expected lower-case words joined by hyphens, got {clause_id!r}")
        title, meaning = entry.text("title"), entry.text("meaning")
        entry.finish()
        if title is not None and meaning is not None:
            clauses[clause_id] = Clause(id=clause_id, title=title, meaning=meaning)
    return clauses


def read_limits(top: Table) -> Limits | None:
    """The `[limits]` table. Each currency needs both a limit per refund and a limit per day."""
    table = top.table("limits", where="limits")
    if table is None:
        return None
    per_refund = _amounts(table, "automatic_refund_max")
    per_day = _amounts(table, "daily_amount_max")
    for currency in sorted(per_refund.keys() ^ per_day.keys()):
        lacking = "daily_amount_max" if currency in per_refund else "automatic_refund_max"
        table.problem(lacking, f"{lacking}: {currency} is missing, the other limit names it")
    for currency in sorted(per_refund.keys() & per_day.keys()):
        if per_day[currency] < per_refund[currency]:
            table.problem("daily_amount_max", f"daily_amount_max: {currency} is below the limit of one refund")
    count = table.integer("daily_count_max", least=0, most=DAILY_COUNT_MAX, unit="refunds a day")
    days = table.integer("one_automatic_refund_per_days", least=1, most=WINDOW_DAYS_MAX, unit="days")
    counted = table.names("earlier_refunds_by", tuple(CountBy), "way to count")
    if not counted:
        table.problem("earlier_refunds_by", "earlier_refunds_by: expected at least one of customer, card, email")
    breaker = _breaker(table)
    two = _amounts(table, "second_approval_above") if "second_approval_above" in table.raw else None
    table.finish()
    if count is None or days is None or breaker is None:
        return None
    return Limits(
        automatic_refund_max=per_refund,
        daily_amount_max=per_day,
        daily_count_max=count,
        one_automatic_refund_per_days=days,
        earlier_refunds_by=tuple(CountBy(name) for name in counted if name in set(CountBy)),
        breaker=breaker,
        second_approval_above=two,
    )


def _breaker(limits: Table) -> BreakerLimits | None:
    """The `[limits.breaker]` table; the shipped thresholds where a policy has none."""
    if "breaker" not in limits.raw:
        return DEFAULT_BREAKER
    table = limits.table("breaker", where="limits.breaker")
    if table is None:
        return None
    pace = table.integer("refunds_per_hour", least=0, most=HOURLY_COUNT_MAX, unit="refunds an hour")
    percent = table.integer("refunded_percent_max", least=0, most=100, unit="requests in a hundred")
    sample = table.integer("percent_from_requests", least=1, most=DAILY_COUNT_MAX, unit="requests")
    table.finish()
    if pace is None or percent is None or sample is None:
        return None
    return BreakerLimits(refunds_per_hour=pace, refunded_percent_max=percent, percent_from_requests=sample)


def read_dispute_fees(top: Table) -> Mapping[str, int]:
    """The `[dispute_fees]` table, in minor units by currency; without it no fee is known."""
    if "dispute_fees" not in top.raw:
        return {}
    return _amounts(top, "dispute_fees", where="dispute_fees", least=1)


def read_due_hours(top: Table) -> Mapping[Priority, int]:
    """The `[due_hours]` table: for each priority, within how many hours a person should look."""
    table = top.table("due_hours", where="due_hours")
    if table is None:
        return {}
    hours: dict[Priority, int] = {}
    for priority in Priority:
        value = table.integer(priority.value, least=1, most=DUE_HOURS_MAX, unit="hours")
        if value is not None:
            hours[priority] = value
    table.finish()
    return hours


def read_terms(top: Table) -> RefundTerms:
    """The `[refunds]` and `[after_refund]` tables; each may be left out, and is then as shipped."""
    shipped = RefundTerms()
    how = top.table("refunds", required=False, where="refunds")
    after = top.table("after_refund", required=False, where="after_refund")
    refund_with = how.choice("refund_with", RefundWith, default=shipped.refund_with) if how else None
    cancel = after.choice("cancel_subscription", CancelWhen, default=shipped.cancel_subscription) if after else None
    for table in (how, after):
        if table is not None:
            table.finish()
    return RefundTerms(
        refund_with=refund_with or shipped.refund_with, cancel_subscription=cancel or shipped.cancel_subscription
    )


def _amounts(table: Table, key: str, *, where: str | None = None, least: int = 0) -> dict[str, int]:
    amounts = table.table(key, where=where or f"limits.{key}")
    found: dict[str, int] = {}
    for currency in amounts.raw if amounts else ():
        if amounts is None:
            continue
        value = amounts.integer(currency, least=least, most=AMOUNT_MINOR_MAX, unit="minor units")
        try:
            Money(amount_minor=0, currency=currency)
        except ValueError as error:
            amounts.problem(currency, str(error))
            continue
        if value is not None:
            found[currency] = value
    return found
