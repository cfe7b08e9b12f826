"""Returned twice: a customer who has a refund and, through a dispute, the same money again; a person sees to it."""

from billingbot.core.books.breaks import BreakKind, Mismatch, Side
from billingbot.core.disputes.life import returned_money
from billingbot.core.evidence.dossier import Dispute
from billingbot.flows.desk import Account, Desk
from billingbot.store import agreement
from billingbot.store.database import transaction


def returned_twice(desk: Desk, account: Account, found: Dispute) -> Mismatch | None:
    """The break where refunds of the charge and its disputes gave back more than was taken; None where they did not.

    Asks Stripe for the charge only where there is a refund: no transaction may be open. Raises StripeFaultError kinds.
    """
    if not returned_money(found):
        return None
    with transaction(desk.db) as connection:
        refunded = agreement.refunded_by_charge(connection, account.name, [found.charge_id]).get(found.charge_id, 0)
    if not refunded:
        return None
    charge = account.stripe.charge(found.charge_id)
    returned = [one for one in account.stripe.disputes_of_charge(found.charge_id) if returned_money(one)]
    in_one_currency = all(one.currency == charge.currency for one in returned)
    total = refunded + sum(one.amount_minor for one in returned)
    if not returned or (in_one_currency and total <= charge.amount_captured_minor):
        return None
    return Mismatch(
        kind=BreakKind.RETURNED_TWICE,
        object_id=found.id,
        charge_id=found.charge_id,
        refund_id=None,
        expected=Side(amount_minor=refunded, currency=charge.currency, status="refunded"),
        found=Side(amount_minor=found.amount_minor, currency=found.currency, status=found.status),
    )
