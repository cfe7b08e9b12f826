"""What the disputes of a charge mean for its money: asked for, withdrawn, returned, or won back."""

from collections.abc import Mapping
from typing import Final

from billingbot.core.answer import Answer, unknown, yes_or_no
from billingbot.core.dispute_life import returned_money
from billingbot.core.dossier import (
    CHARGEBACK_OPEN,
    DISPUTE_STATUSES,
    INQUIRY_OPEN,
    WON,
    Dispute,
    Dossier,
)


def dispute_answers(dossier: Dossier) -> Mapping[str, Answer]:
    """The dispute facts by their names in the catalogue.

    A status we do not know leaves all of them open but `none`: it may mean that money moved. So does a charge that
    says it is disputed where Stripe lists no dispute: the list is behind.
    """
    disputes = dossier.disputes
    if not disputes and dossier.charge.disputed:
        return dict.fromkeys(_NAMES, unknown("the charge is marked as disputed, and Stripe lists no dispute yet"))
    none = {"dispute.none": yes_or_no(holds=not disputes)}
    strange = sorted({d.status for d in disputes} - DISPUTE_STATUSES)
    if strange:
        return dict.fromkeys(_NAMES, unknown(f"a dispute has a status we do not know: {strange[0]}")) | none
    return none | {
        "dispute.open_inquiry": yes_or_no(holds=any(d.status in INQUIRY_OPEN for d in disputes)),
        "dispute.open_chargeback": yes_or_no(holds=any(_is_open_chargeback(d) for d in disputes)),
        "dispute.money_returned": _money_returned(dossier),
        "dispute.won": yes_or_no(holds=any(d.status in WON for d in disputes)),
        "dispute.allows_refund": _allows_refund(dossier),
    }


_NAMES: Final = (
    "dispute.none",
    "dispute.open_inquiry",
    "dispute.open_chargeback",
    "dispute.money_returned",
    "dispute.won",
    "dispute.allows_refund",
)


def _is_open_chargeback(dispute: Dispute) -> bool:
    return dispute.status in CHARGEBACK_OPEN and not returned_money(dispute)


def _money_returned(dossier: Dossier) -> Answer:
    returned = [dispute for dispute in dossier.disputes if returned_money(dispute)]
    if not returned:
        return yes_or_no(holds=False)
    charge = dossier.charge
    same_currency = all(dispute.currency == charge.currency for dispute in returned)
    given_back = sum(dispute.amount_minor for dispute in returned) + charge.amount_refunded_minor
    if same_currency and given_back >= charge.amount_captured_minor:
        return yes_or_no(holds=True)
    return unknown("a dispute gave back a part of the charge, or an amount in another currency")


def _allows_refund(dossier: Dossier) -> Answer:
    charge = dossier.charge
    if any(d.currency == charge.currency and d.amount_minor > charge.amount_captured_minor for d in dossier.disputes):
        return unknown("a dispute covers more than this charge")
    return yes_or_no(holds=all(dispute.is_charge_refundable for dispute in dossier.disputes))
