"""Stored: what a batch of jobs is about, each kind of it read in one statement, so that ten thousand take seconds."""

from collections.abc import Collection, Iterable, Sequence
from typing import Final, TypeVar

from sqlalchemy import Connection

from billingbot.core.case import Case
from billingbot.core.errors import NotFoundError
from billingbot.core.job import Actor
from billingbot.core.mode import Mode
from billingbot.core.refund import RefundIntent
from billingbot.store import cases, inbox, jobs, modes, refunds
from billingbot.store.inbox import Named
from billingbot.store.jobs import FailedJob

T = TypeVar("T")

_OF_CASES: Final = (Actor.ASSESS, Actor.RECHECK)
_OF_REFUNDS: Final = (Actor.SUBMIT, Actor.SETTLE)


class Stored:
    """What failed jobs are about, as of one transaction; what only a few jobs are about is read one by one, from
    `connection`."""

    def __init__(self, connection: Connection, batch: Sequence[FailedJob]) -> None:
        self.connection = connection
        events = [job for job in batch if job.actor is Actor.INTERPRET]
        self._refunds = refunds.some(connection, _subjects(batch, _OF_REFUNDS))
        of_refunds = {one.case_id for one in self._refunds.values() if one.case_id is not None}
        self._cases = cases.some(connection, {*_subjects(batch, _OF_CASES), *of_refunds})
        self._events = inbox.some(connection, _subjects(events, (Actor.INTERPRET,)))
        self._overtaken = jobs.overtaken(connection, [job.id for job in events])
        self._modes: dict[str, Mode] = {}

    def case(self, case_id: str) -> Case:
        """The case of a job or of its refund. Raises NotFoundError."""
        return _there(self._cases.get(case_id), "case", case_id)

    def refund(self, refund_id: str) -> RefundIntent:
        """The refund of a job. Raises NotFoundError."""
        return _there(self._refunds.get(refund_id), "refund", refund_id)

    def event(self, inbox_id: str) -> Named:
        """The event of a job. Raises NotFoundError."""
        return _there(self._events.get(inbox_id), "event", inbox_id)

    def is_overtaken(self, job: FailedJob) -> bool:
        """Whether another job did the same for the same event after this one was made."""
        return job.id in self._overtaken

    def mode(self, account: str) -> Mode:
        """The account's mode, looked up once."""
        if account not in self._modes:
            self._modes[account] = modes.current(self.connection, account).mode
        return self._modes[account]


def _subjects(batch: Iterable[FailedJob], actors: Collection[Actor]) -> set[str]:
    return {job.subject for job in batch if job.actor in actors}


def _there(found: T | None, what: str, name: str) -> T:
    if found is None:
        raise NotFoundError(f"{what} {name}: there is none")
    return found
