"""Published versions of the policy: appended one at a time, read back cheaply, never changed."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

import sqlalchemy as sa
from sqlalchemy import Connection
from sqlalchemy.dialects.postgresql import JSONB

from billingbot.core.canonical import digest as digest_of
from billingbot.core.canonical import timestamp
from billingbot.core.errors import NotFoundError, RetryLaterError
from billingbot.core.policy import Policy, PolicyError, load_policy
from billingbot.core.policy.editions import Edition
from billingbot.core.policy.editions import in_force as edition_in_force
from billingbot.store import database
from billingbot.store.decisions import policy_source
from billingbot.store.schema import decisions, policies, policy_editions

# A charge of last quarter and one of today under two or three versions is what a desk decides at a time.
MOST_LOADED: Final = 16
# By the digest of its text a policy is always the same one, so nothing here ever goes stale.
_loaded: Final[dict[str, Policy]] = {}

# Counting stops here: "more than a thousand" is enough to think twice.
MOST_COUNTED: Final = 1000
# A year of decisions is read once, by a person who publishes into the past and waits for the answer.
_COUNT_TIMEOUT: Final = "SET LOCAL statement_timeout = '60s'"


def editions(connection: Connection) -> Sequence[Edition]:
    """All that was published, in the order of publication: a handful of rows, without their texts."""
    rows = connection.execute(sa.select(policy_editions).order_by(policy_editions.c.number))
    return [Edition(**row._mapping) for row in rows]


def edition(connection: Connection, version: str) -> Edition:
    """The edition of that version. Raises NotFoundError."""
    found = next((one for one in editions(connection) if one.version == version), None)
    if found is None:
        raise NotFoundError(f"policy version {version}: none of that name was published")
    return found


def in_force(connection: Connection, charged_at: datetime | None) -> Edition | None:
    """The edition that judges a charge of that instant, or one made now; None where nothing was published."""
    published = editions(connection)
    if not published:
        return None
    return edition_in_force(published, charged_at or database.now(connection))


def loaded(connection: Connection, digest: str) -> Policy:
    """The stored policy with that digest, compiled once in a process.

    RetryLaterError where its text is not the one that was published, or where this release cannot read it, as
    while a new release is rolled out: the job waits for a process that can.
    """
    found = _loaded.get(digest)
    if found is None:
        found = _compiled(policy_source(connection, digest), digest)
        while len(_loaded) >= MOST_LOADED:
            _loaded.pop(next(iter(_loaded)), None)
        _loaded[digest] = found
    return found


def append(connection: Connection, *, policy: Policy, effective_from: datetime, by: str, why: str) -> Edition:
    """Publishes a version whose text is stored; the caller holds the lock of `hold_still`."""
    last = connection.execute(sa.select(sa.func.max(policy_editions.c.number))).scalar_one()
    row = connection.execute(
        policy_editions.insert()
        .values(
            number=(last or 0) + 1,
            policy_id=policy.id,
            version=policy.version,
            digest=policy.digest,
            effective_from=effective_from,
            published_by=by,
            why=why,
        )
        .returning(*policy_editions.c)
    ).one()
    return Edition(**row._mapping)


def hold_still(connection: Connection) -> None:
    """One publisher at a time, until the transaction ends."""
    database.advisory_lock(connection, "policy")


def decided_otherwise(connection: Connection, policy: Policy) -> str | None:
    """The digest of another text that decided cases under the same id and version; None where there is none."""
    query = sa.select(policies.c.digest).where(
        policies.c.policy_id == policy.id,
        policies.c.version == policy.version,
        policies.c.digest != policy.digest,
        sa.exists().where(decisions.c.policy_digest == policies.c.digest),
    )
    return connection.execute(query.limit(1)).scalar_one_or_none()


def cases_decided(
    connection: Connection, *, charged_from: datetime, charged_until: datetime | None, not_by: str
) -> int:
    """How many cases with a charge in that time were decided by another text; counts up to MOST_COUNTED + 1.

    A charge is older than its decision, so only decisions since then are opened.
    """
    connection.exec_driver_sql(_COUNT_TIMEOUT)
    charged = sa.cast(sa.func.convert_from(decisions.c.facts, "UTF8"), JSONB)
    at = charged["facts"]["charge.created_at"]["value"].astext
    query = sa.select(decisions.c.case_id).where(
        decisions.c.decided_at >= charged_from,
        decisions.c.policy_digest != not_by,
        at >= timestamp(charged_from),  # canonical times compare as texts
    )
    if charged_until is not None:
        query = query.where(at < timestamp(charged_until))
    cases = query.distinct().limit(MOST_COUNTED + 1).subquery()
    return int(connection.execute(sa.select(sa.func.count()).select_from(cases)).scalar_one())


def _compiled(source: str, digest: str) -> Policy:
    if digest_of(source.encode()) != digest:
        raise RetryLaterError(f"policy {digest}: its stored text is not the one that was published")
    try:
        return load_policy(source, filename="policy.toml")
    except PolicyError as fault:
        raise RetryLaterError(f"policy {digest}: this release cannot read it: {fault.problems[0]}") from fault
