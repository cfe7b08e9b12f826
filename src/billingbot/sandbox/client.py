"""A typed client for a running sandbox: its control API, and a thin way to its /v1 for demos and tests."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from types import TracebackType
from typing import Any, Final, Self

import httpx

_PATIENCE: Final = 120.0  # seconds; moving the clock by a year with thousands of customers takes a while


class SandboxError(Exception):
    """The control API or /v1 answered with an error. `status` and `body` as received."""

    def __init__(self, status: int, body: Any) -> None:
        super().__init__(f"{status}: {body}")
        self.status = status
        self.body = body


class SandboxClient:
    """Commands a sandbox at `url`. Every method raises SandboxError when the sandbox says no.

    May be shared between threads. `key` is the API key for `get`, `post` and `delete`.
    """

    def __init__(self, url: str, key: str = "sk_test_sandbox") -> None:
        self.url = url.rstrip("/")
        self._http = httpx.Client(base_url=self.url, timeout=_PATIENCE, trust_env=False)
        self._auth = {"Authorization": f"Bearer {key}"}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    # Stripe's own API, thin.

    def get(self, path: str, /, **params: Any) -> Any:
        """GET `/v1` + path; nested parameters as Stripe encodes them."""
        return self._read(self._http.get(f"/v1{path}", params=_form(params), headers=self._auth))

    def post(self, path: str, /, *, idempotency_key: str | None = None, **params: Any) -> Any:
        """POST `/v1` + path."""
        headers = {**self._auth, **({"Idempotency-Key": idempotency_key} if idempotency_key else {})}
        return self._read(self._http.post(f"/v1{path}", data=_form(params), headers=headers))

    def delete(self, path: str, /, **params: Any) -> Any:
        """DELETE `/v1` + path."""
        return self._read(self._http.delete(f"/v1{path}", params=_form(params), headers=self._auth))

    # Time.

    def clock(self) -> Any:
        """`{"now": unix seconds, "iso", "running"}`."""
        return self._command("GET", "/clock")

    def now(self) -> int:
        """The sandbox's present in Unix seconds."""
        return int(self.clock()["now"])

    def advance(self, *, days: int = 0, hours: int = 0, seconds: int = 0, to: datetime | int | None = None) -> Any:
        """Move the clock forward; all that falls due happens on the way, each at its second."""
        target = {} if to is None else {"to": int(to.timestamp()) if isinstance(to, datetime) else to}
        return self._command("POST", "/clock/advance", days=days, hours=hours, seconds=seconds, **target)

    def run_clock(self, *, running: bool = True) -> Any:
        """Let the clock follow the wall clock, or stop it."""
        return self._command("POST", "/clock/run", running=running)

    # Webhooks.

    def add_endpoint(
        self,
        url: str,
        enabled_events: Sequence[str] = ("*",),
        *,
        api_version: str | None = None,
        secrets: Sequence[str] | None = None,
        thin: bool = False,
    ) -> Any:
        """A webhook endpoint; the answer carries its `secret`."""
        given: dict[str, Any] = {"url": url, "enabled_events": list(enabled_events)}
        if api_version:
            given["api_version"] = api_version
        if secrets:
            given["secrets"] = list(secrets)
        return self._command("POST", "/endpoints", **given, payload="thin" if thin else "snapshot")

    def endpoints(self) -> Any:
        """All endpoints with their secrets."""
        return self._command("GET", "/endpoints")

    def remove_endpoint(self, endpoint: str) -> Any:
        """Delete an endpoint."""
        return self._command("DELETE", f"/endpoints/{endpoint}")

    def roll_secret(self, endpoint: str, *, keep_old: bool = True) -> Any:
        """Another secret for an endpoint; both sign while the old one is kept."""
        return self._command("POST", f"/endpoints/{endpoint}/roll", keep_old=keep_old)

    def send(self, endpoint: str, event: Mapping[str, Any]) -> Any:
        """Sign and deliver any JSON to an endpoint, such as an event of the wrong mode or account."""
        return self._command("POST", f"/endpoints/{endpoint}/send", event=dict(event))

    def weather(self, **settings: Any) -> Any:
        """How deliveries travel: duplicate, twins (chances), delay_seconds, disorder_seconds, held, v0."""
        return self._command("POST", "/weather", **settings)

    def deliveries(self, **filters: str) -> Any:
        """The delivery log; filters: event, endpoint, state, kind."""
        return self._read(self._http.get("/_sandbox/deliveries", params=filters))

    def release_backwards(self, gap_seconds: float = 0.1) -> Any:
        """Let held deliveries go, newest first, one so long after the other."""
        return self._command("POST", "/release", gap_seconds=gap_seconds)

    def resend(self, event: str, endpoint: str | None = None) -> Any:
        """Deliver an event again."""
        return self._command("POST", f"/events/{event}/resend", endpoint=endpoint)

    def quiet(self, timeout_seconds: float = 30) -> bool:
        """Wait until no delivery is on its way; False when that took too long."""
        return bool(self._command("POST", "/quiet", timeout_seconds=timeout_seconds)["quiet"])

    # Bad days.

    def fault(self, kind: str, **rule: Any) -> Any:
        """A rule that makes requests go wrong: method, path, times, probability, seconds, should_retry, permission;
        kinds as in `faults.Kind`."""
        return self._command("POST", "/faults", kind=kind, **rule)

    def faults(self) -> Any:
        """The rules with their hits."""
        return self._command("GET", "/faults")

    def clear_faults(self) -> Any:
        """No more bad days."""
        return self._command("DELETE", "/faults")

    # Banks and money.

    def dispute(self, charge: str, **how: Any) -> Any:
        """Open a dispute: status, reason, rdr, and the fields of `claim.Claim`."""
        return self._command("POST", "/disputes", charge=charge, **how)

    def move_dispute(self, dispute: str, status: str, **how: Any) -> Any:
        """What the bank does next with a dispute; `due_by` is when an answer is due then."""
        return self._command("POST", f"/disputes/{dispute}", status=status, **how)

    def answer_dispute(self, dispute: str) -> Any:
        """Smart Disputes answers a dispute in our place."""
        return self._command("POST", f"/disputes/{dispute}/smart")

    def warn(self, charge: str, fraud_type: str = "misc") -> Any:
        """An early fraud warning."""
        return self._command("POST", "/warnings", charge=charge, fraud_type=fraud_type)

    def refund_outcome(self, **outcome: Any) -> Any:
        """What the next refunds will do: charge, times, status, pending_reason, then, after_seconds,
        failure_reason."""
        return self._command("POST", "/refund_outcomes", **outcome)

    def turn_refund(self, refund: str, status: str, failure_reason: str = "unknown") -> Any:
        """Move a refund to succeeded, failed or canceled now."""
        return self._command("POST", f"/refunds/{refund}", status=status, failure_reason=failure_reason)

    def set_balance(self, available: int | None, currency: str = "usd") -> Any:
        """Limit the balance to so many minor units; None lifts the limit."""
        return self._command("POST", "/balance", available=available, currency=currency)

    def balance(self) -> Any:
        """Available money by settlement currency."""
        return self._command("GET", "/balance")

    def settle(self, currency: str, into: str, rate: str) -> Any:
        """Charges in `currency` settle in `into` at `rate` (major units per major unit, as text)."""
        return self._command("POST", "/settlement", currency=currency, into=into, rate=rate)

    def add_card(self, customer: str, token: str = "pm_card_visa", *, default: bool = True, **card: Any) -> Any:  # noqa: S107 - a test card's public name
        """Attach a test card; `fingerprint=` sets one, or none with None."""
        return self._command("POST", "/cards", customer=customer, token=token, default=default, **card)

    def set_fingerprint(self, payment_method: str, fingerprint: str | None) -> Any:
        """Change a payment method's fingerprint for charges to come."""
        return self._command("POST", f"/payment_methods/{payment_method}", fingerprint=fingerprint)

    def pay_in_parts(self, invoice: str, amounts: Sequence[int]) -> Any:
        """Pay a draft or open invoice at once in several payments."""
        return self._command("POST", f"/invoices/{invoice}/pay_in_parts", amounts=list(amounts))

    def split_next(self, subscription: str, amounts: Sequence[int]) -> Any:
        """The subscription's next invoice will be collected in these parts."""
        return self._command("POST", f"/subscriptions/{subscription}/split_next", amounts=list(amounts))

    # The whole.

    def objects(self, table: str) -> Any:
        """Every object of a type, oldest first."""
        return self._command("GET", f"/objects/{table}")

    def reset(self, *, keep_endpoints: bool = True) -> Any:
        """An empty account again."""
        return self._command("POST", "/reset", keep_endpoints=keep_endpoints)

    def health(self) -> Any:
        """It is up, in which mode."""
        return self._command("GET", "/health")

    def _command(self, method: str, path: str, /, **given: Any) -> Any:
        body = given if method == "POST" else None
        return self._read(self._http.request(method, f"/_sandbox{path}", json=body))

    def _read(self, answer: httpx.Response) -> Any:
        body = answer.json()
        if answer.is_error:
            raise SandboxError(answer.status_code, body)
        return body


def _form(params: Mapping[str, Any]) -> dict[str, str]:
    return dict(pair for name, value in params.items() for pair in _pairs(name, value))


def _pairs(name: str, value: Any) -> list[tuple[str, str]]:
    if isinstance(value, Mapping):
        return [pair for inner, each in value.items() for pair in _pairs(f"{name}[{inner}]", each)]
    if isinstance(value, (list, tuple)):
        return [pair for at, each in enumerate(value) for pair in _pairs(f"{name}[{at}]", each)]
    if isinstance(value, bool):
        return [(name, "true" if value else "false")]
    return [] if value is None else [(name, str(value))]
