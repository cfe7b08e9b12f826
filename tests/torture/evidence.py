"""What the checks of a run look at, and what they say."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from tests.torture.books import OUR_REFUND, Books, Row
from tests.torture.load import Load
from tests.torture.town import Town


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """Something that must never be. `about` is a charge's or a case's id, or empty."""

    check: str
    says: str
    about: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What the checks look at: the books of both sides, the truth, and what was seen while it happened."""

    books: Books
    town: Town
    load: Load
    limits: Mapping[str, int]
    """The day's minor units by currency."""
    daily_count: int
    one_person: Mapping[str, int]
    """Above so many minor units two people have to agree, by currency."""
    accepted_by_database: list[str]
    at_rest: bool


Check: TypeAlias = Callable[[Evidence], Iterator[Violation]]


def ours(found: Row) -> bool:
    """Whether a refund at Stripe carries our metadata."""
    return OUR_REFUND in found["metadata"]
