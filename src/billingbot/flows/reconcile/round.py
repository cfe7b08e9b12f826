"""A round: one page of a pass at work, and what becomes of each break that it meets."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeVar

import structlog

from billingbot.core.books.breaks import Mismatch, Pass, Tally
from billingbot.core.errors import (
    BillingbotError,
    LeaseLostError,
    StripeForbiddenError,
    StripeNotFoundError,
    StripeUnavailableError,
)
from billingbot.flows.breaks import Breaks
from billingbot.flows.desk import step

T = TypeVar("T")

log = structlog.get_logger(__name__)


@dataclass(slots=True, kw_only=True)
class Round(Breaks):
    """What the verbs of one page work with. `alive` renews the lease, and is called before each object."""

    of: Pass
    alive: Callable[[], object]
    rows: int

    def tally(self, seen: int) -> Tally:
        """What this page came to."""
        counted = {"found": self.found, "settled": self.settled, "to_person": self.to_person}
        return Tally(seen=seen, **{name: len(ids) for name, ids in counted.items()})

    def each(self, what: Iterable[Mismatch], agree: "Callable[[Round, T], object]", about: T) -> None:
        """Settles one object; whatever it throws never blocks the others, and leaves its breaks open.

        Raises what concerns them all: Stripe away, a key that may not read, a lease that is lost.
        """
        self.alive()
        try:
            agree(self, about)
        except StripeNotFoundError:
            return  # gone since it was listed
        except (StripeUnavailableError, StripeForbiddenError, LeaseLostError):
            raise
        except Exception as fault:  # noqa: BLE001 - as the docstring says
            why = str(fault) if isinstance(fault, BillingbotError) else type(fault).__name__
            log.warning("reconcile.not_settled", account=self.account.name, why=why)
            with step(self.desk) as this:
                for one in what:
                    self.leave(this, self.meet(this, one), why)
