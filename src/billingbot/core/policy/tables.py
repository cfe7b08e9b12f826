"""Reading tables of a policy file field by field, so that every problem is told at once with its line."""

import re
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final, TypeVar

from billingbot.core.toml_lines import Path, TomlLines

E = TypeVar("E", bound=StrEnum)

NAME: Final = re.compile(r"[a-z][a-z0-9]*(?:-[a-z0-9]+)*")
"""Ids of rules, clauses, conditions and replies: lower-case words joined by hyphens."""


class Problems:
    """Collects what is wrong with one file; nothing is raised before all of it was read."""

    def __init__(self, filename: str, lines: TomlLines) -> None:
        self._filename = filename
        self._lines = lines
        self.found: list[tuple[int, str]] = []

    def add(self, path: Path, what: str, *, where: str = "", line_offset: int = 0) -> None:
        """A problem at the path's line (plus an offset within a text of several lines)."""
        line = self._lines.of(path) + line_offset
        prefix = f"{where}: " if where else ""
        self.found.append((line, f"{self._filename}:{line}: {prefix}{what}"))

    def line_of(self, path: Path) -> int:
        """The line where the path stands."""
        return self._lines.of(path)

    def texts(self) -> list[str]:
        """All problems, in the order of their lines."""
        return [text for _, text in sorted(self.found, key=lambda entry: entry[0])]


class Table:
    """One table: each read names a key and says what it should be; `finish` refuses the keys nobody asked for."""

    def __init__(self, raw: Mapping[str, Any], path: Path, problems: Problems, where: str) -> None:
        self.raw = raw
        self.path = path
        self.where = where
        self._problems = problems
        self._asked: set[str] = set()

    @property
    def line(self) -> int:
        """Where the table stands in the file, from 1."""
        return self._problems.line_of(self.path)

    def problem(self, key: str, what: str, *, line_offset: int = 0) -> None:
        """Something is wrong with this key."""
        self._problems.add((*self.path, key), what, where=self.where, line_offset=line_offset)

    def text(self, key: str, *, required: bool = True) -> str | None:
        """A text that is not blank."""
        value = self._get(key, required=required)
        if value is None:
            return None
        if not isinstance(value, str) or not value.strip():
            self.problem(key, f"{key}: expected a text that is not empty, got {value!r}")
            return None
        return value

    def name(self, key: str, *, required: bool = True) -> str | None:
        """A name in lower-case words joined by hyphens."""
        value = self.text(key, required=required)
        if value is not None and not NAME.fullmatch(value):
            self.problem(key, f"{key}: expected lower-case words joined by hyphens, got {value!r}")
            return None
        return value

    def integer(self, key: str, *, least: int, most: int, unit: str) -> int | None:
        """A whole number of that unit within bounds, both included."""
        value = self._get(key, required=True)
        if value is None:
            return None
        if type(value) is not int or not least <= value <= most:
            what = f"{key}: expected a whole number of {unit} from {least} to {most}, got {value!r}"
            self.problem(key, what)
            return None
        return value

    def instant(self, key: str, *, required: bool = True) -> datetime | None:
        """A point in time, in UTC; it needs its zone, since nobody should guess whose midnight is meant."""
        value = self._get(key, required=required)
        if value is None:
            return None
        if not isinstance(value, datetime) or value.tzinfo is None:
            self.problem(key, f"{key}: expected a time with its zone, such as 2026-03-01T09:00:00Z, got {value!s}")
            return None
        return value.astimezone(UTC)

    def choice(self, key: str, options: type[E], *, default: E | None = None) -> E | None:
        """A member of the enum; required where there is no default."""
        value = self._get(key, required=default is None)
        if value is None:
            return default
        if not isinstance(value, str) or value not in set(options):
            known = ", ".join(option.value for option in options)
            self.problem(key, f"{key}: expected one of {known}, got {value!r}")
            return None
        return options(value)

    def names(self, key: str, known: Collection[str], kind: str) -> tuple[str, ...]:
        """A list of names, each of them known, none twice; empty where the key is absent."""
        value = self._get(key, required=False)
        if value is None:
            return ()
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            self.problem(key, f"{key}: expected a list of {kind} names, got {value!r}")
            return ()
        for item in value:
            if item not in known:
                self.problem(key, f"{key}: no {kind} is named {item!r}")
        if len(set(value)) != len(value):
            self.problem(key, f"{key}: names a {kind} twice")
        return tuple(value)

    def table(self, key: str, *, required: bool = True, where: str | None = None) -> "Table | None":
        """A table within this one."""
        value = self._get(key, required=required)
        if value is None:
            return None
        if not isinstance(value, dict):
            self.problem(key, f"{key}: expected a table, got {value!r}")
            return None
        return Table(value, (*self.path, key), self._problems, self.where if where is None else where)

    def tables(self, key: str, *, required: bool = True) -> "list[Table]":
        """An array of tables, `[[key]]`, with at least one member where it is there."""
        value = self._get(key, required=required)
        if value is None:
            return []
        if not isinstance(value, list) or not value or not all(isinstance(item, dict) for item in value):
            self.problem(key, f"{key}: expected one or more [[{key}]] tables")
            return []
        return [
            Table(item, (*self.path, key, index), self._problems, _label(key, index, item))
            for index, item in enumerate(value)
        ]

    def finish(self) -> None:
        """Refuses every key that was not asked for: a typing mistake must not switch a rule off."""
        for key in self.raw:
            if key not in self._asked:
                self.problem(key, f"unknown key '{key}'")

    def _get(self, key: str, *, required: bool) -> Any:
        self._asked.add(key)
        if required and key not in self.raw:
            self._problems.add((*self.path, key), f"{key}: missing", where=self.where)
        return self.raw.get(key)


def _label(key: str, index: int, item: Mapping[str, Any]) -> str:
    named = item.get("id", item.get("name"))
    return f"{key} '{named}'" if isinstance(named, str) else f"{key} number {index + 1}"
