"""Where each table and key of a TOML text stands, since tomllib tells values but no lines."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

Path: TypeAlias = tuple[str | int, ...]

_PART: Final = r'(?:[A-Za-z0-9_-]+|"[^"\n]*"|\'[^\'\n]*\')'
_DOTTED: Final = rf"{_PART}(?:\s*\.\s*{_PART})*"
_HEADER: Final = re.compile(rf"^\s*(\[\[?)\s*({_DOTTED})\s*\]")
_KEY: Final = re.compile(rf"^\s*({_DOTTED})\s*=")
_MULTILINE: Final = re.compile(r'"""|\'\'\'')


@dataclass(frozen=True, slots=True, kw_only=True)
class TomlLines:
    """Lines from 1, by path: `("rule", 0, "when", "last-charge")`; array tables count from 0."""

    lines: Mapping[Path, int]

    def of(self, path: Path) -> int:
        """The line of the path, or of the nearest table around it; 1 where nothing of it is written."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)


def toml_lines(text: str) -> TomlLines:
    """The lines of a text that tomllib accepts; only good for messages, since it reads headers and keys alone."""
    found: dict[Path, int] = {}
    counts: dict[Path, int] = {}
    table: Path = ()
    closing: str | None = None
    for number, line in enumerate(text.split("\n"), start=1):
        if closing is not None:
            closing = None if closing in line else closing
            continue
        if header := _HEADER.match(line):
            table = _table(header, counts)
            found.setdefault(table, number)
        elif key := _KEY.match(line):
            found.setdefault(table + _parts(key.group(1)), number)
            closing = _left_open(line)
    return TomlLines(lines=found)


def _table(header: re.Match[str], counts: dict[Path, int]) -> Path:
    plain = _parts(header.group(2))
    if header.group(1) == "[[":
        counts[plain] = counts.get(plain, -1) + 1
    path: Path = ()
    seen: Path = ()
    for part in plain:
        path, seen = (*path, part), (*seen, part)
        if seen in counts:
            path = (*path, counts[seen])
    return path


def _parts(dotted: str) -> Path:
    return tuple(part.strip("\"'") for part in re.findall(_PART, dotted))


def _left_open(line: str) -> str | None:
    quotes = _MULTILINE.findall(line)
    return quotes[-1] if len(quotes) % 2 else None
