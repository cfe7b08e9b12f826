"""`/v1/account`, `/v1/events`, `/v2/core/events` and `/v1/webhook_endpoints`."""

from typing import Final

from billingbot.sandbox import forms, pages
from billingbot.sandbox.errors import invalid, missing
from billingbot.sandbox.events import RETENTION_SECONDS
from billingbot.sandbox.router import Call, endpoint, listable, retrievable
from billingbot.sandbox.state import Sandbox
from billingbot.sandbox.tables import Obj
from billingbot.sandbox.webhooks import Outbox

MAX_TYPES: Final = 20  # https://docs.stripe.com/api/events/list


@endpoint("GET", "/v1/account")
def account(call: Call) -> Obj:
    """The account this sandbox pretends to be."""
    box = call.box
    return {
        "id": box.account_id,
        "object": "account",
        "business_profile": {"name": "Sandbox", "url": None},
        "business_type": "company",
        "capabilities": {"card_payments": "active", "transfers": "active"},
        "charges_enabled": True,
        "country": "US",
        "created": 0,
        "default_currency": box.options.currency,
        "details_submitted": True,
        "email": "sandbox@example.com",
        "metadata": {},
        "payouts_enabled": True,
        "settings": {"dashboard": {"display_name": "Sandbox", "timezone": "Etc/UTC"}},
        "type": "standard",
    }


def _kept(box: Sandbox, event: Obj) -> bool:
    return bool(box.now() - event["created"] <= RETENTION_SECONDS)


@endpoint("GET", "/v1/events/{id}")
def retrieve_event(call: Call) -> Obj:
    """An event of the last 30 days."""
    event = call.box.need("event", call.ids["id"], "event")
    if not _kept(call.box, event):
        raise missing("event", event["id"])
    return event


_EVENTS: Final = {
    **pages.PAGING,
    "type": forms.name_of,
    "types": forms.many(forms.name_of, most=MAX_TYPES),
    "created": forms.created,
    "delivery_success": forms.boolean,
}


@endpoint("GET", "/v1/events", _EVENTS)
def list_events(call: Call) -> Obj:
    """Events of the last 30 days; `delivery_success=false` are those that some endpoint has not taken, or not yet."""
    box, given = call.box, call.params
    if "type" in given and "types" in given:
        raise invalid("You may only specify one of these parameters: type, types.")
    types = set(given["types"]) if "types" in given else None
    delivered, within = given.get("delivery_success"), pages.created_within(given.get("created"))
    rows = box.tables["event"]
    found = rows.newest_first("type", given["type"]) if "type" in given else rows.newest_first()

    def keep(event: Obj) -> bool:
        fits = (types is None or event["type"] in types) and within(event) and _kept(box, event)
        return fits and delivered in (None, not _outbox(box).undelivered(event["id"]))

    return pages.page(rows, found, given, call.path, keep)


@endpoint("GET", "/v2/core/events/{id}")
def thin_event(call: Call) -> Obj:
    """A thin event."""
    return call.box.need("thin_event", call.ids["id"], "event")


def _outbox(box: Sandbox) -> Outbox:
    for tell in box.listeners:
        owner = getattr(tell, "__self__", None)
        if isinstance(owner, Outbox):
            return owner
    raise LookupError("the sandbox has no outbox")


_ENDPOINT: Final = {
    "url": forms.name_of,
    "enabled_events": forms.many(forms.name_of),
    "api_version": forms.name_of,
    "description": forms.text,
    "metadata": forms.metadata,
    "connect": forms.boolean,
}

retrievable("/v1/webhook_endpoints", "webhook_endpoint", "webhook endpoint")
listable("/v1/webhook_endpoints", "webhook_endpoint", {})


@endpoint("POST", "/v1/webhook_endpoints", _ENDPOINT, ("url", "enabled_events"))
def create_endpoint(call: Call) -> Obj:
    """An endpoint; its secret is told once, here."""
    made, secret = new_endpoint(call.box, call.params)
    return {**made, "secret": secret}


def new_endpoint(box: Sandbox, given: Obj, secrets: list[str] | None = None, *, thin: bool = False) -> tuple[Obj, str]:
    """An endpoint in the tables, and its first secret. Thin endpoints hear thin events only."""
    made: Obj = {
        "id": box.new_id("we"),
        "object": "webhook_endpoint",
        "api_version": given.get("api_version"),
        "application": None,
        "created": box.now(),
        "description": given.get("description"),
        "enabled_events": given["enabled_events"],
        "livemode": box.livemode,
        "metadata": forms.merge_metadata({}, given.get("metadata")),
        "status": "enabled",
        "url": given["url"],
    }
    outbox = _outbox(box)
    outbox.secrets[made["id"]] = secrets or [f"whsec_{box.letters(32)}"]
    if thin:
        outbox.thin.add(made["id"])
    box.tables["webhook_endpoint"].add(made)
    return made, outbox.secrets[made["id"]][0]


_CHANGES: Final = {
    "url": forms.name_of, "enabled_events": forms.many(forms.name_of), "disabled": forms.boolean,
    "description": forms.text, "metadata": forms.metadata,
}  # fmt: skip


@endpoint("POST", "/v1/webhook_endpoints/{id}", _CHANGES)
def update_endpoint(call: Call) -> Obj:
    """Change an endpoint; its API version cannot be changed."""
    found = call.box.need("webhook_endpoint", call.ids["id"], "webhook endpoint")
    for name in ("url", "enabled_events", "description"):
        if name in call.params:
            found[name] = call.params[name]
    if "disabled" in call.params:
        found["status"] = "disabled" if call.params["disabled"] else "enabled"
    found["metadata"] = forms.merge_metadata(found["metadata"], call.params.get("metadata"))
    return found


@endpoint("DELETE", "/v1/webhook_endpoints/{id}")
def delete_endpoint(call: Call) -> Obj:
    """Delete an endpoint; what is on its way to it is dropped."""
    found = call.box.need("webhook_endpoint", call.ids["id"], "webhook endpoint")
    call.box.tables["webhook_endpoint"].drop(found["id"])
    return {"id": found["id"], "object": "webhook_endpoint", "deleted": True}
