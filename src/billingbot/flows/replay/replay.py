"""Replay: what running failed jobs again would do, by what is stored now; and putting them away for good."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from billingbot.core.access.person import MOST_NAME, person
from billingbot.core.access.powers import Power
from billingbot.core.canonical import digest
from billingbot.core.errors import InputError, NotFoundError
from billingbot.core.ledger import Draft, EntryKind
from billingbot.core.money import Money
from billingbot.core.wording import text_of
from billingbot.flows.desk import Desk, step
from billingbot.flows.replay.foretell import Effect, Preview, account_of, foretell, policy_name
from billingbot.flows.replay.stored import Stored
from billingbot.store import database, jobs
from billingbot.store.database import transaction
from billingbot.store.jobs import ALL_FAILED, FailedFilter, FailedJob

# A look at a job takes less than a millisecond: whoever asks for so many waits some seconds, and a process bears them.
MOST_AT_ONCE: Final = 10_000
# So many are told of one by one, in full; of the others, what counts: how many, and the money.
TOLD: Final = 500
# Jobs looked at in one transaction: well within the session's ten idle seconds.
_BATCH: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """Money that may move, each case and refund counted once; `unknown` are those whose amount nobody knows yet."""

    amounts: tuple[Money, ...]
    unknown: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """What a replay of many jobs would do: the oldest one by one, and the figures over all of them."""

    previews: tuple[Preview, ...]
    effects: Mapping[Effect, int]
    totals: Totals
    as_of: datetime
    through: str | None
    """The last job that was looked at; None where there is none."""
    is_cut: bool
    """Whether more jobs are behind that one: they are another replay's."""

    @property
    def count(self) -> int:
        """How many jobs were looked at."""
        return sum(self.effects.values())

    def of(self, wanted: FailedFilter) -> FailedFilter:
        """The same choice without jobs that were not looked at: those behind, and those that have failed since."""
        until = self.as_of if wanted.until is None else min(wanted.until, self.as_of)
        return replace(wanted, until=until, through=self.through)


class Tally:
    """Sums over previews, however many: the memory it takes is that of the cases and refunds that may be paid."""

    def __init__(self) -> None:
        self.effects: Counter[Effect] = Counter()
        self._counted: set[str] = set()
        self._sums: dict[str, Money] = {}
        self._unknown = 0

    def add(self, told: Preview) -> None:
        """Counts it; money once for each case and refund."""
        self.effects[told.effect] += 1
        if told.effect is not Effect.MAY_PAY or told.job.subject in self._counted:
            return
        self._counted.add(told.job.subject)
        if told.amount_minor is None or told.currency is None:
            self._unknown += 1
            return
        amount = Money(amount_minor=told.amount_minor, currency=told.currency)
        so_far = self._sums.get(amount.currency)
        self._sums[amount.currency] = so_far + amount if so_far else amount

    @property
    def totals(self) -> Totals:
        """The money, by currency."""
        return Totals(amounts=tuple(self._sums[name] for name in sorted(self._sums)), unknown=self._unknown)


def survey(desk: Desk, wanted: FailedFilter = ALL_FAILED, *, told: int = TOLD, most: int = MOST_AT_ONCE) -> Survey:
    """What a replay of these failed jobs would do, oldest first; changes nothing and asks nobody outside.

    The first `told` are told of in full. NotFoundError for an id that no job has; a named job that is not failed is
    simply not among them.
    """
    desk.require(Power.SEE)
    tally, first, through = Tally(), list[Preview](), None
    with transaction(desk.db) as connection:
        as_of = database.now(connection)
    for one in look(desk, wanted, told=told, most=most):
        tally.add(one)
        through = one.job.id
        if len(first) < told:
            first.append(one)
    is_cut = False
    if through is not None and tally.effects.total() == most:
        with transaction(desk.db) as connection:
            is_cut = bool(jobs.failed(connection, replace(wanted, after=through), limit=1))
    return Survey(
        previews=tuple(first),
        effects=tally.effects,
        totals=tally.totals,
        as_of=as_of,
        through=through,
        is_cut=is_cut,
    )


def look(desk: Desk, wanted: FailedFilter, *, told: int = 0, most: int = MOST_AT_ONCE) -> Iterator[Preview]:
    """What a replay of each would do, a batch at a time, the first `told` in full. Raises as `survey` does."""
    by_policy, count = policy_name(desk), 0
    for batch in _batches(desk, wanted, most):
        with transaction(desk.db) as connection:
            stored = Stored(connection, batch)
            previews = [
                foretell(stored, desk, job, by_policy, in_full=count + place < told) for place, job in enumerate(batch)
            ]
        count += len(batch)
        yield from previews


def dismiss(
    desk: Desk, wanted: FailedFilter, *, by: str, why: str, moved: Callable[[int], object] = lambda _: None
) -> int:
    """Puts these failed jobs away for good, failures and all; returns how many, MOST_AT_ONCE at the most.

    A batch at a time: whoever dies in between has put away the oldest. `moved` hears how many more were looked at.
    InputError for what cannot stand in the ledger, NotFoundError for an id that no job has.
    """
    desk.require(Power.RUN)
    check(by=by, why=why)
    body = {"why_digest": digest(why.encode())}
    count = 0
    for batch in _batches(desk, wanted, MOST_AT_ONCE):
        with step(desk) as this:
            done = jobs.dismiss(this.db, [job.id for job in batch])
            stored = Stored(this.db, batch)
            for job in batch:
                if job.id in done:
                    this.record(_draft(EntryKind.JOB_DISMISSED, job, account_of(stored, job), by, body))
        count += len(done)
        moved(len(batch))
    return count


def check(*, name: str | None = None, by: str, why: str) -> None:
    """Sees that an act can stand in the ledger, before anybody is asked to confirm it. Raises InputError."""
    if name is not None and (not name.strip() or len(name) > MOST_NAME or not name.isprintable() or "/" in name):
        expected = f"expected what the replay is for, in 1 to {MOST_NAME} printable characters without a slash"
        raise InputError("name", expected)
    person(by)
    text_of("why", why)


# ---------------------------------------------------------------- choosing


def _batches(desk: Desk, wanted: FailedFilter, most: int) -> Iterator[Sequence[FailedJob]]:
    """The chosen jobs, a batch at a time, each read when its turn comes."""
    if wanted.ids is not None:
        with transaction(desk.db) as connection:
            if unknown := jobs.missing(connection, wanted.ids):
                raise NotFoundError(f"job {unknown[0]}: there is none")
        # By their names a batch at a time as well: ten thousand of them in each statement would take ten times as long.
        named = sorted(set(wanted.ids))
        for at in range(0, len(named), _BATCH):
            batch = _batch(desk, replace(wanted, ids=tuple(named[at : at + _BATCH])), most)
            if batch:
                yield batch
            most -= len(batch)
        return
    while batch := _batch(desk, wanted, most):
        yield batch
        most -= len(batch)
        wanted = replace(wanted, after=batch[-1].id)


def _batch(desk: Desk, wanted: FailedFilter, most: int) -> Sequence[FailedJob]:
    if most <= 0:
        return ()
    with transaction(desk.db) as connection:
        return jobs.failed(connection, wanted, limit=min(_BATCH, most))


# ---------------------------------------------------------------- writing down


def _draft(kind: EntryKind, job: FailedJob, account: str, by: str, body: Mapping[str, object]) -> Draft:
    about = {"job_actor": job.actor, "about": job.subject, "error_class": job.error_class}
    return Draft(kind=kind, account=account, subject=job.id, actor=by, body={**about, **body})
