"""`/v1/products`, `/v1/prices` and `/v1/coupons`: what is sold, for how much, and what is taken off."""

from typing import Any, Final

from billingbot.sandbox import forms
from billingbot.sandbox.errors import invalid, refused
from billingbot.sandbox.events import changing, emit
from billingbot.sandbox.router import Call, endpoint, listable, retrievable
from billingbot.sandbox.state import Sandbox
from billingbot.sandbox.tables import Obj

_PRODUCT: Final = {
    "id": forms.name_of,
    "name": forms.name_of,
    "description": forms.text,
    "active": forms.boolean,
    "metadata": forms.metadata,
    "unit_label": forms.text,
    **dict.fromkeys(("type", "tax_code", "url", "images", "statement_descriptor", "shippable"), forms.anything),
}
_RECURRING: Final = forms.nested(
    ("interval",),
    interval=forms.one_of("day", "week", "month", "year"),
    interval_count=forms.integer(1, 1095),
    usage_type=forms.one_of("licensed", "metered"),
    trial_period_days=forms.integer(0),
    meter=forms.text,
)
_PRICE: Final = {
    "id": forms.name_of,  # Stripe makes ids itself; plans may be named, and recordings do
    "currency": forms.name_of,
    "unit_amount": forms.integer(0),
    "product": forms.name_of,
    "product_data": forms.nested(("name",), name=forms.name_of, metadata=forms.metadata, unit_label=forms.text),
    "recurring": _RECURRING,
    "nickname": forms.text,
    "lookup_key": forms.text,
    "active": forms.boolean,
    "metadata": forms.metadata,
    "tax_behavior": forms.one_of("exclusive", "inclusive", "unspecified"),
    "billing_scheme": forms.one_of("per_unit", "tiered"),
}
_COUPON: Final = {
    "id": forms.name_of,
    "percent_off": forms.percent,
    "amount_off": forms.integer(1),
    "currency": forms.name_of,
    "duration": forms.one_of("forever", "once", "repeating"),
    "duration_in_months": forms.integer(1),
    "max_redemptions": forms.integer(1),
    "redeem_by": forms.moment,
    "name": forms.text,
    "metadata": forms.metadata,
    "applies_to": forms.anything,
}

retrievable("/v1/products", "product", "product")
listable("/v1/products", "product", {"active": forms.boolean})
retrievable("/v1/prices", "price", "price")
_PRICE_FILTERS: Final = {
    "product": forms.name_of,
    "active": forms.boolean,
    "currency": forms.name_of,
    "type": forms.text,
    "lookup_keys": forms.anything,
}
listable("/v1/prices", "price", _PRICE_FILTERS)
retrievable("/v1/coupons", "coupon", "coupon")
listable("/v1/coupons", "coupon", {})


@endpoint("POST", "/v1/products", _PRODUCT, ("name",))
def create_product(call: Call) -> Obj:
    """A product."""
    return new_product(call.box, call.params)


def new_product(box: Sandbox, given: Obj) -> Obj:
    """A product in the tables."""
    _free(box, "product", "Product", given.get("id"))
    product: Obj = {
        "id": given.get("id") or box.new_id("prod", 14),
        "object": "product",
        "active": given.get("active", True),
        "attributes": [],
        "created": box.now(),
        "default_price": None,
        "description": given.get("description"),
        "images": [],
        "livemode": box.livemode,
        "marketing_features": [],
        "metadata": forms.merge_metadata({}, given.get("metadata")),
        "name": given["name"],
        "package_dimensions": None,
        "shippable": None,
        "statement_descriptor": None,
        "tax_code": None,
        "type": "service",
        "unit_label": given.get("unit_label"),
        "updated": box.now(),
        "url": None,
    }
    box.tables["product"].add(product)
    emit(box, "product.created", product)
    return product


@endpoint("POST", "/v1/products/{id}", {**_PRODUCT, "default_price": forms.text})
def update_product(call: Call) -> Obj:
    """Change a product."""
    product = call.box.need("product", call.ids["id"], "product")
    with changing(call.box, product, "product.updated"):
        _set(product, call.params, ("name", "description", "active", "unit_label", "default_price"))
        product["updated"] = call.box.now()
    return product


def _free(box: Sandbox, table: str, label: str, object_id: str | None) -> None:
    if object_id is not None and box.tables[table].get(object_id) is not None:
        raise refused(f"{label} already exists.", code="resource_already_exists")


def _set(obj: Obj, params: Obj, names: tuple[str, ...]) -> None:
    for name in names:
        if name in params:
            obj[name] = params[name]
    obj["metadata"] = forms.merge_metadata(obj["metadata"], params.get("metadata"))


@endpoint("POST", "/v1/prices", _PRICE, ("currency",))
def create_price(call: Call) -> Obj:
    """A price, one-off or recurring, perhaps with its product."""
    given, box = call.params, call.box
    if "product" not in given and "product_data" not in given:
        raise invalid("You must specify either `product` or `product_data` when creating a price.", "product")
    if "unit_amount" not in given:
        raise invalid("Missing required param: unit_amount.", "unit_amount", "parameter_missing")
    if "product" in given:
        product = box.need("product", given["product"], "product", "product")
    else:
        product = new_product(box, given["product_data"])
    _free(box, "price", "Price", given.get("id"))
    price = box.tables["price"].add(_price(box, given, product["id"]))
    emit(box, "price.created", price)
    return price


def _price(box: Sandbox, given: Obj, product: str) -> Obj:
    recurring = given.get("recurring")
    if recurring is not None:
        recurring = {
            "interval": recurring["interval"],
            "interval_count": recurring.get("interval_count", 1),
            "meter": recurring.get("meter"),
            "trial_period_days": recurring.get("trial_period_days"),
            "usage_type": recurring.get("usage_type", "licensed"),
        }
    return {
        "id": given.get("id") or box.new_id("price"),
        "object": "price",
        "active": given.get("active", True),
        "billing_scheme": "per_unit",
        "created": box.now(),
        "currency": given["currency"].lower(),
        "custom_unit_amount": None,
        "livemode": box.livemode,
        "lookup_key": given.get("lookup_key"),
        "metadata": forms.merge_metadata({}, given.get("metadata")),
        "nickname": given.get("nickname"),
        "product": product,
        "recurring": recurring,
        "tax_behavior": given.get("tax_behavior", "unspecified"),
        "tiers_mode": None,
        "transform_quantity": None,
        "type": "recurring" if recurring else "one_time",
        "unit_amount": given["unit_amount"],
        "unit_amount_decimal": str(given["unit_amount"]),
    }


@endpoint("POST", "/v1/prices/{id}", {name: _PRICE[name] for name in ("active", "nickname", "metadata", "lookup_key")})
def update_price(call: Call) -> Obj:
    """Change what may change of a price."""
    price = call.box.need("price", call.ids["id"], "price")
    with changing(call.box, price, "price.updated"):
        _set(price, call.params, ("active", "nickname", "lookup_key"))
    return price


@endpoint("POST", "/v1/coupons", _COUPON)
def create_coupon(call: Call) -> Obj:
    """A coupon by percent or amount."""
    given = call.params
    if ("percent_off" in given) == ("amount_off" in given):
        raise invalid("You must pass either `percent_off` or `amount_off`, and not both.", "percent_off")
    _free(call.box, "coupon", "Coupon", given.get("id"))
    coupon: Obj = {
        "id": given.get("id") or call.box.letters(8),
        "object": "coupon",
        "amount_off": given.get("amount_off"),
        "created": call.box.now(),
        "currency": given.get("currency"),
        "duration": given.get("duration", "once"),
        "duration_in_months": given.get("duration_in_months"),
        "livemode": call.box.livemode,
        "max_redemptions": given.get("max_redemptions"),
        "metadata": forms.merge_metadata({}, given.get("metadata")),
        "name": given.get("name"),
        "percent_off": given.get("percent_off"),
        "redeem_by": given.get("redeem_by"),
        "times_redeemed": 0,
        "valid": True,
    }
    call.box.tables["coupon"].add(coupon)
    emit(call.box, "coupon.created", coupon)
    return coupon


@endpoint("DELETE", "/v1/coupons/{id}")
def delete_coupon(call: Call) -> Obj:
    """Delete a coupon; discounts that were given stay."""
    coupon = call.box.need("coupon", call.ids["id"], "coupon")
    call.box.tables["coupon"].drop(coupon["id"])
    emit(call.box, "coupon.deleted", coupon)
    return {"id": coupon["id"], "object": "coupon", "deleted": True}


def plan_of(price: Obj) -> Any:
    """The legacy `plan` that subscriptions still carry beside the price."""
    recurring = price["recurring"]
    return {
        "id": price["id"],
        "object": "plan",
        "active": price["active"],
        "amount": price["unit_amount"],
        "amount_decimal": price["unit_amount_decimal"],
        "billing_scheme": "per_unit",
        "created": price["created"],
        "currency": price["currency"],
        "interval": recurring["interval"],
        "interval_count": recurring["interval_count"],
        "livemode": price["livemode"],
        "metadata": price["metadata"],
        "meter": recurring["meter"],
        "nickname": price["nickname"],
        "product": price["product"],
        "tiers_mode": None,
        "transform_usage": None,
        "trial_period_days": recurring["trial_period_days"],
        "usage_type": recurring["usage_type"],
    }
