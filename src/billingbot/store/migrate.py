"""Migrations: brings a database to this release's tables, and tells where tables and code have drifted apart."""

from pathlib import Path
from typing import Final

import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from billingbot.store import database
from billingbot.store.schema import metadata

# One migration at a time, whoever starts first: any number that nobody else here uses.
MIGRATING: Final = 7_214_500_113


def upgrade(owner_url: str) -> None:
    """Migrates to the newest revision, all of it in one transaction. Safe to run from many processes at once: one does
    it, the others wait. RetryLaterError where Postgres went away meanwhile: nothing has changed, or all of it.
    """
    engine = sa.create_engine(owner_url, poolclass=sa.NullPool, connect_args={"connect_timeout": 5})
    with database.to_be_retried(), engine.connect() as connection:
        connection.execute(sa.select(sa.func.pg_advisory_lock(MIGRATING)))
        connection.commit()
        try:
            config = _config()
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
            connection.commit()
        finally:
            connection.rollback()
            connection.execute(sa.select(sa.func.pg_advisory_unlock(MIGRATING)))
            connection.commit()


def is_current(connection: sa.Connection) -> bool:
    """Whether the database stands at this release's newest revision."""
    try:
        with connection.begin_nested():
            found = connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar_one_or_none()
    except sa.exc.ProgrammingError:
        return False
    return found == ScriptDirectory.from_config(_config()).get_current_head()


def drift(owner_url: str) -> list[str]:
    """What the migrated tables and `schema` disagree on; empty where they agree."""
    engine = sa.create_engine(owner_url, poolclass=sa.NullPool)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_server_default": False})
        return [str(difference) for difference in compare_metadata(context, metadata)]


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.set_main_option("path_separator", "os")
    return config
