"""Plots as plain geometry, in the units of an SVG of a given width: a template only has to draw them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

WIDTH: Final = 720
# A number's label and its distance to the axis; months of three years stay apart in what is left.
LEFT: Final = 96
_HEIGHT: Final = 180
_FOOT: Final = 22
# More grid lines than these tell nothing more.
_TICKS_MAX: Final = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """A rectangle; `kind` names its colour, `title` says what it is to whoever points at it or hears it read."""

    x: float
    y: float
    width: float
    height: float
    kind: str
    title: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """A text beside an axis, with the place of its grid line."""

    at: float
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """Pairs of upright bars over months, with a grid."""

    title: str
    height: int
    base: float
    """Where zero is."""
    bars: Sequence[Bar]
    grid: Sequence[Mark]
    months: Sequence[Mark]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One lying bar of several parts, with its name and what stands behind it."""

    name: str
    parts: Sequence[Bar]
    total: str


def shares(name: str, parts: Sequence[tuple[str, int]], *, most: int) -> Row:
    """A lying bar whose parts (kind, count) follow each other; `most` is what the whole width stands for."""
    bars, x = list[Bar](), 0.0
    for kind, count in parts:
        width = WIDTH * count / most if most else 0.0
        bars.append(Bar(x=round(x, 2), y=0, width=round(width, 2), height=22, kind=kind, title=f"{kind}: {count:,}"))
        x += width
    return Row(name=name, parts=bars, total=f"{sum(count for _, count in parts):,}")


def columns(
    title: str, by_month: Mapping[str, tuple[int, int]], *, told: Callable[[int], str], names: tuple[str, str]
) -> Columns:
    """Two bars for each month, months without any included; `told` writes an amount for people.

    ValueError where there is no month.
    """
    months = list(_months(min(by_month), max(by_month)))
    most = max(1, *(max(pair) for pair in by_month.values()))
    step = _step(most)
    top = step * -(-most // step)
    slot = (WIDTH - LEFT) / len(months)
    bars = []
    for index, month in enumerate(months):
        for side, amount in enumerate(by_month.get(month, (0, 0))):
            height = _HEIGHT * amount / top
            bars.append(
                Bar(
                    x=round(LEFT + slot * (index + 0.1 + 0.4 * side), 2),
                    y=round(8 + _HEIGHT - height, 2),
                    width=round(slot * 0.4, 2),
                    height=round(height, 2),
                    kind=names[side],
                    title=f"{month}, {names[side]}: {told(amount)}",
                )
            )
    every = -(-len(months) // 12)  # a dozen names fit below
    return Columns(
        title=title,
        height=_HEIGHT + 8 + _FOOT,
        base=_HEIGHT + 8,
        bars=bars,
        grid=[
            Mark(at=round(8 + _HEIGHT * (1 - value / top), 2), text=told(value)) for value in range(0, top + 1, step)
        ],
        months=[
            Mark(at=round(LEFT + slot * (index + 0.5), 2), text=month)
            for index, month in enumerate(months)
            if index % every == 0
        ],
    )


def _step(most: int) -> int:
    """The distance of grid lines: 1, 2 or 5 times a power of ten, so that at most _TICKS_MAX of them are needed."""
    power = 1
    while True:
        for factor in (1, 2, 5):
            if most <= _TICKS_MAX * factor * power:
                return factor * power
        power *= 10


def _months(first: str, last: str) -> Iterator[str]:
    year, month = (int(part) for part in first.split("-"))
    while (name := f"{year:04}-{month:02}") <= last:
        yield name
        year, month = (year, month + 1) if month < 12 else (year + 1, 1)
