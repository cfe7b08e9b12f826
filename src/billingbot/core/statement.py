"""The statement of a month: ledger, refunds and Stripe's balance transactions side by side, to the cent, with every
difference as a break that has a name."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from billingbot.core.month import Month
from billingbot.core.refund import ENDED_BADLY, RefundState
from billingbot.core.settlement import BalanceTransaction, Movement, settles

VERSION: Final = 1
"""Of the statement's form: what was signed years ago has to be read as it was meant."""


class BreakName(StrEnum):
    """How ledger, books and Stripe can differ."""

    STRIPE_ALONE = "stripe_alone"
    """Stripe moved money for a refund that our books do not have."""
    STRIPE_LACKS = "stripe_lacks"
    """Our books have a refund as succeeded, and Stripe moved no money for it."""
    STRIPE_TWICE = "stripe_twice"
    """Stripe moved money twice for one refund."""
    AMOUNT_DIFFERS = "amount_differs"
    LEDGER_LACKS = "ledger_lacks"
    """No entry of the ledger tells of the refund."""
    LEDGER_DIFFERS = "ledger_differs"
    RETURN_ALONE = "return_alone"
    """The money came back, and our books do not have the refund as failed."""
    RETURN_LACKS = "return_lacks"
    """Our books have the refund as failed, and the money never came back."""
    DISPUTE_ALONE = "dispute_alone"
    DISPUTE_DIFFERS = "dispute_differs"
    UNREADABLE = "unreadable"
    """Stripe listed a transaction that could not be read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Amount:
    """Minor units of one currency."""

    minor: int
    currency: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What the ledger's newest entry about a refund at Stripe says."""

    seq: int
    amount: Amount


@dataclass(frozen=True, slots=True, kw_only=True)
class BookedRefund:
    """A refund as our books have it, with what the ledger tells of it."""

    id: str
    source: str
    """Stripe's id."""
    charge_id: str
    amount: Amount
    state: RefundState
    origin: str
    clause: str | None
    decided_by: str
    told: Told | None


@dataclass(frozen=True, slots=True, kw_only=True)
class BookedDispute:
    """A dispute as our books have it; `net_minor` is what all its transactions came to, None where nobody read it."""

    id: str
    charge_id: str
    reason: str
    net_minor: int | None
    currency: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Records:
    """All that a statement is drawn from.

    `transactions` are those of the month, and older ones that no signed statement holds; `whole` all that is known
    of each source, whenever; `unsettled` refunds of the month that succeeded, and failed ones of the last months,
    whose money is not in `whole` as it should be.
    """

    transactions: tuple[BalanceTransaction, ...]
    whole: Mapping[str, tuple[BalanceTransaction, ...]]
    refunds: Mapping[str, BookedRefund]
    disputes: Mapping[str, BookedDispute]
    unsettled: tuple[BookedRefund, ...]
    under_way: tuple[BookedRefund, ...]
    """Refunds of the month that Stripe has accepted and moved no money for yet."""
    opening: tuple[Amount, ...]
    unreadable: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One balance transaction in the statement. Signed minor units of `currency`; what left is negative."""

    transaction: str
    at: datetime
    movement: Movement
    source: str | None
    amount_minor: int
    fee_minor: int
    currency: str
    exchange_rate: str | None
    available_on: datetime
    refund: str | None
    charge: str | None
    own: Amount | None
    """The amount in the refund's or the dispute's own currency, as our books have it."""
    state: str | None
    clause: str | None
    decided_by: str | None
    ledger_seq: int | None
    belongs_to: str | None
    """The earlier month that it is dated in, where that one was signed without it: an adjustment."""

    @property
    def net_minor(self) -> int:
        """What it did to the balance."""
        return self.amount_minor - self.fee_minor


@dataclass(frozen=True, slots=True, kw_only=True)
class Sum:
    """So many rows, and what they come to."""

    count: int = 0
    minor: int = 0

    def plus(self, minor: int) -> "Sum":
        """With one row more."""
        return Sum(count=self.count + 1, minor=self.minor + minor)


@dataclass(frozen=True, slots=True, kw_only=True)
class CurrencyLine:
    """One currency of the account's balance. `closing_minor` is the opening and all that stands between, added."""

    currency: str
    opening_minor: int
    refunds: Sum
    returned: Sum
    withdrawn: Sum
    reinstated: Sum
    refund_fees_minor: int
    dispute_fees_minor: int
    adjustments: Sum
    """Rows dated in earlier, signed months, with their fees; they are in none of the sums above."""
    closing_minor: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Tie:
    """One currency of refunds, as the three books have it. Without breaks the three are equal."""

    what: Movement
    currency: str
    ledger_minor: int
    books_minor: int
    stripe_minor: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Refunds of the statement by their state today, in their own currency."""

    state: str
    currency: str
    count: int
    minor: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Break:
    """One difference: what our books say, what the other side says, and the sentence for a person."""

    name: BreakName
    object_id: str
    refund: str | None
    what: Movement | None
    """Which tie it breaks, if one."""
    books: Amount | None
    other: Amount | None
    told: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """A month of one account, whole: its canonical bytes are what is signed."""

    version: int
    account: str
    month: str
    zone: str
    since: datetime
    until: datetime
    follows: str | None
    """The digest of the signed statement before it; None for the first."""
    lines: tuple[CurrencyLine, ...]
    ties: tuple[Tie, ...]
    standings: tuple[Standing, ...]
    under_way: tuple[Standing, ...]
    breaks: tuple[Break, ...]
    rows: tuple[Row, ...]

    @property
    def adjustments(self) -> tuple[Row, ...]:
        """Later truths about months that were signed."""
        return tuple(row for row in self.rows if row.belongs_to is not None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """Which statement is drawn."""

    account: str
    month: str
    zone: str
    since: datetime
    until: datetime
    follows: str | None


def draw(frame: Frame, records: Records) -> Statement:
    """The statement. Pure: the same records give the same bytes."""
    rows = tuple(
        _row(frame, one, records) for one in sorted(records.transactions, key=lambda one: (one.created_at, one.id))
    )
    scale = _Scale()
    breaks = [*_tie_transactions(records, scale), *_tie_absent(records, scale), *_tie_disputes(records)]
    if records.unreadable:
        told = (
            f"{records.unreadable} of Stripe's balance transactions could not be read: what they moved is not in here"
        )
        breaks.append(_break(BreakName.UNREADABLE, "balance_transactions", None, None, told=told))
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
        ties=scale.ties(),
        standings=_standings(in_it),
        under_way=_standings(records.under_way),
        breaks=tuple(sorted(breaks, key=lambda one: (one.name, one.object_id))),
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


class _Scale:
    """What the three books say, added up by movement and currency."""

    def __init__(self) -> None:
        self._sides: dict[tuple[Movement, str], list[int]] = defaultdict(lambda: [0, 0, 0])

    def ledger(self, what: Movement, amount: Amount | None) -> None:
        self._add(what, 0, amount)

    def books(self, what: Movement, amount: Amount | None) -> None:
        self._add(what, 1, amount)

    def stripe(self, what: Movement, amount: Amount | None) -> None:
        self._add(what, 2, amount)

    def _add(self, what: Movement, side: int, amount: Amount | None) -> None:
        if amount is not None:
            self._sides[what, amount.currency][side] += amount.minor

    def ties(self) -> tuple[Tie, ...]:
        return tuple(
            Tie(what=what, currency=currency, ledger_minor=sides[0], books_minor=sides[1], stripe_minor=sides[2])
            for (what, currency), sides in sorted(self._sides.items())
        )


def _tie_transactions(records: Records, scale: _Scale) -> Iterator[Break]:
    seen: set[tuple[str, Movement]] = set()
    for one in sorted(records.transactions, key=lambda one: (one.created_at, one.id)):
        if one.movement not in {Movement.REFUND, Movement.RETURNED}:
            continue
        what, settled = one.movement, Amount(minor=abs(one.amount_minor), currency=one.currency)
        refund = records.refunds.get(one.source or "")
        if refund is None:
            scale.stripe(what, settled)
            told = f"Stripe moved money for {one.source or 'nothing it names'}, and our books have no such refund"
            yield _break(BreakName.STRIPE_ALONE, one.id, None, what, other=settled, told=told)
            continue
        if (refund.source, what) in seen:
            scale.stripe(what, settled)
            told = f"a second transaction for {refund.source}"
            yield _break(BreakName.STRIPE_TWICE, one.id, refund, what, other=settled, told=told)
            continue
        seen.add((refund.source, what))
        yield from _tie_refund(one, refund, what, settled, scale)


def _tie_refund(
    one: BalanceTransaction, refund: BookedRefund, what: Movement, settled: Amount, scale: _Scale
) -> Iterator[Break]:
    is_back = what is Movement.RETURNED
    if is_back and refund.state not in ENDED_BADLY:
        scale.stripe(what, settled)
        told = f"the money came back, and our books have the refund as {refund.state}"
        yield _break(BreakName.RETURN_ALONE, one.id, refund, what, other=settled, told=told)
        return
    scale.books(what, refund.amount)
    if settles(one, refund.amount.minor, refund.amount.currency):
        scale.stripe(what, refund.amount)
    else:
        scale.stripe(what, settled)
        told = "Stripe moved another amount than our books have"
        yield _break(BreakName.AMOUNT_DIFFERS, one.id, refund, what, books=refund.amount, other=settled, told=told)
    yield from _tie_ledger(refund, what, scale)


def _tie_ledger(refund: BookedRefund, what: Movement, scale: _Scale) -> Iterator[Break]:
    told = refund.told
    scale.ledger(what, told.amount if told else None)
    if told is None:
        says = "no entry of the ledger tells that Stripe took it"
        yield _break(BreakName.LEDGER_LACKS, refund.id, refund, what, books=refund.amount, told=says)
    elif told.amount != refund.amount:
        says = f"entry {told.seq} of the ledger tells another amount"
        yield _break(
            BreakName.LEDGER_DIFFERS, refund.id, refund, what, books=refund.amount, other=told.amount, told=says
        )


def _tie_absent(records: Records, scale: _Scale) -> Iterator[Break]:
    for refund in records.unsettled:
        moved = {one.movement for one in records.whole.get(refund.source, ())}
        if refund.state in ENDED_BADLY and Movement.REFUND in moved and Movement.RETURNED not in moved:
            name, what = BreakName.RETURN_LACKS, Movement.RETURNED
            says = f"the refund is {refund.state}, and Stripe has not given the money back"
        elif refund.state is RefundState.SUCCEEDED and Movement.REFUND not in moved:
            name, what = BreakName.STRIPE_LACKS, Movement.REFUND
            says = "our books have it as succeeded, and Stripe has moved no money"
        else:
            continue
        scale.books(what, refund.amount)
        yield _break(name, refund.id, refund, what, books=refund.amount, told=says)
        yield from _tie_ledger(refund, what, scale)


def _tie_disputes(records: Records) -> Iterator[Break]:
    moved = {Movement.WITHDRAWN, Movement.REINSTATED}
    for source in sorted({one.source or one.id for one in records.transactions if one.movement in moved}):
        whole = records.whole.get(source) or tuple(
            one for one in records.transactions if (one.source or one.id) == source
        )
        found = _net(whole)
        dispute = records.disputes.get(source)
        if dispute is None:
            told = "a dispute that our books do not have"
            yield _break(BreakName.DISPUTE_ALONE, source, None, None, other=found, told=told)
        elif dispute.net_minor is not None and dispute.currency is not None:
            ours = Amount(minor=dispute.net_minor, currency=dispute.currency)
            if ours != found:
                told = "its transactions come to another amount than our books have"
                yield _break(BreakName.DISPUTE_DIFFERS, source, None, None, books=ours, other=found, told=told)


def _net(transactions: Iterable[BalanceTransaction]) -> Amount | None:
    """What they come to together; None where they are in several currencies."""
    found = list(transactions)
    currencies = {one.currency for one in found}
    if len(currencies) != 1:
        return None
    return Amount(minor=sum(one.net_minor for one in found), currency=currencies.pop())


def _standings(refunds: Iterable[BookedRefund]) -> tuple[Standing, ...]:
    sums: dict[tuple[str, str], Sum] = defaultdict(Sum)
    for refund in refunds:
        key = (refund.amount.currency, refund.state.value)
        sums[key] = sums[key].plus(refund.amount.minor)
    return tuple(
        Standing(state=state, currency=currency, count=one.count, minor=one.minor)
        for (currency, state), one in sorted(sums.items())
    )


def _break(
    name: BreakName,
    object_id: str,
    refund: BookedRefund | None,
    what: Movement | None,
    *,
    told: str,
    books: Amount | None = None,
    other: Amount | None = None,
) -> Break:
    return Break(
        name=name,
        object_id=object_id,
        refund=refund.id if refund else None,
        what=what,
        books=books,
        other=other,
        told=told,
    )
