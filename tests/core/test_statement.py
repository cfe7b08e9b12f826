"""A month's statement ties to the cent under any history, and whatever does not tie is a break with a name."""

from collections import Counter
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Final

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from billingbot.core.books.drawing import draw
from billingbot.core.books.journal import Book, journal, lines, totals
from billingbot.core.books.month import Month
from billingbot.core.books.settlement import BalanceTransaction, Movement, movement_of, settles
from billingbot.core.books.statement import (
    Amount,
    BookedDispute,
    BookedRefund,
    BreakName,
    Frame,
    Records,
    Statement,
    Told,
)
from billingbot.core.canonical import canonical_bytes
from billingbot.core.errors import InputError
from billingbot.core.refund import RefundState

SINCE: Final = datetime(2026, 3, 1, tzinfo=UTC)
UNTIL: Final = datetime(2026, 4, 1, tzinfo=UTC)
MARCH: Final = Frame(account="main", month="2026-03", zone="UTC", since=SINCE, until=UNTIL, follows=None)
APRIL: Final = replace(
    MARCH, month="2026-04", since=UNTIL, until=datetime(2026, 5, 1, tzinfo=UTC), follows="sha256:march"
)
_CATEGORIES: Final = {
    Movement.REFUND: "refund",
    Movement.RETURNED: "refund_failure",
    Movement.WITHDRAWN: "dispute",
    Movement.REINSTATED: "dispute_reversal",
}


def moved(name: str, movement: Movement, source: str, amount: int, **how: object) -> BalanceTransaction:
    """A balance transaction in the middle of March."""
    at = SINCE + timedelta(days=14)
    fields: dict[str, object] = {
        "id": name,
        "movement": movement,
        "type": "adjustment",
        "category": _CATEGORIES[movement],
        "source": source,
        "amount_minor": amount,
        "fee_minor": 0,
        "currency": "usd",
        "exchange_rate": None,
        "created_at": at,
        "available_on": at + timedelta(days=2),
        "status": "available",
    }
    return BalanceTransaction(**(fields | how))  # type: ignore[arg-type] # names and values belong together


def booked(number: int, amount: Amount, state: RefundState = RefundState.SUCCEEDED) -> BookedRefund:
    """A refund as our books and the ledger have it."""
    return BookedRefund(
        id=f"rfd_{number}",
        source=f"re_{number}",
        charge_id=f"ch_{number}",
        amount=amount,
        state=state,
        origin="policy",
        clause="unused-trial",
        decided_by="policy:refunds@7",
        told=Told(seq=number + 1, amount=amount),
    )


@dataclass(frozen=True, kw_only=True)
class History:
    """What happened, and in how many ways the three books differ about it."""

    records: Records
    faults: Counter[BreakName]


amounts = st.integers(1, 10**9)
RATES: Final = {"usd": None, "eur": Decimal("1.0834"), "jpy": Decimal("0.0067"), "kwd": Decimal("3.257")}


@st.composite
def histories(draw_: st.DrawFn, *, faulty: bool = True) -> History:  # noqa: C901, PLR0912, PLR0915 - one flaw after the other
    transactions: list[BalanceTransaction] = []
    refunds: dict[str, BookedRefund] = {}
    unsettled: list[BookedRefund] = []
    disputes: dict[str, BookedDispute] = {}
    faults: Counter[BreakName] = Counter()
    flaw = st.sampled_from(["none", "alone", "twice", "differs", "unledgered", "misledgered", "unmoved"])
    for number in range(draw_(st.integers(0, 8))):
        amount = Amount(minor=draw_(amounts), currency=draw_(st.sampled_from(sorted(RATES))))
        rate = RATES[amount.currency]
        digits = {"usd": 0, "eur": 0, "jpy": 2, "kwd": -1}[amount.currency]
        settled = int((Decimal(amount.minor).scaleb(digits) * (rate or 1)).quantize(Decimal(1)))
        fails = draw_(st.booleans())
        refund = booked(number, amount, RefundState.FAILED if fails else RefundState.SUCCEEDED)
        wrong = draw_(flaw) if faulty else "none"
        went = moved(f"txn_{number}", Movement.REFUND, refund.source, -settled, exchange_rate=rate)
        back = replace(went, id=f"txb_{number}", movement=Movement.RETURNED, amount_minor=settled)
        match wrong:
            case "alone":
                faults[BreakName.STRIPE_ALONE] += 1 + fails
            case "twice":
                transactions.append(replace(went, id=f"txt_{number}"))
                faults[BreakName.STRIPE_TWICE] += 1
            case "differs":
                # Well beyond what rounding of a rate explains.
                went = replace(went, amount_minor=-(settled * 2 + 1000))
                faults[BreakName.AMOUNT_DIFFERS] += 1
            case "unledgered":
                refund = replace(refund, told=None)
                faults[BreakName.LEDGER_LACKS] += 1 + fails
            case "misledgered":
                refund = replace(refund, told=Told(seq=1, amount=replace(amount, minor=amount.minor + 1)))
                faults[BreakName.LEDGER_DIFFERS] += 1 + fails
            case "unmoved":
                unsettled.append(refund)
                faults[BreakName.RETURN_LACKS if fails else BreakName.STRIPE_LACKS] += 1
        if wrong != "alone":
            refunds[refund.source] = refund
        if wrong != "unmoved" or fails:
            transactions.append(went)
        if fails and wrong != "unmoved":
            transactions.append(back)
    for number in range(draw_(st.integers(0, 4))):
        name, amount_minor, fee = f"du_{number}", draw_(amounts), draw_(st.sampled_from([0, 1500]))
        of_it = [moved(f"txw_{number}", Movement.WITHDRAWN, name, -amount_minor, fee_minor=fee)]
        if draw_(st.booleans()):
            of_it.append(moved(f"txr_{number}", Movement.REINSTATED, name, amount_minor, fee_minor=-fee))
        net = sum(one.net_minor for one in of_it)
        wrong = draw_(st.sampled_from(["none", "alone", "differs"])) if faulty else "none"
        if wrong == "alone":
            faults[BreakName.DISPUTE_ALONE] += 1
        else:
            faults[BreakName.DISPUTE_DIFFERS] += wrong == "differs"
            ours = net + 1 if wrong == "differs" else net
            disputes[name] = BookedDispute(
                id=name, charge_id=f"ch_d{number}", reason="fraudulent", net_minor=ours, currency="usd"
            )
        transactions += of_it
    whole: dict[str, list[BalanceTransaction]] = {}
    for one in transactions:
        whole.setdefault(str(one.source), []).append(one)
    records = Records(
        transactions=tuple(draw_(st.permutations(transactions))),
        whole={name: tuple(of_it) for name, of_it in whole.items()},
        refunds=refunds,
        disputes=disputes,
        unsettled=tuple(unsettled),
        under_way=(),
        opening=(Amount(minor=draw_(st.integers(-(10**9), 10**9)), currency="usd"),),
        unreadable=0,
    )
    return History(records=records, faults=+faults)


@given(histories())
def test_the_closing_is_the_opening_and_every_cent_that_moved(history: History) -> None:
    drawn = draw(MARCH, history.records)
    net: Counter[str] = Counter({one.currency: one.minor for one in history.records.opening})
    for one in history.records.transactions:
        net[one.currency] += one.net_minor
    assert {line.currency: line.closing_minor for line in drawn.lines} == dict(net)


@given(histories())
def test_every_difference_is_a_break_and_no_break_is_made_up(history: History) -> None:
    drawn = draw(MARCH, history.records)
    assert Counter(one.name for one in drawn.breaks) == history.faults


@given(histories())
def test_the_breaks_explain_the_differences_to_the_cent(history: History) -> None:
    drawn = draw(MARCH, history.records)
    of_ledger = {BreakName.LEDGER_LACKS, BreakName.LEDGER_DIFFERS}
    for tie in drawn.ties:
        by_stripe = by_ledger = 0
        for one in drawn.breaks:
            if one.what is not tie.what:
                continue
            gap = sum(side.minor for side in (one.other,) if side and side.currency == tie.currency)
            gap -= sum(side.minor for side in (one.books,) if side and side.currency == tie.currency)
            if one.name in of_ledger:
                by_ledger += gap
            else:
                by_stripe += gap
        assert tie.stripe_minor - tie.books_minor == by_stripe
        assert tie.ledger_minor - tie.books_minor == by_ledger


@given(histories(faulty=False))
def test_where_all_agree_the_three_books_are_equal(history: History) -> None:
    drawn = draw(MARCH, history.records)
    assert drawn.breaks == ()
    assert all(tie.ledger_minor == tie.books_minor == tie.stripe_minor for tie in drawn.ties)


@given(histories(), st.data())
def test_wherever_months_are_cut_and_however_late_news_comes_nothing_is_lost_or_counted_twice(
    history: History, data: st.DataObject
) -> None:
    march, april = [], []
    for one in history.records.transactions:
        at = SINCE + timedelta(days=data.draw(st.integers(0, 60)))
        dated = replace(one, created_at=at)
        is_late = data.draw(st.booleans())
        (april if at >= UNTIL or is_late else march).append(dated)
    first = draw(MARCH, replace(history.records, transactions=tuple(march)))
    opening = tuple(Amount(minor=line.closing_minor, currency=line.currency) for line in first.lines)
    second = draw(APRIL, replace(history.records, transactions=tuple(april), opening=opening))
    whole = draw(MARCH, history.records)
    assert {one.currency: one.closing_minor for one in second.lines} == {
        one.currency: one.closing_minor for one in whole.lines
    }
    assert all(row.belongs_to == "2026-03" and row.at < UNTIL for row in second.adjustments)
    assert sum(line.adjustments.count for line in second.lines) == len(second.adjustments)


@given(histories())
def test_the_same_records_give_the_same_bytes_and_they_can_be_read_again(history: History) -> None:
    drawn = draw(MARCH, history.records)
    shuffled = replace(history.records, transactions=tuple(reversed(history.records.transactions)))
    content = canonical_bytes(drawn)
    assert canonical_bytes(draw(MARCH, shuffled)) == content
    assert msgspec.json.decode(content, type=Statement) == drawn


@given(histories())
def test_the_journal_balances_and_its_balance_account_moves_as_the_statement_does(history: History) -> None:
    drawn = draw(MARCH, history.records)
    entries = journal(drawn)
    for entry in entries:
        assert sum(line.debit_minor - line.credit_minor for line in lines(entry)) == 0
        assert SINCE.date() <= entry.on < UNTIL.date()
    moves = {
        line.currency: line.debit_minor - line.credit_minor
        for line in totals(entries)
        if line.book is Book.STRIPE_BALANCE
    }
    for one in drawn.lines:
        assert moves.get(one.currency, 0) == one.closing_minor - one.opening_minor


def test_an_adjustment_is_booked_in_the_month_that_is_open() -> None:
    late = moved("txn_1", Movement.REFUND, "re_1", -4900)
    records = Records(
        transactions=(late,),
        whole={"re_1": (late,)},
        refunds={"re_1": booked(1, Amount(minor=4900, currency="usd"))},
        disputes={},
        unsettled=(),
        under_way=(),
        opening=(),
        unreadable=0,
    )
    [entry] = journal(draw(APRIL, records))
    assert (entry.on, entry.told) == (UNTIL.date(), "Refund, adjustment of 2026-03")


def test_what_stripe_listed_and_nobody_could_read_is_a_break() -> None:
    nothing = Records(
        transactions=(), whole={}, refunds={}, disputes={}, unsettled=(), under_way=(), opening=(), unreadable=2
    )
    [found] = draw(MARCH, nothing).breaks
    assert found.name is BreakName.UNREADABLE
    assert found.told.startswith("2 of Stripe's balance transactions")


@pytest.mark.parametrize(
    ("settled", "currency", "rate", "amount", "own", "agrees"),
    [
        (-4900, "usd", None, 4900, "usd", True),
        (-4899, "usd", None, 4900, "usd", False),
        (-5309, "usd", "1.0834", 4900, "eur", True),
        (-5400, "usd", "1.0834", 4900, "eur", False),
        (-3283, "usd", "0.0067", 4900, "jpy", True),
        (-1596, "usd", "3.257", 4900, "kwd", True),
        (-5309, "usd", None, 4900, "eur", False),
        # Recorded from Stripe: a refund in one currency, settled in Australian dollars.
        (-52, "aud", "1.57152", 33, "usd", True),
    ],
)
def test_an_amount_is_settled_where_it_is_equal_or_converted_at_the_rate(
    settled: int, currency: str, rate: str | None, amount: int, own: str, agrees: bool
) -> None:
    how = {"currency": currency, "exchange_rate": Decimal(rate) if rate else None}
    assert settles(moved("txn_1", Movement.REFUND, "re_1", settled, **how), amount, own) is agrees


def test_a_category_that_stripe_adds_moves_nothing_of_ours() -> None:
    assert movement_of("minimum_balance_hold") is Movement.OTHER


@pytest.mark.parametrize("text", ["2026-13", "2026-3", "26-03", "2026-00", "march", "2026-03-01", ""])
def test_what_is_no_month_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="expected a month such as 2026-03"):
        Month.parse(text)


def test_a_month_begins_by_the_clocks_of_its_zone() -> None:
    march = Month.parse("2026-03")
    assert march.begins("Europe/Berlin") == datetime(2026, 2, 28, 23, tzinfo=UTC)
    assert march.ends("Europe/Berlin") == datetime(2026, 3, 31, 22, tzinfo=UTC)  # an hour less: summer time began
    assert Month.of(datetime(2026, 3, 31, 22, tzinfo=UTC), "Europe/Berlin") == march.next()
    assert (Month(2026, 12).next(), Month(2026, 1).previous()) == (Month(2027, 1), Month(2025, 12))
