"""Ties: each refund and dispute of a month held against ledger, books and Stripe; where they differ, a break."""

from collections import defaultdict
from collections.abc import Iterable, Iterator

from billingbot.core.books.settlement import BalanceTransaction, Movement, settles
from billingbot.core.books.statement import Amount, BookedRefund, Break, BreakName, Records, Tie
from billingbot.core.refund import ENDED_BADLY, RefundState


def tie(records: Records) -> tuple[tuple[Tie, ...], tuple[Break, ...]]:
    """The three sums of each movement and currency, and every difference, sorted by name and object."""
    scale = _Scale()
    breaks = [*_tie_transactions(records, scale), *_tie_absent(records, scale), *_tie_disputes(records)]
    if records.unreadable:
        told = (
            f"{records.unreadable} of Stripe's balance transactions could not be read: what they moved is not in here"
        )
        breaks.append(_break(BreakName.UNREADABLE, "balance_transactions", None, None, told=told))
    return scale.ties(), tuple(sorted(breaks, key=lambda one: (one.name, one.object_id)))


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
