"""The forms in which rows leave the house, and what makes a cell harmless."""

from enum import StrEnum
from typing import Final

# What a spreadsheet takes for a formula, in whatever width it is typed, or for another cell.
# https://owasp.org/www-community/attacks/CSV_Injection
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "|", "%", "\uff1d", "\uff0b", "\uff0d", "\uff20")


class Form(StrEnum):
    """How a sheet is written."""

    CSV = "csv"
    XLSX = "xlsx"
    PARQUET = "parquet"


def safe_cell(text: str) -> str:
    """The text as a cell that no spreadsheet runs."""
    return f"'{text}" if text.startswith(_FORMULA) else text
