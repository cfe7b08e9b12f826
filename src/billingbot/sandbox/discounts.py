"""Discounts: coupons given to a subscription, and what they take off an invoice."""

from decimal import ROUND_HALF_UP, Decimal

from billingbot.sandbox.errors import missing
from billingbot.sandbox.state import Sandbox
from billingbot.sandbox.tables import Obj, snapshot
from billingbot.sandbox.terms import boundary_after

_MONTH = {"interval": "month", "interval_count": 1}


def new_discount(box: Sandbox, coupon_id: str, customer: str, subscription: str | None, param: str) -> Obj:
    """A coupon redeemed. Raises StripeError `resource_missing` for a coupon that is not there."""
    coupon = box.tables["coupon"].get(coupon_id)
    if coupon is None:
        raise missing("coupon", coupon_id, param, 400)
    coupon["times_redeemed"] += 1
    end = None
    if coupon["duration"] == "repeating":
        end = _after_months(box.now(), coupon["duration_in_months"] or 1)
    discount: Obj = {
        "id": box.new_id("di"),
        "object": "discount",
        "checkout_session": None,
        "customer": customer,
        "customer_account": None,
        "end": end,
        "invoice": None,
        "invoice_item": None,
        "promotion_code": None,
        "source": {"coupon": coupon_id, "type": "coupon"},
        "start": box.now(),
        "subscription": subscription,
        "subscription_item": None,
    }
    # A discount is expanded long after its coupon may have been deleted.
    box.terms_of_coupons[discount["id"]] = snapshot(coupon)
    return box.tables["discount"].add(discount)


def _after_months(start: int, months: int) -> int:
    return boundary_after(start, {**_MONTH, "interval_count": months}, start)


def applying(box: Sandbox, discounts: list[str], spent: set[str]) -> list[str]:
    """Those of the discounts that still apply: not ended, and not spent where they hold only once."""
    tables = box.tables["discount"]
    return [each for each in discounts if each not in spent and _runs(tables.rows[each], box.now())]


def _runs(discount: Obj, now: int) -> bool:
    return discount["end"] is None or now < discount["end"]


def holds_once(box: Sandbox, discount: str) -> bool:
    """True for a discount that is spent by its first invoice above zero."""
    return bool(box.terms_of_coupons[discount]["duration"] == "once")


def discount_lines(box: Sandbox, discounts: list[str], lines: list[Obj]) -> list[Obj]:
    """Take the discounts off the lines, one after the other; returns the invoice's totals per discount."""
    left = {each["id"]: max(0, each["amount"]) for each in lines if each["discountable"]}
    for each in lines:
        each["discount_amounts"] = []
    totals = []
    for discount in discounts:
        coupon, taken = box.terms_of_coupons[discount], 0
        rest = coupon["amount_off"] or 0
        for each in lines:
            before = left.get(each["id"], 0)
            off = min(before, rest) if coupon["amount_off"] else _percent(before, coupon["percent_off"])
            rest -= off if coupon["amount_off"] else 0
            left[each["id"]] = before - off
            taken += off
            each["discount_amounts"].append({"amount": off, "discount": discount})
        totals.append({"amount": taken, "discount": discount})
    return totals


def _percent(amount: int, percent: int | Decimal) -> int:
    return int((amount * Decimal(percent) / 100).quantize(Decimal(1), rounding=ROUND_HALF_UP))
