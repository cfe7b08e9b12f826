"""Signing in by password, and by a second factor where the person has one; guesses are counted before they are made."""

from datetime import datetime
from typing import Final

import pyotp
import structlog

from billingbot.core.access.one_time import STEP_SECONDS, bare_code, step_of
from billingbot.core.access.password import LONGEST, spelt
from billingbot.core.access.person import MOST_EMAIL, Person, mail_address, person_key
from billingbot.core.access.secret import digest_of
from billingbot.core.access.session import (
    MOST_CODES,
    TRIES_BY_ACCOUNT,
    TRIES_BY_ADDRESS,
    TRIES_FROM_ANYWHERE,
    TRIES_WINDOW,
    SignedInBy,
    StepPurpose,
)
from billingbot.core.errors import ForbiddenError, InputError, NotFoundError
from billingbot.core.ledger import EntryKind
from billingbot.flows.access import passwords
from billingbot.flows.access.sign_in import Halfway, SignedIn, begin, enter, record
from billingbot.flows.desk import Desk, Step, step
from billingbot.identity.seal import Seal, SealedError
from billingbot.store import database, people, sign_in_steps
from billingbot.store.database import transaction
from billingbot.store.people import Secrets

_WRONG: Final = "sign-in: the name and the password do not belong together"
_WRONG_CODE: Final = "code: is not the one that is shown now, or was used already"
_BEGIN_AGAIN: Final = "sign-in: took too long, or had too many wrong codes; begin again"

log = structlog.get_logger(__name__)


class TooManyTriesError(ForbiddenError):
    """Guessing is slowed down: whoever it is has to wait."""

    def __init__(self) -> None:
        minutes = int(TRIES_WINDOW.total_seconds()) // 60
        super().__init__(
            f"sign-in: too many tries; wait {minutes} minutes, or have a link made (billingbot users link)"
        )


class WrongError(ForbiddenError):
    """The proof does not fit. Says the same whether there is such a person or not."""


def by_password(desk: Desk, who: str, password: str, *, address: str, user_agent: str) -> SignedIn | Halfway:
    """Signs in the person of this name or e-mail address.

    `address` is where the request came from. WrongError where the two do not belong together, TooManyTriesError where
    that was tried too often; each says the same, after the same time, whether there is such a person or not.
    """
    if not desk.passwords:
        raise WrongError("sign-in: passwords are not taken here; use your company's sign-in, or a link")
    password, who = spelt(password), who.strip()
    if len(who) > MOST_EMAIL or len(password) > LONGEST:
        raise WrongError(_WRONG)
    account = _one_spelling(who)
    address_key, from_here, from_anywhere = f"address:{address}", f"from:{address}:{account}", f"account:{account}"
    # The address first: one that has had its share is not even counted on other names.
    tries = {address_key: TRIES_BY_ADDRESS, from_here: TRIES_BY_ACCOUNT, from_anywhere: TRIES_FROM_ANYWHERE}
    _count(desk, tries)
    found = _find(desk, who)
    kept = found[1].password_hash if found else None
    if not passwords.fits(password, kept) or found is None or kept is None:
        raise WrongError(_WRONG)
    renewed = passwords.hash_of(password) if passwords.has_aged(kept) else None
    with step(desk) as this:
        person = people.get(this.db, found[0].id, lock=True)
        if people.secrets_of(this.db, person.id).password_hash != kept or person.disabled_at is not None:
            raise WrongError(_WRONG)
        if renewed is not None:
            people.set_password(this.db, person.id, renewed)
        sign_in_steps.forget_tries(this.db, from_here)
        sign_in_steps.forget_tries(this.db, from_anywhere)
        sign_in_steps.take_back_try(this.db, address_key)
        return enter(this, person, SignedInBy.PASSWORD, user_agent)


def by_code(desk: Desk, halfway_secret: str, code: str, *, user_agent: str) -> SignedIn:
    """Ends a sign-in by a code of the second factor, or by a recovery code, which is used up.

    WrongError for a wrong or used code; ForbiddenError where the step is over, and the sign-in begins again.
    """
    with transaction(desk.db) as connection:
        found = sign_in_steps.attempt(connection, halfway_secret, StepPurpose.SECOND_FACTOR)
    if found is None or found.person_id is None or found.tries > MOST_CODES:
        raise ForbiddenError(_BEGIN_AGAIN)
    _count(desk, {f"code:{found.person_id}": TRIES_BY_ACCOUNT})
    with step(desk) as this:
        person = people.get(this.db, found.person_id, lock=True)
        if not take_code(this, desk.seal, person, code):
            raise WrongError(_WRONG_CODE)
        if not sign_in_steps.end(this.db, halfway_secret):
            raise ForbiddenError(_BEGIN_AGAIN)
        sign_in_steps.forget_tries(this.db, f"code:{person.id}")
        return begin(this, person, SignedInBy(found.kept["by"]), user_agent)


def take_code(this: Step, seal: Seal, who: Person, typed: str) -> bool:
    """Whether this is a code of theirs that was never used; it is used up by that. Call it with the person locked."""
    own, code = people.secrets_of(this.db, who.id, lock=True), bare_code(typed)
    if own.totp_secret is None:
        return False
    at = None
    try:
        at = step_at(seal.open(own.totp_secret), code, database.now(this.db), after=own.totp_last_step)
    except SealedError as fault:
        log.error("sign_in.sealed", person=who.id, why=str(fault))  # noqa: TRY400 # recovery codes still let them in
    if at is not None:
        people.use_step(this.db, who.id, at)
        return True
    return _take_recovery(this, who, own, code)


def step_at(totp_secret: str, code: str, now: datetime, *, after: int | None) -> int | None:
    """The time step that a code of this secret is of; None where it is of none that is near, or was used."""
    totp = pyotp.TOTP(totp_secret, interval=STEP_SECONDS)
    return step_of(code, now, after=after, code_at=lambda index: totp.at(index * STEP_SECONDS))


def _take_recovery(this: Step, who: Person, own: Secrets, code: str) -> bool:
    used = digest_of(code)
    left = [digest for digest in own.recovery_digests if digest != used]
    if len(left) == len(own.recovery_digests):
        return False
    people.use_recovery(this.db, who.id, left)
    record(this, EntryKind.RECOVERY_CODE_USED, who.id, who.name, left=len(left))
    return True


def _count(desk: Desk, limits: dict[str, int]) -> None:
    """Counts a try for each key, in a commit of its own. TooManyTriesError at the first that has had its share."""
    with transaction(desk.db) as connection:
        is_over = any(
            sign_in_steps.count_try(connection, key, window=TRIES_WINDOW) > most for key, most in limits.items()
        )
    if is_over:
        log.warning("sign_in.slowed")  # not who, nor from where: logs hold no personal data
        raise TooManyTriesError


def _one_spelling(who: str) -> str:
    """What the tries are counted by: another spelling of one name is no other account."""
    try:
        return mail_address(who) if "@" in who else person_key(who)
    except InputError:
        return who.casefold()


def _find(desk: Desk, who: str) -> tuple[Person, Secrets] | None:
    with transaction(desk.db) as connection:
        try:
            person = people.named(connection, who)
        except (NotFoundError, InputError):
            return None
        return person, people.secrets_of(connection, person.id)
