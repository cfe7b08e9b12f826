"""Sets the stage: private engines, the local Stripe, the product and billingbot itself, all as real processes."""

import json
import os
import secrets
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import httpx

from billingbot.cli.demo.product import Product, running_product
from billingbot.cli.demo.world import World
from billingbot.cli.session import me
from billingbot.engines.errors import DirectoryBusyError
from billingbot.engines.lock import DirectoryLock
from billingbot.engines.places import empty_data_dir
from billingbot.sandbox.client import SandboxClient

# A month at the shop ends now, so that all that happened lies in the past of billingbot's own clock.
MONTH: Final = timedelta(days=31)
# The first start makes a database, a command loads some hundred modules: seconds alone, a minute on a crowded machine.
START_SECONDS: Final = 120.0
# Longer than the supervisor's own grace for its children.
STOP_SECONDS: Final = 60.0
# What tells a demo's directory from one with somebody's books in it; its lock is held for as long as the demo plays.
_MARK: Final = "demo.lock"
# The product's API is asked over HTTP, and the API calls are pushed: two sources, both have to agree on non-use.
_CONFIG: Final = """\
# The demo's sources: the product's own API for tag hits, pushed activity for API calls, and the support desk.
[desk]
recheck_after_seconds = 2

[disputes]
cancel_subscription = "now"

[[usage]]
type = "http"
name = "tag-hits"
url = "{product}/usage/{{customer_id}}"
attempts = 1
max_age_seconds = 900
[usage.map]
events = "events"
first_at = "first_at"
last_at = "last_at"
tag_installed_at = "tag_installed_at"
coverage_from = "covered.from"
coverage_to = "covered.to"

[[usage]]
type = "push"
name = "api-calls"
max_age_seconds = 43_200

[[support]]
type = "http"
name = "support-desk"
url = "{product}/support/{{customer_id}}"
covers = "always"
[support.map]
cancellation_asked_at = "cancellation_asked_at"
"""


class StageError(Exception):
    """Something on the stage did not come up; says what, and where its log is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """Everything that runs: the world outside, and the door to billingbot."""

    world: World
    billingbot: httpx.Client
    url: str
    webhook_url: str
    webhook_secret: str
    data_dir: Path
    environment: Mapping[str, str]

    def command(self, *words: str) -> str:
        """Runs a `billingbot` command against this stage, and returns what it prints. Raises StageError."""
        done = subprocess.run(  # noqa: S603 - our own program
            [sys.executable, "-m", "billingbot", *words],
            env=dict(self.environment),
            capture_output=True,
            text=True,
            check=False,
            timeout=START_SECONDS,
        )
        if done.returncode != 0:
            raise StageError(f"billingbot {' '.join(words)}: {done.stderr.strip()}")
        return done.stdout

    def leave_environment(self) -> Path:
        """Writes (0600) what a shell has to read so that `billingbot` there means this stage; the file's path."""
        from billingbot.engines.credentials import write_private

        program = shlex.quote(str(Path(sys.executable).parent))
        ours = {name: value for name, value in self.environment.items() if name.startswith("BILLINGBOT_")}
        settings = [f"export {name}={shlex.quote(value)}" for name, value in ours.items()]
        path = self.data_dir / "environment"
        write_private(path, "\n".join([f'export PATH={program}:"$PATH"', *settings, ""]))
        return path

    def sign_in_link(self) -> str:
        """Makes the user of this machine an admin of the desk; where that person's browser signs in."""
        added = json.loads(self.command("users", "add", me(), "--role", "admin", "--json"))
        return str(added["link"])


@contextmanager
def set_stage(data_dir: Path, *, seed: int) -> Iterator[Stage]:
    """Starts everything in `data_dir`, which is emptied first, and stops it at the end. Raises StageError."""
    with ExitStack() as stack:
        stack.enter_context(_emptied(data_dir))
        product = stack.enter_context(running_product())
        stripe_port, web_port = _free_port(), _free_port()
        start_at = (datetime.now(UTC) - MONTH).isoformat()
        sandbox = ["sandbox", "--port", str(stripe_port), "--start-at", start_at, "--seed", str(seed)]
        stripe_url = f"http://127.0.0.1:{stripe_port}"
        environment = _environment(data_dir, product, stripe_url, web_port)
        stack.enter_context(_process("stripe", sandbox, environment, data_dir))
        stack.enter_context(_process("up", ["up"], environment, data_dir))
        _wait_for(f"{stripe_url}/_sandbox/health", data_dir / "stripe.log")
        url = f"http://127.0.0.1:{web_port}"
        _wait_for(f"{url}/readyz", data_dir / "up.log")
        stripe = stack.enter_context(SandboxClient(stripe_url))
        secret = environment["BILLINGBOT_STRIPE_WEBHOOK_SECRET"]
        webhook_url = f"{url}/webhooks/stripe"
        stripe.add_endpoint(webhook_url, secrets=[secret])
        billingbot = stack.enter_context(httpx.Client(base_url=url, timeout=30, trust_env=False))
        stage = Stage(
            world=World(stripe=stripe, product=product),
            billingbot=billingbot,
            url=url,
            webhook_url=webhook_url,
            webhook_secret=secret,
            data_dir=data_dir,
            environment=environment,
        )
        with ThreadPoolExecutor() as pool:
            mode = pool.submit(stage.command, "mode", "set", "auto", "--why", "the demo", "--yes")
            key = json.loads(stage.command("keys", "create", "demo", "--may", "all", "--json"))["secret"]
            mode.result()
        billingbot.headers["Authorization"] = f"Bearer {key}"
        yield stage


@contextmanager
def _emptied(data_dir: Path) -> Iterator[None]:
    """The directory as this demo's alone. StageError where one plays in it, or where it may be somebody's own."""
    data_dir.mkdir(parents=True, exist_ok=True)
    if any(data_dir.iterdir()) and not (data_dir / _MARK).exists():
        raise StageError(
            f"{data_dir}: holds something, and not what a demo leaves; a demo begins with an empty directory. "
            "Choose another by --data-dir, or delete this one yourself"
        )
    try:
        with DirectoryLock(data_dir / _MARK, whose="the demo"):
            with ExitStack() as quiet:
                # A demo that was killed may leave its processes for a moment, and its engines still write here.
                for lock in (data_dir / name for name in ("up.lock", "postgres/lock", "valkey/lock")):
                    if lock.exists():
                        quiet.enter_context(DirectoryLock(lock, whose="what an earlier demo started"))
                empty_data_dir(data_dir, but=_MARK)
            yield
    except DirectoryBusyError as fault:
        raise StageError(str(fault)) from fault


def _environment(data_dir: Path, product: Product, stripe_url: str, web_port: int) -> dict[str, str]:
    """A whole environment of its own: none of the user's settings reach the demo."""
    config = data_dir / "billingbot.toml"
    config.write_text(_CONFIG.format(product=product.url), encoding="utf-8")
    kept = {name: value for name, value in os.environ.items() if not name.startswith("BILLINGBOT_")}
    policy = {"BILLINGBOT_POLICY": os.environ["BILLINGBOT_POLICY"]} if "BILLINGBOT_POLICY" in os.environ else {}
    return {
        **kept,
        **policy,
        "BILLINGBOT_CONFIG": str(config),
        "BILLINGBOT_DATA_DIR": str(data_dir),
        "BILLINGBOT_PORT": str(web_port),
        "BILLINGBOT_STRIPE_API_BASE": stripe_url,
        "BILLINGBOT_STRIPE_API_KEY": f"rk_test_{secrets.token_hex(16)}",
        "BILLINGBOT_STRIPE_WEBHOOK_SECRET": f"whsec_{secrets.token_hex(24)}",
        "BILLINGBOT_LOG_FORMAT": "json",
    }


@contextmanager
def _process(name: str, words: list[str], environment: Mapping[str, str], data_dir: Path) -> Iterator[None]:
    """One process in a session of its own, so that Ctrl-C reaches it through us, in order; its log beside it."""
    path = data_dir / f"{name}.log"
    path.touch(mode=0o600)  # the link for the first admin stands in it
    with path.open("wb") as log:
        process = subprocess.Popen(  # noqa: S603 - our own program
            [sys.executable, "-m", "billingbot", *words],
            env=dict(environment),
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            yield
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait_for(url: str, log: Path) -> None:
    until = time.monotonic() + START_SECONDS
    with httpx.Client(timeout=2, trust_env=False) as visitor:
        while time.monotonic() < until:
            try:
                if visitor.get(url).status_code == httpx.codes.OK:
                    return
            except httpx.TransportError:
                pass
            time.sleep(0.1)
    tail = log.read_text("utf-8", errors="replace").strip().splitlines()[-5:]
    raise StageError("\n".join([f"{url} did not answer within {START_SECONDS:.0f} s; the end of {log}:", *tail]))


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
