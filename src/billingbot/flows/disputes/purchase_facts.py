"""Purchase facts: the product tells what a bank may ask about a purchase and Stripe does not know."""

from collections.abc import Mapping

from billingbot.core.access.powers import Power
from billingbot.core.disputes.purchase_facts import PurchaseFact, checked
from billingbot.flows.desk import Desk
from billingbot.store import purchase_facts
from billingbot.store.database import transaction


def tell_purchase(desk: Desk, account: str, customer_id: str, facts: Mapping[PurchaseFact, str | None]) -> None:
    """Keeps the facts of a customer's purchase, the newest of each; None takes one away. InputError names the field.

    Drafts made from then on say them. They are personal: none of them stands in the ledger.
    """
    desk.require(Power.PUSH)
    desk.account(account)
    told = checked(facts)
    with transaction(desk.db) as connection:
        purchase_facts.tell(connection, account, customer_id, told)
