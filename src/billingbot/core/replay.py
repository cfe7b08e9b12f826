"""A replay run: failed jobs under one name, what each came to, and what people confirmed that it may pay."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

# Stripe takes about 100 reads a second from an account in live mode (https://docs.stripe.com/rate-limits), and a
# refund from request to payment reads some 24 times: four jobs a second leave room for the day's own work.
DEFAULT_RATE: Final = 4
FASTEST_RATE: Final = 1000


class RunState(StrEnum):
    """Where a run stands. A running one whose process died is gone on with like a stopped one."""

    RUNNING = "running"
    STOPPED = "stopped"
    DONE = "done"


class ItemState(StrEnum):
    """What became of one job of a run."""

    WAITING = "waiting"
    REPLAYED = "replayed"
    GONE = "gone"
    """No longer failed when its turn came: somebody else replayed or dismissed it."""
    LEFT = "left"
    """It would only fail again: a person has to look."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayRun:
    """A run as it stands. `confirmed` is what it may pay, minor units by currency, as somebody confirmed it;
    `confirmed_unknown` of its jobs may pay what nobody knows yet, within the amounts where `is_capped`."""

    name: str
    state: RunState
    started_by: str
    why: str
    rate: int
    confirmed: Mapping[str, int]
    confirmed_unknown: int
    is_capped: bool
    of_events: bool
    """Whether events are interpreted again, whatever became of them, and not only jobs that failed."""
    stop_asked_by: str | None
    stopped_why: str | None
    is_held: bool
    """Whether a process is at it now."""
    began_at: datetime
    ended_at: datetime | None
    counts: Mapping[ItemState, int]

    @property
    def total(self) -> int:
        """How many jobs it has."""
        return sum(self.counts.values())

    def count(self, state: ItemState) -> int:
        """How many of its jobs are in this state."""
        return self.counts.get(state, 0)


def excess(spent: Mapping[str, int], confirmed: Mapping[str, int]) -> str | None:
    """The first currency in which more would be paid than was confirmed; None where all stays within."""
    return next((currency for currency in sorted(spent) if spent[currency] > confirmed.get(currency, 0)), None)
