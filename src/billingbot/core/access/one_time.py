"""One-time codes: which time step one belongs to, so that none is taken twice; and codes for when the phone is gone."""

import hmac
from collections.abc import Callable
from datetime import datetime
from typing import Final

# RFC 6238, 4.1 and 5.2: steps of 30 seconds, and one step either way for clocks that disagree and people who type.
STEP_SECONDS: Final = 30
_NEIGHBOURS: Final = (0, -1, 1)
RECOVERY_CODES: Final = 10
RECOVERY_BYTES: Final = 10  # 80 bits: cannot be guessed, so the plain digest is safe to keep


def step_of(code: str, now: datetime, *, after: int | None, code_at: Callable[[int], str]) -> int | None:
    """The time step that this code is of, of those around now; None where it is of none, or not later than `after`.

    `code_at` gives the code of a step. All steps are compared, in a time that tells nothing.
    """
    own, found = int(now.timestamp()) // STEP_SECONDS, None
    for step in (own + by for by in _NEIGHBOURS):
        fits = hmac.compare_digest(code_at(step).encode(), code.encode())
        if fits and found is None and (after is None or step > after):
            found = step
    return found


def recovery_code(chance: bytes) -> str:
    """A code as people write it down: `k3tq-9vha-...`, without letters that look like figures."""
    alphabet = "0123456789abcdefghjkmnpqrstvwxyz"
    number, chars = int.from_bytes(chance), []
    for _ in range(len(chance) * 8 // 5):
        number, digit = divmod(number, 32)
        chars.append(alphabet[digit])
    text = "".join(chars)
    return "-".join(text[start : start + 4] for start in range(0, len(text), 4))


def bare_code(typed: str) -> str:
    """What was typed, without the spaces and dashes that people put into codes, and in small letters."""
    return "".join(char for char in typed.casefold() if char.isalnum())
