"""The engine of subscriptions: trials end, periods turn, invoices are drafted, finalized and collected."""

from typing import Any, Final

from billingbot.sandbox.discounts import applying, holds_once
from billingbot.sandbox.errors import StripeError
from billingbot.sandbox.events import changing, emit, emit_thin
from billingbot.sandbox.invoices import (
    cancel_payments,
    collect,
    draft,
    finalize,
    item_parent,
    line,
    open_payments,
    request_payment,
)
from billingbot.sandbox.state import Sandbox
from billingbot.sandbox.tables import Obj
from billingbot.sandbox.terms import boundary_after

# https://docs.stripe.com/billing/subscriptions/overview: a renewal's invoice stays a draft for about an hour.
DRAFT_SECONDS: Final = 3600
WARNING_SECONDS: Final = 3 * 86_400  # trial_will_end comes three days before the end
INCOMPLETE_SECONDS: Final = 23 * 3600  # a first payment has 23 hours
_DAY: Final = 86_400
ENDED: Final = frozenset(("canceled", "incomplete_expired"))


def items_of(subscription: Obj) -> list[Obj]:
    """The subscription's items."""
    found: list[Obj] = subscription["items"]["data"]
    return found


def period_of(subscription: Obj) -> tuple[int, int]:
    """The current period, from the first item."""
    first = items_of(subscription)[0]
    return first["current_period_start"], first["current_period_end"]


def set_period(subscription: Obj, start: int, end: int) -> None:
    """Move every item to this period."""
    for item in items_of(subscription):
        item.update(current_period_start=start, current_period_end=end)


def set_status(box: Sandbox, subscription: Obj, status: str) -> None:
    """Another status, with the thin event that names it."""
    if subscription["status"] == status:
        return
    subscription["status"] = status
    box.tables["subscription"].refile(subscription)
    if status not in ENDED:
        emit_thin(box, f"v1.customer.subscription.{status}", subscription)


def method_for(box: Sandbox, subscription: Obj) -> Obj | None:
    """What would be charged now: the subscription's payment method, else the customer's."""
    customer = box.tables["customer"].rows[subscription["customer"]]
    settings = customer.get("invoice_settings") or {}
    name = subscription["default_payment_method"] or settings.get("default_payment_method")
    return box.tables["payment_method"].get(name) if name else None


def period_lines(box: Sandbox, subscription: Obj, start: int, end: int, **more: Any) -> list[Obj]:
    """One line per item for a period; `more` replaces fields, such as a trial's `amount`."""
    lines = []
    for item in items_of(subscription):
        price = item["price"]
        parent = item_parent(subscription["id"], item["id"])
        described = _described(box, price, item["quantity"])
        fields = {"description": described, "parent": parent, **more}
        lines.append(line(box, price, item["quantity"], (start, end), **fields))
    return lines


def _described(box: Sandbox, price: Obj, quantity: int) -> str:
    product = box.tables["product"].rows[price["product"]]
    return f"{quantity} × {product['name']} (per {price['recurring']['interval']})"


def trial_lines(box: Sandbox, subscription: Obj, start: int, end: int) -> list[Obj]:
    """The lines of the invoice for a free trial: nothing, spelled out."""
    lines = period_lines(box, subscription, start, end, amount=0)
    for each in lines:
        each["description"] = f"Free trial for {each['description']}"
        each["pricing"]["unit_amount_decimal"] = "0"
    return lines


def subscription_invoice(box: Sandbox, subscription: Obj, lines: list[Obj], reason: str, **more: Any) -> Obj:
    """A draft of the subscription, with its discounts and what was waiting to be billed."""
    terms = box.terms[subscription["id"]]
    lines = [*terms.pending, *lines]
    terms.pending = []
    discounts = applying(box, subscription["discounts"], terms.used_discounts)
    customer = box.tables["customer"].rows[subscription["customer"]]
    details = {"metadata": dict(subscription["metadata"]), "subscription": subscription["id"]}
    invoice = draft(
        box,
        customer,
        lines,
        billing_reason=reason,
        parent={"quote_details": None, "subscription_details": details, "type": "subscription_details"},
        discounts=discounts,
        collection_method=subscription["collection_method"],
        default_payment_method=None,
        **more,
    )
    if invoice["subtotal"] > 0:
        terms.used_discounts |= {each for each in discounts if holds_once(box, each)}
    subscription["latest_invoice"] = invoice["id"]
    return invoice


def bill_now(box: Sandbox, subscription: Obj, lines: list[Obj], reason: str) -> tuple[Obj, StripeError | None]:
    """Draft, finalize and collect at once. Returns the invoice and the card's refusal, if any."""
    invoice = subscription_invoice(box, subscription, lines, reason)
    finalize(box, invoice)
    return invoice, pay_open(box, subscription, invoice)


def pay_open(box: Sandbox, subscription: Obj, invoice: Obj) -> StripeError | None:
    """Collect an open invoice that is charged automatically, in the parts that were commanded."""
    if invoice["status"] != "open" or invoice["collection_method"] != "charge_automatically":
        return None
    terms = box.terms[subscription["id"]]
    if terms.split and sum(terms.split) == invoice["amount_remaining"]:
        split_payments(box, invoice, terms.split)
        terms.split = None
    return collect(box, invoice, method_for(box, subscription))


def split_payments(box: Sandbox, invoice: Obj, amounts: list[int]) -> None:
    """Replace what is open on the invoice by several payments, in minor units, that add up to what remains.

    Raises ValueError where they do not.
    """
    if sum(amounts) != invoice["amount_remaining"] or min(amounts) < 1:
        raise ValueError(f"amounts: expected positive amounts that add up to {invoice['amount_remaining']}")
    cancel_payments(box, invoice)
    for at, amount in enumerate(amounts):
        request_payment(box, invoice, amount, default=at == 0)


def schedule(box: Sandbox, subscription: Obj) -> None:
    """Plan the next second at which something happens to the subscription by itself; older plans become stale."""
    terms = box.terms[subscription["id"]]
    terms.turn += 1
    turn = terms.turn
    due = _next_due(box, subscription)
    if due is not None:
        box.at(due, lambda: _turn(box, subscription, turn))


def _next_due(box: Sandbox, subscription: Obj) -> int | None:
    if subscription["status"] in ENDED or subscription["status"] in ("paused", "incomplete"):
        return None
    moments = [period_of(subscription)[1]]
    if subscription["cancel_at"]:
        moments.append(subscription["cancel_at"])
    if subscription["status"] == "trialing":
        moments = [*moments[1:], subscription["trial_end"]]
        if not box.terms[subscription["id"]].warned:
            moments.append(max(box.now(), subscription["trial_end"] - WARNING_SECONDS))
    return min(moments)


def _turn(box: Sandbox, subscription: Obj, turn: int) -> None:
    if box.terms[subscription["id"]].turn != turn:
        return
    now, trialing = box.now(), subscription["status"] == "trialing"
    if trialing and not box.terms[subscription["id"]].warned and now < subscription["trial_end"]:
        warn_of_end(box, subscription)
    elif _ends_now(subscription, now):
        end_subscription(box, subscription, "cancellation_requested")
    elif trialing:
        _end_trial(box, subscription)
    else:
        _new_period(box, subscription, now)
    schedule(box, subscription)


def warn_of_end(box: Sandbox, subscription: Obj) -> None:
    """`trial_will_end`, once."""
    box.terms[subscription["id"]].warned = True
    emit(box, "customer.subscription.trial_will_end", subscription)


def _ends_now(subscription: Obj, now: int) -> bool:
    if subscription["cancel_at"] and subscription["cancel_at"] <= now:
        return True
    return bool(subscription["cancel_at_period_end"] and period_of(subscription)[1] <= now)


def _end_trial(box: Sandbox, subscription: Obj) -> None:
    if not box.terms[subscription["id"]].warned:
        warn_of_end(box, subscription)
    behaviour = subscription["trial_settings"]["end_behavior"]["missing_payment_method"]
    if method_for(box, subscription) is None and subscription["collection_method"] == "charge_automatically":
        if behaviour == "cancel":
            end_subscription(box, subscription, None)
            return
        if behaviour == "pause":
            with changing(box, subscription, "customer.subscription.updated"):
                set_status(box, subscription, "paused")
            emit(box, "customer.subscription.paused", subscription)
            return
    _new_period(box, subscription, subscription["trial_end"])


def _new_period(box: Sandbox, subscription: Obj, start: int) -> None:
    """The next period begins: active (paid or not), with a draft invoice that is collected an hour later."""
    previous = period_of(subscription)
    recurring = items_of(subscription)[0]["price"]["recurring"]
    anchor = subscription["billing_cycle_anchor"]
    short = anchor > start and subscription["trial_end"] == start
    end = anchor if short else boundary_after(anchor, recurring, start)
    with changing(box, subscription, "customer.subscription.updated"):
        if subscription["status"] == "trialing":
            set_status(box, subscription, "active")
        set_period(subscription, start, end)
        lines = period_lines(box, subscription, start, end)
        if short:
            lines = _shortened(lines, end - start, boundary_after(start, recurring, start) - start)
        finalizes = box.now() + DRAFT_SECONDS
        more = {"period_start": previous[0], "period_end": previous[1], "automatically_finalizes_at": finalizes}
        invoice = subscription_invoice(box, subscription, lines, "subscription_cycle", **more)
    _pause_or_plan(box, subscription, invoice, finalizes)


def _shortened(lines: list[Obj], seconds: int, whole: int) -> list[Obj]:
    for each in lines:
        amount = each["amount"] * seconds // whole
        each.update(amount=amount, subtotal=amount)
        each["parent"]["subscription_item_details"]["proration"] = True
    return lines


def _pause_or_plan(box: Sandbox, subscription: Obj, invoice: Obj, finalizes: int) -> None:
    paused = subscription["pause_collection"]
    if paused is None:
        box.at(finalizes, lambda: close_draft(box, subscription, invoice))
        return
    invoice.update(auto_advance=False, automatically_finalizes_at=None)
    if paused["behavior"] == "keep_as_draft":
        return
    word, event = {"void": ("void", "voided"), "mark_uncollectible": ("uncollectible", "marked_uncollectible")}[
        paused["behavior"]
    ]
    invoice["status"] = word
    invoice["status_transitions"][f"{event}_at"] = box.now()
    box.tables["invoice"].refile(invoice)
    emit(box, f"invoice.{event}", invoice)


def close_draft(box: Sandbox, subscription: Obj, invoice: Obj) -> None:
    """The hour is over: finalize the draft and collect. An ended subscription's draft is still collected; Stripe
    stops only what was finalized before the end."""
    if invoice["status"] != "draft" or not invoice["auto_advance"]:
        return
    finalize(box, invoice)
    if invoice["collection_method"] == "send_invoice":
        invoice["due_date"] = box.now() + (subscription["days_until_due"] or 30) * _DAY
        emit(box, "invoice.sent", invoice)
        box.at(invoice["due_date"], lambda: _overdue(box, subscription, invoice))
        return
    retry(box, subscription, invoice)


def _overdue(box: Sandbox, subscription: Obj, invoice: Obj) -> None:
    if invoice["status"] != "open" or subscription["status"] in ENDED:
        return
    emit(box, "invoice.overdue", invoice)
    with changing(box, subscription, "customer.subscription.updated"):
        set_status(box, subscription, "past_due")


def retry(box: Sandbox, subscription: Obj, invoice: Obj) -> None:
    """An attempt to collect; when it fails, plan the next by the dunning schedule, or give the subscription up."""
    if invoice["status"] != "open" or not invoice["auto_advance"]:
        return
    pay_open(box, subscription, invoice)
    if invoice["status"] == "paid":
        recovered(box, subscription)
        return
    if subscription["status"] in ENDED:
        return
    days, failures = box.options.dunning_days, invoice["attempt_count"]
    if failures > len(days):
        invoice["auto_advance"] = False
        end_subscription(box, subscription, "payment_failed")
        return
    invoice["next_payment_attempt"] = box.now() + days[failures - 1] * _DAY
    with changing(box, subscription, "customer.subscription.updated"):
        set_status(box, subscription, "past_due")
    box.at(invoice["next_payment_attempt"], lambda: retry(box, subscription, invoice))


def recovered(box: Sandbox, subscription: Obj) -> None:
    """An invoice was paid: a subscription that waited for it is active again."""
    if subscription["status"] not in ("past_due", "unpaid", "incomplete"):
        return
    still_owed = [
        each
        for each in box.tables["invoice"].find("subscription", subscription["id"])
        if each["status"] == "open" and open_payments(box, each)
    ]
    if not still_owed:
        with changing(box, subscription, "customer.subscription.updated"):
            set_status(box, subscription, "active")
        schedule(box, subscription)


def expire_incomplete(box: Sandbox, subscription: Obj) -> None:
    """The first payment was not made within 23 hours."""
    if subscription["status"] != "incomplete":
        return
    with changing(box, subscription, "customer.subscription.updated"):
        set_status(box, subscription, "incomplete_expired")
        subscription["ended_at"] = box.now()
    invoice = box.tables["invoice"].rows[subscription["latest_invoice"]]
    void(box, invoice)


def void(box: Sandbox, invoice: Obj) -> None:
    """Void an open invoice and call off its payments."""
    invoice.update(status="void", auto_advance=False, next_payment_attempt=None)
    invoice["status_transitions"]["voided_at"] = box.now()
    box.tables["invoice"].refile(invoice)
    cancel_payments(box, invoice)
    emit(box, "invoice.voided", invoice)


def end_subscription(box: Sandbox, subscription: Obj, reason: str | None) -> None:
    """The end: canceled, deleted event, and no more attempts on invoices that are already finalized.

    `canceled_at` keeps the time of an earlier request to cancel; `ended_at` is now.
    """
    set_status(box, subscription, "canceled")
    subscription["ended_at"] = box.now()
    if reason != "cancellation_requested" or not subscription["canceled_at"]:
        subscription["canceled_at"] = box.now()
    subscription["cancellation_details"]["reason"] = subscription["cancellation_details"]["reason"] or reason
    for invoice in box.tables["invoice"].find("subscription", subscription["id"]):
        if invoice["status"] == "open":
            invoice.update(auto_advance=False, next_payment_attempt=None)
    schedule(box, subscription)
    emit(box, "customer.subscription.deleted", subscription)
