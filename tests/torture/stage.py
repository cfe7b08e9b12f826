"""The stage: engines, the local Stripe, the product and the links between them and billingbot's processes."""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urlsplit
from uuid import uuid4

import httpx
import psycopg
import redis
from psycopg.rows import dict_row

from billingbot.bootstrap.build import read_config, runtime
from billingbot.bootstrap.settings import Environment
from billingbot.core.access.powers import Power
from billingbot.engines.child import Child, Spawned, start, stop
from billingbot.engines.places import remove_data_dir
from billingbot.engines.postgres import Postgres, prepare_postgres
from billingbot.engines.valkey import Valkey, prepare_valkey
from billingbot.flows.switch import create_key
from billingbot.sandbox.client import SandboxClient
from billingbot.store.migrate import upgrade
from tests.torture.links import Link, Links
from tests.torture.product import Product, running_product
from tests.torture.stripe import CALLS, TOWN_KEY
from tests.torture.tally import Tally

ROOT: Final = Path(__file__).resolve().parents[2]
MARK: Final = "BILLINGBOT_TORTURE"
"""A variable in the environment of every process of a run, by which leaked ones are found."""
WEBHOOK_SECRET: Final = "whsec_torture"
# All that happens at Stripe lies in the past of Postgres's clock, and no further back than a backfill reaches.
BEFORE_NOW: Final = timedelta(days=28, hours=12)
_PATIENCE_SECONDS: Final = 60.0
ONE_PERSON: Final = 4_000
"""Above so many cents two people have to agree to a refund, or to a dispute's being given up."""
_CONFIG: Final = """\
[desk]
recheck_after_seconds = 2

[[usage]]
type = "http"
name = "product"
url = "http://127.0.0.1:{port}/usage/{{customer_id}}"
attempts = 1
timeout_seconds = 3
max_age_seconds = 900
[usage.map]
events = "events"
first_at = "first_at"
last_at = "last_at"
coverage_from = "covered.from"
coverage_to = "covered.to"

[[support]]
type = "http"
name = "support-desk"
url = "http://127.0.0.1:{port}/support/{{customer_id}}"
timeout_seconds = 3
covers = "always"
[support.map]
cancellation_asked_at = "cancellation_asked_at"
"""


@dataclass(slots=True, kw_only=True)
class Stage:
    """Everything outside billingbot's own processes. `environment` leads them through the links."""

    directory: Path
    mark: str
    tally: Tally
    links: Links
    postgres: Postgres = field(repr=False)
    valkey: Valkey = field(repr=False)
    stripe: SandboxClient
    product: Product
    web: Link
    web_port: int
    environment: dict[str, str] = field(repr=False)
    began: datetime
    """The first second of Stripe's clock."""
    running: dict[str, Spawned] = field(default_factory=dict)

    @property
    def url(self) -> str:
        """Billingbot's web, through its link."""
        return f"http://127.0.0.1:{self.web.port}"

    def link(self, name: str) -> Link:
        """The link of this name."""
        return next(link for link in self.links.all if link.name == name)

    def command(self, *words: str) -> str:
        """Runs a `billingbot` command straight on the engines, as a person at the machine; returns what it prints.

        It may take its time: the workers may have a backlog before them.
        """
        environment = {**self.environment, **self.straight()}
        done = subprocess.run(
            [sys.executable, "-m", "billingbot", *words],
            env=environment, cwd=ROOT, capture_output=True, text=True, check=False, timeout=1800,
        )  # fmt: skip
        if done.returncode != 0:
            raise RuntimeError(f"billingbot {' '.join(words)}: {done.stderr.strip()[-2000:]}")
        return done.stdout

    def ask(self, key: str, method: str, path: str, **body: Any) -> Any:
        """What billingbot's API answers with this key, past the links. Raises httpx.HTTPStatusError."""
        url = f"http://127.0.0.1:{self.web_port}/api/v1{path}"
        headers = {"Authorization": f"Bearer {key}"}
        answer = httpx.request(method, url, json=body, headers=headers, timeout=_PATIENCE_SECONDS, trust_env=False)
        return answer.raise_for_status().json()

    def straight(self) -> dict[str, str]:
        """The variables that lead past the links to Postgres, Redis and Stripe."""
        return {
            "BILLINGBOT_DATABASE_URL": self.postgres.app_url,
            "BILLINGBOT_DATABASE_OWNER_URL": self.postgres.owner_url,
            "BILLINGBOT_REDIS_URL": self.valkey.url,
            "BILLINGBOT_STRIPE_API_BASE": self.stripe.url,
        }

    # ------------------------------------------------------------ Postgres, as its superuser

    def rows(self, query: str, *values: Any) -> list[dict[str, Any]]:
        """What a statement gives, as the superuser and past the links; asked again while Postgres restarts."""
        until = time.monotonic() + _PATIENCE_SECONDS
        while True:
            try:
                with self.superuser() as connection:
                    cursor = connection.execute(query.encode(), values or None)
                    return list(cursor.fetchall()) if cursor.description else []
            except psycopg.OperationalError:
                if time.monotonic() > until:
                    raise
                time.sleep(0.1)

    def superuser(self) -> psycopg.Connection[dict[str, Any]]:
        """A connection that may do everything."""
        return psycopg.connect(_database(self.postgres.superuser_url), autocommit=True, row_factory=dict_row)

    def app(self) -> psycopg.Connection[dict[str, Any]]:
        """A connection with the application's rights, past the links."""
        return psycopg.connect(_plain(self.postgres.app_url), row_factory=dict_row)

    def restart_postgres(self) -> None:
        """Immediate mode: no checkpoint, everybody is thrown out, recovery at the next start."""
        process = self.running["postgres"]
        process.send_signal(signal.SIGQUIT)
        process.wait(30)
        self.running["postgres"] = start(self.postgres.child)

    # ------------------------------------------------------------ Redis

    def flush_redis(self) -> None:
        """Whatever the broker knew is gone. Nothing to do where it is just away."""
        with suppress(redis.RedisError), redis.Redis.from_url(self.valkey.url, socket_timeout=2) as client:
            client.flushall()

    def restart_valkey(self) -> None:
        """Killed, and started again."""
        process = self.running["valkey"]
        process.kill()
        process.wait(10)
        self.running["valkey"] = start(self.valkey.child)

    # ------------------------------------------------------------ Stripe

    def night_passes(self, hours: int) -> None:
        """Stripe's clock goes on, but never beyond ours: nothing that billingbot reads lies in the future."""
        room = int((datetime.now(UTC) - datetime.fromtimestamp(self.stripe.now(), UTC)).total_seconds())
        assert room > hours * 3600, "the run has more nights than its month"
        self.stripe.advance(hours=hours)

    def calls(self, about: str | None = None) -> list[dict[str, Any]]:
        """Stripe's log: every paying call, or all calls that name a charge."""
        params = {"about": about} if about else {}
        answer = httpx.get(self.stripe.url + CALLS, params=params, timeout=60, trust_env=False)
        found: list[dict[str, Any]] = answer.json()
        return found


@contextmanager
def open_stage(seed: int, *, policy: str, tally: Tally) -> Iterator[Stage]:
    """Starts everything but billingbot's processes; stops it, and deletes every file, at the end."""
    directory = Path(tempfile.mkdtemp(prefix="billingbot-torture-"))
    directory.chmod(0o711)  # engines of root run as another user
    mark = uuid4().hex
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, directory, ignore_errors=True)
        stack.callback(remove_data_dir, directory)
        postgres, valkey = prepare_postgres(directory), prepare_valkey(directory)
        running = {"postgres": start(postgres.child), "valkey": start(valkey.child)}
        stack.callback(lambda: (stop(postgres.child, running["postgres"]), postgres.close()))
        stack.callback(lambda: (stop(valkey.child, running["valkey"]), valkey.close()))
        product = stack.enter_context(running_product())
        began = datetime.now(UTC) - BEFORE_NOW
        stripe = _start_stripe(directory, (began, seed), mark, postgres, running)
        stack.callback(lambda: stop(Child(name="stripe", argv=()), running["stripe"]))
        links = Links()
        stack.callback(links.close)
        web_port = free_port()
        ways = {
            "postgres": str(_socket_of(postgres.app_url) / ".s.PGSQL.5432"),
            "redis": unquote(urlsplit(valkey.url).path),
            "stripe": ("127.0.0.1", urlsplit(stripe.url).port or 0),
            "usage": ("127.0.0.1", product.port),
            "web": ("127.0.0.1", web_port),
        }
        opened = {name: links.open(name, way, tally, f"{seed}:{name}") for name, way in ways.items()}
        stage = Stage(
            directory=directory,
            mark=mark,
            tally=tally,
            links=links,
            postgres=postgres,
            valkey=valkey,
            stripe=stripe,
            product=product,
            web=opened["web"],
            web_port=web_port,
            environment={},
            began=began,
            running=running,
        )
        stage.environment = _environment(stage, policy)
        upgrade(postgres.owner_url)
        yield stage


def _start_stripe(
    directory: Path, scene: tuple[datetime, int], mark: str, postgres: Postgres, running: dict[str, Spawned]
) -> SandboxClient:
    port = free_port()
    began, seed = scene
    words = ("tests.torture.stripe", str(port), began.isoformat(), str(seed), _database(postgres.superuser_url))
    url = f"http://127.0.0.1:{port}"
    child = Child(
        name="stripe",
        argv=(sys.executable, "-m", *words),
        env={**os.environ, MARK: mark, "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"},
        cwd=ROOT,
        ready=lambda: _answers(f"{url}/_sandbox/health"),
        log_path=directory / "stripe.log",
    )
    running["stripe"] = start(child)
    return SandboxClient(url, key=TOWN_KEY)


def _environment(stage: Stage, policy: str) -> dict[str, str]:
    (stage.directory / "billingbot.toml").write_text(_CONFIG.format(port=stage.link("usage").port), encoding="utf-8")
    (stage.directory / "policy.toml").write_text(policy, encoding="utf-8")
    kept = {name: value for name, value in os.environ.items() if not name.startswith("BILLINGBOT_")}
    user = urlsplit(_plain(stage.postgres.app_url))
    redis_password = urlsplit(stage.valkey.url).password
    database = f"{user.username}:{user.password}@127.0.0.1:{stage.link('postgres').port}/billingbot"
    return {
        **kept,
        MARK: stage.mark,
        "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}",
        "BILLINGBOT_CONFIG": str(stage.directory / "billingbot.toml"),
        "BILLINGBOT_POLICY": str(stage.directory / "policy.toml"),
        "BILLINGBOT_DATA_DIR": str(stage.directory / "data"),
        "BILLINGBOT_DATABASE_URL": f"postgresql+psycopg://{database}?sslmode=disable&gssencmode=disable",
        "BILLINGBOT_REDIS_URL": f"redis://:{redis_password}@127.0.0.1:{stage.link('redis').port}/0",
        "BILLINGBOT_STRIPE_API_BASE": f"http://127.0.0.1:{stage.link('stripe').port}",
        "BILLINGBOT_STRIPE_API_KEY": "rk_test_torture",
        "BILLINGBOT_STRIPE_WEBHOOK_SECRET": WEBHOOK_SECRET,
        "BILLINGBOT_PORT": str(stage.web_port),
        "BILLINGBOT_THREADS": "6",
        "BILLINGBOT_LOG_FORMAT": "json",
    }


def policy_text(*, small_budget: int, daily_count: int, per_hour: int) -> str:
    """The shipped policy with other limits: room for a run in dollars, and small budgets in all other currencies.

    `small_budget` is in minor units; `daily_count` is over all currencies; past `per_hour` the breaker opens.
    """
    text = (ROOT / "config" / "policy.toml").read_text("utf-8")
    text, _, _ = text.partition("[[example]]")  # they come last, and some are about the shipped limits
    text = _replaced(text, r"(?m)^daily_count_max = \d+", f"daily_count_max = {daily_count}")
    text = _replaced(text, r"(?m)^refunds_per_hour = \d+", f"refunds_per_hour = {per_hour}")
    text = _replaced(text, r"(?m)^refunded_percent_max = \d+", "refunded_percent_max = 100")
    text = _in_table(text, "limits.automatic_refund_max", r"(?m)^(\w+) = \d+", rf"\1 = {small_budget}")
    text = _in_table(text, "limits.daily_amount_max", r"(?m)^(\w+) = \d+", rf"\1 = {small_budget}")
    text = _in_table(text, "limits.daily_amount_max", r"(?m)^usd = \d+", "usd = 1000000000")
    return _in_table(text, "limits.second_approval_above", r"(?m)^usd = \d+", f"usd = {ONE_PERSON}")


def by_credit_note(policy: str) -> str:
    """The next version of a policy, which pays by credit note."""
    policy = _replaced(policy, r'(?m)^version = "[^"]+"', 'version = "by-credit-note"')
    return _replaced(policy, r'(?m)^refund_with = "refund"', 'refund_with = "credit_note"')


def _in_table(text: str, name: str, pattern: str, value: str) -> str:
    head, start_of, rest = text.partition(f"[{name}]\n")
    lines, mark, tail = rest.partition("\n\n")
    return head + start_of + re.sub(pattern, value, lines) + mark + tail


def _replaced(text: str, pattern: str, value: str) -> str:
    changed, count = re.subn(pattern, value, text)
    assert count == 1, f"config/policy.toml: expected {pattern!r} once, found it {count} times"
    return changed


def free_port() -> int:
    """A port of this machine that nobody listens on now."""
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def subscribed_events() -> list[str]:
    """The events that docs/stripe-setup.md subscribes to: if one is missing there, it is missing here."""
    [line] = re.findall(r"(?m)^EVENTS=(\S+)$", (ROOT / "docs" / "stripe-setup.md").read_text("utf-8"))
    return str(line).split(",")


def create_keys(stage: Stage, names: Sequence[str]) -> dict[str, str]:
    """A key for the API for each of these names."""
    given = {**stage.environment, **stage.straight()}
    known = {name.removeprefix("BILLINGBOT_").lower(): value for name, value in given.items()}
    settings = {name: value for name, value in known.items() if name in Environment.model_fields}
    urls = {"database_url": known["database_url"], "redis_url": known["redis_url"]}
    with runtime(read_config(Environment(**settings)), **urls) as built:  # type: ignore[arg-type] # pydantic reads the texts
        return {name: create_key(built.desk, name, by="kim", may=list(Power)) for name in names}


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=2, trust_env=False).is_success
    except httpx.HTTPError:
        return False


def _plain(url: str) -> str:
    return url.replace("postgresql+psycopg://", "postgresql://", 1)


def _database(superuser_url: str) -> str:
    """The superuser's URL, to billingbot's database."""
    head, _, query = _plain(superuser_url).partition("?")
    return f"{head.rpartition('/')[0]}/billingbot?{query}"


def _socket_of(url: str) -> Path:
    query = dict(part.split("=", 1) for part in urlsplit(_plain(url)).query.split("&"))
    return Path(unquote(query["host"]))


def settings_of(environment: Mapping[str, str]) -> dict[str, str]:
    """Those of an environment's variables that billingbot reads."""
    return {name: value for name, value in environment.items() if name.startswith("BILLINGBOT_")}
