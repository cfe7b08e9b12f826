"""Early fraud warnings: the bank's first word that a cardholder denies a charge."""

from typing import Final

from billingbot.sandbox import forms
from billingbot.sandbox.events import changing, emit
from billingbot.sandbox.router import listable, retrievable
from billingbot.sandbox.state import Sandbox
from billingbot.sandbox.tables import Obj

FRAUD_TYPES: Final = (
    "card_never_received", "fraudulent_card_application", "made_with_counterfeit_card", "made_with_lost_card",
    "made_with_stolen_card", "misc", "unauthorized_use_of_card",
)  # fmt: skip

retrievable("/v1/radar/early_fraud_warnings", "radar.early_fraud_warning", "early fraud warning")
listable(
    "/v1/radar/early_fraud_warnings",
    "radar.early_fraud_warning",
    {"charge": forms.name_of, "payment_intent": forms.name_of},
)


def warn(box: Sandbox, charge: Obj, fraud_type: str = "misc") -> Obj:
    """A warning on a charge. Raises ValueError for a type that Stripe does not know."""
    if fraud_type not in FRAUD_TYPES:
        raise ValueError(f"fraud_type: expected one of {', '.join(FRAUD_TYPES)}, got {fraud_type!r}")
    warning: Obj = {
        "id": box.new_id("issfr"),
        "object": "radar.early_fraud_warning",
        "actionable": _actionable(charge),
        "charge": charge["id"],
        "created": box.now(),
        "fraud_type": fraud_type,
        "livemode": box.livemode,
        "payment_intent": charge["payment_intent"],
    }
    box.tables["radar.early_fraud_warning"].add(warning)
    emit(box, "radar.early_fraud_warning.created", warning)
    return warning


def _actionable(charge: Obj) -> bool:
    return not charge["disputed"] and not charge["refunded"]


def refresh_warnings(box: Sandbox, charge: Obj) -> None:
    """A dispute or a full refund ends what can be done about a warning."""
    for warning in box.tables["radar.early_fraud_warning"].find("charge", charge["id"]):
        with changing(box, warning, "radar.early_fraud_warning.updated"):
            warning["actionable"] = warning["actionable"] and _actionable(charge)
