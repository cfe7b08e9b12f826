"""Deciding: facts and policy in, a verdict with its whole trace out; pure, and the same bytes every time."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from billingbot.core.canonical import canonical_bytes, digest
from billingbot.core.decision import (
    UNDECIDED_RULE,
    Blocker,
    ConditionTrace,
    Decision,
    Limit,
    LimitTrace,
    Outcome,
    Recommendation,
    RuleTrace,
    Truth,
)
from billingbot.core.facts import CATALOGUE, Facts, FactValue
from billingbot.core.policy.conditions import Observed, View, conjunction, known_values
from billingbot.core.policy.limits import check_limits, limit_facts
from billingbot.core.policy.rules import Policy, Rule

# The facts of a charge as they would be had nobody disputed it: what the other rules are asked with, where a
# rule leaves accepting or contesting to them.
UNDISPUTED: Final[Mapping[str, FactValue]] = {
    "dispute.none": True,
    "dispute.open_inquiry": False,
    "dispute.open_chargeback": False,
    "dispute.money_returned": False,
    "dispute.won": False,
    "dispute.allows_refund": True,
}


def decide(facts: Facts, policy: Policy) -> Decision:
    """The verdict of this policy on these facts.

    The first rule whose conditions are all true wins; a rule with an unknown condition does not match. A refund
    is only given where every rule above was false: one left undecided by an unknown fact might have forbidden
    it, so the case goes to a person instead (law 5). A refund then has to stay inside the policy's limits, but
    for the day's budget, which is checked where it is spent.
    """
    verdict = first_match(policy.rules, policy.compiler.view(known_values(facts), policy.defines))
    match verdict.rule.outcome:
        case Outcome.REFUND if verdict.undecided:
            return _undecided(facts, policy, verdict)
        case Outcome.REFUND:
            return _within_limits(facts, policy, verdict)
        case Outcome.REVIEW | Outcome.CLOSE:
            recommendation = verdict.rule.recommendation or _by_other_rules(facts, policy, verdict)
            decision = _decision(facts, policy, verdict, recommendation=recommendation)
            return _with_amount(decision, facts) if recommendation is Recommendation.REFUND else decision


def with_limit(decision: Decision, limit: Limit, observed: str, allowed: str) -> Decision:
    """The review that a refund becomes where a limit holds it back; the policy still grants it.

    ValueError where the decision is no refund.
    """
    if decision.outcome is not Outcome.REFUND:
        raise ValueError(f"decision: expected a refund to hold back, got {decision.outcome}")
    trace = LimitTrace(limit=limit, passed=Truth.FALSE, observed=observed, allowed=allowed)
    return replace(decision, outcome=Outcome.REVIEW, reason=limit.value, limits=(*decision.limits, trace))


def held_by_money(decision: Decision, observed: str, allowed: str) -> Decision:
    """What a decision becomes where the money itself forbids a refund: a review that recommends nothing, since nobody
    can pay. Any other decision stays as it is.
    """
    if decision.outcome is not Outcome.REFUND:
        return decision
    held = with_limit(decision, Limit.MONEY, observed, allowed)
    return replace(held, recommendation=Recommendation.NONE, reply=None)


def held_by_breaker(decision: Decision, observed: str, allowed: str) -> Decision:
    """What a decision becomes while the breaker is open: no refund, and where the mode it fell back to held the
    refund back, the breaker is named instead. Any other decision stays as it is.
    """
    if decision.outcome is Outcome.REFUND:
        return with_limit(decision, Limit.BREAKER, observed, allowed)
    if decision.reason != Limit.MODE:
        return decision
    trace = LimitTrace(limit=Limit.BREAKER, passed=Truth.FALSE, observed=observed, allowed=allowed)
    return replace(decision, reason=Limit.BREAKER.value, limits=(*decision.limits, trace))


def still_holds(before: Decision, now: Decision) -> bool:
    """Whether a refund that was decided may be paid as it was: decided again, by the same rule, the same sum."""
    return (
        before.outcome is Outcome.REFUND
        and now.outcome is Outcome.REFUND
        and before.amount_minor is not None
        and (before.rule, before.amount_minor, before.currency) == (now.rule, now.amount_minor, now.currency)
    )


def approval_blockers(facts: Facts) -> tuple[Blocker, ...]:
    """What stored facts say against a refund that a person approves, for showing; empty where they say nothing.

    Before anything is paid `core.money_state` is asked, on a fresh read, and forbids at least this much. An unknown
    forbids as a no does.
    """
    refundable = facts.known("charge.refundable_minor")
    permitted = {
        Blocker.NOT_SUCCEEDED: facts.known("charge.succeeded") is True,
        Blocker.NOT_CAPTURED: facts.known("charge.captured") is True,
        Blocker.NOTHING_REFUNDABLE: isinstance(refundable, int) and refundable > 0,
        Blocker.MONEY_RETURNED: facts.known("dispute.money_returned") is False,
        Blocker.OPEN_CHARGEBACK: facts.known("dispute.open_chargeback") is False,
        Blocker.DISPUTE_FORBIDS: facts.known("dispute.allows_refund") is True,
    }
    return tuple(blocker for blocker, holds in permitted.items() if not holds)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The rule that matched, what was looked at on the way, and the rules above it left undecided."""

    rule: Rule
    undecided: tuple[Rule, ...]
    missing: frozenset[str]
    """Unknown facts that left rules above it undecided."""
    trace: tuple[RuleTrace, ...]


def first_match(rules: Sequence[Rule], view: View) -> Verdict:
    """The first rule that matches; the last rule of a loaded policy matches always."""
    trace: list[RuleTrace] = []
    undecided: list[Rule] = []
    missing: set[str] = set()
    for rule in rules:
        conditions = {name: view.observe(condition) for name, condition in rule.conditions.items()}
        truth = conjunction([observed.truth for observed in conditions.values()])
        trace.append(_rule_trace(rule, truth, conditions, view))
        if truth is Truth.TRUE:
            return Verdict(rule=rule, undecided=tuple(undecided), missing=frozenset(missing), trace=tuple(trace))
        if truth is Truth.UNKNOWN:
            undecided.append(rule)
            missing.update(*(view.missing(rule.conditions[name]) for name in _unknown(conditions)))
    raise AssertionError("the last rule of a loaded policy matches always")


def _unknown(conditions: Mapping[str, Observed]) -> Iterator[str]:
    return (name for name, observed in conditions.items() if observed.truth is Truth.UNKNOWN)


def _rule_trace(rule: Rule, truth: Truth, observed: Mapping[str, Observed], view: View) -> RuleTrace:
    conditions = tuple(
        ConditionTrace(
            name=name,
            expression=condition.source,
            observed=observed[name].truth,
            facts=view.facts_read(condition),
            error=observed[name].error,
        )
        for name, condition in rule.conditions.items()
    )
    return RuleTrace(rule=rule.id, clause=rule.clause, observed=truth, conditions=conditions)


def _by_other_rules(facts: Facts, policy: Policy, verdict: Verdict) -> Recommendation:
    """Accept the dispute where the rules below would refund, had nobody disputed the charge; else contest it."""
    below = policy.rules[policy.rules.index(verdict.rule) + 1 :]
    view = policy.compiler.view(known_values(facts) | dict(UNDISPUTED), policy.defines)
    other = first_match(below, view)
    refunds = other.rule.outcome is Outcome.REFUND and not other.undecided
    if refunds or (other.rule.recommendation is Recommendation.REFUND and other.rule.outcome is Outcome.REVIEW):
        return Recommendation.ACCEPT_DISPUTE
    return Recommendation.CONTEST_DISPUTE


def _undecided(facts: Facts, policy: Policy, verdict: Verdict) -> Decision:
    first = verdict.undecided[0]
    return replace(
        _decision(facts, policy, verdict, recommendation=Recommendation.NONE),
        outcome=Outcome.REVIEW,
        reason=UNDECIDED_RULE,
        clause=first.clause,
        priority=first.priority,
        reply=None,
    )


def _within_limits(facts: Facts, policy: Policy, verdict: Verdict) -> Decision:
    limits = check_limits(facts.known, policy.limits)
    refund = _decision(facts, policy, verdict, recommendation=Recommendation.REFUND)
    refund = replace(_with_amount(refund, facts), limits=limits)
    failing = next((limit for limit in limits if limit.passed is not Truth.TRUE), None)
    if failing is None:
        return refund
    unknown = (name for name in limit_facts(failing.limit, policy.limits) if facts.known(name) is None)
    return replace(
        refund, outcome=Outcome.REVIEW, reason=failing.limit.value, missing=_in_order({*refund.missing, *unknown})
    )


def _decision(facts: Facts, policy: Policy, verdict: Verdict, *, recommendation: Recommendation) -> Decision:
    rule = verdict.rule
    return Decision(
        outcome=rule.outcome,
        rule=rule.id,
        reason=rule.id,
        clause=rule.clause,
        recommendation=recommendation,
        priority=rule.priority,
        amount_minor=None,
        currency=None,
        missing=_in_order({*verdict.missing, *rule.waits_for}),
        reply=rule.reply,
        policy_id=policy.id,
        policy_version=policy.version,
        policy_digest=policy.digest,
        facts_digest=digest(canonical_bytes(facts)),
        trace=verdict.trace,
        limits=(),
    )


def _with_amount(decision: Decision, facts: Facts) -> Decision:
    amount, currency = facts.known("charge.refundable_minor"), facts.known("charge.currency")
    if isinstance(amount, int) and isinstance(currency, str):
        return replace(decision, amount_minor=amount, currency=currency)
    return decision


def _in_order(names: set[str]) -> tuple[str, ...]:
    return tuple(name for name in CATALOGUE if name in names)
