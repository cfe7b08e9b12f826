"""Reads usage and support facts from a file beside the configuration: JSON, TOML or CSV."""

import csv
import io
import json
import re
import threading
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Generic, Protocol, TypeVar

from billingbot.core.evidence.history import normalise_email
from billingbot.core.evidence.usage import Span, Subject
from billingbot.evidence.reading import (
    COVERAGE_FIELDS,
    SUPPORT_FIELDS,
    USAGE_FIELDS,
    NotThereError,
    SupportReading,
    UnansweredError,
    UsageReading,
    read_coverage,
    read_support,
    read_usage,
)

Reading = TypeVar("Reading")
Reading_co = TypeVar("Reading_co", covariant=True)

# Some hundred thousand customers; a larger set belongs in a database.
_MAX_BYTES: Final = 64 * 1024 * 1024
_WHO: Final = ("customer_id", "email")
# The first line of a CSV file states what the whole file covers, since CSV has no other place for it.
_CSV_COVERAGE: Final = "# coverage:"


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing(Generic[Reading]):
    """A file's content: readings by customer id, and by normalised e-mail where a row has no id."""

    by_customer: Mapping[str, tuple[Reading, ...]]
    by_email: Mapping[str, tuple[Reading, ...]]
    coverage: tuple[Span, ...]

    def about(self, subject: Subject) -> tuple[Reading, ...]:
        """Every row about the customer. A row that names another customer's id is never matched by e-mail."""
        email = normalise_email(subject.email) if subject.email else None
        return (*self.by_customer.get(subject.customer_id, ()), *self.by_email.get(email or "", ()))


class _Read(Protocol[Reading_co]):
    def __call__(self, fields: Mapping[str, object], *, now: datetime) -> Reading_co: ...


class StaticFile(Generic[Reading]):
    """A file that is read again whenever it changes. Safe to use from many threads."""

    def __init__(self, path: Path, fields: tuple[str, ...], read: _Read[Reading]) -> None:
        self._path = path
        self._fields = fields
        self._read = read
        self._lock = threading.Lock()
        self._seen: tuple[int, int, int] | None = None
        self._listing: Listing[Reading] | None = None

    def listing(self, *, now: datetime) -> Listing[Reading]:
        """The file's content. UnansweredError names the line or field that cannot be read."""
        with self._lock:
            before = self._stamp()
            if self._listing is None or before != self._seen:
                self._listing = None
                listing = self._parse(self._content(), now)
                if self._stamp() != before:
                    raise UnansweredError("the file is being written; expected it to be replaced in one move")
                self._listing, self._seen = listing, before
            return self._listing

    def _stamp(self) -> tuple[int, int, int]:
        try:
            status = self._path.stat()
        except OSError as fault:
            raise UnansweredError(f"the file cannot be read ({type(fault).__name__})") from None
        if status.st_size > _MAX_BYTES:
            raise UnansweredError(f"the file is larger than {_MAX_BYTES} bytes")
        return status.st_mtime_ns, status.st_size, status.st_ino

    def _content(self) -> str:
        try:
            return self._path.read_text(encoding="utf-8-sig")
        except OSError as fault:
            raise UnansweredError(f"the file cannot be read ({type(fault).__name__})") from None
        except UnicodeDecodeError as fault:
            raise UnansweredError(f"the file is not UTF-8 (byte {fault.start})") from None

    def _parse(self, content: str, now: datetime) -> Listing[Reading]:
        match self._path.suffix.lower():
            case ".csv":
                coverage, rows = _csv(content, self._fields)
            case ".toml":
                coverage, rows = _document(_toml(content))
            case _:
                coverage, rows = _document(_json(content))
        return self._index(_coverage(coverage, now), rows, now)

    def _index(self, coverage: tuple[Span, ...], rows: Iterable["_Row"], now: datetime) -> Listing[Reading]:
        by_customer: dict[str, tuple[Reading, ...]] = {}
        by_email: dict[str, tuple[Reading, ...]] = {}
        for place, row in rows:
            try:
                customer_id, email = _who(row)
                reading = self._reading(row, now)
            except UnansweredError as fault:
                raise UnansweredError(f"{place}: {fault}") from None
            if customer_id:
                by_customer[customer_id] = (*by_customer.get(customer_id, ()), reading)
            elif email:
                by_email[email] = (*by_email.get(email, ()), reading)
        return Listing(by_customer=by_customer, by_email=by_email, coverage=coverage)

    def _reading(self, row: Mapping[str, object], now: datetime) -> Reading:
        if unknown := sorted(row.keys() - {*_WHO, *self._fields}):
            # Only the place of a stray name is told: in a broken file anything may stand there.
            raise UnansweredError(f"holds {len(unknown)} unknown field(s); expected {', '.join(self._fields)}")
        return self._read({name: value for name, value in row.items() if name in self._fields}, now=now)


_Row = tuple[str, Mapping[str, object]]


def usage_file(path: Path) -> StaticFile[UsageReading]:
    """A file of customers with their usage."""
    return StaticFile(path, USAGE_FIELDS, read_usage)


def support_file(path: Path) -> StaticFile[SupportReading]:
    """A file of customers who asked support to cancel."""
    return StaticFile(path, SUPPORT_FIELDS, read_support)


def usage_in_file(file: StaticFile[UsageReading], subject: Subject, now: datetime, *, unlisted: str) -> UsageReading:
    """All rows about the customer as one reading, with the file's coverage.

    A customer who is not listed is unused where `unlisted` says so. NotThereError otherwise.
    """
    listing = file.listing(now=now)
    rows = listing.about(subject)
    if not rows and unlisted == "unknown":
        raise NotThereError("does not list this customer")
    counts = [row.events for row in rows if row.events is not None]
    return UsageReading(
        used=any(row.used for row in rows),
        first_at=_first(row.first_at for row in rows),
        last_at=max((row.last_at for row in rows if row.last_at is not None), default=None),
        events=sum(counts) if counts else None,
        tag_installed_at=_first(row.tag_installed_at for row in rows),
        api_connected_at=_first(row.api_connected_at for row in rows),
        coverage=listing.coverage,
    )


def support_in_file(file: StaticFile[SupportReading], subject: Subject, now: datetime) -> SupportReading:
    """The customer's earliest wish to cancel in the file, with the file's coverage."""
    listing = file.listing(now=now)
    asked_at = _first(row.cancellation_asked_at for row in listing.about(subject))
    return SupportReading(cancellation_asked_at=asked_at, coverage=listing.coverage)


def _first(times: Iterable[datetime | None]) -> datetime | None:
    return min((time for time in times if time is not None), default=None)


def _who(row: Mapping[str, object]) -> tuple[str | None, str | None]:
    customer_id, email = (row.get(name) for name in _WHO)
    for name, value in zip(_WHO, (customer_id, email), strict=True):
        if value is not None and not isinstance(value, str):
            raise UnansweredError(f"{name}: expected text")
    normalised = normalise_email(str(email)) if email else None
    if email and normalised is None:
        raise UnansweredError("email: expected an address")
    if not customer_id and not email:
        raise UnansweredError("customer_id: expected it, or email")
    return (str(customer_id) if customer_id else None), normalised


def _coverage(stated: object, now: datetime) -> tuple[Span, ...]:
    if stated is None:
        return ()
    if not isinstance(stated, Mapping) or set(stated) != {"from", "to"}:
        raise UnansweredError("coverage: expected from and to, and nothing else")
    return read_coverage(dict(zip(COVERAGE_FIELDS, (stated["from"], stated["to"]), strict=True)), now=now)


def _json(content: str) -> object:
    try:
        document: object = json.loads(content)
    except json.JSONDecodeError as fault:
        raise UnansweredError(f"line {fault.lineno}: is not JSON") from None
    except (ValueError, RecursionError):
        raise UnansweredError("the file is not JSON") from None
    return document


def _toml(content: str) -> object:
    try:
        return tomllib.loads(content)
    except tomllib.TOMLDecodeError as fault:
        # Only the place: the rest of the message may quote what stands there.
        place = re.search(r"line \d+", str(fault))
        raise UnansweredError(f"{place[0]}: is not TOML" if place else "the file is not TOML") from None


def _document(document: Any) -> tuple[object, Iterator[_Row]]:  # Any: a file as it came
    if not isinstance(document, dict) or not isinstance(document.get("customers"), list):
        raise UnansweredError("customers: expected a list")
    if document.keys() - {"customers", "coverage"}:
        raise UnansweredError("the file: expected customers and coverage, and nothing else")
    return document.get("coverage"), _rows(document["customers"])


def _rows(customers: list[Any]) -> Iterator[_Row]:
    for number, row in enumerate(customers, start=1):
        if not isinstance(row, dict):
            raise UnansweredError(f"customer {number}: expected an object")
        yield f"customer {number}", row


def _csv(content: str, fields: tuple[str, ...]) -> tuple[object, Iterator[_Row]]:
    first, _, rest = content.partition("\n")
    if not first.startswith(_CSV_COVERAGE):
        return None, _csv_rows(content, fields, skipped=0)
    start, slash, end = first.removeprefix(_CSV_COVERAGE).strip().partition("/")
    if not slash:
        raise UnansweredError(f"line 1: expected {_CSV_COVERAGE} FROM/TO")
    return {"from": _cell("from", start), "to": _cell("to", end)}, _csv_rows(rest, fields, skipped=1)


def _check_header(columns: Sequence[str], fields: tuple[str, ...], line: int) -> None:
    # Checked even where no row follows: a file without rows may mean that nobody is in it.
    known = {*_WHO, *fields}
    if len(set(columns)) != len(columns) or set(columns) - known:
        raise UnansweredError(f"line {line}: expected distinct columns out of {', '.join((*_WHO, *fields))}")
    if not (set(columns) & set(_WHO) and set(columns) & set(fields)):
        raise UnansweredError(f"line {line}: expected customer_id or email, and one of {', '.join(fields)}")


def _csv_rows(content: str, fields: tuple[str, ...], *, skipped: int) -> Iterator[_Row]:
    reader = csv.DictReader(io.StringIO(content, newline=""), strict=True)
    try:
        columns = list(reader.fieldnames or ())
        _check_header(columns, fields, skipped + 1)
        for row in reader:
            place = f"line {skipped + reader.line_num}"
            # DictReader files surplus cells under None and fills missing ones with None.
            if None in row or None in row.values():
                raise UnansweredError(f"{place}: expected {len(columns)} cells")
            yield place, {name: _cell(name, cell) for name, cell in row.items()}
    except csv.Error:
        raise UnansweredError(f"line {skipped + reader.reader.line_num}: is not CSV") from None


def _cell(name: str, cell: str) -> object:
    """A cell as the value that JSON would carry; an empty one is nothing."""
    text = cell.strip()
    if not text:
        return None
    if name in _WHO:
        return text
    if text.isascii() and text.isdigit() and len(text) <= 18:  # 18 digits: no count or time is longer
        return int(text)
    return {"true": True, "false": False}.get(text.lower(), text)
