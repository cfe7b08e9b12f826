"""A file for an auditor as a PDF: sections of named values and tables, ready to print; same input, same bytes."""

from collections.abc import Sequence
from typing import Final

from fpdf.enums import WrapMode, XPos, YPos
from fpdf.fonts import FontFace

from billingbot.papers.paper import Section
from billingbot.papers.pdf import NAME, Sheet, begun, printable

_LABEL_MM: Final = 42
# In the narrowest of our columns some fifty lines, which a page holds.
_MOST_CELL: Final = 250
_GREY: Final = 95
_RULE: Final = 190


def file_of(title: str, context: Sequence[str], sections: Sequence[Section]) -> bytes:
    """The file. Characters that the font does not have are printed as a replacement mark."""
    sheet = begun(title)
    _text(sheet, title, size=17, height=9)
    for line in context:
        _text(sheet, line, size=9, height=5, grey=True)
    for section in sections:
        _section(sheet, section)
    return bytes(sheet.output())


def _section(sheet: Sheet, section: Section) -> None:
    if sheet.get_y() > sheet.page_break_trigger - 30:  # a heading never stands alone at the foot
        sheet.add_page()
    sheet.ln(5)
    _text(sheet, section.title, size=12, height=7)
    sheet.set_draw_color(_RULE)
    sheet.line(sheet.l_margin, sheet.get_y(), sheet.w - sheet.r_margin, sheet.get_y())
    sheet.ln(2)
    if not (section.pairs or section.rows or section.lines):
        _text(sheet, section.empty, size=9, height=5, grey=True)
    for name, value in section.pairs:
        _pair(sheet, name, value)
    if section.rows:
        _table(sheet, section)
    for line in section.lines:
        _text(sheet, line, size=9, height=4.6) if line.strip() else sheet.ln(2)


def _pair(sheet: Sheet, name: str, value: str) -> None:
    sheet.set_font(NAME, size=9)
    sheet.set_text_color(_GREY)
    sheet.cell(_LABEL_MM, 5, printable(name)[0], new_x=XPos.RIGHT, new_y=YPos.TOP)
    sheet.set_text_color(0)
    sheet.multi_cell(0, 5, printable(value)[0], align="L", new_x=XPos.LMARGIN, new_y=YPos.NEXT, wrapmode=WrapMode.WORD)


def _table(sheet: Sheet, section: Section) -> None:
    sheet.ln(1)
    sheet.set_font(NAME, size=8)
    sheet.set_draw_color(_RULE)
    head = FontFace(color=_GREY)
    with sheet.table(
        col_widths=tuple(section.widths),
        headings_style=head,
        line_height=4.4,
        borders_layout="HORIZONTAL_LINES",
        text_align="LEFT",
        wrapmode=WrapMode.WORD,
        padding=0.8,
    ) as table:
        for cells in (section.columns, *section.rows):
            row = table.row()
            for cell in cells:
                row.cell(_cell(cell))
    sheet.ln(1)


def _cell(text: str) -> str:
    """One line of bounded length: a row that is higher than a page cannot be printed at all."""
    line = " ".join(printable(text)[0].split())
    return line if len(line) <= _MOST_CELL else f"{line[:_MOST_CELL]}…"


def _text(sheet: Sheet, text: str, *, size: int, height: float, grey: bool = False) -> None:
    sheet.set_font(NAME, size=size)
    sheet.set_text_color(_GREY if grey else 0)
    sheet.multi_cell(0, height, printable(text)[0], align="L", new_x=XPos.LMARGIN, new_y=YPos.NEXT)
    sheet.set_text_color(0)
