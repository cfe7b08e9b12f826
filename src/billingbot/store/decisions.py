"""Decisions with the facts and the policy they were made from, as the very bytes that were hashed."""

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy import Connection
from sqlalchemy.dialects.postgresql import insert

from billingbot.core.canonical import canonical_bytes, digest
from billingbot.core.decision import Decision
from billingbot.core.errors import NotFoundError
from billingbot.core.facts import Facts
from billingbot.store.schema import decisions, policies


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredDecision:
    """A decision as stored: canonical bytes of the verdict and of the facts, each with its digest."""

    id: str
    case_id: str
    purpose: str
    reason: str
    facts: bytes
    facts_digest: str
    policy_digest: str
    decision: bytes
    decision_digest: str
    decided_at: datetime


def write(
    connection: Connection, decision_id: str, case_id: str, purpose: str, decision: Decision, facts: Facts
) -> str:
    """Stores a verdict with its facts; returns the verdict's digest. `purpose` is assess or before_pay."""
    body = canonical_bytes(decision)
    connection.execute(
        decisions.insert().values(
            id=decision_id,
            case_id=case_id,
            purpose=purpose,
            outcome=decision.outcome,
            rule=decision.rule,
            reason=decision.reason,
            clause=decision.clause,
            recommendation=decision.recommendation,
            facts=canonical_bytes(facts),
            facts_digest=decision.facts_digest,
            policy_digest=decision.policy_digest,
            decision=body,
            decision_digest=digest(body),
        )
    )
    return digest(body)


def remember_policy(connection: Connection, *, policy_digest: str, policy_id: str, version: str, source: str) -> None:
    """Keeps the policy's whole text, once: whoever asks years later gets the very rules that decided."""
    row = {"digest": policy_digest, "policy_id": policy_id, "version": version, "source": source}
    connection.execute(insert(policies).values(row).on_conflict_do_nothing())


def policy_source(connection: Connection, policy_digest: str) -> str:
    """The text of a policy that decided before. Raises NotFoundError."""
    source = connection.execute(
        sa.select(policies.c.source).where(policies.c.digest == policy_digest)
    ).scalar_one_or_none()
    if source is None:
        raise NotFoundError(f"policy {policy_digest}: there is none")
    return str(source)


def get(connection: Connection, decision_id: str) -> StoredDecision:
    """The decision. Raises NotFoundError."""
    columns = [decisions.c[name] for name in StoredDecision.__slots__]
    row = connection.execute(sa.select(*columns).where(decisions.c.id == decision_id)).one_or_none()
    if row is None:
        raise NotFoundError(f"decision {decision_id}: there is none")
    return StoredDecision(**row._mapping)
