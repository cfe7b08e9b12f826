"""Figures of disputes: how many came, for what, how they ended, what they cost, and which evidence went with a win."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import Connection

from billingbot.core.disputes.answering import AnswerKind, AnswerState
from billingbot.core.disputes.life import DisputeKind, DisputeOutcome, Stage
from billingbot.store.schema import dispute_answers, disputes

NO_ANSWER: Final = "no answer of ours"
"""Stands among the kinds of evidence for disputes to which nothing of ours went out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReasonFigure:
    """Disputes for one reason in one currency. Amounts in minor units of `currency`.

    `lost_minor` is what customers have through disputes: lost, by the bank's own rule, or prevented. `fees_minor` is
    what Stripe kept, by the account's own currency.
    """

    kind: DisputeKind
    reason: str
    currency: str
    count: int
    open: int
    won: int
    lost: int
    resolved: int
    prevented: int
    inquiry_closed: int
    missed: int
    amount_minor: int
    won_minor: int
    lost_minor: int
    fees_minor: Mapping[str, int]

    @property
    def win_rate(self) -> float | None:
        """Won of won and lost, from 0 to 1; what the bank settled by rule could not be won, and does not count."""
        return _rate(self.won, self.lost)


@dataclass(frozen=True, slots=True, kw_only=True)
class EvidenceFigure:
    """Chargebacks whose answer held one field of Stripe's, or to which nothing of ours went out."""

    evidence: str
    count: int
    open: int
    won: int
    lost: int

    @property
    def win_rate(self) -> float | None:
        """Won of won and lost, from 0 to 1. It goes with the evidence, and does not prove that it helped."""
        return _rate(self.won, self.lost)


@dataclass(frozen=True, slots=True, kw_only=True)
class DisputeFigures:
    """By reason, the most frequent first, and by kind of evidence."""

    by_reason: tuple[ReasonFigure, ...]
    by_evidence: tuple[EvidenceFigure, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class FigureFilter:
    """Disputes of this account, opened in this span; all where nothing is set."""

    account: str | None = None
    since: datetime | None = None
    until: datetime | None = None


ALL: Final = FigureFilter()


def dispute_figures(connection: Connection, filters: FigureFilter = ALL) -> DisputeFigures:
    """The figures, in two statements."""
    conditions = _conditions(filters)
    return DisputeFigures(
        by_reason=reason_figures(connection, filters), by_evidence=_by_evidence(connection, conditions)
    )


@dataclass(slots=True)
class _Sums:
    ends: Counter[DisputeOutcome | None] = field(default_factory=Counter)
    minor: Counter[DisputeOutcome | None] = field(default_factory=Counter)
    missed: int = 0
    fees: Counter[str] = field(default_factory=Counter)


def reason_figures(connection: Connection, filters: FigureFilter = ALL) -> tuple[ReasonFigure, ...]:
    """Those by reason alone, the most frequent first: without reading a single answer."""
    group = [disputes.c[name] for name in ("kind", "reason", "currency", "outcome", "settled_currency")]
    rows = connection.execute(
        sa.select(
            *group,
            sa.func.count().label("number"),
            sa.func.sum(disputes.c.amount_minor).label("amount"),
            sa.func.coalesce(sa.func.sum(disputes.c.fees_minor), 0).label("fees"),
            sa.func.count(disputes.c.missed_at).label("missed"),
        )
        .where(*_conditions(filters))
        .group_by(*group)
    )
    sums: dict[tuple[str, str, str], _Sums] = defaultdict(_Sums)
    for row in rows:
        of = sums[row.kind, row.reason, row.currency]
        outcome = DisputeOutcome(row.outcome) if row.outcome else None
        of.ends[outcome] += row.number
        of.minor[outcome] += int(row.amount)
        of.missed += row.missed
        if row.settled_currency and row.fees:
            of.fees[row.settled_currency] += int(row.fees)
    found = [_figure(*key, of) for key, of in sums.items()]
    return tuple(sorted(found, key=lambda one: (-one.count, one.reason, one.kind, one.currency)))


def _figure(kind: str, reason: str, currency: str, of: _Sums) -> ReasonFigure:
    back = (DisputeOutcome.LOST, DisputeOutcome.RESOLVED, DisputeOutcome.PREVENTED)
    return ReasonFigure(
        kind=DisputeKind(kind),
        reason=reason,
        currency=currency,
        count=of.ends.total(),
        open=of.ends[None],
        **{outcome.value: of.ends[outcome] for outcome in DisputeOutcome},
        missed=of.missed,
        amount_minor=of.minor.total(),
        won_minor=of.minor[DisputeOutcome.WON],
        lost_minor=sum(of.minor[outcome] for outcome in back),
        fees_minor=dict(sorted(of.fees.items())),
    )


def _by_evidence(connection: Connection, conditions: Iterable[sa.ColumnElement[bool]]) -> tuple[EvidenceFigure, ...]:
    """Answers of ours that went out, by the fields they held; an erased text no longer says which it was."""
    sent = sa.and_(
        dispute_answers.c.account == disputes.c.account,
        dispute_answers.c.dispute_id == disputes.c.dispute_id,
        dispute_answers.c.kind == AnswerKind.SEND,
        dispute_answers.c.stage == Stage.CHARGEBACK,
        dispute_answers.c.state == AnswerState.DONE,
    )
    rows = connection.execute(
        sa.select(disputes.c.outcome, dispute_answers.c.id, dispute_answers.c.fields, dispute_answers.c.files)
        .select_from(disputes.outerjoin(dispute_answers, sent))
        .where(*conditions, disputes.c.kind.in_((DisputeKind.CHARGEBACK, DisputeKind.COMPLIANCE)))
    )
    ends: dict[str, Counter[str | None]] = defaultdict(Counter)
    for row in rows:
        names = [NO_ANSWER] if row.id is None else sorted({*_names(row.fields), *_names(row.files)})
        for name in names:
            ends[name][row.outcome] += 1
    found = [
        EvidenceFigure(
            evidence=name,
            count=of.total(),
            open=of[None],
            won=of[DisputeOutcome.WON.value],
            lost=of[DisputeOutcome.LOST.value],
        )
        for name, of in ends.items()
    ]
    return tuple(sorted(found, key=lambda one: (-one.count, one.evidence)))


def _names(stored: str | None) -> Iterable[str]:
    told: Any = json.loads(stored) if stored else {}
    return told if isinstance(told, dict) else ()


def _conditions(filters: FigureFilter) -> list[sa.ColumnElement[bool]]:
    conditions: list[sa.ColumnElement[bool]] = [disputes.c.kind.is_not(None)]
    if filters.account is not None:
        conditions.append(disputes.c.account == filters.account)
    if filters.since is not None:
        conditions.append(disputes.c.created_at >= filters.since)
    if filters.until is not None:
        conditions.append(disputes.c.created_at < filters.until)
    return conditions


def _rate(won: int, lost: int) -> float | None:
    return won / (won + lost) if won + lost else None
