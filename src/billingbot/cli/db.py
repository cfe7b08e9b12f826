"""`billingbot db`: migrates the database, and checks that migrations and tables in code agree."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from billingbot.cli.output import progress, say, warn

if TYPE_CHECKING:
    from billingbot.bootstrap.settings import Environment

app = typer.Typer(no_args_is_help=True, add_completion=False)


@app.callback()
def _db() -> None:
    """The database."""


@app.command()
def migrate() -> None:
    """Brings the database to this release's tables. Waits for Postgres; safe to run twice, and from many machines."""
    from billingbot.bootstrap.settings import read_environment
    from billingbot.bootstrap.telemetry import set_up
    from billingbot.cli.serving import once_postgres_lets, stopping
    from billingbot.core.errors import ConfigError
    from billingbot.store.migrate import upgrade

    environment = read_environment()
    url = _owner_url(environment)
    if url is None:
        raise ConfigError(
            ["BILLINGBOT_DATABASE_URL: expected a database to migrate; billingbot up migrates its own by itself"]
        )
    set_up(environment.log_format, environment.log_level)
    with stopping() as stop:
        done = once_postgres_lets(lambda: upgrade(url), stop)
    if not done:
        raise typer.Exit(1)
    say("The database has this release's tables.")


@app.command()
def check() -> None:
    """Whether migrated tables are those that the code expects; with no database configured, on a private one."""
    from billingbot.bootstrap.by_hand import quiet_logs
    from billingbot.bootstrap.settings import read_environment
    from billingbot.store.migrate import drift, upgrade

    quiet_logs()
    url = _owner_url(read_environment())
    if url is not None:
        found = drift(url)
    else:
        with progress("Migrating a database of its own"), _throwaway() as owner_url:
            upgrade(owner_url)
            found = drift(owner_url)
    for difference in found:
        warn(difference)
    if found:
        warn(f"Migrations and code disagree in {len(found)} places: a migration is missing.")
        raise typer.Exit(1)
    say("Migrations and code agree.")


@contextmanager
def _throwaway() -> Iterator[str]:
    """The owner's URL of a private Postgres that is gone afterwards."""
    from billingbot.engines.places import remove_data_dir
    from billingbot.engines.postgres import start_postgres

    data_dir = Path(tempfile.mkdtemp(prefix="billingbot-check-"))
    data_dir.chmod(0o711)  # started by root, the engine runs as another user, who has to pass through
    try:
        with start_postgres(data_dir, fsync=False) as postgres:
            yield postgres.owner_url
    finally:
        remove_data_dir(data_dir)


def _owner_url(environment: "Environment") -> str | None:
    url = environment.database_owner_url or environment.database_url
    return url.get_secret_value() if url else None
