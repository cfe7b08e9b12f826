"""Sessions: how long somebody who signed in stays signed in, and by what they did."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

# Both limits are NIST's for sessions behind a second factor: at the most an hour without a sign of life, and a day
# in all (SP 800-63B-4, 2.2.3). Half a day is one person's working day: everybody signs in once each morning.
IDLE: Final = timedelta(hours=1)
LASTS: Final = timedelta(hours=12)
# An hour is enough to read a terminal; a link in somebody's inbox may wait for the next morning.
FIRST_LINK_LASTS: Final = timedelta(hours=1)
LINK_LASTS: Final = timedelta(hours=24)


class SignedInBy(StrEnum):
    """What proved who it is."""

    LINK = "link"
    PASSWORD = "password"  # noqa: S105 # a way to sign in, not a secret
    OIDC = "oidc"


class LinkPurpose(StrEnum):
    """What a one-time secret is good for."""

    SIGN_IN = "sign_in"
    FIRST_ADMIN = "first_admin"


class StepPurpose(StrEnum):
    """What somebody is in the middle of."""

    SECOND_FACTOR = "second_factor"
    """The first proof was right; a code is asked for."""
    ENROLMENT = "enrolment"
    """A second factor was offered, and its first code has to come."""
    OIDC = "oidc"
    """They came back from the company's own sign-in: what they brought counts once."""


# Time to find the phone, or to sign in at the company; whoever takes longer begins again.
STEP_LASTS: Final = timedelta(minutes=10)
# Tries within one step: a mistyped code or two, and no more.
MOST_CODES: Final = 5

# Guessing is slowed down, never forbidden for good: an account that a stranger can lock is a way to stop the desk.
# Ten guesses of one address at one account in a quarter of an hour are a thousand a day, a hundred of all addresses
# together ten thousand: a password of twelve characters takes no notice. A stranger thus keeps the owner out from ten
# addresses at once, not from one; a link opens even then. One address may be a whole office behind one router.
TRIES_WINDOW: Final = timedelta(minutes=15)
TRIES_BY_ACCOUNT: Final = 10
TRIES_FROM_ANYWHERE: Final = 100
TRIES_BY_ADDRESS: Final = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """One browser that is signed in. The cookie's secret is not here: only its digest is kept, in the row."""

    id: str
    person_id: str
    signed_in_by: SignedInBy
    user_agent: str
    created_at: datetime
    last_seen_at: datetime
    expires_at: datetime
    revoked_at: datetime | None
