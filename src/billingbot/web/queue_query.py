"""The queue's address: one set of words for the console's list, for lists that people keep, and for the API."""

from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Annotated, Final

from pydantic import BaseModel, BeforeValidator, Field

from billingbot.core.decision import Priority
from billingbot.core.errors import InputError
from billingbot.core.money import minor_unit_digits
from billingbot.store.views.worklist import Shown, Who, WorkFilter

# Twelve digits are more than any charge has: Stripe's own limit is eight.
_MOST_AMOUNT: Final = Decimal(10**12)


def _or_none(value: object) -> object:
    """A field of a form that was left empty says nothing."""
    return None if value == "" else value


Optional = BeforeValidator(_or_none)
Word = Annotated[Annotated[str, Field(max_length=200)] | None, Optional]


class QueueQuery(BaseModel):
    """Which cases of the queue: all that are given must hold."""

    show: Shown = Shown.WAITING
    who: Who = Who.ANYBODY
    account: Word = None
    reason: Word = None
    priority: Annotated[Priority | None, Optional] = None
    amount_from: Annotated[Word, Field(description="In units of the currency, such as 49.90")] = None
    currency: Annotated[Annotated[str, Field(pattern="^[a-z]{3}$")] | None, Optional] = None
    overdue: bool = False
    disputed: bool = False
    after: Word = None

    def filter(self, *, me: str, midnight: datetime) -> WorkFilter:
        """What the read model is asked; `midnight` is since when a case counts as closed today.

        InputError for an amount that is none.
        """
        return WorkFilter(
            me=me,
            closed_since=midnight,
            shown=self.show,
            who=self.who,
            account=self.account,
            reason=self.reason,
            priority=self.priority,
            amount_from_minor=_minor(self.amount_from, self.currency),
            currency=self.currency,
            overdue=self.overdue,
            disputed=self.disputed,
        )


def _minor(amount: str | None, currency: str | None) -> int | None:
    if amount is None:
        return None
    try:
        found = Decimal(amount.strip().replace(",", "."))
    except InvalidOperation:
        found = Decimal(-1)
    if not found.is_finite() or not 0 <= found <= _MOST_AMOUNT:
        raise InputError("amount_from", "expected an amount such as 49 or 49.90")
    return int(found.scaleb(minor_unit_digits(currency or "usd")).to_integral_value())
