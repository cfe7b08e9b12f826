"""The dispute facts of the catalogue, out of where the charge's money stands."""

from collections.abc import Mapping
from typing import Final

from billingbot.core.evidence.answer import Answer, unknown, yes_or_no
from billingbot.core.evidence.dossier import Dossier
from billingbot.core.money_state import Standing, standing_of

_NAMES: Final = (
    "dispute.none",
    "dispute.open_inquiry",
    "dispute.open_chargeback",
    "dispute.money_returned",
    "dispute.won",
    "dispute.allows_refund",
)


def dispute_answers(dossier: Dossier) -> Mapping[str, Answer]:
    """The dispute facts by their names in the catalogue.

    A status we do not know leaves all of them open but `none`: it may mean that money moved. So does a charge that
    says it is disputed where Stripe lists no dispute: the list is behind.
    """
    at = standing_of(dossier)
    if at.is_behind:
        return dict.fromkeys(_NAMES, unknown("the charge is marked as disputed, and Stripe lists no dispute yet"))
    none = {"dispute.none": yes_or_no(holds=not dossier.disputes)}
    if at.strange:
        return dict.fromkeys(_NAMES, unknown(f"a dispute has a status we do not know: {at.strange[0]}")) | none
    return none | {
        "dispute.open_inquiry": yes_or_no(holds=at.open_inquiry),
        "dispute.open_chargeback": yes_or_no(holds=at.open_chargeback),
        "dispute.money_returned": _money_returned(at),
        "dispute.won": yes_or_no(holds=at.won),
        "dispute.allows_refund": _allows_refund(at),
    }


def _money_returned(at: Standing) -> Answer:
    if not (at.lost or at.prevented):
        return yes_or_no(holds=False)
    if not at.is_wider and at.returned_minor + at.refunded_minor >= at.captured_minor:
        return yes_or_no(holds=True)
    return unknown("a dispute gave back a part of the charge, more than it, or an amount in another currency")


def _allows_refund(at: Standing) -> Answer:
    """Stripe's no holds whatever the dispute covers; its yes only where that is this charge alone."""
    if not at.stripe_allows:
        return yes_or_no(holds=False)
    if at.is_wider:
        return unknown("a dispute covers more than this charge, or is in another currency")
    return yes_or_no(holds=True)
