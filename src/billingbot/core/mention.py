"""Mentions: whom a note names, as `@` and a name, where names are what people are called: several words, any case."""

import re
import unicodedata
from collections.abc import Iterable


def named_in(text: str, names: Iterable[str]) -> tuple[str, ...]:
    """Those of these names that the text names with an `@` before them, in the order of the names.

    The longest name counts: `@Ann Lee` names Ann Lee, and not Ann.
    """
    left = _plain(text)
    found = set()
    wanted = list(names)
    for name in sorted(wanted, key=len, reverse=True):
        pattern = rf"(?<!\w)@{re.escape(_plain(name))}(?!\w)"
        if re.search(pattern, left):
            found.add(name)
            left = re.sub(pattern, " ", left)
    return tuple(name for name in wanted if name in found)


def _plain(text: str) -> str:
    return unicodedata.normalize("NFKC", text).casefold()
