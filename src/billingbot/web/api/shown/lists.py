"""A page of a list, as every list is answered."""

from typing import Generic, TypeVar

from pydantic import BaseModel

T = TypeVar("T")


class Listed(BaseModel, Generic[T]):
    """A page of a list; give `next` as `after` for the rows behind it."""

    items: list[T]
    next: str | None
