"""A backtest's results as values: what each case came to under two policies, counted in cells that add up."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, NamedTuple, TypeVar

from billingbot.core.decision import Limit, Outcome, Recommendation
from billingbot.core.policy.cause import Cause, Change

# Refunds of a day depend on what else left that day, and so on the order of cases: see `Side.without_budget`.
DAILY: Final = frozenset({Limit.DAILY_AMOUNT.value, Limit.DAILY_COUNT.value})
APPROVED: Final = "approved"
DENIED: Final = "denied"


class Side(NamedTuple):
    """What one policy says of a case, as plain text: it is counted a million times."""

    outcome: str
    rule: str
    reason: str
    recommendation: str

    @property
    def without_budget(self) -> "Side":
        """The same had the day's budget been endless: what a policy says of a case, whatever else happened that day."""
        return self._replace(outcome=Outcome.REFUND.value, reason=self.rule) if self.reason in DAILY else self

    @property
    def pays(self) -> bool:
        """Whether the refund leaves by itself."""
        return self.outcome == Outcome.REFUND

    @property
    def is_review(self) -> bool:
        """Whether a person has to look."""
        return self.outcome == Outcome.REVIEW

    @property
    def says(self) -> str:
        """The outcome; a review with its advice, as in `review (refund)`."""
        return self.outcome if not self.is_review else f"{self.outcome} ({self.recommendation})"

    def sides_with(self, person: str | None) -> bool | None:
        """Whether this says what a person said of the case; None where either of them said nothing on money."""
        if person is None:
            return None
        if self.pays or self.recommendation == Recommendation.REFUND:
            return person == APPROVED
        if self.outcome == Outcome.CLOSE or self.recommendation == Recommendation.DECLINE:
            return person == DENIED
        return None


class Cell(NamedTuple):
    """Cases that are alike in all that is counted. `month` is that of the verdict, as in `2026-03`, UTC."""

    month: str
    currency: str
    """Empty where it is unknown."""
    person: str | None
    before: Side
    after: Side

    @property
    def flips(self) -> bool:
        """Whether these cases go another way, or a person is advised otherwise."""
        before, after = self.before, self.after
        return (before.outcome, before.recommendation) != (after.outcome, after.recommendation)


class CauseKey(NamedTuple):
    """Flips for one and the same reason."""

    rule: str
    change: Change
    conditions: tuple[str, ...]
    before: str
    after: str
    """What is said before and after: outcome, with the advice where it is a review."""


class Sum(NamedTuple):
    """A number of cases, and what is left of their charges in minor units, in one currency."""

    cases: int = 0
    amount_minor: int = 0

    def plus(self, other: "Sum") -> "Sum":
        """Both together."""
        return Sum(self.cases + other.cases, self.amount_minor + other.amount_minor)


@dataclass(frozen=True, slots=True, kw_only=True)
class Flip:
    """One case that goes another way. `amount_minor` is what was left of its charge, None where unknown."""

    case_id: str
    account: str
    charge_id: str | None
    decided_at: datetime
    amount_minor: int | None
    currency: str | None
    person: str | None
    before: Side
    after: Side
    cause: Cause
    facts: Mapping[str, str]
    """What its conditions read, as in the stored facts; `unknown` where it was."""


@dataclass(slots=True, kw_only=True)
class Tally:
    """Counts that grow; those of stretches add up to those of the whole. Bounded by rules, months and currencies."""

    cases: int = 0
    unreadable: int = 0
    """Cases whose stored facts cannot be read, and that are in no other count."""
    day_limited: int = 0
    """Cases that the day's budget alone held back then: compared as the refunds they were."""
    cells: dict[Cell, Sum] = field(default_factory=dict)
    causes: dict[tuple[CauseKey, str], Sum] = field(default_factory=dict)
    """By reason and currency."""
    lacking: dict[str, int] = field(default_factory=dict)
    """Cases stored before the catalogue had this fact, which the new policy reads: it was unknown to it."""
    days: dict[tuple[str, str], Sum] = field(default_factory=dict)
    """What the new policy pays by itself, by day (`2026-03-01`, UTC) and currency."""

    def add(self, other: "Tally") -> None:
        """Takes in the counts of another stretch."""
        self.cases += other.cases
        self.unreadable += other.unreadable
        self.day_limited += other.day_limited
        _merge(self.cells, other.cells)
        _merge(self.causes, other.causes)
        _merge(self.days, other.days)
        for name, count in other.lacking.items():
            self.lacking[name] = self.lacking.get(name, 0) + count


_Key = TypeVar("_Key")


def _merge(into: dict[_Key, Sum], other: Mapping[_Key, Sum]) -> None:
    for key, one in other.items():
        into[key] = into.get(key, Sum()).plus(one)
