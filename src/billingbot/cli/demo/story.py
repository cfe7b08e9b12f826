"""One customer of the demo: what they do, what they ask, and what must come of it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import httpx

from billingbot.cli.demo.world import Person, World

Begin: TypeAlias = Callable[[World], Person]
Happen: TypeAlias = Callable[[World, Person], None]
Acts: TypeAlias = Callable[[World, httpx.Client, Person], None]
Asks: TypeAlias = Callable[[World, Person], Sequence[dict[str, Any]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What must come of a story: the case's state and reason, and what Stripe has paid back in minor units."""

    state: str
    reason: str
    refunded_minor: int = 0
    refunded_outside_minor: int = 0
    """Paid back in the Dashboard before or beside billingbot."""
    subscription: str | None = None
    """Its status at Stripe in the end, checked where given."""
    recommendation: str | None = None
    """Checked where given."""
    or_reason: str | None = None
    """Where two pieces of news may be read in either order, what the other order comes to."""
    dispute: str | None = None
    """The status of the charge's newest dispute at Stripe in the end, checked where given."""
    booked: tuple[int, int, int] | None = None
    """What that dispute withdrew, gave back and kept in fees, by its last entry in the ledger, in minor units."""
    ledgered: frozenset[str] = frozenset()
    """Kinds of entries that the ledger must hold about the case or its dispute."""
    told: frozenset[str] = frozenset()
    """Kinds of notices that people must have been given about the case or its dispute."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """One customer's month. `row` is the row of the decision table, or the limit or law that it shows."""

    title: str
    row: str
    begin: Begin
    expected: Expected
    in_trial: Happen | None = None
    early: bool = False
    """Asks once before the others do, and goes on from there with `charged`."""
    charged: Happen | None = None
    asks: Asks
    people: Acts | None = None
    """What a person at the desk does once the case is with them, through the API."""
    later: Happen | None = None


def refund(amount: int = 4900, *, dispute: str | None = None) -> Expected:
    """Refunded in full (minor units), and cancelled: nobody is charged again for what was just refunded."""
    return Expected(state="closed", reason="refunded", refunded_minor=amount, subscription="canceled", dispute=dispute)


def review(reason: str, *, outside: int = 0, advice: str | None = None, **more: Any) -> Expected:
    """Handed to a person, with this advice; `more` as in Expected."""
    return Expected(state="review", reason=reason, refunded_outside_minor=outside, recommendation=advice, **more)


def closed(reason: str, *, outside: int = 0, **more: Any) -> Expected:
    """Closed without a refund of ours; `more` as in Expected."""
    return Expected(state="closed", reason=reason, refunded_outside_minor=outside, **more)
