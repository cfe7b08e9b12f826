"""A backtest as a job of its own: what it tries and against what, and how far it has come."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class BacktestState(StrEnum):
    """Where a backtest stands."""

    RUNNING = "running"
    DONE = "done"
    STOPPED = "stopped"
    """A person stopped it."""
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Backtest:
    """A backtest without its texts and results. Without `against` cases are compared with what was decided then."""

    id: str
    state: BacktestState
    asked_by: str
    new_name: str
    against_name: str | None
    as_mode: str | None
    account: str | None
    since: datetime | None
    until: datetime | None
    cases_total: int | None
    """None until they are counted."""
    cases_done: int
    stop_asked: bool
    why: str | None
    """Why it failed."""
    began_at: datetime
    ended_at: datetime | None
