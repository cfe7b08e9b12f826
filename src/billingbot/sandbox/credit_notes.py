"""`/v1/credit_notes`: what is taken off an invoice after it was finalized, and the refund that a note makes itself."""

from typing import Any, Final

from billingbot.sandbox import forms
from billingbot.sandbox.errors import invalid, refused
from billingbot.sandbox.events import changing, emit
from billingbot.sandbox.refunds import check_refundable, give_back, spoken
from billingbot.sandbox.router import Call, endpoint, listable, retrievable
from billingbot.sandbox.state import Sandbox
from billingbot.sandbox.tables import Obj

_LINE: Final = forms.nested(
    ("type",),
    type=forms.one_of("custom_line_item", "invoice_line_item"),
    description=forms.text,
    invoice_line_item=forms.name_of,
    quantity=forms.integer(1),
    unit_amount=forms.integer(),
    amount=forms.integer(0),
)
_REFUND: Final = forms.nested(("refund",), refund=forms.name_of, amount_refunded=forms.integer(1))
_CREATE: Final = {
    "invoice": forms.name_of,
    "amount": forms.integer(1),
    "lines": forms.many(_LINE),
    "refund_amount": forms.integer(0),
    "refunds": forms.many(_REFUND),
    "credit_amount": forms.integer(0),
    "out_of_band_amount": forms.integer(0),
    "email_type": forms.one_of("credit_note", "none"),
    "reason": forms.one_of("duplicate", "fraudulent", "order_change", "product_unsatisfactory"),
    "memo": forms.text,
    "metadata": forms.metadata,
    "effective_at": forms.moment,
}

listable("/v1/credit_notes", "credit_note", {"invoice": forms.name_of, "customer": forms.name_of})
retrievable("/v1/credit_notes", "credit_note", "credit note")


@endpoint("POST", "/v1/credit_notes", _CREATE, ("invoice",))
def create(call: Call) -> Obj:
    """A note on a finalized invoice. What the invoice still wants is lowered first; the rest is given back."""
    box, given = call.box, call.params
    invoice = box.need("invoice", given["invoice"], "invoice", "invoice")
    if invoice["status"] not in ("open", "paid"):
        raise refused(
            f"You can only create credit notes for open or paid invoices, and this one is {invoice['status']}."
        )
    note = _blank(box, invoice, given)
    before = min(note["amount"], invoice["amount_remaining"] if invoice["status"] == "open" else 0)
    after = note["amount"] - before
    _check(box, invoice, given, after)
    kind = "mixed" if before and after else "pre_payment" if before else "post_payment"
    note.update(pre_payment_amount=before, post_payment_amount=after, type=kind)
    note["refunds"] = [*_linked(box, given), *_refunded(box, invoice, given)]
    _count(box, invoice, note, given)
    box.tables["credit_note"].add(note)
    emit(box, "credit_note.created", note)
    return note


@endpoint("POST", "/v1/credit_notes/{id}", {"memo": forms.text, "metadata": forms.metadata})
def update(call: Call) -> Obj:
    """Memo and metadata are all that can be changed."""
    note = call.box.need("credit_note", call.ids["id"], "credit note")
    with changing(call.box, note, "credit_note.updated"):
        note["metadata"] = forms.merge_metadata(note["metadata"], call.params.get("metadata"))
        note["memo"] = call.params.get("memo", note["memo"])
    return note


def _lines(box: Sandbox, invoice: Obj, given: Obj) -> list[Obj]:
    if "lines" not in given and "amount" not in given:
        raise invalid("One of `amount`, `lines`, or `shipping_cost` must be provided.", "amount", "parameter_missing")
    if "lines" in given and "amount" in given:
        raise invalid("You may only specify one of these parameters: amount, lines.")
    if "amount" in given:
        return [_line(box, {"type": "custom_line_item"}, given["amount"])]
    by_id = {each["id"]: each for each in invoice["lines"]["data"]}
    made = []
    for at, each in enumerate(given["lines"]):
        if each["type"] == "custom_line_item":
            made.append(_line(box, each, each.get("unit_amount", 0) * each.get("quantity", 1)))
            continue
        credited = by_id.get(each.get("invoice_line_item"))
        if credited is None:
            raise invalid("No such invoice line item on this invoice.", f"lines[{at}][invoice_line_item]")
        made.append(_line(box, each, each.get("amount", credited["amount"])))
    return made


def _line(box: Sandbox, given: Obj, amount: int) -> Obj:
    quantity = given.get("quantity", 1)
    unit = given.get("unit_amount", amount)
    made: Obj = {
        "id": box.new_id("cnli"),
        "object": "credit_note_line_item",
        "amount": amount,
        "description": given.get("description"),
        "discount_amount": 0,
        "discount_amounts": [],
        "livemode": box.livemode,
        "pretax_credit_amounts": [],
        "quantity": quantity,
        "tax_rates": [],
        "taxes": [],
        "type": given["type"],
        "unit_amount": unit,
        "unit_amount_decimal": str(unit),
    }
    return made | ({"invoice_line_item": given["invoice_line_item"]} if "invoice_line_item" in given else {})


def _blank(box: Sandbox, invoice: Obj, given: Obj) -> Obj:
    note_id, lines = box.new_id("cn"), _lines(box, invoice, given)
    total = sum(each["amount"] for each in lines)
    earlier = len(box.tables["credit_note"].find("invoice", invoice["id"]))
    return {
        "id": note_id,
        "object": "credit_note",
        **dict.fromkeys(("amount", "subtotal", "subtotal_excluding_tax", "total", "total_excluding_tax"), total),
        **dict.fromkeys(("customer_balance_transaction", "shipping_cost", "voided_at")),
        **{name: [] for name in ("discount_amounts", "pretax_credit_amounts", "refunds", "total_taxes")},
        "amount_shipping": 0,
        "created": box.now(),
        "currency": invoice["currency"],
        "customer": invoice["customer"],
        "discount_amount": 0,
        "effective_at": given.get("effective_at", box.now()),
        "invoice": invoice["id"],
        "lines": {"object": "list", "data": lines, "has_more": False, "url": f"/v1/credit_notes/{note_id}/lines"},
        "livemode": box.livemode,
        "memo": given.get("memo"),
        "metadata": forms.merge_metadata({}, given.get("metadata")),
        "number": f"{invoice['number']}-CN-{earlier + 1:02d}",
        "out_of_band_amount": given.get("out_of_band_amount"),
        "pdf": f"https://pay.stripe.com/credit_notes/{note_id}/pdf",
        "reason": given.get("reason"),
        "status": "issued",
    }


def _check(box: Sandbox, invoice: Obj, given: Obj, after: int) -> None:
    linked = sum(each.get("amount_refunded", 0) or _refund(box, each)["amount"] for each in given.get("refunds", ()))
    named = ("refund_amount", "credit_amount", "out_of_band_amount")
    parts = linked + sum(given.get(name, 0) for name in named)
    if parts != after:
        raise refused(
            f"The sum of credit amount, refund amount and out of band amount ({spoken(parts, invoice)}) must equal the"
            f" credit note amount ({spoken(after, invoice)})."
        )
    left = _creditable(box, invoice, given)
    if after > left:
        raise refused(
            f"The credit note amount ({spoken(after, invoice)}) is greater than what can still be credited on the"
            f" invoice ({spoken(left, invoice)}).",
            "amount",
        )


def _creditable(box: Sandbox, invoice: Obj, given: Obj) -> int:
    """What was paid, less earlier notes and the refunds that no note speaks of; those about to be linked stay."""
    notes = box.tables["credit_note"].find("invoice", invoice["id"])
    spoken_for = {each["refund"] for note in notes for each in note["refunds"]}
    spoken_for |= {each["refund"] for each in given.get("refunds", ())}
    plain = [
        refund["amount"]
        for charge in _charges(box, invoice)
        for refund in box.tables["refund"].find("charge", charge["id"])
        if refund["id"] not in spoken_for and refund["status"] not in ("failed", "canceled")
    ]
    credited = sum(note["post_payment_amount"] for note in notes)
    return int(invoice["amount_paid"] - credited - sum(plain))


def _charges(box: Sandbox, invoice: Obj) -> list[Obj]:
    """The charges that paid the invoice, oldest first."""
    found = []
    for payment in box.tables["invoice_payment"].find("invoice", invoice["id"]):
        intent = box.tables["payment_intent"].get(payment["payment"].get("payment_intent") or "")
        if payment["status"] == "paid" and intent is not None and intent["latest_charge"]:
            found.append(box.tables["charge"].rows[intent["latest_charge"]])
    return found


def _refund(box: Sandbox, named: Obj) -> Obj:
    return box.need("refund", named["refund"], "refund", "refunds")


def _linked(box: Sandbox, given: Obj) -> list[Obj]:
    """Refunds made before, which the note speaks of."""
    return [
        _entry(each["refund"], each.get("amount_refunded") or _refund(box, each)["amount"])
        for each in given.get("refunds", ())
    ]


def _refunded(box: Sandbox, invoice: Obj, given: Obj) -> list[Obj]:
    """The refund that the note makes: without the note's metadata, of the charge that paid the invoice first."""
    amount = given.get("refund_amount", 0)
    if not amount:
        return []
    charges = _charges(box, invoice)
    if not charges:
        raise refused("There is no charge on this invoice that could be refunded.", "refund_amount")
    check_refundable(box, charges[0], amount)
    refund = give_back(box, charges[0], amount, {})
    return [_entry(refund["id"], amount)]


def _entry(refund: str, amount: int) -> Obj:
    return {"amount_refunded": amount, "payment_record_refund": None, "refund": refund, "type": "refund"}


def _count(box: Sandbox, invoice: Obj, note: Obj, given: Obj) -> None:
    with changing(box, invoice, "invoice.updated"):
        invoice["pre_payment_credit_notes_amount"] += note["pre_payment_amount"]
        invoice["post_payment_credit_notes_amount"] += note["post_payment_amount"]
        invoice["amount_due"] -= note["pre_payment_amount"]
        invoice["amount_remaining"] -= note["pre_payment_amount"]
    credited: Any = given.get("credit_amount", 0)
    if credited:
        customer = box.tables["customer"].rows[invoice["customer"]]
        customer["balance"] = customer.get("balance", 0) - credited
