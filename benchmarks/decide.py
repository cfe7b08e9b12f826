"""Decisions: how many a second one process makes, next to the same expressions in plain Python."""

import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from benchmarks.figures import pair_by_pair, spread
from benchmarks.plain_rules import plain_rules
from benchmarks.stage import ROOT
from billingbot.core.canonical import canonical_bytes, digest
from billingbot.core.decision import Truth
from billingbot.core.facts import Fact, Facts, FactValue, Known, Unknown
from billingbot.core.policy import Policy, decide, load_policy

ROUNDS: Final = 5
# More would only measure the same loop for longer.
_MOST_SECONDS: Final = 1.0
_NOW: Final = datetime(2026, 3, 17, 10, 0, tzinfo=UTC)
_TRIAL_END: Final = _NOW - timedelta(days=2)
_UNUSED_TRIAL: Final[Mapping[str, FactValue]] = {
    "request.channel": "api",
    "request.claims_unused": True,
    "request.claims_cancellation": False,
    "request.nothing_charged": False,
    "request.ambiguous": False,
    "charge.succeeded": True,
    "charge.captured": True,
    "charge.amount_minor": 4900,
    "charge.refunded_minor": 0,
    "charge.refundable_minor": 4900,
    "charge.currency": "usd",
    "charge.created_at": _TRIAL_END + timedelta(hours=1),
    "charge.is_last": True,
    "charge.single_payment": True,
    "charge.invoice_sent": False,
    "dispute.none": True,
    "dispute.open_inquiry": False,
    "dispute.open_chargeback": False,
    "dispute.money_returned": False,
    "dispute.won": False,
    "dispute.allows_refund": True,
    "warning.actionable": False,
    "trial.exists": True,
    "trial.started_at": _TRIAL_END - timedelta(days=14),
    "trial.ended_at": _TRIAL_END,
    "trial.ended_early": False,
    "trial.charged_at_end": True,
    "trial.earlier_charge": False,
    "usage.used": False,
    "usage.complete": True,
    "usage.first_at": _NOW,
    "usage.last_at": _NOW,
    "cancellation.before_charge": False,
    "history.trial_by_card": False,
    "history.trial_by_email": False,
    "history.refunds_customer": 0,
    "history.refunds_card": 0,
    "history.refunds_email": 0,
    "history.denied_before": False,
    "desk.mode": "auto",
}
# What requests usually are, by the rule they end at: some end at the top of the table, some far down.
_KINDS: Final[Mapping[str, Mapping[str, FactValue]]] = {
    "unused-trial": {},
    "used": {"usage.used": True},
    "already-refunded": {"charge.refunded_minor": 4900, "charge.refundable_minor": 0},
    "repeat-trial": {"history.trial_by_card": True},
    "not-the-first-charge": {"trial.earlier_charge": True},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """Per second of processor time, a figure for each round."""

    decisions: list[float]
    with_unknowns: list[float]
    """Decisions where no usage source answered."""
    digests: list[float]
    """The digests of the same facts, which each decision names."""
    cel: list[float]
    """The rules' expressions up to the first match, by the engine of the policy."""
    plain: list[float]
    """The same in plain Python."""


def measure(*, seconds: float, rounds: int = ROUNDS) -> Result:
    """Runs each in turn, for a second at the most."""
    policy = load_policy((ROOT / "config" / "policy.toml").read_bytes(), filename="policy.toml")
    rules = plain_rules(policy)
    known = {rule: dict(_UNUSED_TRIAL) | dict(changes) for rule, changes in _KINDS.items()}
    for rule, values in known.items():
        # Both sides have to come to the same, or their times say nothing.
        assert decide(_facts(values), policy).rule == _by_cel(values, policy) == rules.first_match(values) == rule
    facts = [_facts(values) for values in known.values()]
    open_ended = [_facts(values, unknown={"usage.used", "usage.complete"}) for values in known.values()]
    every = min(seconds, _MOST_SECONDS)
    result = Result(decisions=[], with_unknowns=[], digests=[], cel=[], plain=[])
    for _ in range(rounds):
        result.decisions.append(_rate(lambda: [decide(one, policy) for one in facts], len(facts), every))
        result.plain.append(_rate(lambda: [rules.first_match(one) for one in known.values()], len(known), every))
        result.cel.append(_rate(lambda: [_by_cel(one, policy) for one in known.values()], len(known), every))
        result.digests.append(_rate(lambda: [digest(canonical_bytes(one)) for one in facts], len(facts), every))
        result.with_unknowns.append(_rate(lambda: [decide(one, policy) for one in open_ended], len(facts), every))
    return result


def _by_cel(values: Mapping[str, FactValue], policy: Policy) -> str:
    """The first rule that matches, with no trace of the others and no unknowns."""
    view = policy.compiler.view(values, policy.defines)
    return next(
        rule.id
        for rule in policy.rules
        if all(view.observe(condition).truth is Truth.TRUE for condition in rule.conditions.values())
    )


def _rate(turn: Callable[[], object], size: int, seconds: float) -> float:
    """How many a second of processor time, where one turn makes `size`: whoever else is busy here does not count."""
    turn()
    until, began, turns = time.perf_counter() + seconds, time.process_time(), 0
    while time.perf_counter() < until:
        turn()
        turns += 1
    return turns * size / (time.process_time() - began)


def _facts(values: Mapping[str, FactValue], *, unknown: Collection[str] = ()) -> Facts:
    def fact(name: str, value: FactValue) -> Fact:
        if name in unknown:
            return Unknown(why="timed out after 5 s", source="tag-hits", as_of=_NOW)
        return Known(value=value, source="stripe", as_of=_NOW)

    return Facts(at=_NOW, facts={name: fact(name, value) for name, value in values.items()})


def table(result: Result) -> list[str]:
    """The result for people, in Markdown."""
    rows = {
        "`decide`: rules, limits, trace, digest of the facts": result.decisions,
        "the same where usage is unknown": result.with_unknowns,
        "the digest of the facts alone": result.digests,
        "the expressions alone, in CEL": result.cel,
        "the expressions alone, in plain Python": result.plain,
    }
    return [
        f"Decisions in one process, {len(result.decisions)} rounds over {len(_KINDS)} typical requests:",
        "",
        "| what | per second of processor time | by `decide` |",
        "|---|---|---|",
        *(
            f"| {what} | {spread(rates).text()} | ×{pair_by_pair(rates, result.decisions).text(1)} |"
            for what, rates in rows.items()
        ),
        "",
        f"Plain Python by CEL: ×{pair_by_pair(result.plain, result.cel).text(1)}.",
    ]


def as_json(result: Result) -> dict[str, Any]:
    """The result for programs."""
    return {**asdict(result), "plain_by_decide": asdict(pair_by_pair(result.plain, result.decisions))}
