"""The control API under /_sandbox/: time, faults, banks and money by command. JSON in, JSON out.

Each function's docstring tells its method, path and body. Errors answer 400 or 404 with `{"error": "..."}`.
"""

import re
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final, TypeAlias
from urllib.parse import parse_qs

import msgspec

from billingbot.sandbox import account, refund_life
from billingbot.sandbox.api import Reply
from billingbot.sandbox.billing import recovered, split_payments
from billingbot.sandbox.cards import BY_TOKEN
from billingbot.sandbox.errors import StripeError
from billingbot.sandbox.events import changing
from billingbot.sandbox.faults import Rule
from billingbot.sandbox.invoice_routes import subscription_of
from billingbot.sandbox.invoices import collect, finalize
from billingbot.sandbox.local import LocalStripe
from billingbot.sandbox.payment_methods import attach_to, new_method
from billingbot.sandbox.tables import Obj, encode
from billingbot.sandbox.webhooks import Delivery

Command: TypeAlias = Callable[[LocalStripe, dict[str, str], Obj], Any]

COMMANDS: Final[list[tuple[str, re.Pattern[str], Command]]] = []
_SECONDS: Final = {"seconds": 1, "minutes": 60, "hours": 3600, "days": 86_400}
_UNLOCKED: Final = ("/_sandbox/quiet", "/_sandbox/reset")  # these wait for threads that need the lock


def command(method: str, path: str) -> Callable[[Command], Command]:
    """Register a control function."""

    def register(run: Command) -> Command:
        pattern = re.compile("/_sandbox" + re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", path) + "$")
        COMMANDS.append((method, pattern, run))
        return run

    return register


def answer(local: LocalStripe, method: str, path: str, query: str, body: bytes) -> Reply:
    """Answer one control request."""
    try:
        given = msgspec.json.decode(body) if body else {name: values[-1] for name, values in parse_qs(query).items()}
        return _json(200, _dispatch(local, method, path, given))
    except KeyError as error:
        return _json(400, {"error": f"{error.args[0]}: missing"})
    except LookupError as error:
        return _json(404, {"error": str(error)})
    except StripeError as error:
        return _json(error.status, {"error": str(error)})
    except (ValueError, TypeError, msgspec.MsgspecError) as error:
        return _json(400, {"error": str(error)})


def _json(status: int, value: Any) -> Reply:
    return Reply(status=status, body=encode(value), headers={"Content-Type": "application/json"})


def _dispatch(local: LocalStripe, method: str, path: str, given: Obj) -> Any:
    for wanted, pattern, run in COMMANDS:
        if wanted == method and (match := pattern.match(path)):
            if path in _UNLOCKED:
                return run(local, match.groupdict(), given)
            with local.box.lock:
                local.box.catch_up()
                return run(local, match.groupdict(), given)
    raise LookupError(f"no such command: {method} {path}")


def find(local: LocalStripe, table: str, object_id: str) -> Obj:
    """The object of this table. Raises LookupError where there is none."""
    found = local.box.tables[table].get(object_id)
    if found is None:
        raise LookupError(f"no such {table}: {object_id}")
    return found


def only(given: Obj, *names: str) -> None:
    """Raises ValueError for a field that is none of these."""
    for name in given.keys() - set(names):
        raise ValueError(f"{name}: unknown field, expected some of {', '.join(names)}")


def _moment(value: int | str) -> int:
    if isinstance(value, int):
        return value
    at = datetime.fromisoformat(value)
    return int((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp())


@command("GET", "/clock")
def read_clock(local: LocalStripe, _ids: dict[str, str], _given: Obj) -> Obj:
    """GET /_sandbox/clock: `{"now": unix seconds, "iso": ..., "running": bool}`."""
    now = local.box.now()
    return {"now": now, "iso": datetime.fromtimestamp(now, UTC).isoformat(), "running": local.box.clock.running}


@command("POST", "/clock/advance")
def advance(local: LocalStripe, ids: dict[str, str], given: Obj) -> Obj:
    """POST /_sandbox/clock/advance `{"seconds"|"minutes"|"hours"|"days": n}` or `{"to": unix or ISO}`: move the
    clock forward; everything that falls due on the way happens at its own second, in order."""
    only(given, *_SECONDS, "to")
    goal = local.box.now() + sum(int(given.get(name, 0)) * unit for name, unit in _SECONDS.items())
    if "to" in given:
        goal = _moment(given["to"])
    if goal < local.box.now():
        raise ValueError("to: the clock moves only forward")
    local.box.catch_up(goal)
    return read_clock(local, ids, given)  # type: ignore[no-any-return] # a Command may return anything


@command("POST", "/clock/run")
def run_clock(local: LocalStripe, ids: dict[str, str], given: Obj) -> Obj:
    """POST /_sandbox/clock/run `{"running": bool}`: let the clock follow the wall clock, or stop it."""
    local.box.clock.run(running=bool(given.get("running", True)))
    return read_clock(local, ids, given)  # type: ignore[no-any-return] # a Command may return anything


@command("POST", "/endpoints")
def add_endpoint(local: LocalStripe, _ids: dict[str, str], given: Obj) -> Obj:
    """POST /_sandbox/endpoints `{"url", "enabled_events"=["*"], "api_version", "secrets": [...], "payload":
    "snapshot"|"thin"}`: a webhook endpoint, with its secret in the answer."""
    only(given, "url", "enabled_events", "api_version", "secrets", "payload", "description")
    named = {"enabled_events": ["*"], **given}
    if "url" not in named:
        raise ValueError("url: expected the address of the endpoint")
    thin = given.get("payload", "snapshot") == "thin"
    made, secret = account.new_endpoint(local.box, named, given.get("secrets"), thin=thin)
    return {**made, "secret": secret}


@command("GET", "/endpoints")
def list_endpoints(local: LocalStripe, _ids: dict[str, str], _given: Obj) -> list[Obj]:
    """GET /_sandbox/endpoints: all endpoints with their secrets and payload kind."""
    return [
        {
            **found,
            "payload": "thin" if found["id"] in local.outbox.thin else "snapshot",
            "secrets": local.outbox.secrets[found["id"]],
        }
        for found in local.box.tables["webhook_endpoint"].rows.values()
    ]


@command("DELETE", "/endpoints/{id}")
def drop_endpoint(local: LocalStripe, ids: dict[str, str], _given: Obj) -> Obj:
    """DELETE /_sandbox/endpoints/{id}."""
    find(local, "webhook_endpoint", ids["id"])
    local.box.tables["webhook_endpoint"].drop(ids["id"])
    return {"deleted": ids["id"]}


@command("POST", "/endpoints/{id}/send")
def send(local: LocalStripe, ids: dict[str, str], given: Obj) -> Obj:
    """POST /_sandbox/endpoints/{id}/send `{"event": {...}}`: sign and deliver any JSON to an endpoint, such as an
    event of the wrong mode, version or account. It is not kept among the events."""
    find(local, "webhook_endpoint", ids["id"])
    event = {"id": "evt_forged", "type": "forged", **given["event"]}
    local.outbox.send(ids["id"], event, encode(given["event"]))
    return {"endpoint": ids["id"]}


@command("POST", "/endpoints/{id}/roll")
def roll_secret(local: LocalStripe, ids: dict[str, str], given: Obj) -> Obj:
    """POST /_sandbox/endpoints/{id}/roll `{"keep_old": true, "secret": ...}`: another secret; both sign while the
    old one is kept."""
    find(local, "webhook_endpoint", ids["id"])
    secret = given.get("secret") or f"whsec_{local.box.letters(32)}"
    old = local.outbox.secrets[ids["id"]] if given.get("keep_old", True) else []
    local.outbox.secrets[ids["id"]] = [secret, *old]
    return {"secret": secret, "secrets": local.outbox.secrets[ids["id"]]}


@command("POST", "/faults")
def add_fault(local: LocalStripe, _ids: dict[str, str], given: Obj) -> Obj:
    """POST /_sandbox/faults `{"kind", "method", "path" (regular expression), "times"=1 (null: always),
    "probability"=1, "seconds", "should_retry", "permission"}`; kinds: see `faults.Kind`."""
    rule = Rule(**given)
    local.faults.rules.append(rule)
    return asdict(rule)


@command("GET", "/faults")
def list_faults(local: LocalStripe, _ids: dict[str, str], _given: Obj) -> list[Obj]:
    """GET /_sandbox/faults: the rules, with how often each was hit."""
    return [asdict(rule) for rule in local.faults.rules]


@command("DELETE", "/faults")
def clear_faults(local: LocalStripe, _ids: dict[str, str], _given: Obj) -> Obj:
    """DELETE /_sandbox/faults: no more bad days."""
    local.faults.rules.clear()
    return {"rules": 0}


@command("GET", "/balance")
def read_balance(local: LocalStripe, _ids: dict[str, str], _given: Obj) -> Obj:
    """GET /_sandbox/balance: available minor units by settlement currency, and which are limited."""
    return {"available": local.box.funds.available, "limited": sorted(local.box.funds.limited)}


@command("POST", "/balance")
def set_balance(local: LocalStripe, ids: dict[str, str], given: Obj) -> Obj:
    """POST /_sandbox/balance `{"currency"="usd", "available": minor units or null}`: from now on refunds wait for
    money (pending, insufficient_funds); more money lets the waiting ones go. null: money is no limit again."""
    currency, available = given.get("currency", local.box.options.currency), given["available"]
    if available is None:
        local.box.funds.limited.discard(currency)
    else:
        local.box.funds.limited.add(currency)
        local.box.funds.available[currency] = int(available)
    refund_life.pay_waiting(local.box)
    return read_balance(local, ids, given)  # type: ignore[no-any-return] # a Command may return anything


@command("POST", "/settlement")
def set_settlement(local: LocalStripe, _ids: dict[str, str], given: Obj) -> Obj:
    """POST /_sandbox/settlement `{"currency", "into", "rate": "1.0834"}`: charges in `currency` settle in `into`."""
    rate = Decimal(str(given["rate"]))
    local.box.funds.rates[given["currency"]] = (given["into"], rate)
    return {"currency": given["currency"], "into": given["into"], "rate": rate}


@command("POST", "/cards")
def add_card(local: LocalStripe, _ids: dict[str, str], given: Obj) -> Obj:
    """POST /_sandbox/cards `{"customer", "token"="pm_card_visa", "fingerprint" (null: none), "default"=true}`: a
    test card attached to a customer, with the fingerprint you choose."""
    only(given, "customer", "token", "fingerprint", "default")
    customer = find(local, "customer", given["customer"])
    token = given.get("token", "pm_card_visa")
    if token not in BY_TOKEN:
        raise LookupError(f"token: no such test card: {token}")
    method = new_method(local.box, BY_TOKEN[token])
    if "fingerprint" in given:
        method["card"]["fingerprint"] = given["fingerprint"]
    attach_to(local.box, method, customer)
    if given.get("default", True):
        with changing(local.box, customer, "customer.updated"):
            customer["invoice_settings"]["default_payment_method"] = method["id"]
    return method


@command("POST", "/payment_methods/{id}")
def set_fingerprint(local: LocalStripe, ids: dict[str, str], given: Obj) -> Obj:
    """POST /_sandbox/payment_methods/{id} `{"fingerprint": text or null}`: for charges to come."""
    method = find(local, "payment_method", ids["id"])
    method["card"]["fingerprint"] = given["fingerprint"]
    return method


@command("POST", "/invoices/{id}/pay_in_parts")
def pay_in_parts(local: LocalStripe, ids: dict[str, str], given: Obj) -> Obj:
    """POST /_sandbox/invoices/{id}/pay_in_parts `{"amounts": [minor units, ...]}`: pay a draft or open invoice at
    once in several payments that add up to what remains."""
    invoice = find(local, "invoice", ids["id"])
    if invoice["status"] == "draft":
        finalize(local.box, invoice)
    if invoice["status"] != "open":
        raise ValueError(f"invoice: expected a draft or open invoice, this one is {invoice['status']}")
    split_payments(local.box, invoice, given["amounts"])
    customer = find(local, "customer", invoice["customer"])
    default = customer["invoice_settings"]["default_payment_method"]
    collect(local.box, invoice, local.box.tables["payment_method"].get(default or ""))
    owner = subscription_of(invoice)
    if owner and invoice["status"] == "paid":
        recovered(local.box, local.box.tables["subscription"].rows[owner])
    return invoice


@command("POST", "/subscriptions/{id}/split_next")
def split_next(local: LocalStripe, ids: dict[str, str], given: Obj) -> Obj:
    """POST /_sandbox/subscriptions/{id}/split_next `{"amounts": [...]}`: the next invoice with something to pay is
    collected in these parts (they must add up to it)."""
    find(local, "subscription", ids["id"])
    local.box.terms[ids["id"]].split = [int(amount) for amount in given["amounts"]]
    return {"subscription": ids["id"], "amounts": given["amounts"]}


@command("GET", "/objects/{table}")
def dump(local: LocalStripe, ids: dict[str, str], _given: Obj) -> list[Obj]:
    """GET /_sandbox/objects/{type}: every object of a type, oldest first (`charge`, `refund`, `event`, ...)."""
    if ids["table"] not in local.box.tables:
        raise LookupError(f"type: expected one of {', '.join(local.box.tables)}")
    return list(local.box.tables[ids["table"]].rows.values())


@command("GET", "/deliveries")
def deliveries(local: LocalStripe, _ids: dict[str, str], given: Obj) -> list[Obj]:
    """GET /_sandbox/deliveries?event=&endpoint=&state=: the delivery log, oldest first, with every attempt."""
    wanted = {name: given[name] for name in ("event", "endpoint", "state", "kind") if name in given}
    return [told for told in map(_told, local.outbox.log) if all(told[name] == value for name, value in wanted.items())]


def _told(delivery: Delivery) -> Obj:
    return {
        "event": delivery.event,
        "kind": delivery.kind,
        "endpoint": delivery.endpoint,
        "state": delivery.state,
        "duplicate": delivery.duplicate,
        "attempts": delivery.attempts,
    }


@command("POST", "/weather")
def set_weather(local: LocalStripe, _ids: dict[str, str], given: Obj) -> Obj:
    """POST /_sandbox/weather `{"duplicate": 0..1, "delay_seconds", "disorder_seconds", "held": bool, "v0": bool,
    "twins": 0..1}`: how deliveries travel (see `webhooks.Weather`); `twins` is the chance that one happening makes
    two Event objects. `held: false` lets go of what was held."""
    local.box.twins = given.pop("twins", local.box.twins)
    for name, value in given.items():
        if not hasattr(local.outbox.weather, name):
            raise ValueError(f"{name}: unknown weather")
        setattr(local.outbox.weather, name, value)
    if not local.outbox.weather.held:
        local.outbox.release()
    return {**asdict(local.outbox.weather), "twins": local.box.twins}


@command("POST", "/release")
def release(local: LocalStripe, _ids: dict[str, str], given: Obj) -> Obj:
    """POST /_sandbox/release `{"gap_seconds"=0.1}`: what was held leaves newest first, so that it arrives in the wrong
    order: a dispute's end before its beginning."""
    local.outbox.release_backwards(float(given.get("gap_seconds", 0.1)))
    return {"held": False}


@command("POST", "/events/{id}/resend")
def resend(local: LocalStripe, ids: dict[str, str], given: Obj) -> Obj:
    """POST /_sandbox/events/{id}/resend `{"endpoint": id (default: all)}`: deliver an event again, as a person does
    from the Dashboard."""
    event = find(local, "event", ids["id"])
    for endpoint in local.box.tables["webhook_endpoint"].rows.values():
        if given.get("endpoint") in (None, endpoint["id"]):
            local.outbox.resend(event, endpoint)
    return {"event": event["id"]}


@command("POST", "/quiet")
def quiet(local: LocalStripe, _ids: dict[str, str], given: Obj) -> Obj:
    """POST /_sandbox/quiet `{"timeout_seconds"=30}`: wait until no delivery is on its way; says whether it is so."""
    return {"quiet": local.outbox.quiet(float(given.get("timeout_seconds", 30)))}


@command("POST", "/reset")
def reset(local: LocalStripe, _ids: dict[str, str], given: Obj) -> Obj:
    """POST /_sandbox/reset `{"keep_endpoints": true}`: an empty account at the first second again."""
    local.reset(keep_endpoints=bool(given.get("keep_endpoints", True)))
    return {"now": local.box.now()}


@command("GET", "/health")
def health(local: LocalStripe, _ids: dict[str, str], _given: Obj) -> Obj:
    """GET /_sandbox/health: it is up, in this mode."""
    return {"livemode": local.options.livemode, "account": local.box.account_id}
