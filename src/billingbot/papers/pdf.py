"""One plain paper as a PDF: a title, lines of context, text with headings; the same input gives the same bytes."""

import hashlib
import logging
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Final

from fpdf import FPDF
from fpdf.enums import WrapMode, XPos, YPos
from fpdf.fonts import TTFFont

from billingbot.papers.paper import Paper

_FONTS: Final = Path(__file__).parent / "fonts"
_REGULAR: Final = _FONTS / "DejaVuSans.ttf"
NAME: Final = "DejaVu"
HEADING: Final = "## "
"""A line that begins so is a heading."""
# What the font has no shape for is printed as this, and counted.
_MISSING: Final = "\N{REPLACEMENT CHARACTER}"
# Stripe puts evidence into one document of its own: dates of ours inside a file tell nobody anything.
_DATED: Final = datetime(2000, 1, 1, tzinfo=UTC)
_MARGIN_MM: Final = 20
_LONGEST_WORD: Final = 60
_MOST_CHARS: Final = 200_000  # ten fields' worth: a longer text would be hundreds of pages that no bank reads


class Sheet(FPDF):
    """A4 with the page's number at its foot."""

    def footer(self) -> None:
        """Page and pages."""
        self.set_y(-15)
        self.set_font(NAME, size=8)
        self.cell(0, 5, f"{self.page_no()} / {{nb}}", align="C")


def printed(title: str, context: Sequence[str], text: str) -> Paper:
    """The paper. ValueError where the text is longer than any bank reads."""
    if len(text) > _MOST_CHARS:
        raise ValueError(f"text: expected at most {_MOST_CHARS} characters, got {len(text)}")
    shown, unprintable = printable(text)
    sheet = begun(title)
    _line(sheet, printable(title)[0], size=15, height=8)
    for line in context:
        _line(sheet, printable(line)[0], size=9, height=5)
    sheet.ln(4)
    for line in shown.split("\n"):
        if line.startswith(HEADING):
            sheet.ln(2)
            _line(sheet, line.removeprefix(HEADING), size=12, height=7)
        else:
            _line(sheet, line, size=10, height=5)
    content = bytes(sheet.output())
    digest = "sha256:" + hashlib.sha256(content).hexdigest()
    return Paper(content=content, pages=sheet.pages_count, digest=digest, unprintable=unprintable)


def begun(title: str) -> Sheet:
    """A sheet of A4 with the font and the first page; nothing in it says when it was made."""
    _quiet()
    sheet = Sheet(format="A4")
    sheet.set_creation_date(_DATED)
    sheet.set_title(printable(title)[0])
    sheet.set_producer("billingbot")
    sheet.set_margins(_MARGIN_MM, _MARGIN_MM, _MARGIN_MM)
    sheet.set_auto_page_break(auto=True, margin=_MARGIN_MM)
    sheet.add_font(NAME, "", _REGULAR)
    sheet.add_page()
    return sheet


def _line(sheet: FPDF, text: str, *, size: int, height: int) -> None:
    sheet.set_font(NAME, size=size)
    if not text.strip():
        sheet.ln(height)
        return
    # A word longer than a line (an id, an address) breaks where the line ends; all else between words.
    wrap = WrapMode.CHAR if max(map(len, text.split())) > _LONGEST_WORD else WrapMode.WORD
    sheet.multi_cell(0, height, text, align="L", new_x=XPos.LMARGIN, new_y=YPos.NEXT, wrapmode=wrap)


def printable(text: str) -> tuple[str, int]:
    """The text in characters that the font has, and how many it has not."""
    known, missing, out = _shapes(), 0, []
    for char in text.replace("\r\n", "\n").replace("\r", "\n").replace("\t", "    "):
        if char == "\n" or ord(char) in known:
            out.append(char)
        else:
            missing += 1
            out.append(_MISSING)
    return "".join(out), missing


@cache
def _shapes() -> frozenset[int]:
    fonts = FPDF()
    fonts.add_font(NAME, "", _REGULAR)
    return frozenset.intersection(*(frozenset(font.cmap) for font in fonts.fonts.values() if isinstance(font, TTFFont)))


@cache
def _quiet() -> None:
    for name in ("fontTools", "fpdf"):
        logging.getLogger(name).setLevel(logging.ERROR)  # one line per glyph table helps nobody
