"""A job: one step of work that Postgres remembers until it is done, and when to try it again."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final


class Actor(StrEnum):
    """The verbs that run as jobs; the argument is always one id."""

    INTERPRET = "interpret"
    ASSESS = "assess"
    RECHECK = "recheck"
    SUBMIT = "submit"
    SETTLE = "settle"
    CANCEL = "cancel"
    IMPORT_HISTORY = "import_history"
    NOTIFY = "notify"
    """Its argument is the kind of notice, of which all that waits is sent together."""
    DELIVER = "deliver"
    """Its argument is a letter to a customer."""
    DRAFT_ANSWER = "draft_answer"
    """Its argument is the draft of an answer to a bank."""
    ANSWER = "answer"
    """Its argument is an answer to a bank that is staged, sent, or given up."""
    BACKFILL = "backfill"
    WATCH_DISPUTE = "watch_dispute"
    """Its argument is an account and a dispute, as `account/dispute`."""
    RECONCILE = "reconcile"
    BACKTEST = "backtest"
    READ_SETTLEMENTS = "read_settlements"
    """Its argument is an account."""
    CLOSE_MONTH = "close_month"
    """Its argument is the closing of a month."""
    PERSONAL_DATA = "personal_data"
    """Its argument is a search for personal data, or one as `search/forget`."""
    REPLAY = "replay"
    """Its argument is the name of the run."""


class JobState(StrEnum):
    """Where a job stands. `failed` waits for a person to replay or dismiss it."""

    READY = "ready"
    DONE = "done"
    FAILED = "failed"
    DISMISSED = "dismissed"


ENDED: Final = (JobState.DONE, JobState.FAILED, JobState.DISMISSED)
"""States in which nothing more happens by itself."""

# A lease outlives the longest step: gathering facts (sources answer or give up in 20 s), one call to Stripe (25 s).
LEASE: Final = timedelta(seconds=60)

# Seconds until the next try after the n-th failure. Quick at first (a lock, a restart), then minutes, then an hour
# at a time: 16 tries within about 7 hours, so that a refund's key is still remembered at the last (law 4).
_BACKOFF_SECONDS: Final = (1, 2, 5, 10, 30, 60, 120, 300, 600, 1200, 1800, 3600, 3600, 7200, 7200)
MOST_ATTEMPTS: Final = len(_BACKOFF_SECONDS) + 1


def backoff(attempts: int) -> timedelta | None:
    """How long to wait after `attempts` tries have failed; None when it is time for a person."""
    if attempts > len(_BACKOFF_SECONDS):
        return None
    return timedelta(seconds=_BACKOFF_SECONDS[max(0, attempts - 1)])


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A job as claimed. `token` proves the lease: nothing is finished without it."""

    id: str
    actor: Actor
    subject: str
    attempts: int
    token: str
    claimed_at: datetime
