"""What people write, looked at before it is kept; a refusal names the field."""

from typing import Final

from billingbot.core.errors import InputError

MOST_TEXT: Final = 10_000
MOST_WHY: Final = 1_000
YEARS: Final = range(2000, 2100)
"""Of the times that people write: ids, which are ordered by time, have no room for 1969, nor zones for year 1."""


def text_of(field: str, text: str) -> str:
    """The text, where it is one that people wrote and that Postgres takes. InputError else."""
    if not text.strip() or len(text) > MOST_TEXT or not is_storable(text):
        raise InputError(field, f"expected 1 to {MOST_TEXT} characters, without NUL and in whole Unicode")
    return text


def line_of(field: str, text: str, most: int) -> str:
    """The text, where it is one line of 1 to so many characters. InputError else."""
    if not text.strip() or len(text) > most or not text.isprintable():
        raise InputError(field, f"expected 1 to {most} printable characters")
    return text


def is_storable(text: str) -> bool:
    """Whether Postgres takes the text: JSON lets NUL and halves of surrogate pairs through, UTF-8 text does not."""
    return "\x00" not in text and not any("\ud800" <= char <= "\udfff" for char in text)
