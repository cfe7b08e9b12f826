"""`POST /v1/subscriptions/{id}`: cancel later, change your mind, move or end a trial, change items."""

from typing import Final

from billingbot.sandbox import forms
from billingbot.sandbox.billing import (
    bill_now,
    items_of,
    method_for,
    period_lines,
    period_of,
    schedule,
    set_period,
    set_status,
    trial_lines,
    warn_of_end,
)
from billingbot.sandbox.catalog import plan_of
from billingbot.sandbox.errors import missing, refused
from billingbot.sandbox.events import changing, emit, emit_thin
from billingbot.sandbox.invoices import item_parent, line
from billingbot.sandbox.payment_methods import resolve
from billingbot.sandbox.router import Call, endpoint
from billingbot.sandbox.state import Sandbox
from billingbot.sandbox.subscriptions import (
    CANCELLATION,
    DISCOUNTS,
    IGNORED,
    ITEM,
    TRIAL_SETTINGS,
    give_discounts,
    new_item,
    price_of,
    say_why,
)
from billingbot.sandbox.tables import Obj
from billingbot.sandbox.terms import boundary_after

_UPDATE: Final = {
    **IGNORED,
    "items": forms.many(forms.nested(**ITEM, id=forms.name_of, deleted=forms.boolean, clear_usage=forms.boolean)),
    "plan": forms.name_of,
    "quantity": forms.integer(0),
    "cancel_at_period_end": forms.boolean,
    "cancel_at": forms.moment_or("min_period_end", "max_period_end"),
    "cancellation_details": CANCELLATION,
    "trial_end": forms.moment_or("now"),
    "trial_settings": TRIAL_SETTINGS,
    "coupon": forms.text,
    "discounts": DISCOUNTS,
    "default_payment_method": forms.text,
    "proration_behavior": forms.one_of("always_invoice", "create_prorations", "none"),
    "proration_date": forms.moment,
    "billing_cycle_anchor": forms.one_of("now", "unchanged"),
    "collection_method": forms.one_of("charge_automatically", "send_invoice"),
    "days_until_due": forms.integer(1),
    "pause_collection": forms.nested(
        ("behavior",),
        behavior=forms.one_of("keep_as_draft", "mark_uncollectible", "void"),
        resumes_at=forms.moment,
    ),
    "payment_behavior": forms.anything,
    "metadata": forms.metadata,
}


@endpoint("POST", "/v1/subscriptions/{id}", _UPDATE)
def update(call: Call) -> Obj:
    """Change a subscription; one that has ended can no longer be changed."""
    box, given = call.box, call.params
    subscription = box.need("subscription", call.ids["id"], "subscription")
    if subscription["status"] in ("canceled", "incomplete_expired"):
        raise missing("subscription", subscription["id"])
    trial_end = given.get("trial_end")
    if isinstance(trial_end, int) and trial_end <= box.now():
        raise refused("Invalid timestamp: trial_end must be an integer Unix timestamp in the future.", "trial_end")
    with changing(box, subscription, "customer.subscription.updated"):
        _plain(box, subscription, given)
        _cancellation(box, subscription, given)
        changed = _items(box, subscription, given)
        if trial_end == "now":
            _end_trial_now(box, subscription)
        elif isinstance(trial_end, int):
            _move_trial(box, subscription, trial_end, given)
        elif changed and given.get("proration_behavior") == "always_invoice" and box.terms[subscription["id"]].pending:
            bill_now(box, subscription, [], "subscription_update")
    schedule(box, subscription)
    return subscription


def _plain(box: Sandbox, subscription: Obj, given: Obj) -> None:
    subscription["metadata"] = forms.merge_metadata(subscription["metadata"], given.get("metadata"))
    for name in ("collection_method", "days_until_due", "trial_settings"):
        if given.get(name) is not None:
            subscription[name] = given[name]
    if "pause_collection" in given:
        paused = given["pause_collection"]
        subscription["pause_collection"] = paused and {"resumes_at": None, **paused}
    if "default_payment_method" in given:
        default = given["default_payment_method"]
        found = resolve(box, default, "default_payment_method")["id"] if default else None
        subscription["default_payment_method"] = found
    give_discounts(box, subscription, given)


def _cancellation(box: Sandbox, subscription: Obj, given: Obj) -> None:
    say_why(subscription, given)
    before = subscription["cancel_at"]
    if "cancel_at_period_end" in given:
        at_end = given["cancel_at_period_end"]
        subscription["cancel_at_period_end"] = at_end
        subscription["cancel_at"] = period_of(subscription)[1] if at_end else None
    if "cancel_at" in given:
        named = given["cancel_at"]
        subscription["cancel_at"] = period_of(subscription)[1] if isinstance(named, str) else named
        subscription["cancel_at_period_end"] = False
    if subscription["cancel_at"] and subscription["cancel_at"] != before:
        subscription["canceled_at"] = box.now()  # the time of the latest request, not of the end
        subscription["cancellation_details"]["reason"] = "cancellation_requested"
    elif before and not subscription["cancel_at"]:
        subscription["canceled_at"] = None
        subscription["cancellation_details"]["reason"] = None
    _tell_of_end(box, subscription, before)


def _tell_of_end(box: Sandbox, subscription: Obj, before: int | None) -> None:
    if subscription["cancel_at"] != before:
        emit_thin(box, "v1.customer.subscription.cancel_at_changed", subscription)


def _items(box: Sandbox, subscription: Obj, given: Obj) -> bool:
    wanted = given.get("items") or []
    if "quantity" in given or "plan" in given:
        wanted = [{"id": items_of(subscription)[0]["id"], **{k: given[k] for k in ("plan", "quantity") if k in given}}]
    for at, each in enumerate(wanted):
        _item(box, subscription, each, at, prorate=given.get("proration_behavior") != "none")
    items = items_of(subscription)
    subscription["items"]["total_count"] = len(items)
    subscription["plan"] = items[0]["plan"] if len(items) == 1 else None
    subscription["quantity"] = items[0]["quantity"] if len(items) == 1 else None
    return bool(wanted)


def _item(box: Sandbox, subscription: Obj, wanted: Obj, at: int, *, prorate: bool) -> None:
    items = items_of(subscription)
    item = next((each for each in items if each["id"] == wanted.get("id")), None)
    if item is None and "id" in wanted:
        raise missing("subscription item", wanted["id"], f"items[{at}][id]", 400)
    prorate = prorate and subscription["status"] != "trialing"
    if item is None:
        item = new_item(box, subscription["id"], price_of(box, wanted, f"items[{at}]"), {"quantity": 0})
        start, end = period_of(subscription)
        item.update(current_period_start=start, current_period_end=end)
        items.append(item)
        wanted = {"quantity": 1, **wanted}
    if prorate:
        _prorate(box, subscription, item, sign=-1)
    if wanted.get("deleted"):
        items.remove(item)
        return
    if "price" in wanted or "plan" in wanted:
        price = price_of(box, wanted, f"items[{at}]")
        item.update(price=price, plan=plan_of(price))
    item["quantity"] = wanted.get("quantity", item["quantity"])
    if prorate:
        _prorate(box, subscription, item, sign=1)


def _prorate(box: Sandbox, subscription: Obj, item: Obj, *, sign: int) -> None:
    """A pending line for the rest of the period: a credit for what was paid, or the price of what comes."""
    start, end = period_of(subscription)
    left = max(0, end - box.now())
    amount = sign * item["price"]["unit_amount"] * item["quantity"] * left // max(1, end - start)
    if amount:
        parent = item_parent(subscription["id"], item["id"], proration=True)
        words = "Remaining time" if sign > 0 else "Unused time"
        fields = {"amount": amount, "parent": parent, "description": words, "discountable": False}
        made = line(box, item["price"], item["quantity"], (box.now(), end), **fields)
        box.terms[subscription["id"]].pending.append(made)


def _end_trial_now(box: Sandbox, subscription: Obj) -> None:
    """The trial is cut short: a new period begins and is billed at once, as an update and not as a cycle."""
    now = box.now()
    if subscription["status"] == "trialing":
        warn_of_end(box, subscription)
        subscription["trial_end"] = now
    subscription["billing_cycle_anchor"] = now
    recurring = items_of(subscription)[0]["price"]["recurring"]
    end = boundary_after(now, recurring, now)
    set_status(box, subscription, "active")
    set_period(subscription, now, end)
    error = bill_now(box, subscription, period_lines(box, subscription, now, end), "subscription_update")[1]
    if error is not None:
        set_status(box, subscription, "past_due")


def _move_trial(box: Sandbox, subscription: Obj, trial_end: int, given: Obj) -> None:
    """Extend or shorten a running trial, or put a paying subscription on one, which moves its billing dates."""
    now = box.now()
    if subscription["status"] == "trialing":
        subscription["trial_end"] = trial_end
        set_period(subscription, period_of(subscription)[0], trial_end)
    else:
        if given.get("proration_behavior") != "none":
            for item in items_of(subscription):
                _prorate(box, subscription, item, sign=-1)
        subscription.update(trial_start=now, trial_end=trial_end)
        set_status(box, subscription, "trialing")
        set_period(subscription, now, trial_end)
        waiting, box.terms[subscription["id"]].pending = box.terms[subscription["id"]].pending, []
        bill_now(box, subscription, trial_lines(box, subscription, now, trial_end), "subscription_update")
        box.terms[subscription["id"]].pending = waiting  # the credit goes to the invoice at the trial's end
    subscription["billing_cycle_anchor"] = trial_end
    box.terms[subscription["id"]].warned = trial_end - now < 0
    if subscription["cancel_at_period_end"]:
        subscription["cancel_at"] = trial_end


_RESUME: Final = {"billing_cycle_anchor": forms.text, "proration_behavior": forms.text, "proration_date": forms.moment}


@endpoint("POST", "/v1/subscriptions/{id}/resume", _RESUME)
def resume(call: Call) -> Obj:
    """A subscription that paused for want of a payment method begins to pay."""
    box = call.box
    subscription = box.need("subscription", call.ids["id"], "subscription")
    if subscription["status"] != "paused":
        raise refused("Only a paused subscription can be resumed.")
    if method_for(box, subscription) is None:
        message = "This customer has no attached payment source or default payment method."
        raise refused(message, code="resource_missing")
    now = box.now()
    end = boundary_after(now, items_of(subscription)[0]["price"]["recurring"], now)
    with changing(box, subscription, "customer.subscription.updated"):
        subscription["billing_cycle_anchor"] = now
        set_period(subscription, now, end)
        error = bill_now(box, subscription, period_lines(box, subscription, now, end), "subscription_update")[1]
        set_status(box, subscription, "past_due" if error else "active")
    emit(box, "customer.subscription.resumed", subscription)
    schedule(box, subscription)
    return subscription
