"""People: who may sign in, in which roles, and in how many browsers they are; each change an act in the ledger."""

from collections.abc import Sequence

from billingbot.core.access.person import Person, mail_address, person
from billingbot.core.access.powers import Power, Role
from billingbot.core.access.session import IDLE
from billingbot.core.errors import ConflictError, InputError, NotFoundError
from billingbot.core.ids import Kind
from billingbot.core.ledger import Draft, EntryKind
from billingbot.flows.desk import Desk, Step, step
from billingbot.store import database, people, sessions
from billingbot.store.database import transaction
from billingbot.store.views.access import SessionLine, session_list
from billingbot.store.views.paging import PAGE_ROWS, Page

_ADMINS = "people:admins"
"""The lock under which an admin may cease to be one: of the last two, one stays."""


def add(desk: Desk, *, name: str, email: str | None, roles: Sequence[Role], by: str) -> Person:
    """Adds a person, who signs in by a link first. ConflictError where the name or the address is somebody's."""
    desk.require(Power.MANAGE)
    person(name)
    address = mail_address(email) if email else None
    with step(desk) as this:
        made = people.add(this.db, this.new_id(Kind.PERSON), name=name, email=address, roles=_roles(roles))
        _record(this, EntryKind.PERSON_ADDED, made, by, name=made.name, roles=list(made.roles))
        return made


def everybody(desk: Desk) -> Sequence[Person]:
    """Everybody, by name."""
    desk.require(Power.MANAGE)
    with transaction(desk.db) as connection:
        return people.everybody(connection)


def find(desk: Desk, who: str) -> Person:
    """The person of this name, address or id. NotFoundError."""
    desk.require(Power.MANAGE)
    with transaction(desk.db) as connection:
        return people.named(connection, who)


def set_roles(desk: Desk, who: str, roles: Sequence[Role], *, by: str) -> Person:
    """Gives a person these roles and no others; it counts from their next click on.

    NotFoundError; ConflictError where nobody would be left to manage people.
    """
    desk.require(Power.MANAGE)
    with step(desk) as this:
        before = _locked(this, who)
        wanted = _roles(roles)
        if before.roles == wanted:
            return before
        people.set_roles(this.db, before.id, wanted)
        _somebody_manages(this)
        _record(this, EntryKind.PERSON_ROLES_CHANGED, before, by, was=list(before.roles), roles=list(wanted))
        return people.get(this.db, before.id)


def disable(desk: Desk, who: str, *, by: str) -> Person:
    """Keeps a person out at once: all their sessions end. ConflictError where nobody would be left to manage people."""
    desk.require(Power.MANAGE)
    with step(desk) as this:
        before = _locked(this, who)
        if before.disabled_at is None:
            people.disable(this.db, before.id)
            _somebody_manages(this)
            ended = sessions.revoke(this.db, person_id=before.id)
            _record(this, EntryKind.PERSON_DISABLED, before, by, sessions=ended)
        return people.get(this.db, before.id)


def enable(desk: Desk, who: str, *, by: str) -> Person:
    """Lets a person sign in again."""
    desk.require(Power.MANAGE)
    with step(desk) as this:
        before = _locked(this, who)
        if before.disabled_at is not None:
            people.enable(this.db, before.id)
            _record(this, EntryKind.PERSON_ENABLED, before, by)
        return people.get(this.db, before.id)


def reset(desk: Desk, who: str, *, by: str) -> Person:
    """Takes a person's password and second factor away and ends their sessions; a link lets them in again."""
    desk.require(Power.MANAGE)
    with step(desk) as this:
        before = _locked(this, who)
        people.forget_secrets(this.db, before.id)
        ended = sessions.revoke(this.db, person_id=before.id)
        _record(this, EntryKind.PERSON_RESET, before, by, sessions=ended)
        return people.get(this.db, before.id)


def list_sessions(
    desk: Desk, *, who: str | None = None, live: bool = True, after: str | None = None, limit: int = PAGE_ROWS
) -> Page[SessionLine]:
    """Sessions, newest first: of one person or of all; those that could be gone on with now, or ended ones as well.

    NotFoundError for nobody, InputError for a bad cursor.
    """
    desk.require(Power.MANAGE)
    with transaction(desk.db) as connection:
        person_id = people.named(connection, who).id if who is not None else None
        return session_list(connection, idle=IDLE, person_id=person_id, live=live, after=after, limit=limit)


def revoke(desk: Desk, who: str, *, by: str, session_id: str | None = None) -> int:
    """Ends one session of a person, or all of them; how many. NotFoundError where they have no such session."""
    desk.require(Power.MANAGE)
    with step(desk) as this:
        found = _locked(this, who)
        ended = sessions.revoke(this.db, person_id=found.id, session_id=session_id)
        if session_id is not None and not ended:
            raise NotFoundError(f"session: {found.name} has none called {session_id!r}")
        if ended:
            _record(this, EntryKind.SESSION_REVOKED, found, by, sessions=ended, session=session_id)
        return ended


def one_after_another(this: Step) -> None:
    """Takes turns with whoever else changes roles: first of all, and before anybody's row."""
    database.advisory_lock(this.db, _ADMINS)


def _locked(this: Step, who: str) -> Person:
    one_after_another(this)
    return people.named(this.db, who, lock=True)


def is_managed(this: Step) -> bool:
    """Whether anybody is left to manage people. Within `one_after_another`."""
    return any(Power.MANAGE in each.powers for each in people.everybody(this.db))


def _somebody_manages(this: Step) -> None:
    if not is_managed(this):
        raise ConflictError(
            "roles: expected at least one person who is left to manage people; make another admin first"
        )


def _roles(roles: Sequence[Role]) -> tuple[Role, ...]:
    if not roles:
        raise InputError("roles", f"expected at least one of {', '.join(Role)}")
    return tuple(role for role in Role if role in roles)


def _record(this: Step, kind: EntryKind, who: Person, by: str, **body: object) -> None:
    this.record(Draft(kind=kind, account="", subject=who.id, actor=person(by), body=body))
