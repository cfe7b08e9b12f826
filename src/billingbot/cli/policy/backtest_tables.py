"""A backtest on the terminal: the few figures that decide, then who, how much, and why."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

from billingbot.cli.output import money, say, show_section

if TYPE_CHECKING:
    from billingbot.cli.policy.backtested import Backtest
    from billingbot.core.backtest import Flip, Sum
    from billingbot.core.backtest_report import MoneyLine, OverBudget, Report

# As many as fit on a screen beside the other tables.
_LISTED: Final = 10
# The newest ones: a quarter in half a dozen currencies. The page and the JSON have them all.
_MONTHS: Final = 18


def show_tables(found: "Backtest") -> None:
    """Everything for people, on stdout."""
    say(*headline(found))
    told = found.report
    changed = [line for line in told.outcomes if line.before != line.after]
    show_section("What flips", ("before", "after", "cases"), ((one.before, one.after, one.cases) for one in changed))
    show_section(
        "Why: the rule, and what about it",
        ("rule", "which", "conditions", "before", "after", "cases", "amounts"),
        (
            (one.rule, one.change, ", ".join(one.conditions), one.before, one.after, one.cases, amounts(one.amounts))
            for one in told.causes[:_LISTED]
        ),
    )
    columns = ("before", "after", "gained", "lost", "net")
    show_section("Refunds that leave by themselves", ("currency", *columns), map(_money_row, _changed(told.money)))
    show_section("By month", ("month", "currency", *columns), ((one.month, *_money_row(one)) for one in _months(told)))
    show_section(
        "Cases by what decides them", ("reason", "before", "after"), ((o.reason, o.before, o.after) for o in told.rules)
    )
    show_section(
        "Where people had decided",
        ("person", "cases", "agreed before", "agrees now", "newly agrees", "newly disagrees"),
        ((o.person, o.cases, o.same_before, o.same_after, o.now_same, o.now_opposite) for o in told.people),
    )
    show_section(
        "Flips, the largest first",
        ("case", "decided", "amount", "before", "after", "rule", "because", "facts"),
        map(_flip_row, found.largest[:_LISTED]),
    )
    show_section(
        "Days on which this policy's own budget would not cover its refunds",
        ("day", "refunds", "sum", "budget"),
        map(_budget_row, told.over_budget[:_LISTED]),
    )
    say("", *notes(found))


def headline(found: "Backtest") -> list[str]:
    """What it was, and the figures that decide."""
    told, against = found.report, found.against
    current = f"{against.id} {against.version} ({against.filename})" if against else "what was decided then"
    reviews = told.reviews
    return [
        f"{found.new.id} {found.new.version} ({found.new.filename}) against {current}",
        (
            f"{told.cases:,} cases decided again in {found.seconds:,.1f} s: {told.flips:,} flip, "
            f"{told.other_rule:,} come to the same by another rule."
        ),
        f"Reviews: {reviews.before:,} before, {reviews.after:,} after. {hours(told)}",
    ]


def hours(told: "Report") -> str:
    """What that means in people's time."""
    reviews = told.reviews
    saved = reviews.hours_saved
    if saved is None or reviews.median_seconds is None:
        return "Hours: unknown, nobody has taken and decided a case in this time."
    what = "saved" if saved >= 0 else "more"
    minutes = reviews.median_seconds / 60
    return (
        f"Hours {what}: {abs(saved):,.1f}, at {minutes:,.1f} minutes a case (the median from taking a case to the word "
        f"on it, over {reviews.timed:,})."
    )


def notes(found: "Backtest") -> list[str]:
    """What has to be known to read the figures right."""
    told = found.report
    lines = [
        f"{count:,} cases were stored before {name} was a fact: unknown to this policy, and so decided."
        for name, count in told.lacking.items()
    ]
    if told.unreadable:
        lines.append(f"{told.unreadable:,} cases have stored facts that cannot be read; they are in no figure.")
    if found.never_decided:
        lines.append(
            f"{found.never_decided:,} cases of this time were never decided by a policy, and are in no figure."
        )
    if told.day_limited:
        lines.append(
            f"{told.day_limited:,} cases were only held back by the day's budget: compared as the refunds they were."
        )
    if told.flips > _LISTED:
        lines.append("Every flip stands in the CSV (--csv), every month and currency on the page (--html).")
    if len(told.over_budget) > _LISTED:
        lines.append(f"{len(told.over_budget):,} days go over this policy's own budget; the first are shown.")
    if found.as_mode:
        lines.append(f"Every case is decided as if the mode had been {found.as_mode}.")
    lines.append(
        "Each case is decided by itself, on the facts of then: neither the day's budget is replayed, nor what a refund "
        "more or less would have changed in later cases of the same customer, card or mailbox."
    )
    return lines


def amounts(by_currency: Mapping[str, int]) -> str:
    """Several amounts in a row."""
    return ", ".join(money(amount, currency) for currency, amount in by_currency.items())


def net(line: "MoneyLine") -> int:
    """What leaves more, in minor units; negative where less does."""
    return line.gained.amount_minor - line.lost.amount_minor


def _changed(lines: "Sequence[MoneyLine]") -> "list[MoneyLine]":
    return [line for line in lines if line.gained.cases or line.lost.cases]


def _months(told: "Report") -> "list[MoneyLine]":
    lines = _changed(told.money_by_month)
    return lines[-_MONTHS:] if len({line.month for line in lines}) > 1 else []


def _money_row(line: "MoneyLine") -> tuple[str, ...]:
    sums = (_sum(one, line.currency) for one in (line.before, line.after, line.gained, line.lost))
    return (line.currency.upper(), *sums, money(net(line), line.currency))


def _sum(one: "Sum", currency: str) -> str:
    return f"{one.cases:,}: {money(one.amount_minor, currency)}" if one.cases else "0"


def _flip_row(flip: "Flip") -> tuple[object, ...]:
    because = ", ".join(flip.cause.conditions) or flip.cause.change.value
    facts = ", ".join(f"{name}={value}" for name, value in flip.facts.items())
    amount = money(flip.amount_minor, flip.currency)
    return (
        flip.case_id,
        flip.decided_at.date(),
        amount,
        flip.before.says,
        flip.after.says,
        flip.cause.rule,
        because,
        facts,
    )


def _budget_row(day: "OverBudget") -> tuple[object, ...]:
    if day.currency is None:
        return day.day, day.cases, None, f"{day.allowed} refunds"
    return day.day, day.cases, money(day.amount_minor, day.currency), money(day.allowed, day.currency)
