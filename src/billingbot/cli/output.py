"""What commands print: tables on a terminal, plain columns when piped, JSON on request; never a control character."""

import json
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final, TypeAlias

import typer
from pydantic import BaseModel
from rich.console import Console
from rich.measure import Measurement
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

AsJson: TypeAlias = Annotated[bool, typer.Option("--json", help="Print JSON instead.")]
Limit: TypeAlias = Annotated[int, typer.Option(min=1, max=1000, help="How many to show at the most.")]
After: TypeAlias = Annotated[
    str | None, typer.Option(help="Go on behind this: the cursor that the last page ended with.")
]

# Texts come from customers: nothing of them may steer the terminal that shows them.
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
_BLANK: Final = "-"
# No terminal is as wide: what a table is measured against where it may take what it needs, in columns.
_ENDLESS: Final = 100_000


def say(*lines: str) -> None:
    """Lines for people, on stdout."""
    for line in lines:
        sys.stdout.write(f"{clean(line)}\n")


def warn(line: str) -> None:
    """A line beside the result, on stderr."""
    sys.stderr.write(f"{clean(line)}\n")


def show_json(value: object) -> None:
    """The value as JSON, readable and in its own order."""
    json.dump(plain(value), sys.stdout, indent=2, ensure_ascii=False)
    sys.stdout.write("\n")


def show_page(items: Sequence[object], following: str | None = None) -> None:
    """A page of a list as JSON, as the API has it; `next` is what `--after` takes."""
    show_json({"items": items, "next": following})


def show_table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, title: str | None = None) -> None:
    """A table: drawn on a terminal, row by row on one too narrow, tab-separated lines under a header elsewhere."""
    cells = [[cell(value) for value in row] for row in rows]
    if not sys.stdout.isatty():
        for line in (list(columns), *cells):
            say("\t".join(text.replace("\t", " ").replace("\n", " ") for text in line))
        return
    table = Table(title=title, title_justify="left")
    for index, name in enumerate(columns):
        # The first column names the thing: an id that is cut short cannot be copied.
        table.add_column(name, no_wrap=index == 0, overflow="fold")
    for line in cells:
        table.add_row(*(Text(text) for text in line))
    console = Console()
    if Measurement.get(console, console.options.update(max_width=_ENDLESS), table).minimum <= console.width:
        console.print(table)
        return
    # Drawn, it would break words: ids in pieces, a date a line for each two digits.
    if title is not None:
        say(title)
    for line in cells:
        say(line[0], *_packed([f"{name}: {text}" for name, text in _told(columns, line)], console.width))


def _told(columns: Sequence[str], line: Sequence[str]) -> Iterator[tuple[str, str]]:
    """What a row holds beside its first column, on one line each; blanks tell nothing."""
    for name, text in list(zip(columns, line, strict=True))[1:]:
        if text != _BLANK:
            yield name, " ".join(text.split())


def _packed(pieces: Sequence[str], width: int) -> list[str]:
    """The pieces in as few indented lines as they fit into; none is broken."""
    lines: list[str] = []
    for piece in pieces:
        if lines and len(lines[-1]) + 3 + len(piece) <= width:
            lines[-1] += f"   {piece}"
        else:
            lines.append(f"  {piece}")
    return lines


def show_pairs(pairs: Iterable[tuple[str, object]]) -> None:
    """One thing's fields, one a line; those without a value are left out."""
    told = [(name, cell(value)) for name, value in pairs if value is not None]
    width = max((len(name) for name, _ in told), default=0)
    for name, text in told:
        say(f"{name:<{width}}  {text.replace(chr(10), chr(10) + ' ' * (width + 2))}")


def show_section(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """A table as part of a longer page; nothing where it has no rows."""
    kept = list(rows)
    if kept:
        say("", f"{title}:")
        show_table(columns, kept)


def more(following: str | None) -> None:
    """Tells how to see the next page, where there is one."""
    if following is not None:
        warn(f"There is more: --after {following}")


def cell(value: object) -> str:
    """A value as a person reads it."""
    match value:
        case None | "":
            return _BLANK
        case bool():
            return "yes" if value else "no"
        case datetime():
            return f"{value.astimezone(UTC):%Y-%m-%d %H:%M:%S}Z"
        case _:
            return clean(str(value))


def clean(text: str) -> str:
    """The text without control characters; line ends and tabs stay."""
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", text)


def money(amount_minor: int | None, currency: str | None) -> str:
    """An amount with its currency."""
    from billingbot.core.money import Money

    if amount_minor is None or currency is None:
        return _BLANK
    return str(Money(amount_minor=amount_minor, currency=currency))


def plain(value: Any) -> Any:
    """The value in JSON's own types. Times are ISO 8601, spans of time in seconds."""
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    match value:
        case BaseModel():
            return value.model_dump(mode="json")
        case datetime():
            return value.isoformat()
        case timedelta():
            return value.total_seconds()
        case Mapping():
            return {str(key): plain(inner) for key, inner in value.items()}
        case set() | frozenset():
            return sorted(plain(inner) for inner in value)
        case list() | tuple():
            return [plain(inner) for inner in value]
        case _:
            return value


@contextmanager
def progress(what: str, *, total: int | None = None) -> Iterator["Steps"]:
    """A progress bar on a terminal, gone when done; nothing elsewhere. Without a total it only spins."""
    columns = [SpinnerColumn(), TextColumn("{task.description}")]
    counted = [BarColumn(), MofNCompleteColumn()] if total is not None else []
    console = Console(stderr=True)
    with Progress(
        *columns, *counted, TimeElapsedColumn(), console=console, transient=True, disable=not console.is_terminal
    ) as bar:
        task = bar.add_task(what, total=total)
        yield Steps(bar, task)


class Steps:
    """A progress bar in use."""

    def __init__(self, bar: Progress, task: Any) -> None:
        self._bar, self._task = bar, task

    def forward(self, count: int = 1) -> None:
        """So many more are done."""
        self._bar.advance(self._task, count)
