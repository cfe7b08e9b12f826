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
