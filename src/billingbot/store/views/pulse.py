"""The pulse: a version for each thing that pages show, which changes when there is news of it; read once a second."""

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final

import sqlalchemy as sa
from sqlalchemy import Connection

from billingbot.core.case import CaseState
from billingbot.core.job import JobState
from billingbot.store.schema import case_visits, cases, inbox, jobs, ledger_entries, refunds, replay_items
from billingbot.store.visits import GONE_AFTER

# Which of the ledger's families of kinds a topic tells of; `None` is all of them. Every human act and every step of
# money is an entry, so the ledger is the news, and reading on from the last entry costs one look at its key.
FAMILIES: Final[Mapping[str, tuple[str, ...] | None]] = {
    "queue": ("case",),
    "refunds": ("refund", "cancellation", "letter"),
    "disputes": ("dispute", "answer", "evidence", "case"),
    "policy": ("policy", "shadow", "backtest"),
    "switches": ("mode", "breaker"),
    "ledger": None,
    "overview": None,
    "jobs": ("job", "replay", "events"),
    "events": ("events",),
}
ONE_OF: Final = frozenset({"case", "run", "job"})
"""Topics that name one thing: `case:case_...`, `run:NAME`, `job:job_...`."""

_NOW: Final = sa.func.clock_timestamp()
# After an outage a process catches up at once: what it skipped is news all the same.
_MOST_ENTRIES: Final = 2_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """Up to which entry the ledger has been read, and the last entry of each family that was met on the way."""

    seq: int
    last: Mapping[str, int]


def hear_on(connection: Connection, heard: Heard | None) -> Heard:
    """Reads the ledger on from there; from its end where nothing was read before."""
    if heard is None:
        newest = connection.execute(sa.select(sa.func.max(ledger_entries.c.seq))).scalar_one()
        return Heard(seq=newest or 0, last={})
    entries = sa.select(ledger_entries.c.seq, ledger_entries.c.kind).where(ledger_entries.c.seq > heard.seq)
    last = dict(heard.last)
    seq = heard.seq
    for row in connection.execute(entries.order_by(ledger_entries.c.seq).limit(_MOST_ENTRIES)):
        last[row.kind.partition(".")[0]] = seq = row.seq
    return Heard(seq=seq, last=last)


def versions(connection: Connection, topics: Collection[str], heard: Heard) -> Mapping[str, str]:
    """The version of each topic as things stand; a topic is one of FAMILIES, or names one thing (ONE_OF)."""
    named: dict[str, list[str]] = defaultdict(list)
    for topic in topics:
        kind, _, name = topic.partition(":")
        if name:
            named[kind].append(name)
    found = {f"case:{case_id}": version for case_id, version in _cases(connection, named["case"]).items()}
    found |= {f"run:{name}": version for name, version in _runs(connection, named["run"]).items()}
    found |= {f"job:{job_id}": version for job_id, version in _jobs(connection, named["job"]).items()}
    for topic in FAMILIES.keys() & set(topics):
        families = FAMILIES[topic]
        parts = [heard.seq] if families is None else [heard.last.get(family, 0) for family in families]
        found[topic] = ".".join(map(str, parts)) + _beside(connection, topic)
    return found


def _beside(connection: Connection, topic: str) -> str:
    """What of a topic does not stand in the ledger."""
    match topic:
        case "queue":
            woken = sa.select(sa.func.count()).where(
                cases.c.state == CaseState.REVIEW, cases.c.snoozed_until.is_not(None), cases.c.snoozed_until <= _NOW
            )
            return f"/{connection.execute(woken).scalar_one()}/{connection.execute(_who()).scalar_one()}"
        case "jobs" | "overview":
            failed = sa.select(sa.func.count(), sa.func.max(jobs.c.finished_at)).where(jobs.c.state == JobState.FAILED)
            waiting = sa.select(sa.func.count()).where(jobs.c.state == JobState.READY)
            count, newest = connection.execute(failed).one()
            return f"/{count}/{newest}/{connection.execute(waiting).scalar_one()}"
        case "events":
            return f"/{connection.execute(sa.select(sa.func.max(inbox.c.id))).scalar_one()}"
        case _:
            return ""


def _who(*conditions: sa.ColumnElement[bool]) -> sa.Select[tuple[str | None]]:
    """Who has which case open, as one short text."""
    each = case_visits.c.case_id + case_visits.c.person + case_visits.c.doing
    text = sa.func.string_agg(each, sa.literal(" ")).label("who")
    return sa.select(sa.func.md5(text)).where(case_visits.c.seen_at > _NOW - GONE_AFTER, *conditions)


def _cases(connection: Connection, case_ids: Collection[str]) -> Mapping[str, str]:
    if not case_ids:
        return {}
    entries = sa.select(sa.func.max(ledger_entries.c.seq)).where(ledger_entries.c.subject == cases.c.id)
    money = sa.select(sa.func.string_agg(refunds.c.id + refunds.c.state, sa.literal(" "))).where(
        refunds.c.case_id == cases.c.id
    )
    columns = (
        cases.c.version,
        entries.scalar_subquery(),
        sa.func.md5(money.scalar_subquery()),
        _who(case_visits.c.case_id == cases.c.id).correlate(cases).scalar_subquery(),
    )
    rows = connection.execute(sa.select(cases.c.id, *columns).where(cases.c.id.in_(case_ids)))
    return {row[0]: "/".join(map(str, row[1:])) for row in rows}


def _runs(connection: Connection, names: Collection[str]) -> Mapping[str, str]:
    found: dict[str, str] = {}
    for name in names:  # one page shows one run
        states = sa.select(replay_items.c.state, sa.func.count()).where(replay_items.c.run == name)
        rows = connection.execute(states.group_by(replay_items.c.state).order_by(replay_items.c.state))
        found[name] = " ".join(f"{state}={count}" for state, count in rows)
    return found


def _jobs(connection: Connection, job_ids: Collection[str]) -> Mapping[str, str]:
    if not job_ids:
        return {}
    columns = (jobs.c.id, jobs.c.state, jobs.c.attempts, jobs.c.token)
    rows = connection.execute(sa.select(*columns).where(jobs.c.id.in_(job_ids)))
    return {row.id: f"{row.state}/{row.attempts}/{row.token}" for row in rows}
