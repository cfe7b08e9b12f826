"""Balance transactions: what each charge, refund and dispute did to the account's money, as settled."""

from decimal import ROUND_HALF_EVEN, Decimal
from typing import Final

from billingbot.core.money import minor_unit_digits
from billingbot.sandbox import forms
from billingbot.sandbox.router import Call, endpoint, listable, retrievable
from billingbot.sandbox.state import Sandbox
from billingbot.sandbox.tables import Obj

FEE_RATE: Final = Decimal("0.029")  # Stripe's standard price for cards in the US: 2.9 % and 30 cents
FEE_FIXED: Final = Decimal("0.30")
PAYOUT_DAYS: Final = 2  # the US standard from charge to available money
_DAY: Final = 86_400

_FILTERS: Final = {"source": forms.name_of, "type": forms.name_of, "currency": forms.name_of, "payout": forms.name_of}
retrievable("/v1/balance_transactions", "balance_transaction", "balance transaction")
listable("/v1/balance_transactions", "balance_transaction", _FILTERS)


def settle(box: Sandbox, amount: int, currency: str) -> tuple[int, str, Decimal | None]:
    """An amount in the charge's currency as settled: minor units, currency, and the rate between major units."""
    into, rate = box.funds.rates.get(currency, (currency, Decimal(1)))
    if into == currency:
        return amount, currency, None
    digits = minor_unit_digits(into) - minor_unit_digits(currency)
    return _whole(Decimal(amount).scaleb(digits) * rate), into, rate


def _whole(amount: Decimal) -> int:
    return int(amount.quantize(Decimal(1), rounding=ROUND_HALF_EVEN))


def processing_fee(settled: int, currency: str) -> int:
    """What Stripe keeps of a settled charge, in minor units."""
    return _whole(settled * FEE_RATE + FEE_FIXED.scaleb(minor_unit_digits(currency)))


def book(box: Sandbox, source: Obj, amount: int, entry: Obj, fee: int = 0) -> Obj:
    """Book `amount` (minor units of the source's currency, negative when it leaves). `entry` names the `type`,
    `reporting_category`, `description`, and the `fee_name` of a fee (minor units of the settled currency)."""
    settled, currency, rate = settle(box, amount, source["currency"])
    transaction: Obj = {
        "id": box.new_id("txn"),
        "object": "balance_transaction",
        "amount": settled,
        "available_on": (box.now() // _DAY + PAYOUT_DAYS) * _DAY,
        "balance_type": "payments",
        "created": box.now(),
        "currency": currency,
        "description": entry["description"],
        "exchange_rate": rate,
        "fee": fee,
        "fee_details": _fee_details(fee, currency, entry.get("fee_name", "Stripe processing fees")),
        "net": settled - fee,
        "reporting_category": entry["reporting_category"],
        "source": source["id"],
        "status": "pending",
        "type": entry["type"],
    }
    box.at(transaction["available_on"], lambda: transaction.update(status="available"))
    box.funds.available[currency] = box.funds.available.get(currency, 0) + settled - fee
    return box.tables["balance_transaction"].add(transaction)


def _fee_details(fee: int, currency: str, name: str) -> list[Obj]:
    if not fee:
        return []
    return [{"amount": fee, "application": None, "currency": currency, "description": name, "type": "stripe_fee"}]


def book_charge(box: Sandbox, charge: Obj, amount: int) -> Obj:
    """The money of a captured charge comes in, less the fee."""
    settled, currency, _ = settle(box, amount, charge["currency"])
    entry = {"type": "charge", "reporting_category": "charge", "description": charge["description"]}
    return book(box, charge, amount, entry, processing_fee(settled, currency))


def covers(box: Sandbox, amount: int, currency: str) -> bool:
    """True where the available money is enough; always, unless the balance was limited by command."""
    settled, into, _ = settle(box, amount, currency)
    return into not in box.funds.limited or box.funds.available.get(into, 0) >= settled


@endpoint("GET", "/v1/balance")
def balance(call: Call) -> Obj:
    """The account's balance. Simplified: all money counts as available at once."""
    held = call.box.funds.available or {call.box.options.currency: 0}
    amounts = [{"amount": each, "currency": name, "source_types": {"card": each}} for name, each in held.items()]
    return {
        "object": "balance",
        "available": amounts,
        "livemode": call.box.livemode,
        "pending": [{**each, "amount": 0, "source_types": {"card": 0}} for each in amounts],
        "refund_and_dispute_prefunding": {"available": [], "pending": []},
    }
