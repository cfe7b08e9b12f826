"""Sheets: rows of one kind as CSV, XLSX or Parquet, streamed; no cell is a formula, no amount a float."""

import csv
import io
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import StrEnum
from itertools import islice
from typing import IO, Any, Final

from billingbot.core.form import Form, safe_cell

_PIECE: Final = 64 * 1024
# Rows of one row group: large enough to compress well, small enough to hold in memory.
_GROUP: Final = 20_000
MOST_XLSX_ROWS: Final = 1_048_575
"""What a worksheet holds below its header."""

MEDIA: Final[Mapping[Form, str]] = {
    Form.CSV: "text/csv; charset=utf-8",
    Form.XLSX: "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    Form.PARQUET: "application/vnd.apache.parquet",
}


class Holds(StrEnum):
    """What a column holds: texts, whole numbers, amounts in whole currency units, rates, times, days."""

    TEXT = "text"
    COUNT = "count"
    MONEY = "money"
    RATE = "rate"
    TIME = "time"
    DAY = "day"


_WIDTH: Final[Mapping[Holds, int]] = {
    Holds.TEXT: 24, Holds.COUNT: 12, Holds.MONEY: 14, Holds.RATE: 12, Holds.TIME: 20, Holds.DAY: 12,
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column: its name, what it holds, and what that means."""

    name: str
    holds: Holds
    told: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """Rows under columns. Money and rates are Decimals, times have a zone."""

    name: str
    columns: tuple[Column, ...]
    rows: Iterable[Sequence[Any]]


def written(sheet: Sheet, form: Form) -> Iterator[bytes]:
    """The sheet in pieces. A CSV leaves while it is made; the others are whole first, in a file of their own."""
    if form is Form.CSV:
        yield from _csv(sheet)
        return
    write: Callable[[Sheet, IO[bytes]], None] = _xlsx if form is Form.XLSX else _parquet
    with tempfile.TemporaryFile() as file:
        write(sheet, file)
        file.seek(0)
        while piece := file.read(_PIECE):
            yield piece


def _csv(sheet: Sheet) -> Iterator[bytes]:
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(column.name for column in sheet.columns)
    for row in sheet.rows:
        writer.writerow(_plain(value) for value in row)
        if text.tell() > _PIECE:
            yield text.getvalue().encode()
            text.seek(0)
            text.truncate()
    yield text.getvalue().encode()


def _plain(value: Any) -> str:
    match value:
        case None:
            return ""
        case datetime():
            return value.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        case date():
            return value.isoformat()
        case Decimal():
            return f"{value:f}"
        case int():
            return str(value)
        case _:
            return safe_cell(str(value))


def _xlsx(sheet: Sheet, file: IO[bytes]) -> None:
    import xlsxwriter  # as pyarrow below: every start of every process would load it, and an export alone needs it

    options = {
        "constant_memory": True,
        "strings_to_formulas": False,
        "strings_to_urls": False,
        "strings_to_numbers": False,
        "default_date_format": "yyyy-mm-dd hh:mm:ss",
    }
    book = xlsxwriter.Workbook(file, options)
    # The same rows make the same bytes.
    book.set_properties({"created": datetime(2000, 1, 1)})  # noqa: DTZ001 - the library takes none with a zone
    page = book.add_worksheet(sheet.name[:31])
    head = book.add_format({"bold": True, "bottom": 1})
    day = book.add_format({"num_format": "yyyy-mm-dd"})
    digits = {places: book.add_format({"num_format": _number_format(places)}) for places in range(4)}
    rate = book.add_format({"num_format": "0.000000"})
    page.freeze_panes(1, 0)
    for index, column in enumerate(sheet.columns):
        page.set_column(index, index, _WIDTH[column.holds])
        page.write_string(0, index, column.name, head)
    count = 0
    for count, row in enumerate(sheet.rows, start=1):
        for index, (column, value) in enumerate(zip(sheet.columns, row, strict=True)):
            match value:
                case None:
                    continue
                case datetime():
                    page.write_datetime(count, index, value.astimezone(UTC).replace(tzinfo=None))
                case date():
                    page.write_datetime(count, index, value, day)
                case Decimal():
                    shown = rate if column.holds is Holds.RATE else digits[-int(value.as_tuple().exponent)]
                    page.write_number(count, index, value, shown)
                case int():
                    page.write_number(count, index, value)
                case _:
                    page.write_string(count, index, safe_cell(str(value)))
    page.autofilter(0, 0, max(count, 1), len(sheet.columns) - 1)
    book.close()


def _number_format(places: int) -> str:
    return "#,##0" + ("." + "0" * places if places else "")


def schema(columns: Sequence[Column]) -> Any:
    """The Parquet schema; each field says what it means."""
    import pyarrow as pa

    kinds = {
        Holds.TEXT: pa.string(),
        Holds.COUNT: pa.int64(),
        # The largest amount we keep has 15 digits, and three of them may stand behind the point.
        Holds.MONEY: pa.decimal128(24, 3),
        Holds.RATE: pa.decimal128(28, 12),
        Holds.TIME: pa.timestamp("us", tz="UTC"),
        Holds.DAY: pa.date32(),
    }
    return pa.schema([pa.field(column.name, kinds[column.holds], metadata={"told": column.told}) for column in columns])


def _parquet(sheet: Sheet, file: IO[bytes]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    of = schema(sheet.columns)
    rows = iter(sheet.rows)
    with pq.ParquetWriter(file, of, compression="zstd") as writer:
        while piece := list(islice(rows, _GROUP)):
            columns = [pa.array([row[index] for row in piece], type=field.type) for index, field in enumerate(of)]
            writer.write_table(pa.Table.from_arrays(columns, schema=of))
