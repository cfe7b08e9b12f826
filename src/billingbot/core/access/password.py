"""Passwords: which are taken, and the same spelling for each however it was typed."""

import unicodedata
from typing import Final

from billingbot.core.errors import InputError

# Length is what makes a password hard to guess; NIST SP 800-63B-4, 3.1.1.2 asks for at least 8, and 15 where nothing
# else is asked. We offer a second factor and slow guessing down, and take 12.
SHORTEST: Final = 12
# A sentence fits; nothing longer needs hashing.
LONGEST: Final = 256
# Fewer different characters than this is one key held down.
_FEWEST_DIFFERENT: Final = 5
# Twelve characters keep almost every common password out. These are what is left of the lists that are guessed first:
# rows and runs of keys, one word doubled, and words with a year or a run behind them.
_RUNS: Final = ("0123456789012345678901234567890", "abcdefghijklmnopqrstuvwxyzabcdef", "qwertyuiopasdfghjklzxcvbnm")
_WORDS: Final = (
    "password",
    "passwort",
    "passw0rd",
    "p@ssw0rd",
    "p@ssword",
    "changeme",
    "iloveyou",
    "letmein",
    "welcome",
    "football",
    "baseball",
    "princess",
    "sunshine",
    "superman",
    "administrator",
    "billingbot",
    "stripe",
    "refund",
)
# What people hang on a word to make it long enough.
_TRIMMINGS: Final = "0123456789!?.,-_*#$@"


def spelt(password: str) -> str:
    """The one spelling of what was typed, whatever the keyboard made of its accents. Source: SP 800-63B-4, 3.1.1.2."""
    return unicodedata.normalize("NFKC", password)


def check_new(password: str, *, name: str, email: str | None) -> str:
    """The password in its one spelling. InputError where it is too short, or easily guessed."""
    found = spelt(password)
    if not SHORTEST <= len(found) <= LONGEST:
        raise InputError("password", f"expected {SHORTEST} to {LONGEST} characters; three or four words do well")
    if _is_easy(found.casefold(), [name, *((email or "").replace("@", " ").split())]):
        raise InputError("password", "expected one that is harder to guess: no run of keys, common word, or own name")
    return found


def _is_easy(password: str, own: list[str]) -> bool:
    if len(set(password)) < _FEWEST_DIFFERENT:
        return True
    half = password[: len(password) // 2]
    if half * 2 == password or any(password in run or password[::-1] in run for run in _RUNS):
        return True
    bare = password.strip(_TRIMMINGS)
    common = [*_WORDS, *(word.casefold() for word in own if word)]
    return any(bare in {word, word * 2} for word in common) or not bare
