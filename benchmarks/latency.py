"""Latency: from a request for a refund to its decision and to Stripe's yes, through all processes of billingbot."""

import re
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Any, Final

import httpx
import msgspec
import psycopg

from benchmarks import stage
from benchmarks.figures import Spread, percentile, spread
from benchmarks.stage import WEBHOOK_SECRET
from benchmarks.timed_stripe import CALLS, Call
from billingbot.cli.connection import find
from billingbot.sandbox.client import SandboxClient

IDLE: Final = 20
BURST: Final = 200
# The first requests of every process read modules and open connections; a desk that runs has done so long ago.
_WARM_UP: Final = 5
# As many requests as a small web process answers at a time; the rest of the burst waits at its door.
_SENDERS: Final = 16
_SETTERS_UP: Final = 4
_BURST_SECONDS: Final = 300.0
_MONTH: Final = timedelta(days=31)
_SOURCES: Final = """\
[[usage]]
type = "static"
name = "product"
path = "usage.json"
unlisted = "unused"
max_age_seconds = 86400

[[support]]
type = "static"
name = "support-desk"
path = "support.json"
max_age_seconds = 86400
"""
_ANSWERED: Final = """
SELECT c.charge_id, min(d.decided_at), min(a.answered_at)
FROM cases c JOIN decisions d ON d.case_id = c.id AND d.purpose = 'assess'
JOIN refunds f ON f.case_id = c.id JOIN refund_attempts a ON a.refund_id = f.id AND a.outcome = 'accepted'
WHERE c.charge_id = ANY(%s) GROUP BY c.charge_id
"""
_HOW_FAR: Final = "SELECT state, reason, count(*) FROM cases WHERE charge_id = ANY(%s) GROUP BY state, reason"
_NOT_DONE: Final = "SELECT count(*) FROM jobs WHERE state = 'ready' AND run_at <= clock_timestamp()"
_IMPORTED: Final = "SELECT count(*) FROM history_imports WHERE finished_at IS NOT NULL"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One request from its first byte. Seconds from there; `stripe_seconds` is what Stripe's own answers took."""

    decided_seconds: float
    accepted_seconds: float
    stripe_seconds: float | None
    calls: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """Requests one by one, and a burst of them."""

    idle: list[Asked]
    burst: list[Asked]
    burst_seconds: float
    """From the first request to the last yes."""
    burst_stripe_seconds: float
    calls: dict[str, int] = field(default_factory=dict)
    """What was asked of Stripe for the last refund at idle."""
    burst_calls: dict[str, int] = field(default_factory=dict)
    """What was asked for the whole burst: events of refunds that are through come back meanwhile."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shop:
    """Everything that runs, and the charges that nobody has asked about yet."""

    api: httpx.Client
    stripe: SandboxClient
    db: psycopg.Connection[Any]
    charges: Iterator[str]

    def calls(self) -> list[Call]:
        """The calls to Stripe since the last look."""
        answer = httpx.get(self.stripe.url + CALLS, timeout=30, trust_env=False)
        return msgspec.json.decode(answer.content, type=list[Call])

    def ask(self, charge: str) -> float:
        """Asks for a refund; returns when (Unix seconds)."""
        at = time.time()
        body = {"charge": charge, "claims": {"unused": True}}
        self.api.post("/api/v1/refund-requests", json=body).raise_for_status()
        return at

    def answered(self, charges: Sequence[str]) -> dict[str, tuple[float, float]]:
        """When each was decided and accepted (Unix seconds); those that are not yet are missing."""
        rows = self.db.execute(_ANSWERED, [list(charges)]).fetchall()
        return {charge: (decided.timestamp(), accepted.timestamp()) for charge, decided, accepted in rows}

    def count(self, query: str) -> int:
        """The one number that the query gives."""
        row = self.db.execute(query.encode()).fetchone()
        assert row is not None
        return int(row[0])

    def rest(self) -> None:
        """Until nothing is under way any more."""
        stage.wait_until(lambda: self.stripe.quiet() and not self.count(_NOT_DONE), "the desk to come to rest")


def measure(*, seconds: float) -> Result:
    """Sets up a shop, asks one by one, then all at once, and leaves nothing behind; takes what the requests take."""
    with stage.scratch() as directory, _open_shop(directory) as shop:
        for _ in range(_WARM_UP):
            _one(shop)
        _tell(f"{IDLE} requests one by one")
        idle, calls = [], list[Call]()
        for _ in range(IDLE):
            asked, calls = _one(shop)
            idle.append(asked)
        _tell(f"a burst of {BURST} requests")
        return _burst(shop, idle, calls)


def _one(shop: Shop) -> tuple[Asked, list[Call]]:
    """One request on a desk at rest."""
    charge = next(shop.charges)
    shop.rest()
    shop.calls()
    asked_at = shop.ask(charge)
    _wait_for(shop, [charge], seconds=30, every=0.01)
    decided, accepted = shop.answered([charge])[charge]
    # What follows the yes (events that come back) is not what the customer waits for.
    calls = [call for call in shop.calls() if call.at <= accepted]
    asked = Asked(
        decided_seconds=decided - asked_at,
        accepted_seconds=accepted - asked_at,
        stripe_seconds=sum(call.seconds for call in calls),
        calls=len(calls),
    )
    return asked, calls


def _burst(shop: Shop, idle: list[Asked], last_calls: list[Call]) -> Result:
    charges = [next(shop.charges) for _ in range(BURST)]
    shop.rest()
    shop.calls()
    with ThreadPoolExecutor(_SENDERS) as senders:
        asked_at = dict(zip(charges, senders.map(shop.ask, charges), strict=True))
    _wait_for(shop, charges, seconds=_BURST_SECONDS, every=0.2)
    answered = shop.answered(charges)
    last = max(accepted for _, accepted in answered.values())
    calls = [call for call in shop.calls() if call.at <= last]
    return Result(
        idle=idle,
        burst=[
            Asked(
                decided_seconds=answered[charge][0] - at,
                accepted_seconds=answered[charge][1] - at,
                stripe_seconds=None,
                calls=None,
            )
            for charge, at in asked_at.items()
        ],
        burst_seconds=last - min(asked_at.values()),
        burst_stripe_seconds=sum(call.seconds for call in calls),
        calls=dict(Counter(call.what for call in last_calls)),
        burst_calls=dict(Counter(call.what for call in calls)),
    )


def _wait_for(shop: Shop, charges: Sequence[str], *, seconds: float, every: float) -> None:
    """Until every charge has Stripe's yes. RuntimeError with the state of the cases where one never gets it."""
    try:
        stage.wait_until(lambda: len(shop.answered(charges)) == len(charges), "refunds", seconds=seconds, every=every)
    except TimeoutError:
        found = shop.db.execute(_HOW_FAR, [list(charges)]).fetchall()
        raise RuntimeError(f"expected {len(charges)} refunds to be accepted; the cases are {found}") from None


@contextmanager
def _open_shop(directory: Path) -> Iterator[Shop]:
    stripe_port, port = stage.free_port(), stage.free_port()
    stripe_url, url = f"http://127.0.0.1:{stripe_port}", f"http://127.0.0.1:{port}"
    environment = _environment(directory, stripe_url, port)
    began = (datetime.now(UTC) - _MONTH).isoformat()
    with stage.process(
        "stripe",
        *("benchmarks.timed_stripe", str(stripe_port), began),
        env={},
        log=directory / "stripe.log",
        ready=f"{stripe_url}/_sandbox/health",
    ):
        stripe = SandboxClient(stripe_url)
        _tell(f"setting up {_WARM_UP + IDLE + BURST} customers whose trial turned into a charge")
        charges = _charged_trials(stripe, _WARM_UP + IDLE + BURST)
        with stage.process(
            *("up", "billingbot", "up"), env=environment, log=directory / "up.log", ready=f"{url}/readyz"
        ):
            key = stage.run("billingbot", "keys", "create", "benchmark", "--json", env=environment)
            stage.run("billingbot", "mode", "set", "auto", "--why", "the benchmark", "--yes", env=environment)
            stripe.add_endpoint(f"{url}/webhooks/stripe", secrets=[WEBHOOK_SECRET])
            headers = {"Authorization": f"Bearer {msgspec.json.decode(key)['secret']}"}
            database = stage.plain(find(directory / "data").database_url)
            with (
                httpx.Client(base_url=url, headers=headers, timeout=60, trust_env=False) as api,
                psycopg.connect(database, autocommit=True) as db,
            ):
                shop = Shop(api=api, stripe=stripe, db=db, charges=iter(charges))
                stage.wait_until(lambda: shop.count(_IMPORTED) == 1, "earlier trials to be read in", seconds=120)
                yield shop


def _environment(directory: Path, stripe_url: str, port: int) -> dict[str, str]:
    """A whole configuration: the shipped policy with room for a burst, and sources that answer at once."""
    now = datetime.now(UTC).isoformat()
    covers = {"coverage": {"from": "2020-01-01T00:00:00Z", "to": now}, "customers": []}
    for name in ("usage", "support"):
        (directory / f"{name}.json").write_bytes(msgspec.json.encode(covers))
    (directory / "billingbot.toml").write_text(_SOURCES, encoding="utf-8")
    (directory / "policy.toml").write_text(_roomy_policy(), encoding="utf-8")
    return {
        "BILLINGBOT_CONFIG": str(directory / "billingbot.toml"),
        "BILLINGBOT_POLICY": str(directory / "policy.toml"),
        "BILLINGBOT_DATA_DIR": str(directory / "data"),
        "BILLINGBOT_PORT": str(port),
        "BILLINGBOT_STRIPE_API_BASE": stripe_url,
        "BILLINGBOT_STRIPE_API_KEY": "rk_test_benchmark",
        "BILLINGBOT_STRIPE_WEBHOOK_SECRET": WEBHOOK_SECRET,
        "BILLINGBOT_LOG_FORMAT": "json",
    }


def _roomy_policy() -> str:
    """The shipped policy, but for the day's limits and the breaker: a burst is just what they are there to stop."""
    text = (stage.ROOT / "config" / "policy.toml").read_text("utf-8")
    text, counts = re.subn(r"(?m)^daily_count_max = \d+", "daily_count_max = 86400", text)
    text, paces = re.subn(r"(?m)^refunds_per_hour = \d+", "refunds_per_hour = 3600", text)
    text, shares = re.subn(r"(?m)^refunded_percent_max = \d+", "refunded_percent_max = 100", text)
    head, section, limits = text.partition("[limits.daily_amount_max]\n")
    limits, amounts = re.subn(r"\Ausd = \d+", "usd = 100000000", limits)
    found = (counts, amounts, paces, shares)
    assert found == (1, 1, 1, 1), "config/policy.toml: expected the limits where they used to stand"
    return head + section + limits


def _charged_trials(stripe: SandboxClient, count: int) -> list[str]:
    """So many customers, each with a card and a mailbox of their own, charged at the end of an unused trial."""
    price = stripe.post(
        "/prices",
        currency="usd",
        unit_amount=4900,
        recurring={"interval": "month"},
        product_data={"name": "Plan"},
    )["id"]

    def start(number: int) -> None:
        customer = stripe.post("/customers", email=f"customer{number}@example.com")["id"]
        stripe.add_card(customer, fingerprint=f"card-{number}")
        stripe.post("/subscriptions", customer=customer, items=[{"price": price}], trial_period_days=14)

    with ThreadPoolExecutor(_SETTERS_UP) as setters_up:
        list(setters_up.map(start, range(count)))
    stripe.advance(days=15)
    charges = [str(charge["id"]) for charge in stripe.objects("charge")]
    assert len(charges) == count, f"expected {count} charges, got {len(charges)}"
    return charges


def table(result: Result) -> list[str]:
    """The result for people, in Markdown."""
    stripe = [asked.stripe_seconds for asked in result.idle if asked.stripe_seconds is not None]
    by_stripe = _by_stripe(result).text(1)
    in_burst = _p50(result.burst) / median(stripe)
    calls = ", ".join(f"{count} × {what}" for what, count in result.calls.items())
    asked = sum(result.burst_calls.values())
    rate, busy = len(result.burst) / result.burst_seconds, result.burst_seconds / result.burst_stripe_seconds
    return f"""\
Latency: a request through the API, {len(result.idle)} one by one and {len(result.burst)} at once:

| load | to decision p50, p95 s | to Stripe's yes p50, p95 s | by Stripe's own answer times for one |
|---|---|---|---|
| one by one | {_two(result.idle, "decided_seconds")} | {_two(result.idle, "accepted_seconds")} | ×{by_stripe} |
| burst | {_two(result.burst, "decided_seconds")} | {_two(result.burst, "accepted_seconds")} | ×{in_burst:.1f} (p50) |

Stripe's own answers took {median(stripe):.3f} s for one refund at idle (median; {calls}).
The whole burst took {result.burst_seconds:.1f} s, {rate:.1f} refunds/s; its {asked:,} calls took Stripe \
{result.burst_stripe_seconds:.1f} s in sum, so the burst is ×{busy:.2f} of that.""".splitlines()


def as_json(result: Result) -> dict[str, Any]:
    """The result for programs."""
    return {**asdict(result), "idle_by_stripe": asdict(_by_stripe(result))}


def _by_stripe(result: Result) -> Spread:
    return spread([one.accepted_seconds / one.stripe_seconds for one in result.idle if one.stripe_seconds])


def _p50(asked: Sequence[Asked]) -> float:
    return percentile([one.accepted_seconds for one in asked], 0.5)


def _two(asked: Sequence[Asked], name: str) -> str:
    values = [float(getattr(one, name)) for one in asked]
    return f"{percentile(values, 0.5):.2f}, {percentile(values, 0.95):.2f}"


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
