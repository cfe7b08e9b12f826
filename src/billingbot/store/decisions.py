"""Decisions with the facts and the policy they were made from, as the very bytes that were hashed."""

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy import Connection
from sqlalchemy.dialects.postgresql import insert

from billingbot.core.canonical import canonical_bytes, digest
from billingbot.core.decision import Decision
from billingbot.core.errors import InputError, NotFoundError
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


def policy_named(connection: Connection, name: str) -> str:
    """The text of the stored policy of that version, or whose digest begins so (8 characters at least).

    Raises NotFoundError where there is none, InputError where several texts answer to the name.
    """
    by_digest = policies.c.digest.startswith(name, autoescape=True) if len(name) >= 8 else sa.false()
    query = sa.select(policies.c.digest, policies.c.source).where((policies.c.version == name) | by_digest)
    found = connection.execute(query.order_by(policies.c.first_used_at)).all()
    if not found:
        raise NotFoundError(f"policy {name}: no version of that name was published or has decided anything")
    if len(found) > 1:
        digests = ", ".join(row.digest[:20] for row in found)
        raise InputError("policy", f"expected one text, but {name!r} may mean {digests}; give the digest")
    return str(found[0].source)


def in_force(connection: Connection, case_id: str, at: datetime) -> StoredDecision:
    """The newest decision of the case that was made by then. Raises NotFoundError where there was none yet."""
    columns = [decisions.c[name] for name in StoredDecision.__slots__]
    query = sa.select(*columns).where(decisions.c.case_id == case_id, decisions.c.decided_at <= at)
    row = connection.execute(
        query.order_by(decisions.c.decided_at.desc(), decisions.c.id.desc()).limit(1)
    ).one_or_none()
    if row is None:
        raise NotFoundError(f"case {case_id}: had no decision yet at {at.isoformat()}")
    return StoredDecision(**row._mapping)


def get(connection: Connection, decision_id: str) -> StoredDecision:
    """The decision. Raises NotFoundError."""
    columns = [decisions.c[name] for name in StoredDecision.__slots__]
    row = connection.execute(sa.select(*columns).where(decisions.c.id == decision_id)).one_or_none()
    if row is None:
        raise NotFoundError(f"decision {decision_id}: there is none")
    return StoredDecision(**row._mapping)
