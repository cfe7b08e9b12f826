"""How a shadow compares with the live policy, and how either compares with what people decided."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import Connection

from billingbot.core.backtest import Side
from billingbot.core.decision import Limit, Recommendation
from billingbot.core.money import Money
from billingbot.core.shadow import Agreement, Shadow
from billingbot.store import shadows
from billingbot.store.views.past import PERSONS_WORD

# The newest flips: enough to see a pattern; the counts above them are of all.
MOST_FLIPS: Final = 20
_PAIRS: Final = """
SELECT d.outcome, d.rule, d.reason, d.recommendation, s.outcome, s.rule, s.reason, s.recommendation,
       coalesce(s.currency, ''), count(*), coalesce(sum(s.amount_minor), 0)
FROM shadow_verdicts s JOIN decisions d ON d.id = s.decision_id
WHERE s.shadow_id = %(shadow)s GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9
"""
_FLIPS: Final = """
SELECT d.case_id, d.decided_at, d.outcome, d.rule, d.reason, d.recommendation,
       s.outcome, s.rule, s.reason, s.recommendation, s.amount_minor, s.currency
FROM shadow_verdicts s JOIN decisions d ON d.id = s.decision_id
WHERE s.shadow_id = %(shadow)s AND s.outcome IS NOT NULL
      AND (d.outcome, d.recommendation) IS DISTINCT FROM (s.outcome, s.recommendation)
ORDER BY d.decided_at DESC LIMIT %(limit)s
"""
# The verdict that the case stood on when the person spoke, whoever is asked about it.
_PEOPLE: Final = f"""
SELECT v.outcome, v.rule, v.reason, v.recommendation, {PERSONS_WORD} AS person, count(*)
FROM cases c JOIN decisions d ON d.id = c.decision_id
JOIN ({{verdicts}}) AS v ON v.decision_id = d.id
WHERE c.joined_case_id IS NULL AND c.decided_at >= coalesce(%(since)s::timestamptz, '-infinity')
GROUP BY 1, 2, 3, 4, 5
"""  # noqa: S608  # conditions of ours
_LIVE: Final = "SELECT id AS decision_id, outcome, rule, reason, recommendation FROM decisions"
_SHADOW: Final = "SELECT * FROM shadow_verdicts WHERE shadow_id = %(shadow)s AND outcome IS NOT NULL"
_LIMITS: Final = frozenset(limit.value for limit in Limit)


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleWord:
    """How often people decided as one rule would have, with the interval of that share.

    `pays` where the rule grants a refund that leaves by itself in mode auto, the limits permitting.
    """

    rule: str
    pays: bool
    agreement: Agreement
    silent: int
    """Cases in which the rule gave no advice, and people decided alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShadowFlip:
    """One case of which the shadow says something else."""

    case_id: str
    decided_at: datetime
    live: str
    shadow: str
    live_rule: str
    shadow_rule: str
    amount: Money | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """Verdicts that go from one answer to another, with the money of their charges by currency."""

    live: str
    shadow: str
    live_rule: str
    shadow_rule: str
    cases: int
    money: tuple[Money, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ShadowReport:
    """A shadow against the live policy so far, and against people."""

    shadow: Shadow
    agreement: Agreement
    unreadable: int
    waiting: int
    """Live verdicts that it has not looked at yet."""
    moved: tuple[Moved, ...]
    flips: tuple[ShadowFlip, ...]
    people: tuple[RuleWord, ...]


def shadow_report(connection: Connection) -> ShadowReport | None:
    """The running shadow, or the last one; None where there never was one."""
    shadow = shadows.last(connection)
    if shadow is None:
        return None
    names = {"shadow": shadow.id, "limit": MOST_FLIPS, "since": shadow.started_at}
    same, of, unreadable = 0, 0, 0
    moved: dict[tuple[str, str, str, str], tuple[int, Counter[str]]] = {}
    for row in connection.exec_driver_sql(_PAIRS, names):
        live, cases, amount = Side(*row[:4]), int(row[9]), int(row[10])
        if row[4] is None:
            unreadable += cases
            continue
        candidate = Side(*row[4:8])
        of += cases
        if (live.outcome, live.recommendation) == (candidate.outcome, candidate.recommendation):
            same += cases
            continue
        key = (live.says, candidate.says, live.rule, candidate.rule)
        count, money = moved.get(key, (0, Counter()))
        if row[8]:
            money[row[8]] += amount
        moved[key] = (count + cases, money)
    return ShadowReport(
        shadow=shadow,
        agreement=Agreement(same=same, of=of),
        unreadable=unreadable,
        waiting=shadows.waiting(connection, shadow) if shadow.stopped_at is None else 0,
        moved=tuple(_moved(key, *found) for key, found in sorted(moved.items(), key=lambda one: -one[1][0])),
        flips=tuple(_flip(row) for row in connection.exec_driver_sql(_FLIPS, names)),
        people=_people(connection, _SHADOW, names),
    )


def live_against_people(connection: Connection, since: datetime | None) -> tuple[RuleWord, ...]:
    """How often people decided as the live policy advised, rule by rule: whether `auto` is earned."""
    return _people(connection, _LIVE, {"since": since})


def _people(connection: Connection, verdicts: str, names: dict[str, object]) -> tuple[RuleWord, ...]:
    same: Counter[str] = Counter()
    of: Counter[str] = Counter()
    silent: Counter[str] = Counter()
    pays: set[str] = set()
    for *side, person, count in connection.exec_driver_sql(_PEOPLE.replace("{verdicts}", verdicts), names):
        said = Side(*side)
        if said.pays or (said.recommendation == Recommendation.REFUND and said.reason in _LIMITS):
            pays.add(said.rule)
        if person is None:
            continue
        agrees = said.sides_with(person)
        if agrees is None:
            silent[said.rule] += count
        else:
            of[said.rule] += count
            same[said.rule] += count if agrees else 0
    return tuple(
        RuleWord(
            rule=rule,
            pays=rule in pays,
            agreement=Agreement(same=same[rule], of=of[rule]),
            silent=silent[rule],
        )
        for rule in sorted({*of, *silent}, key=lambda rule: (rule not in pays, -of[rule], rule))
    )


def _moved(key: tuple[str, str, str, str], cases: int, money: Counter[str]) -> Moved:
    live, shadow, live_rule, shadow_rule = key
    sums = tuple(Money(amount_minor=amount, currency=currency) for currency, amount in sorted(money.items()))
    return Moved(live=live, shadow=shadow, live_rule=live_rule, shadow_rule=shadow_rule, cases=cases, money=sums)


def _flip(row: Sequence[object]) -> ShadowFlip:
    live, shadow = Side(*map(str, row[2:6])), Side(*map(str, row[6:10]))
    amount, currency = row[10], row[11]
    known = isinstance(amount, int) and isinstance(currency, str)
    return ShadowFlip(
        case_id=str(row[0]),
        decided_at=row[1],  # type: ignore[arg-type]  # a timestamptz column
        live=live.says,
        shadow=shadow.says,
        live_rule=live.rule,
        shadow_rule=shadow.rule,
        amount=Money(amount_minor=amount, currency=currency) if known else None,  # type: ignore[arg-type]  # as checked
    )
