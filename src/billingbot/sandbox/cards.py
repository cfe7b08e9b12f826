"""Stripe's test cards: what each looks like, and what it does when it is attached, charged or refunded."""

from dataclasses import replace
from typing import Final

from billingbot.sandbox.claim import Claim
from billingbot.sandbox.plans import CardPlan
from billingbot.sandbox.state import Sandbox
from billingbot.sandbox.tables import Obj

_VISA: Final = CardPlan(number="4242424242424242")

# https://docs.stripe.com/testing
BY_TOKEN: Final[dict[str, CardPlan]] = {
    "pm_card_visa": _VISA,
    "pm_card_us": _VISA,
    "pm_card_visa_debit": replace(_VISA, number="4000056655665556", funding="debit"),
    "pm_card_mastercard": CardPlan(number="5555555555554444", brand="mastercard"),
    "pm_card_mastercard_debit": CardPlan(number="5200828282828210", brand="mastercard", funding="debit"),
    "pm_card_mastercard_prepaid": CardPlan(number="5105105105105100", brand="mastercard", funding="prepaid"),
    "pm_card_amex": CardPlan(number="378282246310005", brand="amex"),
    "pm_card_discover": CardPlan(number="6011111111111117", brand="discover"),
    "pm_card_jcb": CardPlan(number="3566002020360505", brand="jcb", country="JP"),
    "pm_card_de": CardPlan(number="4000002760000016", country="DE"),
    "pm_card_jp": CardPlan(number="4000003920000003", country="JP"),
    "pm_card_gb": CardPlan(number="4000008260000000", country="GB"),
    "pm_card_bypassPending": replace(_VISA, number="4000000000000077"),
    "pm_card_chargeCustomerFail": replace(_VISA, number="4000000000000341", charge_decline="generic_decline"),
    "pm_card_chargeDeclined": replace(_VISA, number="4000000000000002", attach_decline="generic_decline"),
    "pm_card_visa_chargeDeclined": replace(_VISA, number="4000000000000002", attach_decline="generic_decline"),
    "pm_card_visa_chargeDeclinedInsufficientFunds": replace(
        _VISA, number="4000000000009995", attach_decline="insufficient_funds"
    ),
    "pm_card_chargeDeclinedInsufficientFunds": replace(
        _VISA, number="4000000000009995", attach_decline="insufficient_funds"
    ),
    "pm_card_chargeDeclinedLostCard": replace(_VISA, number="4000000000009987", attach_decline="lost_card"),
    "pm_card_chargeDeclinedStolenCard": replace(_VISA, number="4000000000009979", attach_decline="stolen_card"),
    "pm_card_chargeDeclinedExpiredCard": replace(_VISA, number="4000000000000069", attach_decline="expired_card"),
    "pm_card_chargeDeclinedIncorrectCvc": replace(_VISA, number="4000000000000127", attach_decline="incorrect_cvc"),
    "pm_card_chargeDeclinedProcessingError": replace(
        _VISA, number="4000000000000119", attach_decline="processing_error"
    ),
    "pm_card_authenticationRequired": replace(_VISA, number="4000002500003155", needs_action=True),
    "pm_card_threeDSecure2Required": replace(_VISA, number="4000000000003220", needs_action=True),
    "pm_card_createDispute": replace(_VISA, number="4000000000000259", afterwards="needs_response"),
    "pm_card_createDisputeProductNotReceived": replace(
        _VISA, number="4000000000002685", afterwards="needs_response", dispute_reason="product_not_received"
    ),
    "pm_card_createDisputeInquiry": replace(_VISA, number="4000000000001976", afterwards="warning_needs_response"),
    "pm_card_createMultipleDisputes": replace(
        _VISA, number="4000000404000079", afterwards="needs_response", disputes=2
    ),
    "pm_card_createCe3EligibleDispute": replace(
        _VISA,
        number="4000000404000038",
        afterwards="needs_response",
        claim=Claim(enhanced=("visa_compelling_evidence_3",)),
    ),
    "pm_card_createComplianceDispute": replace(
        _VISA,
        number="4000008400000779",
        afterwards="needs_response",
        dispute_reason="noncompliant",
        claim=Claim(case_type="compliance", enhanced=("visa_compliance",)),
    ),
    "pm_card_createMastercardComplianceDispute": CardPlan(
        number="5105008400000002",
        brand="mastercard",
        afterwards="needs_response",
        dispute_reason="noncompliant",
        claim=Claim(case_type="compliance", enhanced=("mastercard_compliance",)),
    ),
    "pm_card_createAutoRepresentmentEligibleDispute": replace(
        _VISA, number="4000000001000043", afterwards="needs_response", claim=Claim(smart=True)
    ),
    "pm_card_createIssuerFraudRecord": replace(_VISA, number="4000000000005423", afterwards="warning"),
    "pm_card_refundFail": replace(_VISA, number="4000000000005126", refund_turns="failed"),
    "pm_card_pendingRefund": replace(_VISA, number="4000000000007726", refund_turns="succeeded"),
}
BY_NUMBER: Final[dict[str, CardPlan]] = {plan.number: plan for plan in BY_TOKEN.values()}


def fingerprint(box: Sandbox, plan: CardPlan) -> str:
    """The fingerprint that all uses of one card number share within the account."""
    alphabet = "ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz23456789"
    number, letters = int(plan.number) * int.from_bytes(box.account_id.encode()[-4:]), []
    for _ in range(16):  # the length of Stripe's
        number, digit = divmod(number * 31 + 7, len(alphabet))
        letters.append(alphabet[digit])
        number %= 10**24
    return "".join(letters)


def card_of_method(box: Sandbox, plan: CardPlan) -> Obj:
    """The `card` hash of a payment method."""
    return {
        "brand": plan.brand,
        "checks": {"address_line1_check": None, "address_postal_code_check": None, "cvc_check": "pass"},
        "country": plan.country,
        "display_brand": {"amex": "american_express"}.get(plan.brand, plan.brand),
        "exp_month": 12,
        "exp_year": 2034,
        "fingerprint": fingerprint(box, plan),
        "funding": plan.funding,
        "generated_from": None,
        "last4": plan.last4,
        "networks": {"available": [plan.brand], "preferred": None},
        "regulated_status": "unregulated",
        "three_d_secure_usage": {"supported": True},
        "wallet": None,
    }


def card_of_charge(box: Sandbox, method: Obj, amount: int) -> Obj:
    """The `payment_method_details.card` hash of a charge by this payment method."""
    card = method["card"]
    taken = ("brand", "checks", "country", "exp_month", "exp_year", "fingerprint", "funding", "last4")
    return {name: card[name] for name in taken} | {
        "amount_authorized": amount,
        "authorization_code": f"{box.chance.randrange(10**6):06d}",
        "extended_authorization": {"status": "disabled"},
        "incremental_authorization": {"status": "unavailable"},
        "installments": None,
        "mandate": None,
        "multicapture": {"status": "unavailable"},
        "network": card["brand"],
        "network_token": {"used": False},
        "network_transaction_id": f"{box.chance.randrange(10**15):015d}",
        "overcapture": {"maximum_amount_capturable": amount, "status": "unavailable"},
        "regulated_status": "unregulated",
        "three_d_secure": None,
        "wallet": None,
    }
