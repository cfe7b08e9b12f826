"""A backtest told: what a tally comes to in outcomes, money, causes, people's words and reviewers' hours."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from billingbot.core.backtest import CauseKey, Sum, Tally
from billingbot.core.policy.cause import Change
from billingbot.core.policy.rules import Limits


@dataclass(frozen=True, slots=True, kw_only=True)
class OutcomeLine:
    """Cases by what is said of them before and after; a review is told with its advice."""

    before: str
    after: str
    cases: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MoneyLine:
    """Refunds that leave by themselves, of one currency; amounts in minor units. `month` is None for all months."""

    month: str | None
    currency: str
    before: Sum
    after: Sum
    gained: Sum
    """Paid only after."""
    lost: Sum
    """Paid only before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleLine:
    """How many cases end for this reason: a rule, or the limit that held its refund back."""

    reason: str
    before: int
    after: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CauseLine:
    """Flips for one reason. Amounts are what was left of the charges, in minor units, by currency."""

    rule: str
    change: Change
    conditions: tuple[str, ...]
    before: str
    after: str
    cases: int
    amounts: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class PeopleLine:
    """Cases that a person decided, and what either policy says of money in them: the same, the opposite, or nothing."""

    person: str
    cases: int
    same_before: int
    opposite_before: int
    same_after: int
    opposite_after: int
    now_same: int
    """Not the same before, the same after."""
    now_opposite: int
    """Not the opposite before, the opposite after."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reviews:
    """Cases that people look at. Hours by the median time in their hands; None where that was never measured."""

    before: int
    after: int
    timed: int
    """How many cases the time was measured on."""
    median_seconds: float | None

    @property
    def hours_saved(self) -> float | None:
        """Hours of work that the change takes away; negative where it adds them."""
        return None if self.median_seconds is None else (self.before - self.after) * self.median_seconds / 3600


@dataclass(frozen=True, slots=True, kw_only=True)
class OverBudget:
    """A UTC day on which the new policy's refunds are more than its own budget for the day covers."""

    day: str
    currency: str | None
    """None for the day's number of refunds over all currencies."""
    cases: int
    amount_minor: int | None
    allowed: int
    """Minor units, or a number of refunds where `currency` is None."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """All that a backtest tells, but for its single cases."""

    cases: int
    flips: int
    """Cases that end otherwise, or where a person is advised otherwise."""
    other_rule: int
    """Cases of the same outcome and advice that another rule or limit decides."""
    unreadable: int
    day_limited: int
    lacking: Mapping[str, int]
    outcomes: Sequence[OutcomeLine]
    money: Sequence[MoneyLine]
    money_by_month: Sequence[MoneyLine]
    rules: Sequence[RuleLine]
    """Those with another number than before."""
    causes: Sequence[CauseLine]
    people: Sequence[PeopleLine]
    reviews: Reviews
    over_budget: Sequence[OverBudget]


def report(tally: Tally, limits: Limits, *, timed: int, median_seconds: float | None) -> Report:
    """What the tally comes to; `limits` are the new policy's, the time that of people's work on a case."""
    cells = tally.cells.items()
    return Report(
        cases=tally.cases,
        flips=sum(one.cases for cell, one in cells if cell.flips),
        other_rule=sum(one.cases for cell, one in cells if not cell.flips and cell.before.reason != cell.after.reason),
        unreadable=tally.unreadable,
        day_limited=tally.day_limited,
        lacking=dict(sorted(tally.lacking.items())),
        outcomes=_outcomes(tally),
        money=_money(tally, by_month=False),
        money_by_month=_money(tally, by_month=True),
        rules=_rules(tally),
        causes=_causes(tally),
        people=_people(tally),
        reviews=Reviews(
            before=sum(one.cases for cell, one in cells if cell.before.is_review),
            after=sum(one.cases for cell, one in cells if cell.after.is_review),
            timed=timed,
            median_seconds=median_seconds,
        ),
        over_budget=_over_budget(tally, limits),
    )


def _outcomes(tally: Tally) -> list[OutcomeLine]:
    found: Counter[tuple[str, str]] = Counter()
    for cell, one in tally.cells.items():
        found[cell.before.says, cell.after.says] += one.cases
    return [OutcomeLine(before=before, after=after, cases=cases) for (before, after), cases in found.most_common()]


def _money(tally: Tally, *, by_month: bool) -> list[MoneyLine]:
    found: dict[tuple[str, str], list[Sum]] = {}
    for cell, one in tally.cells.items():
        before, after = cell.before.pays, cell.after.pays
        if not before and not after:
            continue
        sums = found.setdefault((cell.month if by_month else "", cell.currency), [Sum()] * 4)
        for index, counts in enumerate((before, after, after and not before, before and not after)):
            if counts:
                sums[index] = sums[index].plus(one)
    return [
        MoneyLine(month=month or None, currency=currency, before=was, after=now, gained=gained, lost=lost)
        for (month, currency), (was, now, gained, lost) in sorted(found.items())
    ]


def _rules(tally: Tally) -> list[RuleLine]:
    before, after = Counter[str](), Counter[str]()
    for cell, one in tally.cells.items():
        before[cell.before.reason] += one.cases
        after[cell.after.reason] += one.cases
    changed = (name for name in {*before, *after} if before[name] != after[name])
    lines = (RuleLine(reason=name, before=before[name], after=after[name]) for name in changed)
    return sorted(lines, key=lambda line: (-abs(line.after - line.before), line.reason))


def _causes(tally: Tally) -> list[CauseLine]:
    found: dict[CauseKey, dict[str, Sum]] = {}
    for (cause, currency), one in tally.causes.items():
        found.setdefault(cause, {})[currency] = one
    lines = (
        CauseLine(
            rule=cause.rule,
            change=cause.change,
            conditions=cause.conditions,
            before=cause.before,
            after=cause.after,
            cases=sum(one.cases for one in sums.values()),
            amounts={currency: sums[currency].amount_minor for currency in sorted(sums) if currency},
        )
        for cause, sums in found.items()
    )
    return sorted(lines, key=lambda line: (-line.cases, line.rule, line.conditions, line.before, line.after))


def _people(tally: Tally) -> list[PeopleLine]:
    found: dict[str, Counter[str]] = {}
    for cell, one in tally.cells.items():
        if cell.person is None:
            continue
        counts = found.setdefault(cell.person, Counter())
        before, after = cell.before.sides_with(cell.person), cell.after.sides_with(cell.person)
        holds = {
            "cases": True,
            "same_before": before is True,
            "opposite_before": before is False,
            "same_after": after is True,
            "opposite_after": after is False,
            "now_same": after is True and before is not True,
            "now_opposite": after is False and before is not False,
        }
        counts.update({name: one.cases for name, so in holds.items() if so})
    names = ("cases", "same_before", "opposite_before", "same_after", "opposite_after", "now_same", "now_opposite")
    return [
        PeopleLine(person=person, **{name: counts[name] for name in names}) for person, counts in sorted(found.items())
    ]


def _over_budget(tally: Tally, limits: Limits) -> list[OverBudget]:
    found = [
        OverBudget(day=day, currency=currency, cases=one.cases, amount_minor=one.amount_minor, allowed=allowed)
        for (day, currency), one in tally.days.items()
        if one.amount_minor > (allowed := limits.daily_amount_max.get(currency, 0))
    ]
    for day, cases in _refunds_by_day((day, one.cases) for (day, _), one in tally.days.items()).items():
        if cases > limits.daily_count_max:
            most = limits.daily_count_max
            found.append(OverBudget(day=day, currency=None, cases=cases, amount_minor=None, allowed=most))
    return sorted(found, key=lambda one: (one.day, one.currency or ""))


def _refunds_by_day(refunds: Iterable[tuple[str, int]]) -> Counter[str]:
    found: Counter[str] = Counter()
    for day, cases in refunds:
        found[day] += cases
    return found
