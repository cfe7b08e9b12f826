"""Passwords: hashed with argon2id, compared in a time that tells nothing, and hashed anew when we ask for more."""

from functools import cache
from threading import BoundedSemaphore
from typing import Final

from argon2 import PasswordHasher, Type
from argon2.exceptions import InvalidHashError, VerificationError

# The strongest of the settings that OWASP gives as equal for argon2id: 46 MiB, one pass, one lane.
# https://cheatsheetseries.owasp.org/cheatsheets/Password_Storage_Cheat_Sheet.html#argon2id
_HASHER: Final = PasswordHasher(time_cost=1, memory_cost=47_104, parallelism=1, hash_len=32, salt_len=16, type=Type.ID)
# Two at a time: a hundred who sign in at once wait for each other instead of for five gigabytes.
_ROOM: Final = BoundedSemaphore(2)


def hash_of(password: str) -> str:
    """What is kept of a password."""
    with _ROOM:
        return _HASHER.hash(password)


def fits(password: str, kept: str | None) -> bool:
    """Whether this is the password whose hash was kept; as slow where none was, so that nobody learns who is here."""
    with _ROOM:
        try:
            return _HASHER.verify(kept or _nobodys(), password) and kept is not None
        except (VerificationError, InvalidHashError):
            return False


def has_aged(kept: str) -> bool:
    """Whether the hash was made with less than we ask for now."""
    return _HASHER.check_needs_rehash(kept)


@cache
def _nobodys() -> str:
    return _HASHER.hash("the password of nobody at all")
