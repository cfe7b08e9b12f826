"""One finished backtest, as a value that the terminal, the page and the JSON show."""

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from billingbot.core.backtest import Flip
    from billingbot.core.backtest_report import Report
    from billingbot.flows.policy.rehearse import Text

# What a page or a terminal lists one by one: the largest. All of them are in the CSV.
SHOWN_FLIPS: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Backtest:
    """One finished backtest, for whoever shows it."""

    new: "Text"
    against: "Text | None"
    as_mode: str | None
    since: datetime | None
    until: datetime | None
    never_decided: int
    """Cases opened in that time which no policy ever decided."""
    seconds: float
    report: "Report"
    largest: "list[Flip]"
    """Of the flips, those with the largest amounts, at most SHOWN_FLIPS."""
