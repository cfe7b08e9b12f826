"""The breaker: when automatic refunds come too fast, or too many requests end in one, the machine stops paying."""

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Final

PACE_OVER: Final = timedelta(hours=1)
"""Over which time the refunds are counted that `refunds_per_hour` limits."""
SHARE_OVER: Final = timedelta(hours=24)
"""Over which time the share is taken: a whole day, so that nights and mornings do not look different."""


class TrippedBy(StrEnum):
    """Which threshold was passed."""

    PACE = "refunds_per_hour"
    SHARE = "refunded_percent_max"


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerLimits:
    """The thresholds of the policy's `[limits.breaker]`, per account."""

    refunds_per_hour: int
    refunded_percent_max: int
    """Of the requests decided within a day, how many in a hundred may end in an automatic refund."""
    percent_from_requests: int
    """How many requests must have been decided before a share means anything."""


# What holds where a policy says nothing, the same as in the shipped one and for the reasons that stand there. There
# is no policy without a breaker: whoever wants none sets it out of reach, and that can be read in the file.
DEFAULT_BREAKER: Final = BreakerLimits(refunds_per_hour=40, refunded_percent_max=80, percent_from_requests=40)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """Automatic refunds of an account, the one in question among them, since the breaker was last closed."""

    refunds_in_hour: int
    refunds_in_day: int
    decided_in_day: int
    """Cases with a verdict."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trip:
    """A threshold that was passed: what was observed, and what the policy allows."""

    by: TrippedBy
    observed: str
    allowed: str


def trip_of(pace: Pace, limits: BreakerLimits) -> Trip | None:
    """The threshold that this pace passes, None where it stays inside all of them."""
    if pace.refunds_in_hour > limits.refunds_per_hour:
        return Trip(
            by=TrippedBy.PACE,
            observed=f"{pace.refunds_in_hour} automatic refunds within an hour with this one",
            allowed=f"at most {limits.refunds_per_hour} an hour",
        )
    enough = pace.decided_in_day >= limits.percent_from_requests
    if enough and pace.refunds_in_day * 100 > limits.refunded_percent_max * pace.decided_in_day:
        return Trip(
            by=TrippedBy.SHARE,
            observed=f"{pace.refunds_in_day} of {pace.decided_in_day} requests of a day refunded with this one",
            allowed=f"at most {limits.refunded_percent_max} in a hundred",
        )
    return None
