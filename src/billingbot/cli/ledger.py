"""`billingbot ledger`: every decision and act, the proof that nobody touched one, and all of it to take away."""

import csv
import json
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, TextIO

import typer

from billingbot.cli.listing import OfAccount, show_list
from billingbot.cli.output import (
    AsJson,
    Limit,
    Steps,
    plain,
    progress,
    say,
    show_json,
    warn,
)
from billingbot.cli.session import database, read
from billingbot.core.form import safe_cell
from billingbot.core.ledger import GENESIS, Entry, Flaw, flaws

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

    from billingbot.store.views import LedgerFilter, Page

app = typer.Typer(no_args_is_help=True, add_completion=False)

_COLUMNS: Final = ("seq", "at", "kind", "account", "subject", "actor", "body", "previous_hash", "hash")
# One touched entry makes two or three flaws; whoever sees so many needs a backup, not a longer list.
_MOST_FLAWS: Final = 100
_STRIDE: Final = 500  # of a million entries, two thousand steps
_GONE: Final = "The head {head} is not in this ledger: entries were cut off or written anew."
_PIECE: Final = 2000  # entries of about half a kilobyte: a megabyte at a time


class Format(StrEnum):
    """How an export is written."""

    CSV = "csv"
    JSONL = "jsonl"


Subject = Annotated[str | None, typer.Option(help="Only about this case, refund, key or account.")]
Kind = Annotated[str | None, typer.Option(help="Only of this kind, such as refund.changed.")]


@app.callback()
def _ledger() -> None:
    """The ledger: append-only, each entry chained to the one before."""


@app.command("list")
def list_(
    *,
    subject: Subject = None,
    kind: Kind = None,
    account: OfAccount = None,
    actor: Annotated[str | None, typer.Option(help="Only by this person, policy or program.")] = None,
    after: Annotated[
        int | None, typer.Option(min=0, help="From behind this number on. Default: the last ones.")
    ] = None,
    limit: Limit = 50,
    as_json: AsJson = False,
) -> None:
    """Entries in the order they were written; the last ones, unless told otherwise."""
    from billingbot.store import months, views

    wanted = views.LedgerFilter(subject=subject, kind=kind, account=account, actor=actor)
    filtered = wanted != views.LedgerFilter()

    def look(connection: "Connection") -> "Page[Entry]":
        start = after
        if start is None:
            start = 0 if filtered else max(0, months.head_or_none(connection)[0] - limit)
        return views.ledger_page(connection, wanted, after=start, limit=limit)

    page = read(look)
    columns = ("entry", "at", "what", "about", "by", "more")
    show_list(columns, _row, page.items, following=page.next, as_json=as_json)


@app.command()
def verify(
    *,
    head: Annotated[
        str | None,
        typer.Option(help="A hash that this ledger ended with once, kept elsewhere: it must still be there."),
    ] = None,
    from_head: Annotated[
        bool, typer.Option("--from-head", help="Only from that head on: what lies before it is not looked at.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Walks the whole chain. Exit code 1 where an entry was changed, is missing, or the head kept elsewhere is gone."""
    if from_head and head is None:
        raise typer.BadParameter("expected beside --head, which says from where on", param_hint="--from-head")
    found: list[Flaw] = []
    before = _before(head) if from_head and head is not None else None
    with _all_entries("Verifying the ledger", after=before.seq if before else 0) as (entries, steps):
        walk = _Walk(_counted(entries, steps), head)
        for flaw in flaws(walk, after=before):
            found.append(flaw)
            if len(found) >= _MOST_FLAWS:
                break
        for _ in walk:
            pass  # to the end in any case: the head is the last entry, flawed or not
    holds = not found and walk.seen_head
    if as_json:
        since = before.seq + 1 if before else 1
        told = {"holds": holds, "entries": walk.count, "head_seq": walk.seq, "head_hash": walk.hash, "flaws": found}
        told["from_seq"] = since
        show_json({**told, "head_found": walk.seen_head if head else None})
    else:
        _tell(walk, found, head, before)
    if not holds:
        raise typer.Exit(1)


@app.command()
def export(
    *,
    format_: Annotated[Format, typer.Option("--format", help="How it is written.")] = Format.JSONL,
    output: Annotated[Path | None, typer.Option(help="A file; it appears when it is whole. Default: stdout.")] = None,
    subject: Subject = None,
    kind: Kind = None,
) -> None:
    """Writes all entries, a piece at a time, as CSV or JSON Lines."""
    with _all_entries("Exporting the ledger", subject=subject, kind=kind) as (entries, steps), _sink(output) as sink:
        counted = _counted(entries, steps)
        written = _write_csv(sink, counted) if format_ is Format.CSV else _write_jsonl(sink, counted)
    if output is not None:
        warn(f"{written} entries in {output}")


class _Walk:
    """Entries on their way through: counted, with the last one's place, and whether the given head came by."""

    def __init__(self, entries: Iterator[Entry], head: str | None) -> None:
        self._entries, self._head = entries, head
        self.count, self.seq, self.hash = 0, 0, GENESIS
        self.seen_head = head is None or head == GENESIS

    def __iter__(self) -> Iterator[Entry]:
        return self

    def __next__(self) -> Entry:
        entry = next(self._entries)
        self.count, self.seq, self.hash = self.count + 1, entry.seq, entry.hash
        self.seen_head = self.seen_head or entry.hash == self._head
        return entry


def _before(head: str) -> Entry | None:
    """The entry on which that of this hash hangs; None where it is the first. Ends the command where it is gone."""
    from billingbot.store.views.ledger import entry_of_hash, ledger_entry

    entry = read(lambda connection: entry_of_hash(connection, head))
    if entry is None:
        warn(_GONE.format(head=head))
        raise typer.Exit(1)
    return read(lambda connection: ledger_entry(connection, entry.seq - 1))


def _tell(walk: _Walk, found: list[Flaw], head: str | None, before: Entry | None) -> None:
    for flaw in found:
        warn(f"Entry {flaw.seq}: {flaw.what}")
    if not walk.seen_head:
        warn(_GONE.format(head=head))
    if not found and walk.seen_head and before:
        say(f"The ledger holds from entry {before.seq + 1} on: {walk.count} entries, nobody touched one.")
        say("What lies before was not looked at: without --from-head all of it is.")
    elif not found and walk.seen_head:
        say(f"The ledger holds: {walk.count} entries, nobody touched one.")
    else:
        warn("The ledger does NOT hold.")
    say(f"Head: entry {walk.seq}, {walk.hash}")


@contextmanager
def _all_entries(
    what: str, *, subject: str | None = None, kind: str | None = None, after: int = 0
) -> "Iterator[tuple[Iterator[Entry], Steps]]":
    """All entries in order, or those behind `after`, with a bar for the way."""
    from billingbot.store import months, views
    from billingbot.store.database import transaction

    wanted = views.LedgerFilter(subject=subject, kind=kind)
    with database() as engine:
        with transaction(engine) as connection:
            total = months.head_or_none(connection)[0] - after if wanted == views.LedgerFilter() else None
        with progress(what, total=total) as steps:
            yield _pieces(engine, wanted, after), steps


def _pieces(engine: "Engine", wanted: "LedgerFilter", start: int) -> Iterator[Entry]:
    """Entries a piece at a time, each in a transaction of its own: whoever reads us may be slow, Postgres waits not."""
    from billingbot.store import views
    from billingbot.store.database import transaction

    after: str | None = str(start)
    while after is not None:
        with transaction(engine) as connection:
            page = views.ledger_page(connection, wanted, after=int(after), limit=_PIECE)
        yield from page.items
        after = page.next


def _counted(entries: Iterator[Entry], steps: Steps) -> Iterator[Entry]:
    """The same entries; the bar moves in strides, since drawing costs more than hashing."""
    count = 0
    for count, entry in enumerate(entries, start=1):
        if count % _STRIDE == 0:
            steps.forward(_STRIDE)
        yield entry
    steps.forward(count % _STRIDE)


@contextmanager
def _sink(output: Path | None) -> Iterator[TextIO]:
    """Where the export goes: a file that is renamed into its place once it is whole, or stdout."""
    if output is None:
        yield sys.stdout
        return
    part = output.with_name(f"{output.name}.part")
    try:
        with part.open("w", encoding="utf-8", newline="") as sink:
            yield sink
        part.replace(output)
    finally:
        part.unlink(missing_ok=True)


def _write_csv(sink: TextIO, entries: Iterable[Entry]) -> int:
    writer, count = csv.writer(sink), 0
    writer.writerow(_COLUMNS)
    for entry in entries:
        fields = {**plain(entry), "body": _body(entry)}
        writer.writerow([safe_cell(str(fields[name])) for name in _COLUMNS])
        count += 1
    return count


def _write_jsonl(sink: TextIO, entries: Iterable[Entry]) -> int:
    count = 0
    for entry in entries:
        sink.write(json.dumps(plain(entry), ensure_ascii=False, separators=(",", ":")) + "\n")
        count += 1
    return count


def _row(entry: "Entry") -> tuple[object, ...]:
    return entry.seq, entry.at, entry.kind, entry.subject, entry.actor, _body(entry)


def _body(entry: Entry) -> str:
    return json.dumps(plain(entry.body), ensure_ascii=False, separators=(",", ":"))
