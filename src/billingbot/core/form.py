"""The forms in which rows leave the house."""

from enum import StrEnum


class Form(StrEnum):
    """How a sheet is written."""

    CSV = "csv"
    XLSX = "xlsx"
    PARQUET = "parquet"
