"""Signing in by link, sessions and who may manage whom, on a real Postgres."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest
import sqlalchemy as sa

from billingbot.core.access.powers import ALL, Power, Role
from billingbot.core.access.session import IDLE
from billingbot.core.errors import ConflictError, ForbiddenError, InputError, NotFoundError
from billingbot.flows.access import people, sign_in
from billingbot.flows.desk import Desk
from billingbot.store.database import transaction
from billingbot.store.schema import ledger_entries, sessions, sign_in_links
from tests.desks import a_desk
from tests.engines.shared import Database


@pytest.fixture
def desk(database: Database) -> Iterator[Desk]:
    with a_desk(database) as opened:
        yield opened


def _admin(desk: Desk) -> sign_in.SignedIn:
    secret = sign_in.first_link(desk, by="ada")
    assert secret is not None
    return sign_in.by_link(desk, secret, email="Ada@Example.com", user_agent="a browser\n")


def _later(desk: Desk, by: timedelta) -> None:
    """As if so much time had gone by for every session and link."""
    with transaction(desk.db) as connection:
        for column in (sessions.c.expires_at, sessions.c.last_seen_at, sign_in_links.c.expires_at):
            connection.execute(sa.update(column.table).values({column.name: column - by}))


def test_the_first_link_makes_an_admin_and_there_is_only_one_first(desk: Desk) -> None:
    other = sign_in.first_link(desk, by="bob")
    entered = _admin(desk)
    assert (entered.person.name, entered.person.email) == ("ada", "ada@example.com")
    assert entered.person.powers == ALL
    assert entered.session.user_agent == "a browser"
    assert sign_in.first_link(desk, by="bob") is None
    assert other is not None
    with pytest.raises(ForbiddenError, match="link: is no link"):
        sign_in.by_link(desk, other, name="bob")


def test_a_link_works_once_and_looking_at_it_does_not_use_it_up(desk: Desk) -> None:
    _admin(desk)
    people.add(desk, name="grace", email=None, roles=[Role.SUPPORT], by="ada")
    secret = sign_in.make_link(desk, "Grace", by="ada")
    for _ in range(2):
        sign_in.look_at_link(desk, secret)
    assert sign_in.by_link(desk, secret).person.name == "grace"
    for way_in in (sign_in.by_link, sign_in.look_at_link):
        with pytest.raises(ForbiddenError):
            way_in(desk, secret)


def test_a_newer_link_ends_an_older_one_and_every_link_ends_by_itself(desk: Desk) -> None:
    _admin(desk)
    older, newer = sign_in.make_link(desk, "ada", by="ada"), sign_in.make_link(desk, "ada@example.com", by="ada")
    with pytest.raises(ForbiddenError):
        sign_in.by_link(desk, older)
    _later(desk, timedelta(hours=25))
    with pytest.raises(ForbiddenError):
        sign_in.by_link(desk, newer)


def test_a_cookie_finds_its_person_until_it_is_idle_over_or_signed_out(desk: Desk) -> None:
    entered = _admin(desk)
    found = sign_in.session_of(desk, entered.secret)
    assert found is not None
    assert (found[0].id, found[1].id) == (entered.person.id, entered.session.id)
    for wrong in ("", "x", entered.secret + "x", "x" * 10_000, entered.session.id):
        assert sign_in.session_of(desk, wrong) is None
    _later(desk, IDLE / 2)
    assert sign_in.session_of(desk, entered.secret, seen=False) is not None
    assert sign_in.session_of(desk, entered.secret) is not None  # a sign of life: the hour begins anew
    _later(desk, IDLE * 2 / 3)
    assert sign_in.session_of(desk, entered.secret) is not None
    _later(desk, IDLE)
    assert sign_in.session_of(desk, entered.secret) is None
    again = sign_in.by_link(desk, sign_in.make_link(desk, "ada", by="ada"))
    sign_in.sign_out(desk, again.session)
    sign_in.sign_out(desk, again.session)
    assert sign_in.session_of(desk, again.secret) is None


def test_a_session_ends_after_half_a_day_however_busy_it_was(desk: Desk) -> None:
    entered = _admin(desk)
    for _ in range(12):
        assert sign_in.session_of(desk, entered.secret) is not None
        _later(desk, timedelta(minutes=59))
    assert sign_in.session_of(desk, entered.secret) is not None
    _later(desk, timedelta(minutes=30))
    assert sign_in.session_of(desk, entered.secret) is None


def test_nobody_is_two_people(desk: Desk) -> None:
    _admin(desk)
    for name, email in (("A D A", None), ("grace", "ADA@example.com")):
        with pytest.raises(ConflictError):
            people.add(desk, name=name, email=email, roles=[Role.SUPPORT], by="ada")
    for name, email, field in (("policy:x", None, "by"), ("grace", "no address", "email")):
        with pytest.raises(InputError, match=f"^{field}: "):
            people.add(desk, name=name, email=email, roles=[Role.SUPPORT], by="ada")


def test_roles_count_from_the_next_click_and_a_disabled_person_is_out_at_once(desk: Desk) -> None:
    _admin(desk)
    people.add(desk, name="grace", email=None, roles=[Role.SUPPORT], by="ada")
    inside = sign_in.by_link(desk, sign_in.make_link(desk, "grace", by="ada"))
    people.set_roles(desk, "grace", [Role.FINANCE, Role.OPS], by="ada")
    found = sign_in.session_of(desk, inside.secret)
    assert found is not None
    assert found[0].powers == {Power.SEE, Power.RUN, Power.SWITCH, Power.SIGN}
    people.disable(desk, "grace", by="ada")
    people.disable(desk, "grace", by="ada")
    assert sign_in.session_of(desk, inside.secret) is None
    with pytest.raises(ConflictError, match="is disabled"):
        sign_in.make_link(desk, "grace", by="ada")
    people.enable(desk, "grace", by="ada")
    assert sign_in.session_of(desk, inside.secret) is None  # what ended stays ended


def test_a_link_from_before_a_person_was_disabled_opens_nothing(desk: Desk) -> None:
    _admin(desk)
    people.add(desk, name="grace", email=None, roles=[Role.SUPPORT], by="ada")
    secret = sign_in.make_link(desk, "grace", by="ada")
    people.disable(desk, "grace", by="ada")
    with pytest.raises(ForbiddenError):
        sign_in.by_link(desk, secret)


def test_somebody_who_manages_people_is_always_left(desk: Desk) -> None:
    _admin(desk)
    with pytest.raises(ConflictError, match="at least one person"):
        people.disable(desk, "ada", by="ada")
    with pytest.raises(ConflictError, match="at least one person"):
        people.set_roles(desk, "ada", [Role.SUPPORT], by="ada")
    people.add(desk, name="grace", email=None, roles=[Role.ADMIN], by="ada")
    assert people.set_roles(desk, "ada", [Role.SUPPORT], by="grace").roles == (Role.SUPPORT,)


def test_sessions_are_listed_and_revoked_one_or_all(desk: Desk) -> None:
    first = _admin(desk)
    second = sign_in.by_link(desk, sign_in.make_link(desk, "ada", by="ada"))
    newest = people.list_sessions(desk, who="ada", limit=1)
    assert [one.id for one in newest.items] == [second.session.id]
    rest = people.list_sessions(desk, after=newest.next)
    assert [(one.id, one.person, one.is_live) for one in rest.items] == [(first.session.id, "ada", True)]
    assert people.revoke(desk, "ada", by="ada", session_id=first.session.id) == 1
    assert sign_in.session_of(desk, first.secret) is None
    with pytest.raises(NotFoundError):
        people.revoke(desk, "ada", by="ada", session_id=first.session.id)
    people.reset(desk, "ada", by="ada")
    assert people.list_sessions(desk).items == ()
    assert [one.is_live for one in people.list_sessions(desk, live=False).items] == [False, False]


def test_every_act_is_in_the_ledger_and_no_address_or_secret_is(desk: Desk) -> None:
    entered = _admin(desk)
    people.add(desk, name="grace", email="grace@example.com", roles=[Role.SUPPORT], by="ada")
    secret = sign_in.make_link(desk, "grace", by="ada")
    people.disable(desk, "grace", by="ada")
    with transaction(desk.db) as connection:
        kinds = [row.kind for row in connection.execute(sa.select(ledger_entries.c.kind))]
        told = b"".join(row.body for row in connection.execute(sa.select(ledger_entries.c.body)))
    assert kinds == ["person.added", "session.began", "person.added", "sign_in.link_made", "person.disabled"]
    for hidden in (b"example.com", secret.encode(), entered.secret.encode()):
        assert hidden not in told


def test_only_who_may_manage_people_does(desk: Desk) -> None:
    _admin(desk)
    lacking = replace(desk, powers=ALL - {Power.MANAGE})
    for act in (
        lambda: people.add(lacking, name="x", email=None, roles=[Role.ADMIN], by="x"),
        lambda: people.set_roles(lacking, "ada", [Role.SUPPORT], by="x"),
        lambda: people.revoke(lacking, "ada", by="x"),
        lambda: sign_in.make_link(lacking, "ada", by="x"),
    ):
        with pytest.raises(ForbiddenError, match="manage: not allowed"):
            act()
