"""Purchase facts: what the product pushed about a customer's purchase, the newest of each."""

from collections.abc import Mapping
from typing import Final

import sqlalchemy as sa
from sqlalchemy import Connection
from sqlalchemy.dialects.postgresql import insert

from billingbot.core.disputes.purchase_facts import PurchaseFact, Told
from billingbot.store.schema import purchase_facts as table

_NOW: Final = sa.func.clock_timestamp()


def tell(connection: Connection, account: str, customer_id: str, facts: Mapping[PurchaseFact, str | None]) -> None:
    """Keeps the facts; a value of None takes what was told away."""
    for name in sorted(facts):  # one lock order for racing pushes
        values = {"value": facts[name], "told_at": _NOW}
        connection.execute(
            insert(table)
            .values(account=account, customer_id=customer_id, name=name, **values)
            .on_conflict_do_update(index_elements=["account", "customer_id", "name"], set_=values)
        )


def of_customer(connection: Connection, account: str, customer_id: str) -> Mapping[PurchaseFact, Told]:
    """What is known of the customer's purchase."""
    rows = connection.execute(
        sa.select(table).where(
            table.c.account == account, table.c.customer_id == customer_id, table.c.value.is_not(None)
        )
    )
    return {PurchaseFact(row.name): Told(value=row.value, told_at=row.told_at) for row in rows}
