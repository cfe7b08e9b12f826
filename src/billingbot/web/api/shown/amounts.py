"""Amounts from outside: exact in minor units, and as people read them."""

from typing import Annotated, Self

from pydantic import BaseModel, Field

from billingbot.core.money import Money


class AmountShown(BaseModel):
    """An amount: exact in minor units, and as people read it."""

    minor: int
    currency: str
    formatted: Annotated[str, Field(examples=["USD 49.00"])]

    @classmethod
    def of(cls, minor: int, currency: str) -> Self:
        """The amount with its text."""
        formatted = str(Money(amount_minor=minor, currency=currency))
        return cls(minor=minor, currency=currency, formatted=formatted)
