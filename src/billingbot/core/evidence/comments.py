"""Comments that customers leave when they cancel: which of them ask for money back, by plain lists of words."""

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import Final

REASON: Final = "cancellation-comment"
"""What a case says that was opened for such a comment: nobody asked yet, a person reads it."""

# Stripe's word for "I did not use it": the policy's ground for the charge at a trial's end (clause unused-trial). It is
# the customer's word and no evidence of non-use. https://docs.stripe.com/api/subscriptions/object
ASKING_FEEDBACK: Final = frozenset({"unused"})

# Words and phrases, by language; a star stands for any letters. Every list is tried on every comment, for a comment
# does not say what it is written in. None of them proves anything: "no refund needed" matches as well.
DEFAULT_WORDS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "de": ("*erstatt*", "geld zurück*", "rückzahlung*", "zurückzahl*", "zurückgezahlt", "gutschrift*"),
        "en": ("refund*", "money back", "reimburs*", "return my money", "charge back", "chargeback*"),
        "es": ("reembols*", "devoluci*", "devolver* dinero", "devuelv*", "dinero de vuelta"),
        "fr": ("rembours*", "récupérer mon argent", "rendre mon argent", "rendez-moi mon argent"),
        "he": ("*החזר*", "*זיכוי*", "כסף בחזרה", "*חזירו*", "*להזדכות*"),
        "it": ("rimbors*", "soldi indietro", "indietro i soldi", "restitu*"),
        "nl": ("terugbeta*", "terugstort*", "geld terug", "restitutie*", "terugkrijgen"),
        "pt": ("reembols*", "estorn*", "dinheiro de volta", "devolução", "devolver* dinheiro", "devolvam"),
    }
)
# A comment is a sentence or two; Stripe allows a few thousand characters.
MOST_READ: Final = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """A word of a list that stands in a comment."""

    language: str
    word: str

    def __str__(self) -> str:
        return f"{self.language}: {self.word}"


def matches(comment: str, words: Mapping[str, tuple[str, ...]] = DEFAULT_WORDS) -> tuple[Match, ...]:
    """The words that ask for money back, as they stand in the lists; none where the comment asks for nothing."""
    text = _plain(comment[:MOST_READ])
    return tuple(
        Match(language=language, word=word)
        for language in sorted(words)
        for word in words[language]
        if _pattern(word).search(text)
    )


def _plain(text: str) -> str:
    """Letters in one case and one form, apostrophes and spaces alike."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().replace("\u2019", "'").split())


@lru_cache(maxsize=512)
def _pattern(word: str) -> re.Pattern[str]:
    before, after = (r"" if word.startswith("*") else r"(?<!\w)"), (r"" if word.endswith("*") else r"(?!\w)")
    inner = r"\w*".join(re.escape(part) for part in _plain(word.strip("*")).split("*"))
    return re.compile(f"{before}{inner}{after}")
