"""Sign-in: from a one-time link to a session, from a cookie to a person, and out again."""

import secrets
from dataclasses import dataclass
from typing import Final

from billingbot.core.access.person import Person, person
from billingbot.core.access.powers import Power, Role
from billingbot.core.access.session import (
    FIRST_LINK_LASTS,
    IDLE,
    LASTS,
    LINK_LASTS,
    STEP_LASTS,
    LinkPurpose,
    Session,
    SignedInBy,
    StepPurpose,
)
from billingbot.core.errors import ConflictError, ForbiddenError, InputError
from billingbot.core.ids import Kind
from billingbot.core.ledger import Draft, EntryKind
from billingbot.flows.desk import Desk, Step, step
from billingbot.store import database, people, sessions, sign_in_steps
from billingbot.store.database import transaction
from billingbot.store.sessions import Link

# Ours have 43 characters; nothing longer is worth a digest.
MOST_SECRET: Final = 200
_NO_LINK: Final = "link: is no link of ours, or was used, or is too old; ask for a new one (billingbot users link)"
_EVERYBODY: Final = "people"
"""The lock under which the first person is made: there is one first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedIn:
    """A session that just began, with the secret for its cookie: the only time that it is seen."""

    person: Person
    session: Session
    secret: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Halfway:
    """The first proof was right; a code of the second factor is still to come, under this secret of the browser's."""

    secret: str


def link_path(secret: str) -> str:
    """Where on the web this link leads."""
    return f"/sign-in/link/{secret}"


def make_link(desk: Desk, who: str, *, by: str) -> str:
    """A one-time secret that signs in the person of this name or address; any earlier one works no more.

    NotFoundError; ConflictError for somebody who is disabled.
    """
    desk.require(Power.MANAGE)
    with step(desk) as this:
        found = people.named(this.db, who)
        if found.disabled_at is not None:
            raise ConflictError(f"person: {found.name} is disabled; enable them first (billingbot users enable)")
        secret = _secret()
        link = Link(purpose=LinkPurpose.SIGN_IN, person_id=found.id, name=None)
        sessions.make_link(this.db, secret, link, by=person(by), lasts=LINK_LASTS)
        record(this, EntryKind.SIGN_IN_LINK_MADE, found.id, by)
    return secret


def first_link(desk: Desk, *, by: str) -> str | None:
    """A one-time secret that makes the first admin; None where there is somebody already.

    `by` is the name that this person gets where they give none.
    """
    desk.require(Power.MANAGE)
    with transaction(desk.db) as connection:
        if people.is_anybody(connection):
            return None
        secret = _secret()
        link = Link(purpose=LinkPurpose.FIRST_ADMIN, person_id=None, name=person(by))
        sessions.make_link(connection, secret, link, by=by, lasts=FIRST_LINK_LASTS)
    return secret


def look_at_link(desk: Desk, secret: str) -> Link:
    """What the link would do, for a page that asks before it is used: programs that look at links open them too.

    ForbiddenError where it does not work (any more).
    """
    with transaction(desk.db) as connection:
        found = sessions.look_at_link(connection, secret) if len(secret) <= MOST_SECRET else None
    if found is None:
        raise ForbiddenError(_NO_LINK)
    return found


def by_link(
    desk: Desk, secret: str, *, name: str | None = None, email: str | None = None, user_agent: str = ""
) -> SignedIn | Halfway:
    """Signs in by a link, and uses it up. `name` and `email` are the first admin's, whom their link makes.

    ForbiddenError where the link does not work (any more); InputError for a name or an address that is none.
    """
    if len(secret) > MOST_SECRET:
        raise ForbiddenError(_NO_LINK)
    with step(desk) as this:
        link = sessions.use_link(this.db, secret)
        if link is None:
            raise ForbiddenError(_NO_LINK)
        if link.purpose is LinkPurpose.FIRST_ADMIN:
            found = _first_admin(this, name or link.name, email)
        else:
            found = people.get(this.db, link.person_id or "", lock=True)
        return enter(this, found, SignedInBy.LINK, user_agent)


def begin(this: Step, who: Person, by: SignedInBy, user_agent: str) -> SignedIn:
    """Begins a session for a person who has proved who they are. ForbiddenError where they are disabled.

    Always under a new secret: none that a browser brought along is ever raised to a session.
    """
    if who.disabled_at is not None:
        raise ForbiddenError(_NO_LINK)
    secret, session_id = _secret(), this.new_id(Kind.SESSION)
    session = sessions.begin(this.db, session_id, secret, person_id=who.id, by=by, user_agent=user_agent, lasts=LASTS)
    record(this, EntryKind.SESSION_BEGAN, who.id, who.name, session=session_id, signed_in_by=by)
    return SignedIn(person=who, session=session, secret=secret)


def enter(this: Step, who: Person, by: SignedInBy, user_agent: str) -> SignedIn | Halfway:
    """Lets somebody in whose first proof was right; asks for the second where they have one."""
    if not who.has_second_factor or who.disabled_at is not None:
        return begin(this, who, by, user_agent)
    secret = _secret()
    kept = {"by": by.value}
    sign_in_steps.begin(this.db, secret, StepPurpose.SECOND_FACTOR, person_id=who.id, kept=kept, lasts=STEP_LASTS)
    return Halfway(secret=secret)


def session_of(desk: Desk, cookie_secret: str, *, seen: bool = True) -> tuple[Person, Session] | None:
    """Whose session the cookie opens, if any. `seen` is false for what a page asks by itself, with nobody looking."""
    if not cookie_secret or len(cookie_secret) > MOST_SECRET:
        return None
    with transaction(desk.db) as connection:
        return sessions.find(connection, cookie_secret, idle=IDLE, seen=seen)


def sign_out(desk: Desk, session: Session) -> None:
    """Ends the session. Doing so twice is doing so once."""
    with transaction(desk.db) as connection:
        sessions.revoke(connection, session_id=session.id)


def _first_admin(this: Step, name: str | None, email: str | None) -> Person:
    database.advisory_lock(this.db, _EVERYBODY)
    if people.is_anybody(this.db):
        raise ForbiddenError(_NO_LINK)
    if not name:
        raise InputError("name", "expected the name under which your acts are recorded")
    made = people.add(this.db, this.new_id(Kind.PERSON), name=person(name), email=email, roles=[Role.ADMIN])
    record(this, EntryKind.PERSON_ADDED, made.id, made.name, name=made.name, roles=list(made.roles))
    return made


def record(this: Step, kind: EntryKind, subject: str, by: str, **body: object) -> None:
    """An entry about a person's way in: never an address, never a secret."""
    this.record(Draft(kind=kind, account="", subject=subject, actor=by, body=body))


def _secret() -> str:
    return secrets.token_urlsafe(32)  # 256 bits: cannot be guessed, so its plain digest is safe to keep
