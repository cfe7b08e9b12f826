"""Published versions of the policy, and which of them judges a charge: the one in force when it was made."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

BEGINNING: Final = datetime(1970, 1, 1, tzinfo=UTC)
"""Before every charge that Stripe knows: from then on the first policy counts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Edition:
    """A version as it was published: never changed, never withdrawn, only followed by others.

    `effective_from` is the date of a charge, not of a decision. `number` counts publications.
    """

    number: int
    policy_id: str
    version: str
    digest: str
    effective_from: datetime
    published_at: datetime
    published_by: str
    why: str

    @property
    def name(self) -> str:
        """As decisions and the ledger cite it."""
        return f"{self.policy_id}@{self.version}"


def in_force(editions: Sequence[Edition], charged_at: datetime) -> Edition | None:
    """The edition by which a charge of that instant is judged: the last to take effect by then.

    Of two that take effect at the same instant the one published later counts. A charge from before them all is
    judged by the first to take effect. None only where nothing was published.
    """
    begun = [edition for edition in editions if edition.effective_from <= charged_at]
    if begun:
        return max(begun, key=lambda edition: (edition.effective_from, edition.number))
    return min(editions, key=lambda edition: (edition.effective_from, -edition.number), default=None)


def next_after(editions: Sequence[Edition], instant: datetime) -> Edition | None:
    """The edition that takes over next, behind the instant; None where the one of that instant stays."""
    later = [edition for edition in editions if edition.effective_from > instant]
    return min(later, key=lambda edition: (edition.effective_from, -edition.number), default=None)
