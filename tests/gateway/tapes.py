"""Records what the gateway and a Stripe say to each other into `cassettes/`, scrubbed, and plays it back."""

import contextlib
import json
import os
import re
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import vcr
import yaml

from billingbot.gateway import StripeGateway
from billingbot.sandbox.client import SandboxClient
from billingbot.sandbox.server import running_sandbox

CASSETTES = Path(__file__).resolve().parents[2] / "cassettes"
REAL = "https://api.stripe.com"
REAL_KEY = "STRIPE_TEST_API_KEY"
# The local Stripe's first second and the seed of its ids: a recording made twice is the same twice.
BEGIN = datetime(2026, 3, 1, 9, tzinfo=UTC)
SEED = 7

Given = dict[str, Any]

# Lists of what is kept, so that a header nobody thought of is left out: no credentials, no machine, no time of day.
_REQUEST_HEADERS = {"idempotency-key", "stripe-version", "content-type"}
_RESPONSE_HEADERS = {"content-type", "idempotent-replayed", "retry-after", "stripe-should-retry"}
_PRIVATE = {
    "account_name", "address", "authorization_code", "customer_address", "customer_name", "customer_phone",
    "customer_shipping", "hosted_invoice_url", "invoice_pdf", "ip_address", "name", "network_transaction_id", "phone",
    "receipt_number", "receipt_url", "request_log_url", "shipping",
}  # fmt: skip
_SECRET = re.compile(r"(?:(?:sk|rk|pk)_(?:live|test)|whsec)_\w+|\w+_secret_\w+")
_EMAIL = re.compile(r"[\w.+-]+@[\w-]+\.[\w.-]+")


@dataclass(frozen=True)
class Played:
    """A gateway on the recorded line, and the ids of the world it was recorded in."""

    gateway: StripeGateway
    given: Given


@dataclass(frozen=True)
class Tapes:
    """Plays cassettes, or makes them anew: against the local Stripe, or a real test account where a key is given."""

    record: bool

    @contextlib.contextmanager
    def play(self, name: str, build: Callable[[SandboxClient], Given], *, real: bool = False) -> Iterator[Played]:
        """The scenario `flow/name`. `build` makes its world; `real` says that a real account can play it too."""
        path = CASSETTES / f"{name}.yaml"
        key = os.environ.get(REAL_KEY)
        if self.record and (real or not key):
            with _stripe(key if real else None) as (client, api_key):
                yield from _recorded(path, client, api_key, build(client))
        else:
            yield from _replayed(path)


@contextlib.contextmanager
def _stripe(key: str | None) -> Iterator[tuple[SandboxClient, str]]:
    if key:
        with SandboxClient(REAL, key) as client:
            yield client, key
    else:
        with running_sandbox(start_at=BEGIN, seed=SEED) as sandbox:
            yield sandbox.client, "rk_test_recorded"


class _OneAfterAnother(ThreadPoolExecutor):
    """Runs what it is given at once: vcrpy lifts its patches for a moment with each new connection, and what another
    thread asks in that moment would pass it by."""

    def submit(self, call: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        done: Future[Any] = Future()
        try:
            done.set_result(call(*args, **kwargs))
        except Exception as error:  # noqa: BLE001 - as any executor: the fault belongs to who asks for the result
            done.set_exception(error)
        return done


def _gateway(api_key: str, api_base: str | None = None) -> StripeGateway:
    gateway = StripeGateway("main", api_key, livemode=False, api_base=api_base)
    gateway._pool, gateway._pid = _OneAfterAnother(), os.getpid()
    return gateway


def _recorded(path: Path, client: SandboxClient, api_key: str, given: Given) -> Iterator[Played]:
    path.unlink(missing_ok=True)
    gateway = _gateway(api_key, client.url)
    with _recorder("all").use_cassette(str(path)) as tape:
        tape.get_metadata("given", given)
        yield Played(gateway, given)
        gateway.close()


def _replayed(path: Path) -> Iterator[Played]:
    if not path.is_file():
        pytest.fail(f"{path.name} was never recorded: run make record")
    gateway = _gateway("rk_test_replayed")
    with _recorder("none").use_cassette(str(path)) as tape:
        yield Played(gateway, tape.get_metadata("given", {}))
        gateway.close()
        assert tape.all_played, f"{path.name}: what was recorded was not asked again: record it anew"


def _recorder(mode: str) -> Any:
    recorder = vcr.VCR(
        record_mode=mode,
        match_on=("method", "path", "query", "body", "idempotency_key"),
        serializer="readable",
        before_record_request=_scrub_request,
        before_record_response=_scrub_response,
        decode_compressed_response=True,
    )
    recorder.register_matcher("idempotency_key", _same_key)
    recorder.register_serializer("readable", ReadableYaml)
    return recorder


def _same_key(one: Any, other: Any) -> None:
    assert one.headers.get("Idempotency-Key") == other.headers.get("Idempotency-Key"), "another Idempotency-Key"


def _scrub_request(request: Any) -> Any:
    parts = urlsplit(request.uri)
    request.uri = REAL + parts.path + (f"?{parts.query}" if parts.query else "")  # one address, no port of a day
    for name in list(request.headers):
        if name.lower() not in _REQUEST_HEADERS:
            del request.headers[name]
    return request


def _scrub_response(response: dict[str, Any]) -> dict[str, Any]:
    kept = {name: value for name, value in response["headers"].items() if name.lower() in _RESPONSE_HEADERS}
    text = response["body"]["string"].decode()
    with contextlib.suppress(ValueError):  # an HTML page has nothing private
        text = json.dumps(_scrubbed(json.loads(text)))
    return response | {"headers": kept, "body": {"string": text.encode()}}


def _scrubbed(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: None if name in _PRIVATE and inner else _scrubbed(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_scrubbed(inner) for inner in value]
    return _SECRET.sub("scrubbed", _EMAIL.sub(_example, value)) if isinstance(value, str) else value


def _example(found: re.Match[str]) -> str:
    return found[0] if found[0].endswith("@example.com") else "scrubbed@example.com"


def _address(interaction: dict[str, Any]) -> tuple[str, str]:
    return interaction["request"]["method"], interaction["request"]["uri"]


class ReadableYaml:
    """Cassettes that people can read and compare: JSON bodies as YAML, interactions in an order of their own.

    Sorted by address, so that a read moved in the code moves nothing here; repeats keep their order.
    """

    @staticmethod
    def serialize(cassette: dict[str, Any]) -> str:
        interactions = sorted(cassette["interactions"], key=_address)
        for one in interactions:
            with contextlib.suppress(ValueError):
                one["response"]["body"] = {"json": json.loads(one["response"]["body"]["string"])}
        return yaml.safe_dump(cassette | {"interactions": interactions}, sort_keys=True, allow_unicode=True, width=120)

    @staticmethod
    def deserialize(text: str) -> dict[str, Any]:
        cassette = yaml.safe_load(text)
        for one in cassette["interactions"]:
            if "json" in one["response"]["body"]:
                one["response"]["body"] = {"string": json.dumps(one["response"]["body"]["json"])}
        return cassette
