"""An errand: what a browser carries to the company's own sign-in and back; nothing is kept here for strangers."""

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from typing import Final, Self

# What a cookie may have is 4096 bytes (RFC 6265, 6.1); a page whose address is longer is not come back to.
_MOST_TO: Final = 1_000
_MOST_COOKIE: Final = 2_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Errand:
    """One way out and back: when it began (Unix seconds), and the page that was wanted.

    State, nonce and verifier are derived from all of it under the secret. The state went out by the provider, so what
    is changed in the cookie meanwhile no longer fits it.
    """

    secret: str
    set_out_at: int
    to: str

    @classmethod
    def of_cookie(cls, cookie: str) -> Self | None:
        """The errand that this cookie is of; None where it is of none."""
        parts = cookie.split(".") if len(cookie) <= _MOST_COOKIE and cookie.isascii() else []
        if len(parts) != 3 or not parts[0].isdigit() or not parts[1]:
            return None
        try:
            to = urlsafe_b64decode(parts[2]).decode()
        except ValueError:
            return None
        return cls(secret=parts[1], set_out_at=int(parts[0]), to=to)

    @property
    def cookie(self) -> str:
        """What the browser keeps of it."""
        to = self.to if len(self.to.encode()) <= _MOST_TO else "/"
        return f"{self.set_out_at}.{self.secret}.{urlsafe_b64encode(to.encode()).decode()}"

    @property
    def state(self) -> str:
        """What the provider sends back beside its answer."""
        return self._derived("state")

    @property
    def nonce(self) -> str:
        """What the provider signs."""
        return self._derived("nonce")

    @property
    def verifier(self) -> str:
        """What proves to the provider that whoever asked is who comes for the answer (RFC 7636: 43 characters)."""
        return self._derived("verifier")

    def _derived(self, what: str) -> str:
        about = f"{what}:{self.cookie}".encode()
        return urlsafe_b64encode(hmac.digest(self.secret.encode(), about, "sha256")).rstrip(b"=").decode()
