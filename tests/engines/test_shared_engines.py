"""The suite's own engines: a fresh migrated database per test, an empty Valkey, quickly."""

import psycopg
import pytest
import redis
from tests.engines.shared import Database, SharedPostgres, plain


def test_each_test_gets_a_migrated_database_of_its_own(database: Database) -> None:
    with psycopg.connect(plain(database.app_url)) as connection:
        found = connection.execute("SELECT current_database(), count(*) FROM jobs").fetchone()
    assert found == (database.name, 0)


@pytest.mark.parametrize("turn", [1, 2])
def test_what_one_test_writes_the_next_does_not_see(database: Database, redis_url: str, turn: int) -> None:
    with psycopg.connect(plain(database.owner_url)) as connection:
        connection.execute("CREATE TABLE left_behind ()")  # fails where the other turn's table is there
    with redis.Redis.from_url(redis_url) as client:
        assert client.set("left_behind", turn, nx=True)


def test_a_database_goes_although_a_client_was_forgotten(postgres: SharedPostgres, template: str) -> None:
    made = postgres.create_database(template=template)
    with psycopg.connect(plain(made.app_url)) as forgotten:
        postgres.drop_database(made)
        with pytest.raises(psycopg.OperationalError):
            forgotten.execute("SELECT 1")


def test_a_dropped_database_is_gone(postgres: SharedPostgres) -> None:
    made = postgres.create_database()
    postgres.drop_database(made)
    with pytest.raises(psycopg.OperationalError, match="does not exist"):
        psycopg.connect(plain(made.app_url))
