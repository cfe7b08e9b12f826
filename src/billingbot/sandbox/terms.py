"""The terms of a subscription that its object does not show: what waits to be billed, and how time is counted."""

import calendar
from dataclasses import dataclass, field
from datetime import UTC, datetime

from billingbot.sandbox.tables import Obj


@dataclass(slots=True, kw_only=True)
class Terms:
    """What the engine remembers about one subscription. `turn` counts reschedulings: a planned task with an older
    number is stale. `split` are the amounts in which the next invoice will be paid."""

    turn: int = 0
    warned: bool = False  # trial_will_end has been sent
    pending: list[Obj] = field(default_factory=list)  # proration lines for the next invoice
    split: list[int] | None = None
    used_discounts: set[str] = field(default_factory=set)  # coupons of duration `once` that have been spent


_SECONDS = {"day": 86_400, "week": 7 * 86_400}


def boundary_after(anchor: int, recurring: Obj, after: int) -> int:
    """The first end of a period (Unix seconds) later than `after`, counted from the anchor; a month has the
    anchor's day, or its last one."""
    count: int = recurring["interval_count"]
    if seconds := _SECONDS.get(recurring["interval"]):
        step = seconds * count
        return anchor + max(0, (after - anchor) // step + 1) * step
    months = count * (12 if recurring["interval"] == "year" else 1)
    steps = max(0, _months_between(anchor, after) // months)
    while (end := _add_months(anchor, steps * months)) <= after:
        steps += 1
    return end


def _months_between(start: int, end: int) -> int:
    first, last = datetime.fromtimestamp(start, UTC), datetime.fromtimestamp(end, UTC)
    return (last.year - first.year) * 12 + last.month - first.month


def _add_months(start: int, months: int) -> int:
    at = datetime.fromtimestamp(start, UTC)
    year, month = divmod(at.month - 1 + months, 12)
    year, month = at.year + year, month + 1
    day = min(at.day, calendar.monthrange(year, month)[1])
    return int(at.replace(year=year, month=month, day=day).timestamp())
