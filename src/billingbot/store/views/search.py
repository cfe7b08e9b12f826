"""Searching: anything by any id of ours or Stripe's, people by mailbox, cases by amount; few rows, from indexes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Final

import sqlalchemy as sa
from sqlalchemy import Connection

from billingbot.store.history import email_digest

# A page of hits; whoever needs more has a list with filters.
MOST_HITS: Final = 25
# The longest id of Stripe's is 255 characters; an address has at most 320.
MOST_QUERY: Final = 320
_CASE: Final = """
SELECT 'case' AS kind, id, coalesce(outcome, reason, state) AS told, amount_minor, currency, opened_at AS at FROM cases
"""
_BY_ID: Final = f"""
({_CASE} WHERE id = :q LIMIT :most)
UNION ALL ({_CASE} WHERE account = ANY (:accounts) AND charge_id = :q ORDER BY id DESC LIMIT :most)
UNION ALL ({_CASE} WHERE account = ANY (:accounts) AND customer_id = :q ORDER BY id DESC LIMIT :most)
UNION ALL (SELECT 'refund', id, state, amount_minor, currency, intended_at FROM refunds
           WHERE id = :q OR (account = ANY (:accounts) AND stripe_refund_id = :q) LIMIT :most)
UNION ALL (SELECT 'refund', id, state, amount_minor, currency, intended_at FROM refunds
           WHERE account = ANY (:accounts) AND charge_id = :q LIMIT :most)
UNION ALL (SELECT 'job', id, actor || ', ' || state, NULL, NULL, created_at FROM jobs WHERE id = :q LIMIT :most)
UNION ALL (SELECT 'event', event_id, type, NULL, NULL, received_at FROM inbox
           WHERE account = ANY (:accounts) AND event_id = :q LIMIT :most)
UNION ALL (SELECT 'event', event_id, type, NULL, NULL, received_at FROM inbox WHERE object_id = :q
           ORDER BY received_at DESC LIMIT :most)
UNION ALL (SELECT 'dispute', dispute_id, status, NULL, NULL, looked_at FROM disputes
           WHERE account = ANY (:accounts) AND dispute_id = :q LIMIT :most)
"""  # noqa: S608 - constants of this module
_BY_MAILBOX: Final = f"""
{_CASE} WHERE account = ANY (:accounts) AND customer_id IN (
    SELECT customer_id FROM customer_identities
    WHERE account = ANY (:accounts) AND kind = 'email' AND digest = :digest)
ORDER BY id DESC LIMIT :most
"""  # noqa: S608 - constants of this module
# Each amount for itself, from the end of its stretch of the index: nearly every case may have the one, none the other.
_BY_AMOUNT: Final = f"""
SELECT found.* FROM unnest(CAST(:amounts AS bigint[])) AS wanted (minor)
CROSS JOIN LATERAL ({_CASE} WHERE amount_minor = wanted.minor ORDER BY id DESC LIMIT :most) AS found
"""  # noqa: S608 - constants of this module


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """One thing that was found. `amount_minor` is in minor units of `currency`, where the thing has an amount."""

    kind: str
    id: str
    told: str
    amount_minor: int | None
    currency: str | None
    at: datetime


def search(connection: Connection, query: str, *, accounts: Sequence[str]) -> Sequence[Hit]:
    """What these words name: an address if there is an @, an amount if they are a number, else an id; newest first.

    An address is compared as a mailbox, in any spelling; nothing is compared in part.
    """
    query = query.strip()[:MOST_QUERY]
    if not query or not query.isprintable():
        return ()
    values: dict[str, object] = {"q": query, "accounts": list(accounts), "most": MOST_HITS}
    if "@" in query:
        return _hits(connection, _BY_MAILBOX, values | {"digest": email_digest(query)})
    if amounts := amounts_meant(query):
        return _hits(connection, _BY_AMOUNT, values | {"amounts": amounts})
    return _hits(connection, _BY_ID, values)


def amounts_meant(words: str) -> list[int]:
    """The amounts in minor units that a number may mean: `49` and `49.00` are 4900 cents, 49 yen, 49,000 fils."""
    plain = words.replace(" ", "").removeprefix("$").removeprefix("€").removeprefix("£")
    try:
        amount = Decimal(plain.replace(",", "." if plain.count(",") == 1 and "." not in plain else ""))
    except InvalidOperation:
        return []
    if not amount.is_finite() or not 0 <= amount < 10**12:  # a trillion is no amount of a charge
        return []
    exact = (amount.scaleb(digits) for digits in (0, 2, 3))
    return sorted({int(minor) for minor in exact if minor == minor.to_integral_value()})


def _hits(connection: Connection, statement: str, values: Mapping[str, object]) -> Sequence[Hit]:
    rows = connection.execute(sa.text(statement), values)
    unique = {(row.kind, row.id): Hit(**row._mapping) for row in rows}
    return sorted(unique.values(), key=lambda hit: hit.at, reverse=True)[:MOST_HITS]
