"""What is printed, and what a print is: apart from what prints it, which is a second of imports that few need."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Paper:
    """A printed paper. `unprintable` counts characters that the font does not have."""

    content: bytes
    pages: int
    digest: str
    unprintable: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A heading with values by name, then a table, then lines of text; each may be missing.

    `widths` are the shares of the table's columns.
    """

    title: str
    pairs: Sequence[tuple[str, str]] = ()
    columns: Sequence[str] = ()
    widths: Sequence[int] = ()
    rows: Sequence[Sequence[str]] = ()
    lines: Sequence[str] = ()
    empty: str = "Nothing."
