"""The plots' sums, read stretch by stretch from indexes, are those of all rows, one by one."""

from collections import defaultdict
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from statistics import median
from typing import Any

import pytest
import sqlalchemy as sa

from billingbot.core.books.month import Month
from billingbot.core.ids import Kind, make_id
from billingbot.store.schema import approvals, balance_transactions, cases, refunds
from billingbot.store.views import finance
from billingbot.store.views.finance import LogFilter

ZONE = "Europe/Zurich"
MONTHS = (Month(2026, 2), Month(2026, 3), Month(2026, 4), Month(2026, 5))
BOUNDS = tuple(month.begins(ZONE) for month in MONTHS)
# Every 37 hours from before the first bound to behind the last, and each bound itself, to the microsecond.
TIMES = (
    *(datetime(2026, 1, 25, tzinfo=UTC) + n * timedelta(hours=37) for n in range(90)),
    *(at + step for at in BOUNDS for step in (timedelta(microseconds=-1), timedelta(0))),
)


def _id(kind: Kind, number: int) -> str:
    return make_id(kind, TIMES[number], number.to_bytes(10))


def _rows() -> tuple[list[dict[str, Any]], list[dict[str, Any]], list[dict[str, Any]]]:
    made, denied, moved = [], [], []
    for n, at in enumerate(TIMES):
        of_it = {
            "account": ("default", "second")[n % 2],
            "amount_minor": 100 + n,
            "currency": ("usd", "eur")[n % 5 == 0],
        }
        case = {**of_it, "id": _id(Kind.CASE, n), "livemode": False, "charge_id": f"ch_{n}"}
        denied.append({**case, "state": "closed", "outcome": ("denied", "refunded")[n % 3 == 0], "closed_at": at})
        origin = ("policy", "person", "external")[n % 3]
        made.append(
            {
                **of_it,
                "id": _id(Kind.REFUND, n),
                "livemode": False,
                "charge_id": f"ch_{n}",
                "state": "succeeded",
                "origin": origin,
                "clause": (None, "unused", "twice")[n % 7 % 3],
                "decided_by": ("ada", "bo")[n % 2],
                "intended_at": at,
                "asked_at": None if origin == "external" else at - timedelta(seconds=n * n % 91),
            }
        )
        moved.append(
            {
                "account": of_it["account"],
                "id": f"txn_{n}",
                "movement": ("withdrawn", "reinstated", "refund")[n % 3],
                "type": "adjustment",
                "category": "dispute",
                "amount_minor": -n,
                "fee_minor": 15,
                "currency": of_it["currency"],
                "created_at": at,
                "available_on": at,
                "status": "available",
            }
        )
    return made, denied, moved


def _slowly(rows: list[dict[str, Any]], moment: str, name: str) -> dict[tuple[datetime, str], list[dict[str, Any]]]:
    found = defaultdict(list)
    for row in rows:
        for since, until in pairwise(BOUNDS):
            if since <= row[moment] < until:
                found[since, row[name] or ""].append(row)
    return found


@pytest.mark.parametrize(
    "filters", [LogFilter(), LogFilter(account="second"), LogFilter(currency="eur"), LogFilter(person="ada")]
)
def test_sums_by_month_are_those_of_the_rows(db: sa.Engine, filters: LogFilter) -> None:
    made, denied, moved = _rows()
    approved = made[3]["id"]
    with db.begin() as connection:
        for table, rows in ((cases, denied), (refunds, made), (balance_transactions, moved)):
            connection.execute(table.insert(), rows)
        connection.execute(
            approvals.insert().values(
                id=_id(Kind.APPROVAL, 3), case_id=denied[3]["id"], amount_minor=1, currency="usd", maker="ada",
                maker_key="ada", checker="bo", checker_key="bo", refund_id=approved,
            )
        )  # fmt: skip

    def wanted(row: dict[str, Any]) -> bool:
        of_person = filters.person in {None, row.get("decided_by")} or row["id"] == approved
        return filters.account in {None, row["account"]} and filters.currency in {None, row["currency"]} and of_person

    with db.begin() as connection:
        by_clause = finance.by_clause(connection, filters, BOUNDS)
        seconds = finance.request_to_decision(connection, filters, BOUNDS)
        kept = finance.kept_by_review(connection, filters, BOUNDS)
        first = finance.first_month(connection, ["default", "second"])
        none = finance.by_clause(connection, filters, ())
    assert (first, none) == (TIMES[0], ())

    mine = [row for row in made if wanted(row)]
    clauses = _slowly(mine, "intended_at", "clause")
    assert {(one.at, one.name): (one.count, one.minor) for one in by_clause} == {
        key: (len(rows), sum(row["amount_minor"] for row in rows)) for key, rows in clauses.items()
    }
    ours = _slowly([{**row, "no": ""} for row in mine if row["asked_at"] is not None], "intended_at", "no")
    took = {
        (at, name): median((row["intended_at"] - row["asked_at"]).total_seconds() for row in rows)
        for (at, name), rows in ours.items()
    }
    assert {(one.at, one.name): one.seconds for one in seconds} == took
    declined = _slowly(
        [row for row in denied if row["outcome"] == "denied" and (filters.person or wanted(row))],
        "closed_at",
        "currency",
    )
    assert {(one.at, one.name): (one.count, one.minor) for one in kept} == {
        key: (len(rows), sum(row["amount_minor"] for row in rows)) for key, rows in declined.items()
    }


def test_what_disputes_took_by_month_is_that_of_their_transactions(db: sa.Engine) -> None:
    _, _, moved = _rows()
    with db.begin() as connection:
        connection.execute(balance_transactions.insert(), moved)
        cost = finance.dispute_cost(connection, LogFilter(account="second"), BOUNDS)
    of_disputes = [row for row in moved if row["movement"] != "refund" and row["account"] == "second"]
    assert {(one.at, one.name): (one.count, one.minor) for one in cost} == {
        key: (len(rows), sum(row["fee_minor"] - row["amount_minor"] for row in rows))
        for key, rows in _slowly(of_disputes, "created_at", "currency").items()
    }
