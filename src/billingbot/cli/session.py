"""Sessions: what a command that does one thing and ends works with, on the database that `up` or the settings name."""

import getpass
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, TypeAlias, TypeVar

import typer

if TYPE_CHECKING:
    from sqlalchemy import Connection as Transaction
    from sqlalchemy import Engine

    from billingbot.bootstrap.settings import Environment
    from billingbot.cli.connection import Connection
    from billingbot.flows.desk import Desk

Result = TypeVar("Result")

_ASKS_STRIPE = (
    "This command reads the charge from Stripe: set BILLINGBOT_STRIPE_API_KEY and BILLINGBOT_STRIPE_WEBHOOK_SECRET "
    "in this terminal as well, or use the API of the running billingbot."
)

By: TypeAlias = Annotated[str, typer.Option("--as", help="Who acts. Default: the user of this machine.")]


def me() -> str:
    """The name that an act is recorded under where nobody says otherwise."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container's user id without a name
        return "unknown user"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where the data is: the database, the Redis if one is named, and the `up` that runs here if there is one."""

    environment: "Environment"
    database_url: str
    redis_url: str | None
    running: "Connection | None"


def place() -> Place:
    """The database of the settings, or that of the `up` on the data directory.

    ConfigError for bad settings, NothingRunsError where there is neither.
    """
    from billingbot.bootstrap.by_hand import quiet_logs
    from billingbot.bootstrap.settings import read_environment
    from billingbot.cli.connection import NothingRunsError, find
    from billingbot.cli.serving import url_problems
    from billingbot.core.errors import ConfigError

    quiet_logs()
    environment = read_environment()
    if problems := url_problems(environment):
        raise ConfigError(problems)
    database, redis = environment.database_url, environment.redis_url
    try:
        running = find(environment.data_dir)
    except NothingRunsError:
        if database is None:
            raise
        running = None
    urls = (running.database_url, running.redis_url) if running else ("", None)
    return Place(
        environment=environment,
        database_url=database.get_secret_value() if database else urls[0],
        redis_url=redis.get_secret_value() if redis else urls[1],
        running=running,
    )


def read(look: "Callable[[Transaction], Result]") -> Result:
    """What `look` reads in one short transaction."""
    from billingbot.store.database import transaction

    with database() as engine, transaction(engine) as connection:
        _must_be_migrated(connection)
        return look(connection)


@contextmanager
def database() -> "Iterator[Engine]":
    """The database, for commands that only read."""
    from billingbot.store.database import make_engine

    engine = make_engine(place().database_url, pool_size=1)  # one command, one thread
    try:
        yield engine
    finally:
        engine.dispose()


@contextmanager
def desk(*, for_account: bool = False) -> "Iterator[Desk]":
    """A desk for acts that ask neither Stripe nor a source. NoAccountError where the act needs an account to be."""
    from billingbot.bootstrap.accounts import NoAccountError
    from billingbot.bootstrap.by_hand import accounts_by_hand, desk_by_hand

    here = place()
    try:
        accounts = accounts_by_hand(here.environment, here.running.accounts if here.running else {})
    except NoAccountError:
        if for_account:
            raise
        accounts = ()
    with desk_by_hand(here.environment, accounts, database_url=here.database_url, redis_url=here.redis_url) as found:
        _check_migrated(found)
        yield found


@contextmanager
def whole_desk() -> "Iterator[Desk]":
    """The desk as the workers have it, with Stripe and all sources. ConfigError where anything is not configured."""
    from billingbot.bootstrap.accounts import NoAccountError
    from billingbot.bootstrap.build import read_config, runtime
    from billingbot.core.errors import ConfigError

    here = place()
    try:
        config = read_config(here.environment)
    except NoAccountError:
        raise ConfigError([_ASKS_STRIPE]) from None
    if here.redis_url is None:
        raise ConfigError(["BILLINGBOT_REDIS_URL: expected next to BILLINGBOT_DATABASE_URL, but it is not there"])
    with runtime(config, database_url=here.database_url, redis_url=here.redis_url, pool_size=4) as found:
        _check_migrated(found.desk)
        yield found.desk


def link_url(secret: str) -> str:
    """The address of a sign-in link: under `public_url`, or where the web listens on this machine."""
    from billingbot.bootstrap.settings import read_file
    from billingbot.cli.crew import web_url
    from billingbot.flows.access.sign_in import link_path

    here = place()
    listens = here.running.web_url if here.running else web_url(here.environment)
    base = read_file(here.environment.config).desk.public_url or listens
    return f"{base.rstrip('/')}{link_path(secret)}"


def one_account(desk: "Desk", wanted: str | None) -> str:
    """The account that is meant: the one named, or the only one there is. Raises InputError."""
    from billingbot.core.errors import InputError

    names = sorted(desk.accounts)
    if wanted is None and len(names) == 1:
        return names[0]
    if wanted not in names:
        raise InputError("--account", f"expected one of {', '.join(names)}")
    return wanted


def _check_migrated(desk: "Desk") -> None:
    from billingbot.store.database import transaction

    with transaction(desk.db) as connection:
        _must_be_migrated(connection)


def _must_be_migrated(connection: "Transaction") -> None:
    from billingbot.cli.serving import NotMigratedError
    from billingbot.store.migrate import is_current

    if not is_current(connection):
        raise NotMigratedError
