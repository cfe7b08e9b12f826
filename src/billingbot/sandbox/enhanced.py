"""Enhanced evidence: what Visa's and Mastercard's programmes ask for, and whether it has been given.

https://docs.stripe.com/disputes/api/visa-ce3 and https://docs.stripe.com/disputes/api/visa-compliance
"""

from typing import Final

from billingbot.sandbox import forms
from billingbot.sandbox.errors import refused
from billingbot.sandbox.tables import Obj

CE3: Final = "visa_compelling_evidence_3"
COMPLIANCE: Final = ("visa_compliance", "mastercard_compliance")
TYPES: Final = (CE3, *COMPLIANCE)
PRIOR_TRANSACTIONS: Final = 2  # "exactly two prior undisputed transactions"
NETWORK_FEE: Final = 50_000  # 500 USD for contesting a Visa compliance dispute, given back on a win

_IDENTIFIERS: Final = (
    "customer_account_id", "customer_device_fingerprint", "customer_device_id", "customer_email_address",
    "customer_purchase_ip", "shipping_address",
)  # fmt: skip
_acknowledged = forms.nested(fee_acknowledged=forms.boolean)
FORM: Final = forms.nested(
    visa_compelling_evidence_3=forms.anything, visa_compliance=_acknowledged, mastercard_compliance=_acknowledged
)


def eligibility(types: list[str], given: Obj) -> Obj:
    """`evidence_details.enhanced_eligibility` of a dispute of these types, by the enhanced evidence it has."""
    return {name: _ce3(given.get(CE3) or {}) if name == CE3 else _fee(given.get(name) or {}) for name in types}


def _fee(given: Obj) -> Obj:
    return {"status": "fee_acknowledged" if given.get("fee_acknowledged") else "requires_fee_acknowledgement"}


def _ce3(given: Obj) -> Obj:
    disputed, prior = given.get("disputed_transaction") or {}, given.get("prior_undisputed_transactions") or []
    missing = {
        "missing_customer_identifiers": not any(disputed.get(name) for name in _IDENTIFIERS),
        "missing_disputed_transaction_description": not disputed.get("product_description"),
        "missing_merchandise_or_services": not disputed.get("merchandise_or_services"),
        "missing_prior_undisputed_transaction_description": not all(each.get("product_description") for each in prior),
        "missing_prior_undisputed_transactions": len(prior) != PRIOR_TRANSACTIONS,
    }
    actions = [name for name, absent in missing.items() if absent]
    return {"required_actions": actions, "status": "requires_action" if actions else "qualified"}


def status_of(details: Obj, name: str) -> str | None:
    """How far a programme is met, by a dispute's `evidence_details`; None where the dispute is not eligible."""
    told = details["enhanced_eligibility"].get(name)
    return told["status"] if told else None


def refuse_unacknowledged(details: Obj) -> None:
    """Raises StripeError 400 where a compliance dispute would be contested without accepting its fee."""
    for name in COMPLIANCE:
        if status_of(details, name) == "requires_fee_acknowledgement":
            path = f"evidence[enhanced_evidence][{name}][fee_acknowledged]"
            raise refused(f"You must acknowledge the network fee of this dispute: set {path} to true.", path)
