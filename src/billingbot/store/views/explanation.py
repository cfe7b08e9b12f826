"""Explaining a case from what is stored: the verdict in words, and whether the stored bytes still lead to it."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

from sqlalchemy import Connection

from billingbot.core.canonical import canonical_bytes, digest
from billingbot.core.decision import Decision, Limit, Outcome
from billingbot.core.errors import NotFoundError
from billingbot.core.explain import explain, flips_in_words
from billingbot.core.facts import Facts
from billingbot.core.policy import Policy, decide, held_by_breaker, held_by_money, load_policy, with_limit
from billingbot.core.restore import restore_decision, restore_facts
from billingbot.store import cases, decisions, privacy


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """The verdict a case stands on, in lines of plain text.

    `reproduces` is true where the stored facts under the stored policy give the stored verdict, byte for byte, and
    all three still have the digests under which they were written.
    """

    case_id: str
    decision_id: str
    purpose: str
    decided_at: datetime
    lines: tuple[str, ...]
    reproduces: bool
    policy_id: str
    policy_version: str
    policy_digest: str
    facts_digest: str
    decision_digest: str
    nearest_flips: tuple[str, ...]
    """What would have changed the outcome, a sentence for each alternative."""
    gained: tuple[str, ...]
    """Facts that exist today and did not when this was decided: unknown, and part of no byte that is compared."""
    under: "Redecided | None"
    """The same facts under another policy, where one was asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Redecided:
    """What another policy says to the stored facts; `same` where outcome, rule and reason are as they were."""

    policy_id: str
    policy_version: str
    policy_digest: str
    outcome: Outcome
    rule: str
    reason: str
    same: bool
    lines: tuple[str, ...]


def explanation(
    connection: Connection, case_id: str, *, at: datetime | None = None, under: str | None = None
) -> Explanation:
    """Explains the case's newest verdict; with `at`, the one it stood on then.

    `under` names another stored policy, by version or digest, to decide the same facts by. Raises NotFoundError
    for an unknown case or policy, or a case without a verdict; InputError where `under` may mean several.
    """
    stored = _verdict(connection, case_id, at)
    policy = _policy(decisions.policy_source(connection, stored.policy_digest))
    facts, decision = restore_facts(stored.facts), restore_decision(stored.decision)
    return Explanation(
        case_id=case_id,
        decision_id=stored.id,
        purpose=stored.purpose,
        decided_at=stored.decided_at,
        lines=(*explain(decision, facts, policy), *_erased(connection, case_id)),
        reproduces=_reproduces(stored, decision, facts, policy),
        policy_id=policy.id,
        policy_version=policy.version,
        policy_digest=stored.policy_digest,
        facts_digest=stored.facts_digest,
        decision_digest=stored.decision_digest,
        nearest_flips=flips_in_words(facts, policy),
        gained=facts.gained,
        under=_under(decisions.policy_named(connection, under), facts, decision) if under else None,
    )


def _erased(connection: Connection, case_id: str) -> Iterator[str]:
    at = privacy.erased_at(connection, case_id)
    if at is not None:
        yield ""
        yield f"What people wrote on this case (requests, notes, letters) was erased on {at:%Y-%m-%d}, on request."
        yield "Facts, verdict, policy and ledger hold no such text: they are as they were, byte for byte."


def _verdict(connection: Connection, case_id: str, at: datetime | None) -> decisions.StoredDecision:
    case = cases.get(connection, case_id)
    if at is not None:
        return decisions.in_force(connection, case_id, at)
    if case.decision_id is None:
        raise NotFoundError(f"case {case_id}: has no decision yet; it is {case.state}")
    return decisions.get(connection, case.decision_id)


def _under(source: str, facts: Facts, before: Decision) -> Redecided:
    policy = _policy(source)
    now = _held_as_noted(decide(facts, policy), before)
    return Redecided(
        policy_id=policy.id,
        policy_version=policy.version,
        policy_digest=policy.digest,
        outcome=now.outcome,
        rule=now.rule,
        reason=now.reason,
        same=(now.outcome, now.rule, now.reason) == (before.outcome, before.rule, before.reason),
        lines=tuple(explain(now, facts, policy)),
    )


def _reproduces(stored: decisions.StoredDecision, decision: Decision, facts: Facts, policy: Policy) -> bool:
    again = _held_as_noted(decide(facts, policy), decision)
    return (
        canonical_bytes(again) == stored.decision
        and digest(stored.decision) == stored.decision_digest
        and digest(stored.facts) == stored.facts_digest
        and policy.digest == stored.policy_digest
    )


def _held_as_noted(again: Decision, decision: Decision) -> Decision:
    """What else was paid is no fact of the case: where the day's budget, breaker or money held back, it is as noted."""
    noted = decision.limits[-1] if decision.limits else None
    if noted is not None and noted.limit is Limit.BREAKER:
        return held_by_breaker(again, noted.observed, noted.allowed)
    if noted is not None and noted.limit is Limit.MONEY:
        return held_by_money(again, noted.observed, noted.allowed)
    if noted is None or noted.limit not in {Limit.DAILY_AMOUNT, Limit.DAILY_COUNT}:
        return again
    if again.outcome is not Outcome.REFUND:
        return again
    return with_limit(again, noted.limit, observed=noted.observed, allowed=noted.allowed)


@lru_cache(maxsize=4)  # one policy decides nearly every case that anybody looks at; compiling it takes a while
def _policy(source: str) -> Policy:
    return load_policy(source, filename="policy.toml")
