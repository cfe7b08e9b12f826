"""`billingbot users`: people are added, let in by a link, and kept out."""

from collections.abc import Iterator

import pytest

from billingbot.flows.access import sign_in
from billingbot.flows.desk import Desk
from tests.cli.terminal import typed
from tests.desks import a_desk
from tests.engines.shared import Database

Settings = dict[str, str]


@pytest.fixture
def desk(database: Database) -> Iterator[Desk]:
    with a_desk(database) as opened:
        yield opened


def test_a_person_is_added_enters_by_the_link_and_is_kept_out(settings: Settings, desk: Desk) -> None:
    assert "billingbot users add NAME" in typed(settings, "users", "list").out
    words = ("users", "add", "ada", "--role", "admin", "--email", "ada@example.com", "--as", "root")
    link = typed(settings, *words, "--json").json["link"]
    inside = sign_in.by_link(desk, link.rpartition("/")[2])
    assert link.startswith("http://127.0.0.1:8080/sign-in/link/")
    assert inside.person.name == "ada"
    listed = typed(settings, "users", "sessions", "ada", "--json").json["items"]
    assert [row["id"] for row in listed] == [inside.session.id]
    assert typed(settings, "users", "sessions", "eve").code == 1
    assert typed(settings, "users", "revoke", "ada", "--session", inside.session.id).out == "Ended 1 session.\n"
    assert typed(settings, "users", "disable", "ada").code == 1
    assert typed(settings, "users", "add", "grace", "--role", "admin").code == 0
    assert typed(settings, "users", "roles", "ada", "--role", "ops", "--role", "finance").out == (
        "ada is ops and finance.\n"
    )
    assert typed(settings, "users", "reset", "ada").out.startswith("http://127.0.0.1:8080/sign-in/link/")
    assert typed(settings, "users", "disable", "ADA@example.com").code == 0
    assert typed(settings, "users", "link", "ada").err.startswith("person: ada is disabled")
    assert typed(settings, "users", "enable", "ada").code == 0
    rows = typed(settings, "users", "list", "--json").json["items"]
    assert [(row["name"], row["roles"], row["disabled_at"]) for row in rows] == [
        ("ada", ["ops", "finance"], None),
        ("grace", ["admin"], None),
    ]
    assert typed(settings, "users", "link", "nobody").code == 1
    assert typed(settings, "users", "add", "eve", "--role", "king").code == 2
