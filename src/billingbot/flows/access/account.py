"""Account: what people do with their own way in: password, second factor, sessions, and how they read."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from zoneinfo import available_timezones

import pyotp
from babel import Locale, UnknownLocaleError

from billingbot.core.access.one_time import RECOVERY_BYTES, RECOVERY_CODES, bare_code, recovery_code
from billingbot.core.access.password import check_new, spelt
from billingbot.core.access.person import Person, Theme
from billingbot.core.access.secret import digest_of
from billingbot.core.access.session import (
    IDLE,
    MOST_CODES,
    STEP_LASTS,
    TRIES_BY_ACCOUNT,
    TRIES_WINDOW,
    Session,
    StepPurpose,
)
from billingbot.core.errors import ConflictError, ForbiddenError, InputError, NotFoundError
from billingbot.core.ledger import EntryKind
from billingbot.flows.access import passwords
from billingbot.flows.access.sign_in import record
from billingbot.flows.access.sign_in_local import TooManyTriesError, WrongError, step_at, take_code
from billingbot.flows.desk import Desk, step
from billingbot.store import database, people, sessions, sign_in_steps
from billingbot.store.database import transaction

ISSUER: Final = "billingbot"
"""What an authenticator shows above the code."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """A second factor to be set up: what the authenticator reads, and the step's secret for the form."""

    secret: str
    uri: str
    step_secret: str


def set_password(desk: Desk, own: Person, session: Session, *, current: str, new: str) -> None:
    """Sets one's own password, the first or another one; every other session of theirs ends.

    WrongError where the current one is wrong, InputError for a new one that is too short or easily guessed.
    """
    wanted = check_new(new, name=own.name, email=own.email)
    with transaction(desk.db) as connection:
        kept = people.secrets_of(connection, own.id).password_hash
    if kept is not None:
        _count(desk, own)
        if not passwords.fits(spelt(current), kept):
            raise WrongError("current: is not your password")
    made = passwords.hash_of(wanted)
    with step(desk) as this:
        people.get(this.db, own.id, lock=True)
        if people.secrets_of(this.db, own.id).password_hash != kept:
            raise ConflictError("password: was changed meanwhile")
        people.set_password(this.db, own.id, made)
        ended = sessions.revoke_others(this.db, person_id=own.id, but=session.id)
        record(this, EntryKind.PASSWORD_SET, own.id, own.name, sessions=ended)


def offer_second_factor(desk: Desk, own: Person) -> Offer:
    """A new secret for an authenticator; it counts once a first code has come. ConflictError where there is one."""
    if own.has_second_factor:
        raise ConflictError("second factor: there is one already; drop it first")
    secret, step_secret = pyotp.random_base32(), secrets.token_urlsafe(32)
    with transaction(desk.db) as connection:
        kept = {"secret": desk.seal.close(secret)}
        sign_in_steps.begin(
            connection, step_secret, StepPurpose.ENROLMENT, person_id=own.id, kept=kept, lasts=STEP_LASTS
        )
    uri = pyotp.TOTP(secret).provisioning_uri(name=own.email or own.name, issuer_name=ISSUER)
    return Offer(secret=secret, uri=uri, step_secret=step_secret)


def offered(desk: Desk, own: Person, step_secret: str) -> Offer | None:
    """The offer of this step once more, after a code that was wrong; None where it is over."""
    with transaction(desk.db) as connection:
        found = sign_in_steps.look(connection, step_secret, StepPurpose.ENROLMENT)
    if found is None or found.person_id != own.id or found.tries >= MOST_CODES:
        return None
    secret = desk.seal.open(str(found.kept["secret"]))
    uri = pyotp.TOTP(secret).provisioning_uri(name=own.email or own.name, issuer_name=ISSUER)
    return Offer(secret=secret, uri=uri, step_secret=step_secret)


def confirm_second_factor(desk: Desk, own: Person, session: Session, step_secret: str, code: str) -> Sequence[str]:
    """Sets the second factor up by its first code; the recovery codes, the only time that they are seen.

    Every other session of theirs ends. WrongError for a wrong code, ForbiddenError where the offer is over.
    """
    with transaction(desk.db) as connection:
        found = sign_in_steps.attempt(connection, step_secret, StepPurpose.ENROLMENT)
    if found is None or found.person_id != own.id or found.tries > MOST_CODES:
        raise ForbiddenError("second factor: the offer is over; begin again")
    codes = [recovery_code(secrets.token_bytes(RECOVERY_BYTES)) for _ in range(RECOVERY_CODES)]
    with step(desk) as this:
        if people.get(this.db, own.id, lock=True).has_second_factor:
            raise ConflictError("second factor: there is one already")
        secret = desk.seal.open(str(found.kept["secret"]))
        at = step_at(secret, bare_code(code), database.now(this.db), after=None)
        if at is None:
            raise WrongError("code: is not the one that the authenticator shows now")
        sign_in_steps.end(this.db, step_secret)
        digests = [digest_of(bare_code(one)) for one in codes]
        people.set_second_factor(this.db, own.id, secret=desk.seal.close(secret), last_step=at, recovery=digests)
        ended = sessions.revoke_others(this.db, person_id=own.id, but=session.id)
        record(this, EntryKind.SECOND_FACTOR_SET, own.id, own.name, sessions=ended)
    return codes


def drop_second_factor(desk: Desk, own: Person, code: str) -> None:
    """Drops one's own second factor, by a code of it. WrongError for a wrong or used one."""
    _count(desk, own)
    with step(desk) as this:
        person = people.get(this.db, own.id, lock=True)
        if not take_code(this, desk.seal, person, code):
            raise WrongError("code: is not the one that is shown now, or was used already")
        people.set_second_factor(this.db, own.id, secret=None, last_step=None, recovery=())
        record(this, EntryKind.SECOND_FACTOR_DROPPED, own.id, own.name)


def set_reading(desk: Desk, own: Person, *, locale: str, zone: str, theme: Theme) -> None:
    """How this person reads: language of dates and amounts, zone, theme. InputError for one that nobody knows."""
    try:
        Locale.parse(locale)
    except (UnknownLocaleError, ValueError):
        raise InputError("locale", "expected one such as en, en_GB or de_AT") from None
    if zone not in available_timezones():
        raise InputError("zone", "expected a zone such as Europe/Vienna")
    with transaction(desk.db) as connection:
        people.set_reading(connection, own.id, locale=locale, zone=zone, theme=theme)


def my_sessions(desk: Desk, own: Person) -> Sequence[Session]:
    """Where this person is signed in now, newest first."""
    with transaction(desk.db) as connection:
        return sessions.of_person(connection, own.id, idle=IDLE)


def end_session(desk: Desk, own: Person, session_id: str) -> None:
    """Ends one of one's own sessions. NotFoundError where it is none of theirs."""
    with step(desk) as this:
        if not sessions.revoke(this.db, person_id=own.id, session_id=session_id):
            raise NotFoundError("session: is none of yours, or has ended")
        record(this, EntryKind.SESSION_REVOKED, own.id, own.name, sessions=1, session=session_id)


def _count(desk: Desk, own: Person) -> None:
    """Somebody at an open session may not guess on without end either."""
    with transaction(desk.db) as connection:
        tries = sign_in_steps.count_try(connection, f"own:{own.id}", window=TRIES_WINDOW)
    if tries > TRIES_BY_ACCOUNT:
        raise TooManyTriesError
