"""A past to decide again: a database filled with decided cases as a desk leaves them, by COPY."""

import random
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from multiprocessing import get_context
from typing import Any, Final

import psycopg
from tests import builders

from billingbot.core.canonical import canonical_bytes, digest
from billingbot.core.evidence.dossier import Dossier
from billingbot.core.evidence.establish import establish
from billingbot.core.facts import Facts
from billingbot.core.ids import CHANCE_BYTES, Kind, make_id
from billingbot.core.policy import Policy, decide, load_policy
from billingbot.core.policy.again import FactReader, Redecider, Verdict, facts_needed
from billingbot.core.restore import restore_facts

UNTIL: Final = datetime(2026, 11, 1, tzinfo=UTC)
SPAN: Final = timedelta(days=730)
# Two cores fill it; parts of this size keep both busy to the end.
_PART: Final = 25_000
# What the templates say, and every case says otherwise: equally long, so that bytes can be exchanged.
_AMOUNT: Final = b"4900"
_DAY: Final = b"2026-03-1"
_CHARGE: Final = b"ch_1"
_CUSTOMER: Final = b"cus_1"
_PEOPLE: Final = ("ada", "bo", "chris", "dana")
# A few plans in most currencies, and yearly ones above the limit.
_PRICES: Final = (900, 1900, 2900, 4900, 7900, 9900, 14900, 19900, 29900, 49900)
_CURRENCIES: Final = ("usd", "usd", "usd", "usd", "eur", "eur", "gbp", "cad", "aud", "chf", "jpy", "ils", "sek")

_CASES: Final = (
    "id, account, livemode, state, charge_id, customer_id, amount_minor, currency, reason, recommendation,"
    " decision_id, assignee, outcome, opened_at, decided_at, subscription_id, invoice_id, closed_at"
)
_DECISIONS: Final = (
    "id, case_id, purpose, outcome, rule, reason, clause, recommendation, facts, facts_digest, policy_digest,"
    " decision, decision_digest, decided_at"
)
_REFUNDS: Final = (
    "id, case_id, account, livemode, charge_id, amount_minor, currency, state, origin, decision_id, decided_by,"
    " intended_at, customer_id, clause, stripe_refund_id, settled_at, settlement_of"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """The facts of one kind of request, with exhibits as real ones have them, and how often it comes."""

    facts: bytes
    weight: int


def fill(url: str, cases: int, policy: Policy, *, processes: int, until: datetime = UNTIL) -> None:
    """Fills an empty, migrated database with so many decided cases, spread evenly over SPAN before `until`.

    The rows are as deciding them leaves them, facts and verdict in full; foreign keys are not looked at meanwhile.
    """
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            "INSERT INTO policies (digest, policy_id, version, source) VALUES (%s, %s, %s, %s)",
            (policy.digest, policy.id, policy.version, policy.source),
        )
    parts = [(first, min(first + _PART, cases)) for first in range(0, cases, _PART)]
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        for future in [pool.submit(_fill, url, policy.source, first, last, cases, until) for first, last in parts]:
            future.result()
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("ANALYZE cases, decisions, refunds")
        connection.execute("CHECKPOINT")


def _fill(url: str, source: str, first: int, last: int, of: int, until: datetime) -> None:
    policy = load_policy(source, filename="policy.toml")
    rows = list(_rows(policy, first, last, of, until))
    with psycopg.connect(url) as connection:
        connection.execute("SET session_replication_role = replica")
        connection.execute("SET synchronous_commit = off")
        for table, columns, types, index in (
            (
                "cases",
                _CASES,
                (
                    "text text bool text text text int8 text text text text text text timestamptz timestamptz text text"
                    " timestamptz"
                ),
                0,
            ),
            (
                "decisions",
                _DECISIONS,
                "text text text text text text text text bytea text text bytea text timestamptz",
                1,
            ),
            (
                "refunds",
                _REFUNDS,
                "text text text bool text int8 text text text text text timestamptz text text text timestamptz text",
                2,
            ),
        ):
            with (
                connection.cursor() as cursor,
                cursor.copy(f"COPY {table} ({columns}) FROM STDIN (FORMAT BINARY)") as copy,
            ):
                copy.set_types(types.split())
                for row in rows:
                    if row[index] is not None:
                        copy.write_row(row[index])


def _rows(policy: Policy, first: int, last: int, of: int, until: datetime) -> Iterator[tuple[Any, ...]]:
    chance = random.Random(first)  # noqa: S311  # the same past every time
    templates = _templates()
    reader = FactReader(facts_needed(policy))
    again = Redecider(policy, reader)
    verdicts: dict[tuple[int, Verdict], bytes] = {}
    kinds = chance.choices(range(len(templates)), [one.weight for one in templates], k=last - first)
    for number, kind in enumerate(kinds, start=first):
        at = until - SPAN + SPAN * number / of
        amount, currency = _price(chance), chance.choice(_CURRENCIES)
        names = _Names(at, amount, currency, chance)
        content = names.put_into(templates[kind].facts)
        verdict = again.verdict(reader.read(content), content)
        decision = verdicts.get((kind, verdict))
        if decision is None:
            decision = canonical_bytes(decide(restore_facts(content), policy))
            decision = verdicts[kind, verdict] = decision.replace(b"%d" % amount, _AMOUNT)
        yield _case(names, verdict, content, names.put_into(decision), policy, chance)


class _Names:
    """What is one case's own."""

    def __init__(self, at: datetime, amount: int, currency: str, chance: random.Random) -> None:
        self.at, self.amount, self.currency = at, amount, currency
        bits = chance.randbytes(CHANCE_BYTES)
        self.case, self.decision = make_id(Kind.CASE, at, bits), make_id(Kind.DECISION, at, bits)
        self.refund = make_id(Kind.REFUND, at, bits)
        self.charge, self.customer = f"ch_3{bits.hex()}", f"cus_{bits.hex()[:14]}"
        self._exchanges = (
            (_AMOUNT, b"%d" % amount),
            (_DAY, f"{at:%Y-%m-}1".encode()),
            (b'"usd"', b'"%b"' % currency.encode()),
            (_CHARGE, self.charge.encode()),
            (_CUSTOMER, self.customer.encode()),
        )

    def put_into(self, template: bytes) -> bytes:
        """The template as this case's."""
        for old, new in self._exchanges:
            template = template.replace(old, new)
        return template


def _case(
    names: _Names, verdict: Verdict, content: bytes, decision: bytes, policy: Policy, chance: random.Random
) -> tuple[Any, ...]:
    # People decide most reviews; of what the policy advises against they refund one in ten.
    decided = verdict.outcome.value == "review" and chance.random() < 0.8
    approved = decided and (verdict.recommendation.value == "refund") is not (chance.random() < 0.1)
    person = chance.choice(_PEOPLE) if decided else None
    outcome = "denied" if decided and not approved else "refunded" if approved or verdict.outcome == "refund" else None
    case = (
        names.case,
        "default",
        True,
        "closed" if outcome else "review",
        names.charge,
        names.customer,
        names.amount,
        names.currency,
        verdict.reason,
        verdict.recommendation.value,
        names.decision,
        person,
        outcome,
        names.at,
        names.at,
        names.charge.replace("ch_", "sub_"),
        names.charge.replace("ch_", "in_"),
        names.at + timedelta(hours=1) if outcome else None,
    )
    decided_row = (
        names.decision,
        names.case,
        "assess",
        verdict.outcome.value,
        verdict.rule,
        verdict.reason,
        verdict.clause,
        verdict.recommendation.value,
        content,
        digest(content),
        policy.digest,
        decision,
        digest(decision),
        names.at,
    )
    refund = (
        names.refund,
        names.case,
        "default",
        True,
        names.charge,
        names.amount,
        names.currency,
        "succeeded",
        "person" if approved else "policy",
        names.decision,
        person or f"policy:{policy.id}@{policy.version}",
        names.at,
        names.customer,
        verdict.clause,
        names.charge.replace("ch_", "re_"),
        names.at + timedelta(seconds=5),
        "succeeded",
    )
    return case, decided_row, refund if outcome == "refunded" else None


def _price(chance: random.Random) -> int:
    # One in ten is a proration, or has a tax on top: an amount that hardly another charge has.
    return chance.randrange(1000, 60_000) if chance.random() < 0.1 else chance.choice(_PRICES)


def _templates() -> Sequence[Template]:
    """What a desk sees, roughly as often as it does."""
    b = builders
    trial: dict[str, Any] = {}
    plain: list[tuple[int, dict[str, Any], dict[str, Any]]] = [
        (34, trial, {}),
        (30, trial, {"usage": (b.used(), b.unused("api-calls"))}),
        (8, trial, {"usage": (b.unreachable(), b.unused("api-calls"))}),
        (6, {"refunds": (b.a_refund(),), "charge": b.a_charge(amount_refunded_minor=b.AMOUNT)}, {}),
        (6, {"subscription": b.a_subscription(trial_start_at=None, trial_end_at=None)}, {}),
        (5, {"newer_charges": ("ch_2",)}, {}),
        (4, {"disputes": (b.a_dispute(),), "charge": b.a_charge(disputed=True)}, {}),
        (2, {"disputes": (b.an_inquiry(),), "charge": b.a_charge(disputed=True)}, {}),
        (2, {"warnings": (b.a_warning(),)}, {}),
        (2, trial, {"history": b.a_history(refunds_customer=1, refunds_card=1)}),
        (1, trial, {"history": b.a_history(complete=False, why="trials are being read in")}),
    ]
    found = []
    for weight, dossier, other in plain:
        for support in (b.no_cancellation(), b.no_cancellation(answered=False, why="timed out after 5 s", coverage=())):
            facts = _facts(b.a_dossier(**dossier), **{"support": (support,), **other})
            found.append(Template(facts=canonical_bytes(facts), weight=weight * (9 if support.answered else 1)))
    return found


def _facts(dossier: Dossier, **other: Any) -> Facts:
    given: dict[str, Any] = {
        "at": builders.NOW,
        "dossier": dossier,
        "request": builders.a_request(),
        "usage": (builders.unused(), builders.unused("api-calls")),
        "history": builders.a_history(),
        "mode": "auto",
    }
    return establish(**(given | other))
