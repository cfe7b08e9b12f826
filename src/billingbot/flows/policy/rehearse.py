"""Rehearse: decides a stretch of past cases again within one process, and counts what would have been otherwise."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from billingbot.core.backtest import CauseKey, Cell, Flip, Side, Sum, Tally
from billingbot.core.decision import Outcome
from billingbot.core.errors import NotFoundError
from billingbot.core.mode import Mode
from billingbot.core.policy import Policy, PolicyError, load_policy
from billingbot.core.policy.again import FactReader, Redecider, Verdict, facts_needed
from billingbot.core.policy.cause import Cause, Change, Decided, cause
from billingbot.store.database import make_engine, transaction
from billingbot.store.decisions import policy_source
from billingbot.store.views.past import PastCase, Stretch, Wanted, past_cases

# A cause is told once for all cases that share both verdicts; beyond this many they are forgotten as a whole.
_CAUSES_MAX: Final = 16_384
# Policies that decided then, kept compiled: a few hundred kilobytes each, and a company changes its policy rarely.
_STORED_MAX: Final = 16
_AMOUNT_FACTS: Final = ("charge.refundable_minor", "charge.currency")
_PAYS: Final = Outcome.REFUND.value


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """A policy's text with the name of its file, as processes hand it on: a compiled one cannot be."""

    source: str = field(repr=False)
    filename: str
    id: str
    version: str
    digest: str

    def load(self) -> Policy:
        """The policy. PolicyError as `load_policy`."""
        return load_policy(self.source, filename=self.filename)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is decided again, and by what. Without `against`, cases are compared with what was decided then."""

    database_url: str = field(repr=False)
    wanted: Wanted
    new: Text
    against: Text | None = None
    as_mode: Mode | None = None
    """The mode that is supposed; None for that of each case."""
    processes: int | None = None
    """None for one on each core that this process may use."""


@dataclass(slots=True, kw_only=True)
class _One:
    """One case decided again."""

    case: PastCase
    before: Side
    after: Side
    amount_minor: int | None
    currency: str | None

    @property
    def flips(self) -> bool:
        before, after = self.before, self.after
        return before.outcome != after.outcome or before.recommendation != after.recommendation


class Bench:
    """Everything that one process needs to decide stretches of cases under the policies of one plan."""

    def __init__(self, plan: Plan) -> None:
        self._wanted = plan.wanted
        self._db = make_engine(plan.database_url, pool_size=1)
        new = plan.new.load()
        against = plan.against.load() if plan.against else None
        self._reader = FactReader(facts_needed(new) | (facts_needed(against) if against else frozenset()))
        self._amount = self._reader.getter(_AMOUNT_FACTS)
        self._new = Redecider(new, self._reader, as_mode=plan.as_mode)
        self._against = Redecider(against, self._reader, as_mode=plan.as_mode) if against else None
        self._stored = _Stored(self._policy_source)
        self._sides: dict[Verdict, Side] = {}
        self._causes: dict[tuple[Verdict, Verdict], Cause] = {}

    def stretch(self, stretch: Stretch) -> tuple[Tally, list[Flip]]:
        """The counts of one stretch, and its cases that go another way."""
        with transaction(self._db) as connection:
            cases = list(past_cases(connection, self._wanted, stretch))
        counted = _Counted()
        for case in cases:
            try:
                self._case(case, counted)
            except (ValueError, KeyError):  # not the facts that we store: nothing can be said of this case
                counted.tally.unreadable += 1
        return counted.told(), counted.flips

    def close(self) -> None:
        """Ends the connection to the database."""
        self._db.dispose()

    def _case(self, case: PastCase, counted: "_Counted") -> None:
        """The inner loop: some ten microseconds, so that a million cases are a matter of seconds."""
        facts = self._reader.read(case.facts)
        verdict = self._new.verdict(facts, case.facts)
        then = None if self._against is None else self._against.verdict(facts, case.facts)
        after = self._side(verdict)
        before = _as_stored(case) if then is None else self._side(then)
        amount, currency = self._amount(facts)
        one = _One(
            case=case,
            before=before.without_budget,
            after=after,
            amount_minor=amount if type(amount) is int else None,
            currency=currency if type(currency) is str else None,
        )
        counted.count(one, day_limited=one.before is not before, lacking=verdict.lacking)
        if one.flips:
            counted.flip(one, self._why(one, verdict, then))

    def _side(self, verdict: Verdict) -> Side:
        side = self._sides.get(verdict)
        if side is None:
            side = Side(
                outcome=verdict.outcome.value,
                rule=verdict.rule,
                reason=verdict.reason,
                recommendation=verdict.recommendation.value,
            )
            _keep(self._sides, verdict, side)
        return side

    def _why(self, one: _One, verdict: Verdict, then: Verdict | None) -> Cause:
        case, old = one.case, self._against
        if then is None:
            old = self._stored.policy(case.policy_digest)
            then = self._stored.verdict(case) if old else None
        # What was stored may not be what its policy says: then nothing that compares the two can tell why.
        if old is None or then is None or self._side(then) != one.before:
            return Cause(rule=verdict.rule, change=Change.UNTOLD, conditions=(), facts=())
        why = self._causes.get((then, verdict))
        if why is None:
            before = Decided.of(old.restored(case.facts), old.policy)
            why = cause(before, Decided.of(self._new.restored(case.facts), self._new.policy))
            _keep(self._causes, (then, verdict), why)
        return why

    def _policy_source(self, digest: str) -> str:
        with transaction(self._db) as connection:
            return policy_source(connection, digest)


class _Counted:
    """What a stretch comes to, while it is counted."""

    def __init__(self) -> None:
        self.tally = Tally()
        self.flips: list[Flip] = []
        self._cells: dict[tuple[Any, ...], list[int]] = {}
        self._days: dict[tuple[Any, ...], list[int]] = {}

    def count(self, one: _One, *, day_limited: bool, lacking: tuple[str, ...]) -> None:
        """Adds the case to its cell. Sums are kept in lists here: a value a case would cost more than deciding it."""
        at, amount = one.case.decided_at, one.amount_minor or 0
        _add(self._cells, (at.year, at.month, one.currency, one.case.person, one.before, one.after), amount)
        if one.after.outcome == _PAYS:
            _add(self._days, (at.year, at.month, at.day, one.currency), amount)
        self.tally.day_limited += day_limited
        for name in lacking:
            self.tally.lacking[name] = self.tally.lacking.get(name, 0) + 1

    def flip(self, one: _One, why: Cause) -> None:
        """Adds the case to those that go another way, and to what they have in common."""
        reason = CauseKey(why.rule, why.change, why.conditions, one.before.says, one.after.says)
        key = (reason, one.currency or "")
        self.tally.causes[key] = self.tally.causes.get(key, Sum()).plus(Sum(1, one.amount_minor or 0))
        self.flips.append(
            Flip(
                case_id=one.case.id,
                account=one.case.account,
                charge_id=one.case.charge_id,
                decided_at=one.case.decided_at,
                amount_minor=one.amount_minor,
                currency=one.currency,
                person=one.case.person,
                before=one.before,
                after=one.after,
                cause=why,
                facts=_values(one.case.facts, why.facts),
            )
        )

    def told(self) -> Tally:
        """The whole tally, in values that can be added up."""
        for (year, month, currency, person, before, after), (cases, amount) in self._cells.items():
            self.tally.cells[Cell(f"{year:04}-{month:02}", currency or "", person, before, after)] = Sum(cases, amount)
            self.tally.cases += cases
        for (year, month, day, currency), (cases, amount) in self._days.items():
            self.tally.days[f"{year:04}-{month:02}-{day:02}", currency or ""] = Sum(cases, amount)
        return self.tally


class _Stored:
    """The policies that decided then, by digest, each loaded when a case of it flips; None where one cannot be."""

    def __init__(self, source: Callable[[str], str]) -> None:
        self._source = source
        self._loaded: dict[str, tuple[FactReader, Redecider] | None] = {}

    def policy(self, digest: str) -> Redecider | None:
        """The policy of this digest; None where this release cannot read it."""
        if digest not in self._loaded:
            while len(self._loaded) >= _STORED_MAX:
                del self._loaded[next(iter(self._loaded))]
            self._loaded[digest] = self._load(digest)
        found = self._loaded[digest]
        return found[1] if found else None

    def verdict(self, case: PastCase) -> Verdict:
        """What it says of this case. ValueError where it cannot be read."""
        found = self._loaded.get(case.policy_digest)
        if found is None:
            raise ValueError(f"policy {case.policy_digest}: cannot be read")
        reader, again = found
        return again.verdict(reader.read(case.facts), case.facts)

    def _load(self, digest: str) -> tuple[FactReader, Redecider] | None:
        try:
            policy = load_policy(self._source(digest), filename=digest)
        except (PolicyError, NotFoundError):
            return None
        reader = FactReader(facts_needed(policy))
        return reader, Redecider(policy, reader)


def _as_stored(case: PastCase) -> Side:
    return Side(case.outcome, case.rule, case.reason, case.recommendation)


def _add(sums: dict[tuple[Any, ...], list[int]], key: tuple[Any, ...], amount: int) -> None:
    found = sums.get(key)
    if found is None:
        sums[key] = [1, amount]
    else:
        found[0] += 1
        found[1] += amount


def _values(content: bytes, names: tuple[str, ...]) -> dict[str, str]:
    """The stored values of these facts, as a person reads them."""
    stored = msgspec.json.decode(content)["facts"]
    return {name: _shown(stored.get(name, {}).get("value")) for name in names}


def _shown(value: object) -> str:
    if value is None:
        return "unknown"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _keep(memory: dict[Any, Any], key: Any, value: Any) -> None:
    if len(memory) >= _CAUSES_MAX:
        memory.clear()
    memory[key] = value
