"""What all tables share: names for their constraints, and times that come from Postgres."""

from sqlalchemy import Column, DateTime, MetaData, func

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def one_of(column: str, values: object) -> str:
    """A condition that a column holds one of these."""
    quoted = ", ".join(f"'{value}'" for value in values)  # type: ignore[attr-defined] # enums and tuples of them
    return f"{column} IN ({quoted})"


def time(name: str, *, now: bool = False, optional: bool = False) -> Column[object]:
    """A timestamp with time zone; all times come from Postgres."""
    default = func.clock_timestamp() if now else None
    return Column(name, DateTime(timezone=True), nullable=optional, server_default=default)
