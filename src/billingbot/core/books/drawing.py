"""Drawing: from the records of a month to its statement, line by line and row by row. Pure."""

from collections import defaultdict
from collections.abc import Iterable

from billingbot.core.books.month import Month
from billingbot.core.books.settlement import BalanceTransaction, Movement
from billingbot.core.books.statement import (
    VERSION,
    Amount,
    BookedRefund,
    CurrencyLine,
    Frame,
    Records,
    Row,
    Standing,
    Statement,
    Sum,
)
from billingbot.core.books.ties import tie


def draw(frame: Frame, records: Records) -> Statement:
    """The statement. Pure: the same records give the same bytes."""
    rows = tuple(
        _row(frame, one, records) for one in sorted(records.transactions, key=lambda one: (one.created_at, one.id))
    )
    ties, breaks = tie(records)
    paid = (records.refunds.get(row.source or "") for row in rows if row.movement is Movement.REFUND)
    in_it = [refund for refund in paid if refund is not None]
    return Statement(
        version=VERSION,
        account=frame.account,
        month=frame.month,
        zone=frame.zone,
        since=frame.since,
        until=frame.until,
        follows=frame.follows,
        lines=_lines(rows, records.opening),
        ties=ties,
        standings=_standings(in_it),
        under_way=_standings(records.under_way),
        breaks=breaks,
        rows=rows,
    )


def _row(frame: Frame, one: BalanceTransaction, records: Records) -> Row:
    refund = records.refunds.get(one.source or "")
    dispute = records.disputes.get(one.source or "")
    earlier = one.created_at < frame.since
    return Row(
        transaction=one.id,
        at=one.created_at,
        movement=one.movement,
        source=one.source,
        amount_minor=one.amount_minor,
        fee_minor=one.fee_minor,
        currency=one.currency,
        exchange_rate=str(one.exchange_rate) if one.exchange_rate is not None else None,
        available_on=one.available_on,
        refund=refund.id if refund else None,
        charge=refund.charge_id if refund else dispute.charge_id if dispute else None,
        own=refund.amount if refund else None,
        state=refund.state if refund else None,
        clause=refund.clause if refund else dispute.reason if dispute else None,
        decided_by=refund.decided_by if refund else None,
        ledger_seq=refund.told.seq if refund and refund.told else None,
        belongs_to=str(Month.of(one.created_at, frame.zone)) if earlier else None,
    )


def _lines(rows: Iterable[Row], opening: Iterable[Amount]) -> tuple[CurrencyLine, ...]:
    begins = {amount.currency: amount.minor for amount in opening}
    by_currency: dict[str, list[Row]] = {currency: [] for currency in begins}
    for row in rows:
        by_currency.setdefault(row.currency, []).append(row)
    return tuple(_line(currency, begins.get(currency, 0), by_currency[currency]) for currency in sorted(by_currency))


def _line(currency: str, opening: int, rows: Iterable[Row]) -> CurrencyLine:
    sums: dict[Movement, Sum] = defaultdict(Sum)
    refund_fees = dispute_fees = 0
    adjusted = Sum()
    for row in rows:
        if row.belongs_to is not None:
            adjusted = adjusted.plus(row.net_minor)
            continue
        sums[row.movement] = sums[row.movement].plus(row.amount_minor)
        if row.movement in {Movement.REFUND, Movement.RETURNED}:
            refund_fees -= row.fee_minor
        else:
            dispute_fees -= row.fee_minor
    return CurrencyLine(
        currency=currency,
        opening_minor=opening,
        refunds=sums[Movement.REFUND],
        returned=sums[Movement.RETURNED],
        withdrawn=sums[Movement.WITHDRAWN],
        reinstated=sums[Movement.REINSTATED],
        refund_fees_minor=refund_fees,
        dispute_fees_minor=dispute_fees,
        adjustments=adjusted,
        closing_minor=opening + sum(one.minor for one in sums.values()) + refund_fees + dispute_fees + adjusted.minor,
    )


def _standings(refunds: Iterable[BookedRefund]) -> tuple[Standing, ...]:
    sums: dict[tuple[str, str], Sum] = defaultdict(Sum)
    for refund in refunds:
        key = (refund.amount.currency, refund.state.value)
        sums[key] = sums[key].plus(refund.amount.minor)
    return tuple(
        Standing(state=state, currency=currency, count=one.count, minor=one.minor)
        for (currency, state), one in sorted(sums.items())
    )
