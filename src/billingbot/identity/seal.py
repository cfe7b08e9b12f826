"""The seal: secrets that we have to read again, such as an authenticator's, encrypted by a key that is not kept with
them."""

from collections.abc import Sequence
from typing import Final

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from billingbot.core.errors import ConflictError

# What is kept sealed says so: what does not is readable as it stands, from before there was a key.
_MARK: Final = "fernet:"


class SealedError(ConflictError):
    """It was sealed by a key that we do not have."""


class Seal:
    """Seals by the first key and opens by any, so that keys can be changed; without a key it leaves things as they are.

    ValueError for a key that is not 32 bytes in URL-safe base64.
    """

    def __init__(self, keys: Sequence[str] = ()) -> None:
        made = [Fernet(key) for key in keys]
        self._all = MultiFernet(made) if made else None
        self._first = made[0] if made else None

    def close(self, secret: str) -> str:
        """What to keep of the secret."""
        return secret if self._all is None else _MARK + self._all.encrypt(secret.encode()).decode()

    def open(self, kept: str) -> str:
        """The secret again. SealedError where no key of ours sealed it."""
        if not kept.startswith(_MARK):
            return kept
        try:
            if self._all is not None:
                return self._all.decrypt(kept.removeprefix(_MARK).encode()).decode()
        except InvalidToken:
            pass
        raise SealedError("sealed: by a key that BILLINGBOT_SECRETS_KEY does not name (any more)")

    def is_as_wanted(self, kept: str) -> bool:
        """Whether it is kept as it would be now: by the first key, or readable where there is none."""
        if self._first is None or not kept.startswith(_MARK):
            return self._first is None and not kept.startswith(_MARK)
        try:
            self._first.decrypt(kept.removeprefix(_MARK).encode())
        except InvalidToken:
            return False
        return True


NO_SEAL: Final = Seal()
