"""Explaining a decision in plain words: what was decided and why, rule by rule, with who said what."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from billingbot.core.decision import (
    UNDECIDED_RULE,
    ConditionTrace,
    Decision,
    Limit,
    LimitTrace,
    Outcome,
    Recommendation,
    RuleTrace,
    Truth,
)
from billingbot.core.evidence.exhibits import without_addresses
from billingbot.core.facts import CATALOGUE, EarlierFacts, Facts, FactValue, Known
from billingbot.core.money import Money
from billingbot.core.policy.deciding import UNDISPUTED
from billingbot.core.policy.flip import Change, Flip, nearest_flips
from billingbot.core.policy.limits import limit_facts
from billingbot.core.policy.rules import Policy

_VERDICT: Final[Mapping[Outcome, str]] = {
    Outcome.REFUND: "Refund at once",
    Outcome.REVIEW: "A person decides",
    Outcome.CLOSE: "Close, there is nothing to refund",
}
_ADVICE: Final[Mapping[Recommendation, str]] = {
    Recommendation.REFUND: "refund",
    Recommendation.DECLINE: "decline",
    Recommendation.ACCEPT_DISPUTE: "accept the dispute",
    Recommendation.CONTEST_DISPUTE: "contest the dispute",
    Recommendation.NONE: "none",
}
_MATCH: Final[Mapping[Truth, str]] = {
    Truth.TRUE: "applies",
    Truth.FALSE: "does not apply",
    Truth.UNKNOWN: "cannot be told",
}
_LIMIT: Final[Mapping[Limit, str]] = {
    Limit.MODE: "the desk's mode",
    Limit.AMOUNT: "the largest automatic refund",
    Limit.CURRENCY: "the currencies with a limit",
    Limit.EARLIER_REFUND: "earlier automatic refunds",
    Limit.DENIED_BEFORE: "an earlier denial",
    Limit.DAILY_AMOUNT: "the day's budget",
    Limit.DAILY_COUNT: "the day's count",
    Limit.BREAKER: "the breaker",
    Limit.MONEY: "where the money is",
}
_PASSED: Final[Mapping[Truth, str]] = {
    Truth.TRUE: "inside",
    Truth.FALSE: "outside",
    Truth.UNKNOWN: "cannot be told",
}


def explain(decision: Decision, facts: Facts, policy: Policy) -> list[str]:
    """Lines of plain text: verdict, reason, then every rule that was looked at and every limit.

    `policy` should be the one that decided; rules it does not have are shown by their ids alone.
    """
    return [
        *_verdict(decision, policy),
        *_asked(facts),
        *_nearest(decision, facts, policy),
        "",
        "Rules, in order; the first that applies decides:",
        *(line for trace in decision.trace for line in _rule(trace, facts, policy)),
        *_limits(decision.limits),
        *_missing(decision, facts),
        *_gaps(facts.exhibits),
        *_gained(facts, policy),
        "",
        f"Policy {decision.policy_id} {decision.policy_version}, {decision.policy_digest}",
        f"Facts {decision.facts_digest}",
    ]


def _verdict(decision: Decision, policy: Policy) -> Iterator[str]:
    yield f"{_VERDICT[decision.outcome]}{_sum(decision)}"
    if decision.outcome is Outcome.REVIEW:
        yield f"Advice: {_ADVICE[decision.recommendation]}. Priority: {decision.priority.value}."
    rule = policy.rule(decision.rule)
    told = f" (row {rule.row}): {rule.summary}" if rule else ""
    yield f"Rule {decision.rule}{told}"
    if decision.reason == UNDECIDED_RULE:
        undecided = [trace.rule for trace in decision.trace if trace.observed is Truth.UNKNOWN]
        yield f"Held back: a rule above it could not be told, and it might forbid this: {', '.join(undecided)}."
    elif decision.reason != decision.rule:
        limit = Limit(decision.reason)
        yield f"Held back by a limit ({decision.reason}): {_LIMIT[limit]}."
    clause = policy.clauses.get(decision.clause) if decision.clause else None
    if clause:
        yield f"Clause {clause.id}: {clause.title}. {clause.meaning}"


def _sum(decision: Decision) -> str:
    if decision.amount_minor is None or decision.currency is None:
        return "."
    return f": {Money(amount_minor=decision.amount_minor, currency=decision.currency)}."


def _asked(facts: Facts) -> Iterator[str]:
    claims = [
        text
        for name, text in (
            ("request.claims_unused", "not used"),
            ("request.claims_cancellation", "cancelled before the charge"),
        )
        if facts.known(name) is True
    ]
    yield f"Asked through {facts.known('request.channel')}; claims: {', '.join(claims) or 'nothing'}."


def flips_in_words(facts: Facts, policy: Policy) -> tuple[str, ...]:
    """The nearest flips, a sentence each; alternatives, any one of which would have changed the outcome."""
    flips = nearest_flips(facts, policy)
    return tuple(f"{_WOULD[flip.outcome]} ({flip.rule}) {_had_been(flip, facts)}." for flip in flips)


_WOULD: Final[Mapping[Outcome, str]] = {
    Outcome.REFUND: "Refunded at once",
    Outcome.REVIEW: "A person would decide",
    Outcome.CLOSE: "Closed without a refund",
}


def _nearest(decision: Decision, facts: Facts, policy: Policy) -> Iterator[str]:
    if policy.digest != decision.policy_digest:
        return  # another policy's flips would explain another decision
    yield ""
    held = decision.limits[-1] if decision.limits and decision.outcome is Outcome.REVIEW else None
    if held is not None and decision.reason == held.limit.value and not limit_facts(held.limit, policy.limits):
        yield f"Nearest flip: nothing about the case; {_LIMIT[held.limit]} held it back."
        return
    sentences = flips_in_words(facts, policy)
    if not sentences:
        yield "Nearest flip: none; more than three facts would have had to be otherwise."
        return
    yield "Nearest flip, any one of these:" if len(sentences) > 1 else "Nearest flip:"
    yield from (f"  {sentence}" for sentence in sentences)


def _had_been(flip: Flip, facts: Facts) -> str:
    return "had " + ", and had ".join(_otherwise(change, facts) for change in flip.changes)


def _otherwise(change: Change, facts: Facts) -> str:
    """What would be otherwise, by the fact that says most; those that only move with it go without saying."""
    moved = [name for name, value in change.facts.items() if facts.known(name) != value]
    if set(moved) & UNDISPUTED.keys() and len(change.facts) > 1:
        return "the charge never been disputed"
    currency = facts.known("charge.currency")
    told = [f"{name} been {_amount_or(name, change.facts[name], currency)}, not {_now(name, facts)}" for name in moved]
    return " and ".join(told)


def _now(name: str, facts: Facts) -> str:
    value = facts.known(name)
    return "unknown" if value is None else _amount_or(name, value, facts.known("charge.currency"))


def _amount_or(name: str, value: FactValue, currency: FactValue | None) -> str:
    if name.startswith("charge.") and name.endswith("_minor") and isinstance(value, int) and isinstance(currency, str):
        return str(Money(amount_minor=value, currency=currency))
    return _shown(value)


def _rule(trace: RuleTrace, facts: Facts, policy: Policy) -> Iterator[str]:
    rule = policy.rule(trace.rule)
    row = f"row {rule.row}, " if rule else ""
    yield f"  {row}{trace.rule}: {_MATCH[trace.observed]}"
    for condition in trace.conditions:
        yield from _condition(condition, facts)


def _condition(trace: ConditionTrace, facts: Facts) -> Iterator[str]:
    name = trace.name.replace("-", " ")
    yield f"    {_mark(trace.observed)} {name}: wanted true, observed {trace.observed.value}"
    if trace.error is not None:
        yield f"        could not be evaluated: {trace.error}"
    for fact, value in trace.facts.items():
        yield f"        {fact} {_told(fact, value, facts)}"


def _mark(truth: Truth) -> str:
    return {Truth.TRUE: "+", Truth.FALSE: "-", Truth.UNKNOWN: "?"}[truth]


def _told(name: str, value: FactValue | None, facts: Facts) -> str:
    fact = facts[name]
    origin = f"{fact.source}, {_time(fact.as_of)}"
    if isinstance(fact, Known) and value is not None:
        return f"is {_shown(value)} ({origin})"
    why = "" if isinstance(fact, Known) else f": {without_addresses(fact.why)}"
    return f"is unknown{why} ({origin})"


def _shown(value: FactValue) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case datetime():
            return _time(value)
        case _:
            return str(value)


def _time(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _limits(limits: tuple[LimitTrace, ...]) -> Iterator[str]:
    if limits:
        yield ""
        yield "Limits:"
    for trace in limits:
        observed, allowed = trace.observed, trace.allowed
        yield f"  {_LIMIT[trace.limit]}: {_PASSED[trace.passed]} (observed {observed}; allowed {allowed})"


def _missing(decision: Decision, facts: Facts) -> Iterator[str]:
    if decision.missing:
        yield ""
        yield "What stood in the way:"
    for name in decision.missing:
        yield f"  {name} ({CATALOGUE[name].meaning}) {_told(name, facts.known(name), facts)}"


def _gained(facts: Facts, policy: Policy) -> Iterator[str]:
    """That more is known about a charge today than there were facts then, and whether these rules ask for it."""
    gained = facts.gained if isinstance(facts, EarlierFacts) else ()
    if not gained:
        return
    asked = [name for name in gained if any(name in rule.facts for rule in policy.rules)]
    yield ""
    yield "NOT YET FACTS when this was decided, and unknown here:"
    yield f"  {', '.join(gained)}"
    yield f"  These rules read {', '.join(asked)}." if asked else "  These rules read none of them."


def _gaps(exhibits: Mapping[str, Any]) -> Iterator[str]:
    reports = [*exhibits.get("usage", ()), *exhibits.get("support", ())]
    lacking = [report for report in reports if report.get("lacks")]
    if lacking:
        yield ""
        yield "Sources with a gap:"
    for report in lacking:
        yield f"  {report['source']}: {without_addresses(report['lacks'])}"
