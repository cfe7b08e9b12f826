"""The crew of `billingbot up`: its engines, and the processes that it runs on them."""

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from billingbot.engines.child import Child
from billingbot.engines.postgres import prepare_postgres
from billingbot.engines.valkey import prepare_valkey

if TYPE_CHECKING:
    from billingbot.bootstrap.settings import Environment

# A worker ends what runs within its own 30 s; the rest is for the interpreter.
_WORKER_GRACE_SECONDS: Final = 40
_EVERYWHERE: Final = frozenset({"0.0.0.0", "::", ""})  # noqa: S104 - told apart from an address, not listened on


@dataclass(frozen=True, slots=True, kw_only=True)
class Engines:
    """Postgres and Redis, and the processes of ours that run them (none for engines of yours)."""

    owner_url: str = field(repr=False)
    database_url: str = field(repr=False)
    redis_url: str = field(repr=False)
    children: tuple[Child, ...] = field(repr=False)


@contextmanager
def open_engines(environment: "Environment", data_dir: Path) -> Iterator[Engines]:
    """The engines that the settings name, and private ones for those they do not; locked within `with`.

    Errors: EngineError and its kin.
    """
    children: list[Child] = []
    with ExitStack() as stack:
        if environment.database_url is None:
            postgres = prepare_postgres(data_dir)
            stack.callback(postgres.close)
            children.append(postgres.child)
            owner_url, database_url = postgres.owner_url, postgres.app_url
        else:
            database_url = environment.database_url.get_secret_value()
            owner = environment.database_owner_url
            owner_url = owner.get_secret_value() if owner else database_url
        if environment.redis_url is None:
            valkey = prepare_valkey(data_dir)
            stack.callback(valkey.close)
            children.append(valkey.child)
            redis_url = valkey.url
        else:
            redis_url = environment.redis_url.get_secret_value()
        yield Engines(owner_url=owner_url, database_url=database_url, redis_url=redis_url, children=tuple(children))


def crew(environment: "Environment", engines: Engines, started: Event, *, pretty: bool) -> list[Child]:
    """The processes in the order of their start; `started` is set when the last one runs.

    Secrets travel in the environment, which only we can read, and the owner's URL to the migration alone. With
    `pretty`, logs are for the terminal where nothing else is set.
    """

    def last_is_there() -> bool:
        started.set()
        return True

    common = _environment(environment, engines, pretty=pretty)
    owner = {**common, "BILLINGBOT_DATABASE_OWNER_URL": engines.owner_url}
    health = f"{web_url(environment)}/healthz"
    return [
        *engines.children,
        Child(name="migrate", argv=_argv("db", "migrate"), env=owner, once=True),
        Child(name="web", argv=_argv("web"), env=common, ready=lambda: _answers(health)),
        *(
            Child(name=f"worker-{number}", argv=_argv("worker"), env=common, grace_seconds=_WORKER_GRACE_SECONDS)
            for number in range(1, environment.workers + 1)
        ),
        Child(name="scheduler", argv=_argv("scheduler"), env=common, ready=last_is_there),
    ]


def web_url(environment: "Environment") -> str:
    """Where the web answers on this machine."""
    host = "127.0.0.1" if environment.host in _EVERYWHERE else environment.host
    return f"http://{f'[{host}]' if ':' in host else host}:{environment.port}"


def _environment(environment: "Environment", engines: Engines, *, pretty: bool) -> dict[str, str]:
    ours: Mapping[str, object] = {
        "DATABASE_URL": engines.database_url,
        "REDIS_URL": engines.redis_url,
        "HOST": environment.host,
        "PORT": environment.port,
        "DATA_DIR": environment.data_dir.absolute(),
        "LOG_FORMAT": "pretty" if pretty and environment.log_format == "auto" else environment.log_format,
    }
    inherited = {name: value for name, value in os.environ.items() if name != "BILLINGBOT_DATABASE_OWNER_URL"}
    return {**inherited, **{f"BILLINGBOT_{name}": str(value) for name, value in ours.items()}}


def _argv(*words: str) -> tuple[str, ...]:
    return (sys.executable, "-m", "billingbot", *words)


def _answers(url: str) -> bool:
    # Asked twenty times a second while the web starts: httpx would read all certificates of the world each time, and
    # a proxy of the environment must not stand between us and ourselves.
    place = urlsplit(url)
    door = HTTPConnection(place.hostname or "", place.port, timeout=2)
    try:
        door.request("GET", place.path)
        return door.getresponse().status == HTTPStatus.OK
    except (OSError, HTTPException):
        return False
    finally:
        door.close()
