"""`/v1/subscriptions`: create, read, cancel. Changes live in `subscription_changes`."""

from typing import Any, Final

from billingbot.sandbox import forms, pages
from billingbot.sandbox.billing import (
    INCOMPLETE_SECONDS,
    bill_now,
    end_subscription,
    expire_incomplete,
    method_for,
    pay_open,
    period_lines,
    schedule,
    set_status,
    subscription_invoice,
    trial_lines,
)
from billingbot.sandbox.catalog import plan_of
from billingbot.sandbox.discounts import new_discount
from billingbot.sandbox.errors import StripeError, invalid, missing, refused
from billingbot.sandbox.events import emit
from billingbot.sandbox.invoices import finalize, line, once_parent
from billingbot.sandbox.payment_methods import resolve
from billingbot.sandbox.router import Call, endpoint, list_of, retrievable
from billingbot.sandbox.state import Sandbox
from billingbot.sandbox.tables import Obj
from billingbot.sandbox.terms import Terms, boundary_after

_DAY: Final = 86_400
DISCOUNTS: Final = forms.many(forms.nested(coupon=forms.name_of, discount=forms.name_of, promotion_code=forms.name_of))
ITEM: Final = {
    "price": forms.name_of,
    "plan": forms.name_of,
    "quantity": forms.integer(0),
    "metadata": forms.metadata,
    "price_data": forms.anything,
    "discounts": DISCOUNTS,
    "tax_rates": forms.anything,
}
TRIAL_SETTINGS: Final = forms.nested(
    end_behavior=forms.nested(missing_payment_method=forms.one_of("cancel", "create_invoice", "pause"))
)
IGNORED: Final = dict.fromkeys(
    ("off_session", "payment_settings", "automatic_tax", "default_tax_rates", "invoice_settings", "billing_thresholds",
     "application_fee_percent", "transfer_data", "on_behalf_of", "description", "billing_mode", "default_source",
     "pending_invoice_item_interval", "trial_from_plan"),
    forms.anything,
)  # fmt: skip
_CREATE: Final = {
    **IGNORED,
    "customer": forms.name_of,
    "items": forms.many(forms.nested(**ITEM)),
    "plan": forms.name_of,
    "quantity": forms.integer(0),
    "trial_period_days": forms.integer(0, 730),
    "trial_end": forms.moment_or("now"),
    "trial_settings": TRIAL_SETTINGS,
    "coupon": forms.text,
    "discounts": DISCOUNTS,
    "add_invoice_items": forms.many(
        forms.nested(price=forms.name_of, quantity=forms.integer(1), discounts=forms.anything)
    ),
    "default_payment_method": forms.text,
    "billing_cycle_anchor": forms.moment,
    "proration_behavior": forms.one_of("always_invoice", "create_prorations", "none"),
    "collection_method": forms.one_of("charge_automatically", "send_invoice"),
    "days_until_due": forms.integer(1),
    "cancel_at": forms.moment_or(),
    "cancel_at_period_end": forms.boolean,
    "payment_behavior": forms.one_of(
        "allow_incomplete", "default_incomplete", "error_if_incomplete", "pending_if_incomplete"
    ),
    "metadata": forms.metadata,
    "currency": forms.name_of,
}

retrievable("/v1/subscriptions", "subscription", "subscription")

_LIST: Final = {
    **pages.PAGING,
    "customer": forms.name_of,
    "status": forms.one_of(
        "active", "all", "canceled", "ended", "incomplete", "incomplete_expired", "past_due", "paused", "trialing",
        "unpaid",
    ),
    "price": forms.name_of,
    "plan": forms.name_of,
    "created": forms.created,
    "collection_method": forms.text,
    "current_period_end": forms.created,
    "current_period_start": forms.created,
}  # fmt: skip


@endpoint("GET", "/v1/subscriptions", _LIST)
def listing(call: Call) -> Obj:
    """Subscriptions; without `status`, those that have not ended."""
    status, price = call.params.pop("status", None), call.params.pop("price", None)

    def keep(subscription: Obj) -> bool:
        over = subscription["status"] in ("canceled", "incomplete_expired")
        fits = {None: subscription["status"] != "canceled", "all": True, "ended": over}
        right = fits.get(status, subscription["status"] == status)
        return right and (price is None or any(each["price"]["id"] == price for each in subscription["items"]["data"]))

    return list_of(call, "subscription", ("customer", "collection_method"), keep)


def price_of(box: Sandbox, item: Obj, param: str) -> Obj:
    """The price an item names, by `price` or by the older `plan`."""
    if "price" in item:
        return _recurring(box.need("price", item["price"], "price", f"{param}[price]"), f"{param}[price]")
    if "plan" not in item:
        raise invalid(f"Missing required param: {param}[price].", f"{param}[price]", "parameter_missing")
    found = box.tables["price"].get(item["plan"])
    if found is None:
        raise missing("plan", item["plan"], "plan", 400)
    return _recurring(found, "plan")


def _recurring(price: Obj, param: str) -> Obj:
    if price["recurring"] is None:
        message = (
            "The price specified is set to `type=one_time` but this field only accepts prices with `type=recurring`."
        )
        raise refused(message, param)
    return price


def new_item(box: Sandbox, subscription: str, price: Obj, given: Obj) -> Obj:
    """An item of a subscription."""
    return {
        "id": box.new_id("si", 14),
        "object": "subscription_item",
        "billing_thresholds": None,
        "created": box.now(),
        "current_period_end": None,
        "current_period_start": None,
        "discounts": [],
        "metadata": forms.merge_metadata({}, given.get("metadata")),
        "plan": plan_of(price),
        "price": price,
        "quantity": given.get("quantity", 1),
        "subscription": subscription,
        "tax_rates": [],
    }


def _blank(box: Sandbox, given: Obj, subscription_id: str, items: list[Obj]) -> Obj:
    nulls = ("application", "application_fee_percent", "billing_cycle_anchor_config", "billing_thresholds", "cancel_at",
             "canceled_at", "customer_account", "default_source", "description", "ended_at", "latest_invoice",
             "next_pending_invoice_item_invoice", "on_behalf_of", "pause_collection", "pending_invoice_item_interval",
             "pending_setup_intent", "pending_update", "schedule", "test_clock", "transfer_data", "trial_end",
             "trial_start")  # fmt: skip
    now = box.now()
    behaviour = ((given.get("trial_settings") or {}).get("end_behavior") or {}).get("missing_payment_method")
    made: Obj = {
        "id": subscription_id,
        "object": "subscription",
        **dict.fromkeys(nulls),
        "automatic_tax": {"disabled_reason": None, "enabled": False, "liability": None},
        "billing_cycle_anchor": now,
        "billing_mode": {"flexible": {"proration_discounts": "included"}, "type": "flexible", "updated_at": now},
        "cancel_at_period_end": given.get("cancel_at_period_end", False),
        "cancellation_details": {"comment": None, "feedback": None, "reason": None},
        "collection_method": given.get("collection_method", "charge_automatically"),
        "created": now,
        "currency": items[0]["price"]["currency"],
        "customer": given["customer"],
        "days_until_due": given.get("days_until_due"),
        "default_payment_method": None,
        "default_tax_rates": [],
        "discounts": [],
        "invoice_settings": {"account_tax_ids": None, "issuer": {"type": "self"}},
        "items": {
            "object": "list",
            "data": items,
            "has_more": False,
            "total_count": len(items),
            "url": f"/v1/subscription_items?subscription={subscription_id}",
        },
        "livemode": box.livemode,
        "metadata": forms.merge_metadata({}, given.get("metadata")),
        "payment_settings": {
            "payment_method_options": None, "payment_method_types": None, "save_default_payment_method": "off",
        },
        "plan": items[0]["plan"] if len(items) == 1 else None,
        "quantity": items[0]["quantity"] if len(items) == 1 else None,
        "start_date": now,
        "status": "active",
        "trial_settings": {"end_behavior": {"missing_payment_method": behaviour or "create_invoice"}},
    }  # fmt: skip
    return made


@endpoint("POST", "/v1/subscriptions", _CREATE, ("customer",))
def create(call: Call) -> Obj:
    """A subscription, with a trial or paid at once."""
    box, given = call.box, call.params
    box.need("customer", given["customer"], "customer", "customer")
    subscription = _shape(box, given)
    _dates(box, subscription, given)
    extra = [_extra_line(box, subscription, each, at) for at, each in enumerate(given.get("add_invoice_items", []))]
    if default := given.get("default_payment_method"):
        subscription["default_payment_method"] = resolve(box, default, "default_payment_method")["id"]
    _need_method(box, subscription, given)
    give_discounts(box, subscription, given)
    box.terms[subscription["id"]] = Terms()
    box.tables["subscription"].add(subscription)
    error = _first_invoice(box, subscription, extra, given.get("payment_behavior", "allow_incomplete"))
    if error is not None:
        raise error
    return subscription


def _shape(box: Sandbox, given: Obj) -> Obj:
    subscription_id = box.new_id("sub")
    named = given.get("items") or ([{**given}] if "plan" in given else [])
    if not named:
        raise invalid("Missing required param: items.", "items", "parameter_missing")
    items = []
    for at, each in enumerate(named):
        price = price_of(box, each, f"items[{at}]")
        items.append(new_item(box, subscription_id, price, each if "items" in given else {
            "quantity": given.get("quantity", 1)}))  # fmt: skip
    return _blank(box, given, subscription_id, items)


def _dates(box: Sandbox, subscription: Obj, given: Obj) -> None:
    now, trial_end = box.now(), given.get("trial_end")
    days = given.get("trial_period_days")
    if days and trial_end is not None:
        raise invalid("You can only specify one of `trial_end` or `trial_period_days`.", "trial_end")
    if days:
        trial_end = now + days * _DAY
    if isinstance(trial_end, int) and trial_end <= now:
        raise refused("Invalid timestamp: trial_end must be an integer Unix timestamp in the future.", "trial_end")
    recurring = subscription["items"]["data"][0]["price"]["recurring"]
    anchor = given.get("billing_cycle_anchor")
    if isinstance(trial_end, int):
        subscription.update(trial_start=now, trial_end=trial_end, status="trialing")
        subscription["billing_cycle_anchor"] = anchor or trial_end
        end = trial_end
    else:
        subscription["billing_cycle_anchor"] = anchor or now
        end = anchor or boundary_after(now, recurring, now)
    for item in subscription["items"]["data"]:
        item.update(current_period_start=now, current_period_end=end)
    subscription["cancel_at"] = given.get("cancel_at")
    if subscription["cancel_at_period_end"]:
        subscription.update(cancel_at=end, canceled_at=now)
    if subscription["cancel_at"]:
        subscription["cancellation_details"]["reason"] = "cancellation_requested"


def _extra_line(box: Sandbox, subscription: Obj, given: Obj, at: int) -> Obj:
    price = box.need("price", given.get("price", ""), "price", f"add_invoice_items[{at}][price]")
    parent = once_parent(box.new_id("ii"), subscription["id"])
    name = box.tables["product"].rows[price["product"]]["name"]
    now = box.now()
    return line(box, price, given.get("quantity", 1), (now, now), parent=parent, description=name)


def _need_method(box: Sandbox, subscription: Obj, given: Obj) -> None:
    if subscription["status"] == "trialing" or subscription["collection_method"] == "send_invoice":
        return
    free = all(each["price"]["unit_amount"] * each["quantity"] == 0 for each in subscription["items"]["data"])
    if method_for(box, subscription) is None and not free and given.get("payment_behavior") != "default_incomplete":
        message = "This customer has no attached payment source or default payment method."
        raise refused(message, code="resource_missing")


def give_discounts(box: Sandbox, subscription: Obj, given: Obj) -> None:
    """Redeem the coupons of the request for the subscription; they replace those it had."""
    named = [(each.get("coupon"), f"discounts[{at}][coupon]") for at, each in enumerate(given.get("discounts", []))]
    if coupon := given.get("coupon"):
        named = [(coupon, "coupon")]
    if "discounts" not in given and not named:
        return
    subscription["discounts"] = [
        new_discount(box, coupon, subscription["customer"], subscription["id"], param)["id"]
        for coupon, param in named
        if coupon
    ]


def _first_invoice(box: Sandbox, subscription: Obj, extra: list[Obj], behaviour: str) -> StripeError | None:
    start, end = subscription["start_date"], subscription["items"]["data"][0]["current_period_end"]
    if subscription["status"] == "trialing":
        emit(box, "customer.subscription.created", subscription)
        bill_now(box, subscription, [*trial_lines(box, subscription, start, end), *extra], "subscription_create")
        schedule(box, subscription)
        return None
    lines = [*_first_lines(box, subscription, start, end), *extra]
    invoice = subscription_invoice(box, subscription, lines, "subscription_create")
    finalize(box, invoice)
    error = None if behaviour == "default_incomplete" else pay_open(box, subscription, invoice)
    unpaid = invoice["status"] == "open" and invoice["collection_method"] == "charge_automatically"
    set_status(box, subscription, "incomplete" if unpaid else "active")
    emit(box, "customer.subscription.created", subscription)
    schedule(box, subscription)
    if unpaid:
        invoice["auto_advance"] = False
        box.at(box.now() + INCOMPLETE_SECONDS, lambda: expire_incomplete(box, subscription))
    return error if behaviour == "error_if_incomplete" else None


def _first_lines(box: Sandbox, subscription: Obj, start: int, end: int) -> list[Obj]:
    lines = period_lines(box, subscription, start, end)
    recurring = subscription["items"]["data"][0]["price"]["recurring"]
    whole = boundary_after(start, recurring, start) - start
    if end - start < whole:  # an anchor ahead: the stretch until there is a proration
        for each in lines:
            amount = each["amount"] * (end - start) // whole
            each.update(amount=amount, subtotal=amount)
            each["parent"]["subscription_item_details"]["proration"] = True
    return lines


CANCELLATION: Final = forms.nested(
    comment=forms.text,
    feedback=forms.one_of(
        "", "customer_service", "low_quality", "missing_features", "other", "switched_service", "too_complex",
        "too_expensive", "unused",
    ),
    feedback_option=forms.text,
)  # fmt: skip
_CANCEL: Final = {"invoice_now": forms.boolean, "prorate": forms.boolean, "cancellation_details": CANCELLATION}


@endpoint("DELETE", "/v1/subscriptions/{id}", _CANCEL)
def cancel(call: Call) -> Obj:
    """Cancel at once. A draft invoice that waits for its hour is still collected."""
    subscription = call.box.need("subscription", call.ids["id"], "subscription")
    if subscription["status"] in ("canceled", "incomplete_expired"):
        raise missing("subscription", subscription["id"])
    say_why(subscription, call.params)
    subscription["cancellation_details"]["reason"] = "cancellation_requested"
    subscription["canceled_at"] = call.box.now()
    end_subscription(call.box, subscription, "cancellation_requested")
    return subscription


def say_why(subscription: Obj, params: Any) -> None:
    """Keep the comment and the feedback that came with a cancellation."""
    for name, value in (params.get("cancellation_details") or {}).items():
        subscription["cancellation_details"][name] = value or None
