"""One request answered: authentication, faults, idempotency, validation, execution, expansion, in Stripe's order."""

import base64
import binascii
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from billingbot.sandbox import (  # each registers its endpoints when imported
    account,
    catalog,
    charges,
    credit_notes,
    customers,
    disputes,
    early_fraud,
    evidence,
    expand,
    files,
    forms,
    invoice_routes,
    payment_methods,
    refunds,
    router,
    settlement,
    subscription_changes,
    subscriptions,
    versions,
)
from billingbot.sandbox.errors import StripeError, api_error, unauthorized, unrecognized_url
from billingbot.sandbox.faults import BEFORE, Kind, Rule, refusal
from billingbot.sandbox.idempotency import Stored
from billingbot.sandbox.local import LocalStripe
from billingbot.sandbox.state import API_VERSION, Origin
from billingbot.sandbox.tables import Obj, encode

RESOURCES: Final = (
    account, catalog, charges, credit_notes, customers, disputes, early_fraud, evidence, files, invoice_routes,
    payment_methods, refunds, settlement, subscription_changes, subscriptions,
)  # fmt: skip
_BAD_GATEWAY: Final = b"<html><head><title>502 Bad Gateway</title></head><body>Bad Gateway</body></html>"


@dataclass(frozen=True, slots=True, kw_only=True)
class Incoming:
    """A request as it came in. `form` is the query of a GET or DELETE, else the body."""

    method: str
    path: str
    form: str
    headers: Mapping[str, str]  # lower-case names


@dataclass(slots=True, kw_only=True)
class Reply:
    """The answer. `cut` is None, `all` (close without a byte) or `half` (close in mid-body)."""

    status: int
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)
    cut: str | None = None


def answer(local: LocalStripe, request: Incoming) -> Reply:
    """Answer one request to /v1 or /v2."""
    request_id = local.box.new_id("req", 14)
    try:
        _authenticate(local, request.headers.get("authorization", ""))
        with local.box.lock:
            rule = local.faults.draw(request.method, request.path)
        reply = _answer(local, request, request_id, rule)
    except StripeError as error:
        reply = _refuse(error, request_id)
        rule = None
    reply.headers.setdefault("Request-Id", request_id)
    reply.headers["Stripe-Version"] = request.headers.get("stripe-version", API_VERSION)
    return reply


def _refuse(error: StripeError, request_id: str) -> Reply:
    headers = {"Content-Type": "application/json", **error.headers}
    return Reply(status=error.status, body=encode(error.body(request_id)), headers=headers)


def _authenticate(local: LocalStripe, header: str) -> None:
    scheme, _, given = header.partition(" ")
    if scheme.lower() == "basic":
        try:
            given = base64.b64decode(given, validate=True).decode().partition(":")[0]
        except (binascii.Error, UnicodeDecodeError):
            given = ""
    if not given:
        raise unauthorized(
            "You did not provide an API key. You need to provide your API key in the Authorization header, using"
            " Bearer auth (e.g. 'Authorization: Bearer YOUR_SECRET_KEY')."
        )
    mode = "live" if local.options.livemode else "test"
    if not given.startswith((f"sk_{mode}_", f"rk_{mode}_")):
        shown = f"{given[:8]}{'*' * 8}{given[-4:]}" if len(given) > 12 else "********"
        raise unauthorized(f"Invalid API Key provided: {shown}")


def _answer(local: LocalStripe, request: Incoming, request_id: str, rule: Rule | None) -> Reply:
    if rule is not None and (early := _early(rule, request_id)) is not None:
        return early
    found = router.find(request.method, request.path)
    if found is None:
        raise unrecognized_url(request.method, request.path)
    key = request.headers.get("idempotency-key") if request.method == "POST" else None
    if not key:
        return _execute(local, request, request_id, None, rule)
    with local.box.lock:
        stored = local.keys.enter(key, f"{request.method} {request.path}", request.form, local.box.now())
    if stored is not None:
        return _replay(stored, key)
    try:
        reply = _execute(local, request, request_id, key, rule)
    finally:
        with local.box.lock:
            local.keys.release(key)  # does nothing once an answer is kept
    reply.headers |= {"Idempotency-Key": key, "Original-Request": request_id}
    return reply


def _early(rule: Rule, request_id: str) -> Reply | None:
    """What a fault answers without looking at the request; None where the request runs."""
    if rule.kind is Kind.BAD_GATEWAY:
        return Reply(status=502, body=_BAD_GATEWAY, headers={"Content-Type": "text/html"})
    if rule.kind is Kind.LOST_REQUEST:
        return Reply(status=500, body=b"", cut="all")
    if rule.kind in BEFORE:
        return _refuse(_with_advice(refusal(rule), rule), request_id)
    return None


def _with_advice(error: StripeError, rule: Rule) -> StripeError:
    if rule.should_retry is not None:
        error.headers["Stripe-Should-Retry"] = "true" if rule.should_retry else "false"
    return error


def _replay(stored: Stored, key: str) -> Reply:
    headers = {
        "Content-Type": stored.content_type,
        "Idempotency-Key": key,
        "Idempotent-Replayed": "true",
        "Original-Request": stored.request_id,
    }
    return Reply(status=stored.status, body=stored.body, headers=headers)


def _execute(local: LocalStripe, request: Incoming, request_id: str, key: str | None, rule: Rule | None) -> Reply:
    """Validate and run a request, and keep its answer under the key unless validation failed."""
    stored = True
    if rule is not None and rule.kind is Kind.SLOW:
        time.sleep(rule.seconds)
    if rule is not None and rule.kind is Kind.ERROR_BEFORE:
        reply = _refuse(_with_advice(refusal(rule), rule), request_id)
    else:
        try:
            body = _run(local, request, Origin(request_id=request_id, idempotency_key=key))
            reply = Reply(status=200, body=body, headers={"Content-Type": "application/json"})
        except StripeError as error:
            reply, stored = _refuse(error, request_id), error.stored
    if rule is not None and rule.kind is Kind.ERROR_AFTER:
        reply = _refuse(_with_advice(refusal(rule), rule), request_id)
        stored = True
    if key is not None and stored:
        with local.box.lock:
            local.keys.keep(key, Stored(status=reply.status, body=reply.body, request_id=request_id))
    if rule is not None and rule.kind in (Kind.LOST_ANSWER, Kind.CUT_ANSWER):
        reply.cut = "all" if rule.kind is Kind.LOST_ANSWER else "half"
    return reply


def _run(local: LocalStripe, request: Incoming, origin: Origin) -> bytes:
    found = router.find(request.method, request.path)
    if found is None:
        raise unrecognized_url(request.method, request.path)
    route, ids = found
    params = forms.check(forms.parse(request.form), route.spec, route.required)
    paths = params.pop("expand", [])
    box = local.box
    with box.lock:
        box.catch_up()
        box.origin = origin
        try:
            made = route.answer(router.Call(box=box, ids=ids, params=params, path=request.path))
            body = encode(_shown(local, made, paths, request.headers.get("stripe-version")))
        finally:
            box.origin = None
        box.catch_up()  # what the request made due at once, such as the warning of a short trial's end
        return body


def _shown(local: LocalStripe, made: Obj, paths: list[str], version: str | None) -> Obj:
    if not paths and not versions.is_older(version):
        return made
    return expand.show(local.box, made, paths, version)


def crash_reply(request_id: str) -> Reply:
    """The answer when the sandbox itself has a bug: a 500 as Stripe words it."""
    return _refuse(api_error(), request_id)
