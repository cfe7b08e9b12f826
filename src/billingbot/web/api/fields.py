"""The kinds of field that bodies and queries are made of: bounded, and exact about what they take."""

from datetime import UTC, datetime
from typing import Annotated, Any, Final

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints
from pydantic_core import PydanticCustomError

from billingbot.core.errors import NotFoundError
from billingbot.core.ids import Kind, is_id
from billingbot.core.wording import YEARS

# The largest page: a screenful of screens, and still one fast statement.
MOST_ROWS: Final = 200
# Times of a refund desk: after Stripe began, and before a typing error.
# What JSON readers in every language hold exactly.
MOST_COUNT: Final = 2**53 - 1


class Body(BaseModel):
    """A body, or a set of query parameters: a field that nobody knows is refused, not overlooked."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def _printable(text: str) -> str:
    if not text.strip() or not text.isprintable():
        raise PydanticCustomError("not_printable", "expected printable characters")
    return text


def _prose(text: str) -> str:
    if not text.strip() or "\x00" in text:
        raise PydanticCustomError("no_text", "expected text without NUL")
    return text


def _written_time(value: Any) -> Any:
    if not isinstance(value, str):  # a number could be seconds or milliseconds
        raise PydanticCustomError("not_a_time", "expected an ISO 8601 time with its zone")
    return value


def _utc(at: datetime) -> datetime:
    if at.tzinfo is None:
        raise PydanticCustomError("no_zone", "expected an ISO 8601 time with its zone")
    if at.year not in YEARS:
        raise PydanticCustomError("far_off", "expected a time between 2000 and 2100")
    return at.astimezone(UTC)


def _strictly_bool(value: Any) -> Any:
    if not isinstance(value, bool):
        raise PydanticCustomError("not_a_bool", "expected true or false")
    return value


Word = Annotated[str, StringConstraints(min_length=1, max_length=255, strict=True), AfterValidator(_printable)]
"""An id, a name of ours, a reference: 255 characters are the most that Stripe's ids have."""

Person = Annotated[str, StringConstraints(min_length=1, max_length=200, strict=True), AfterValidator(_printable)]
"""Who acts."""

Prose = Annotated[str, StringConstraints(min_length=1, max_length=10_000, strict=True), AfterValidator(_prose)]
"""What a person wrote: a note, a reason, a reply."""

Instant = Annotated[datetime, BeforeValidator(_written_time), AfterValidator(_utc)]
"""An ISO 8601 time with its zone, as UTC."""

YesNo = Annotated[bool, BeforeValidator(_strictly_bool)]
Count = Annotated[int, Field(strict=True, ge=0, le=MOST_COUNT)]
Rows = Annotated[int, Field(ge=1, le=MOST_ROWS, description="How many at most")]
Cursor = Annotated[str, StringConstraints(min_length=1, max_length=500), Field(description="`next` of the last page")]


class ByName(Body):
    """Who acts."""

    by: Person


def id_of(kind: Kind, text: str) -> str:
    """An id from a path. NotFoundError where it is not shaped as one: then there is nothing by this name."""
    if not is_id(kind, text):
        raise NotFoundError(f"{kind.name.lower()}: there is none of this id")
    return text
