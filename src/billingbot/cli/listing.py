"""Lists at the command line: filters that many of them share, and one way to show whatever was found."""

from collections.abc import Callable, Iterable, Sequence
from typing import Annotated, TypeAlias, TypeVar

import typer

from billingbot.cli.output import more, show_page, show_table

T = TypeVar("T")

OfAccount: TypeAlias = Annotated[str | None, typer.Option(help="Only this account's.")]
OfCase: TypeAlias = Annotated[str | None, typer.Option(help="Only of this case.")]
OfCharge: TypeAlias = Annotated[str | None, typer.Option(help="Only of this charge.")]
OfCustomer: TypeAlias = Annotated[str | None, typer.Option(help="Only of this customer.")]


def show_list(
    columns: Sequence[str],
    row: Callable[[T], Sequence[object]],
    found: Iterable[T],
    *,
    following: str | None = None,
    shown: Callable[[T], object] | None = None,
    as_json: bool,
) -> None:
    """Each as a row under these columns, or as JSON the way the API shows it; and how to see what follows.

    `shown` makes the API's value where it is another than ours; it is asked only for JSON, and may import what costs.
    """
    if as_json:
        show_page([shown(one) for one in found] if shown else list(found), following)
        return
    show_table(columns, (row(one) for one in found))
    more(following)
