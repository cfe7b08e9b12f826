"""Replay: what running failed jobs again would do, by what is stored now; and putting them away for good."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from billingbot.core.access.person import MOST_NAME, person
from billingbot.core.access.powers import Power
from billingbot.core.canonical import digest
from billingbot.core.errors import InputError, NotFoundError
from billingbot.core.ledger import Draft, EntryKind
from billingbot.core.money import Money
from billingbot.flows.casework.review import MOST_TEXT
from billingbot.flows.desk import Desk, step
from billingbot.flows.replay.foretell import Effect, Preview, account_of, foretell, policy_name
from billingbot.flows.request import is_storable
from billingbot.store import (
    jobs,
)
from billingbot.store.database import transaction
from billingbot.store.jobs import ALL_FAILED, FailedFilter, FailedJob

# Jobs told of in one transaction: some milliseconds each, so that the session's ten idle seconds are never near.
_BATCH: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """Money that may move, each case and refund counted once; `unknown` are those whose amount nobody knows yet."""

    amounts: tuple[Money, ...]
    unknown: int


def preview(desk: Desk, wanted: FailedFilter = ALL_FAILED, *, limit: int | None = None) -> tuple[Preview, ...]:
    """What a replay of these failed jobs would do, oldest first; changes nothing and asks nobody outside.

    NotFoundError for an id that no job has; a named job that is not failed is simply not among them.
    """
    desk.require(Power.SEE)
    told: list[Preview] = []
    by_policy = policy_name(desk)
    for batch in _batches(desk, wanted, limit):
        with transaction(desk.db) as connection:
            told += [foretell(connection, desk, job, by_policy) for job in batch]
    return tuple(told)


def totals(previews: Iterable[Preview]) -> Totals:
    """The money that these replays may move, by currency."""
    once = {told.job.subject: told for told in previews if told.effect is Effect.MAY_PAY}
    sums: dict[str, Money] = {}
    unknown = 0
    for told in once.values():
        if told.amount_minor is None or told.currency is None:
            unknown += 1
            continue
        amount = Money(amount_minor=told.amount_minor, currency=told.currency)
        sums[amount.currency] = sums[amount.currency] + amount if amount.currency in sums else amount
    return Totals(amounts=tuple(sums[currency] for currency in sorted(sums)), unknown=unknown)


def dismiss(desk: Desk, wanted: FailedFilter, *, by: str, why: str, limit: int | None = None) -> int:
    """Puts these failed jobs away for good, failures and all; returns how many. Raises as `replay` does."""
    desk.require(Power.RUN)
    check(by=by, why=why)
    body = {"why_digest": digest(why.encode())}
    count = 0
    for job in _each(desk, wanted, limit):
        with step(desk) as this:
            if jobs.dismiss(this.db, job.id):
                count += 1
                this.record(_draft(EntryKind.JOB_DISMISSED, job, account_of(this.db, job), by, body))
    return count


def check(*, name: str | None = None, by: str, why: str) -> None:
    """Sees that an act can stand in the ledger, before anybody is asked to confirm it. Raises InputError."""
    if name is not None and (not name.strip() or len(name) > MOST_NAME or not name.isprintable() or "/" in name):
        expected = f"expected what the replay is for, in 1 to {MOST_NAME} printable characters without a slash"
        raise InputError("name", expected)
    person(by)
    if not why.strip() or len(why) > MOST_TEXT or not is_storable(why):
        raise InputError("why", f"expected 1 to {MOST_TEXT} characters, without NUL and in whole Unicode")


# ---------------------------------------------------------------- choosing


def _each(desk: Desk, wanted: FailedFilter, limit: int | None) -> Iterator[FailedJob]:
    for batch in _batches(desk, wanted, limit):
        yield from batch


def _batches(desk: Desk, wanted: FailedFilter, limit: int | None) -> Iterator[Sequence[FailedJob]]:
    """The chosen jobs as they were at the start, read before anything is done to them."""
    with transaction(desk.db) as connection:
        if wanted.ids is not None and (unknown := jobs.missing(connection, wanted.ids)):
            raise NotFoundError(f"job {unknown[0]}: there is none")
        chosen = jobs.failed(connection, wanted, limit=limit)
    for start in range(0, len(chosen), _BATCH):
        yield chosen[start : start + _BATCH]


# ---------------------------------------------------------------- writing down


def _draft(kind: EntryKind, job: FailedJob, account: str, by: str, body: Mapping[str, object]) -> Draft:
    about = {"job_actor": job.actor, "about": job.subject, "error_class": job.error_class}
    return Draft(kind=kind, account=account, subject=job.id, actor=by, body={**about, **body})
