"""What every long-running process does first: settings, logs, a wait for Postgres, a look at the migrations."""

import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import sleep
from types import FrameType
from typing import TYPE_CHECKING, Final, NoReturn

from billingbot.core.errors import BillingbotError, ConfigError, RetryLaterError

if TYPE_CHECKING:
    from pydantic import SecretStr
    from sqlalchemy import Connection, Engine

    from billingbot.bootstrap.build import Config, Runtime
    from billingbot.bootstrap.settings import Environment

# A restarting Postgres is back within seconds; a line every two seconds tells without flooding.
_AGAIN_SECONDS: Final = 2.0


class NotMigratedError(BillingbotError):
    """The database has other tables than this release needs."""

    def __init__(self) -> None:
        super().__init__(
            "The database is not migrated to this release: run billingbot db migrate (billingbot up does)."
        )


class AddressTakenError(BillingbotError):
    """Another program listens there, or the address is not ours."""


@contextmanager
def role(*, pool_size: int = 10) -> "Iterator[tuple[Config, Runtime, threading.Event]]":
    """Everything a role needs, once Postgres answers; the event is set by SIGTERM and Ctrl-C.

    With the event set already, the wait was cut short and there is nothing to do. ConfigError with all problems;
    NotMigratedError.
    """
    from billingbot.bootstrap.build import runtime
    from billingbot.bootstrap.settings import read_environment
    from billingbot.bootstrap.telemetry import set_up

    environment = read_environment()
    config = read_settings(environment, needs_urls=True)
    database_url, redis_url = _secret(environment.database_url), _secret(environment.redis_url)
    set_up(environment.log_format, environment.log_level)
    with (
        stopping() as stop,
        runtime(config, database_url=database_url, redis_url=redis_url, pool_size=pool_size) as found,
    ):
        wait_for_postgres(found.desk.db, stop, look=_check_migrated)
        yield config, found, stop


@contextmanager
def stopping() -> Iterator[threading.Event]:
    """An event that SIGTERM and SIGINT set, instead of ending the process."""
    stop = threading.Event()

    def handle(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    before = {number: signal.signal(number, handle) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def leave() -> NoReturn:
    """Ends this process although threads of it still run, for which Python would wait: each step of theirs is a
    transaction or a call under a key, and whoever comes next finds it as it would after a crash.
    """
    logging.shutdown()
    sys.stdout.flush()
    os._exit(0)


def leave_after(stop: threading.Event, seconds: float) -> None:
    """Has this process end by itself, at the latest so long after `stop` was set."""

    def watch() -> None:
        stop.wait()
        sleep(seconds)
        import structlog

        log = structlog.get_logger(__name__)
        log.warning("process.left_running", why="not done within the grace", seconds=seconds)
        leave()

    threading.Thread(target=watch, name="leave", daemon=True).start()


def wait_for_postgres(
    engine: "Engine", stop: threading.Event, *, look: "Callable[[Connection], object] | None" = None
) -> bool:
    """Waits until Postgres answers, and says so while it does not. False where `stop` came first.

    `look` is what has to be read of it before anything starts: a connection that breaks meanwhile is waited for
    as well. Raises what `look` raises.
    """
    from billingbot.store import database

    def answers() -> None:
        with database.transaction(engine) as connection:
            (look or database.now)(connection)

    return once_postgres_lets(answers, stop)


def once_postgres_lets(act: Callable[[], object], stop: threading.Event) -> bool:
    """Does it, again and again while Postgres is away, and says so. False where `stop` came first."""
    import structlog

    log = structlog.get_logger(__name__)
    while not stop.is_set():
        try:
            act()
        except RetryLaterError as fault:
            log.warning("postgres.waiting", why=str(fault), again_in_seconds=_AGAIN_SECONDS)
            stop.wait(_AGAIN_SECONDS)
        else:
            return True
    return False


def check_free(host: str, port: int, *, by: str = "--port or BILLINGBOT_PORT") -> None:
    """AddressTakenError where nobody can listen there now; it tells that another port is set `by` this."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as fault:
        raise AddressTakenError(
            f"Cannot listen on {host}:{port}: {fault.strerror}; choose another port by {by}."
        ) from None


def read_settings(environment: "Environment", *, needs_urls: bool = False) -> "Config":
    """The whole configuration. ConfigError carries the problems of all files and variables at once.

    `needs_urls` where the process brings no engines of its own.
    """
    from billingbot.bootstrap.accounts import NoAccountError
    from billingbot.bootstrap.build import read_config

    problems = url_problems(environment)
    if needs_urls:
        named = {"DATABASE_URL": environment.database_url, "REDIS_URL": environment.redis_url}
        hint = "one process alone needs the address of both engines; billingbot up brings its own"
        problems += [f"BILLINGBOT_{name}: expected, but it is not there ({hint})" for name in named if not named[name]]
    try:
        config = read_config(environment)
    except NoAccountError:
        raise  # the newcomer's first run: nothing else matters yet
    except ConfigError as fault:
        raise ConfigError([*problems, *fault.problems]) from None
    if problems:
        raise ConfigError(problems)
    return config


def url_problems(environment: "Environment") -> list[str]:
    """Each variable that holds no address of the right kind; never its value, which is secret."""
    looked = {
        "BILLINGBOT_DATABASE_URL": (environment.database_url, _is_postgres),
        "BILLINGBOT_DATABASE_OWNER_URL": (environment.database_owner_url, _is_postgres),
        "BILLINGBOT_REDIS_URL": (environment.redis_url, _is_redis),
    }
    expected = {_is_postgres: "postgresql://user:password@host/database", _is_redis: "redis://host:6379/0"}
    return [
        f"{name}: expected an address such as {expected[right]}"
        for name, (url, right) in looked.items()
        if url is not None and not right(url.get_secret_value())
    ]


def _secret(url: "SecretStr | None") -> str:
    return url.get_secret_value() if url is not None else ""


def _is_postgres(url: str) -> bool:
    from sqlalchemy import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        return make_url(url).drivername in {"postgresql", "postgresql+psycopg"}
    except (ArgumentError, ValueError):  # the latter for a port that is no number
        return False


def _is_redis(url: str) -> bool:
    return url.startswith(("redis://", "rediss://", "unix://"))


def _check_migrated(connection: "Connection") -> None:
    from billingbot.store.migrate import is_current

    if not is_current(connection):
        raise NotMigratedError
