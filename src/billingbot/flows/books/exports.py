"""Exports for finance: the refund log, a statement's rows and its journal, as sheets that are read while they leave."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from billingbot.core.access.powers import Power
from billingbot.core.books.journal import BookCodes, JournalEntry, journal, lines
from billingbot.core.books.statement import Row, Statement
from billingbot.core.errors import InputError
from billingbot.core.form import Form
from billingbot.core.money import minor_unit_digits
from billingbot.flows.desk import Desk
from billingbot.papers.sheets import MOST_XLSX_ROWS, Column, Holds, Sheet
from billingbot.store.database import transaction
from billingbot.store.views.finance import LogFilter, LogLine, log_page, log_totals

# Rows of one short transaction: whoever downloads may be slow, and Postgres does not wait.
_STRETCH: Final = 500


def _text(name: str, told: str) -> Column:
    return Column(name=name, holds=Holds.TEXT, told=told)


def _money(name: str, told: str) -> Column:
    return Column(name=name, holds=Holds.MONEY, told=told)


def _time(name: str, told: str) -> Column:
    return Column(name=name, holds=Holds.TIME, told=told)


REFUND_COLUMNS: Final = (
    _text("refund", "our id"),
    _text("state", "where it stands"),
    _text("origin", "policy, person, or external: made elsewhere and adopted"),
    _text("account", "the Stripe account, by our name"),
    _text("livemode", "yes in live mode"),
    _money("amount", "in units of currency"),
    _text("currency", "of the charge, ISO 4217"),
    _text("charge", "Stripe's charge"),
    _text("stripe_refund", "Stripe's refund"),
    _text("customer", "Stripe's customer"),
    _text("case", "our case"),
    _text("clause", "the clause of the policy"),
    _text("decided_by", "policy:<id>@<version>, or the person"),
    _text("first_approval", "who approved first, where two had to"),
    _text("second_approval", "who approved second"),
    _text("facts_digest", "digest of the facts that the decision saw"),
    _text("policy_digest", "digest of the policy that decided"),
    _time("asked_at", "when the case was opened, UTC"),
    _time("intended_at", "when the refund was decided, UTC"),
    _time("settled_at", "when Stripe told that it succeeded, UTC"),
    _money("settled_amount", "what the balance moved by without fees, in units of settled_currency; negative: it left"),
    _text("settled_currency", "of the account's balance"),
    _money("settled_fee", "what Stripe kept for it"),
    _money("settled_net", "settled_amount less settled_fee"),
    Column(name="exchange_rate", holds=Holds.RATE, told="from currency to settled_currency, where converted"),
    _time("available_on", "when the balance counts it, UTC"),
    _text("balance_transactions", "Stripe's ids"),
    _text("credit_note", "the number of the credit note, where one was made"),
    _text("why", "refusal or failure, where there is one"),
)
STATEMENT_COLUMNS: Final = (
    _text("balance_transaction", "Stripe's id"),
    _time("created_at", "when Stripe made it, UTC"),
    _text("movement", "refund, returned, withdrawn or reinstated"),
    _money("amount", "in units of currency; negative: it left"),
    _money("fee", "what Stripe kept; negative: given back"),
    _money("net", "amount less fee"),
    _text("currency", "of the account's balance"),
    Column(name="exchange_rate", holds=Holds.RATE, told="where converted"),
    _time("available_on", "when the balance counts it, UTC"),
    _text("source", "Stripe's refund or dispute"),
    _text("refund", "our id"),
    _text("charge", "Stripe's charge"),
    _money("own_amount", "the refund's amount in its own currency, by our books"),
    _text("own_currency", "of the charge"),
    _text("state", "the refund's state when the statement was drawn"),
    _text("clause", "the policy's clause, or the dispute's reason"),
    _text("decided_by", "who decided"),
    Column(name="ledger_entry", holds=Holds.COUNT, told="the ledger's entry about it"),
    _text("adjusts", "the signed month that it is dated in, where it is an adjustment"),
)
JOURNAL_COLUMNS: Final = (
    Column(name="date", holds=Holds.DAY, told="in the zone of the books"),
    _text("entry", "Stripe's balance transaction: lines of one entry balance"),
    _text("account", "code in the chart of accounts"),
    _text("name", "what the account is"),
    _money("debit", "in units of currency"),
    _money("credit", "in units of currency"),
    _text("currency", "ISO 4217"),
    _text("text", "what happened"),
    _text("refund", "our id"),
    _text("charge", "Stripe's charge"),
    _text("clause", "the policy's clause, or the dispute's reason"),
)


def refunds_sheet(desk: Desk, filters: LogFilter, form: Form) -> Sheet:
    """The refund log by these filters, newest first. InputError for more rows than a worksheet holds."""
    desk.require(Power.SEE)
    if form is Form.XLSX:
        with transaction(desk.db) as connection:
            count = sum(total.count for total in log_totals(connection, filters))
        if count > MOST_XLSX_ROWS:
            raise InputError("format", f"expected csv or parquet for {count} rows; xlsx holds {MOST_XLSX_ROWS}")
    return Sheet(name="Refunds", columns=REFUND_COLUMNS, rows=_refund_rows(desk, filters))


def statement_sheet(statement: Statement) -> Sheet:
    """The rows of a statement."""
    name = f"{statement.account} {statement.month}"
    return Sheet(name=name, columns=STATEMENT_COLUMNS, rows=map(_statement_row, statement.rows))


def journal_sheet(statement: Statement, codes: BookCodes) -> Sheet:
    """The journal of a statement, a line a row."""
    rows = (row for entry in journal(statement) for row in _journal_rows(entry, codes))
    return Sheet(name=f"Journal {statement.month}", columns=JOURNAL_COLUMNS, rows=rows)


def units(minor: int | None, currency: str | None) -> Decimal | None:
    """Minor units as units of the currency, exact: 4900 of usd is 49.00."""
    if minor is None or currency is None:
        return None
    return Decimal(minor).scaleb(-minor_unit_digits(currency))


def _refund_rows(desk: Desk, filters: LogFilter) -> Iterator[Sequence[Any]]:
    after: str | None = None
    while True:
        with transaction(desk.db) as connection:
            page = log_page(connection, filters, after=after, limit=_STRETCH)
        yield from map(_refund_row, page.items)
        if page.next is None:
            return
        after = page.next


def _refund_row(line: LogLine) -> Sequence[Any]:
    refund, currency = line.refund, line.settled_currency
    fee, amount = line.fee_minor, line.settled_minor
    rates = [one.exchange_rate for one in line.settled if one.exchange_rate is not None]
    available: datetime | None = max((one.available_on for one in line.settled), default=None)
    return (
        refund.id,
        refund.state.value,
        refund.origin.value,
        refund.account,
        "yes" if refund.livemode else "no",
        units(refund.amount_minor, refund.currency),
        refund.currency.upper(),
        refund.charge_id,
        refund.stripe_refund_id,
        line.customer_id,
        refund.case_id,
        refund.clause,
        refund.decided_by,
        line.first,
        line.second,
        line.facts_digest,
        line.policy_digest,
        line.asked_at,
        refund.intended_at,
        refund.settled_at,
        units(amount, currency),
        currency.upper() if currency else None,
        units(fee, currency),
        units(amount - fee, currency) if amount is not None and fee is not None else None,
        rates[0] if rates else None,
        available,
        " ".join(one.id for one in line.settled) or None,
        refund.credit_note_number,
        refund.why,
    )


def _statement_row(row: Row) -> Sequence[Any]:
    return (
        row.transaction,
        row.at,
        row.movement.value,
        units(row.amount_minor, row.currency),
        units(row.fee_minor, row.currency),
        units(row.net_minor, row.currency),
        row.currency.upper(),
        Decimal(row.exchange_rate) if row.exchange_rate else None,
        row.available_on,
        row.source,
        row.refund,
        row.charge,
        units(row.own.minor, row.own.currency) if row.own else None,
        row.own.currency.upper() if row.own else None,
        row.state,
        row.clause,
        row.decided_by,
        row.ledger_seq,
        row.belongs_to,
    )


def _journal_rows(entry: JournalEntry, codes: BookCodes) -> Iterator[Sequence[Any]]:
    for line in lines(entry):
        yield (
            entry.on,
            entry.reference,
            codes.of(line.book),
            line.book.value.replace("_", " "),
            units(line.debit_minor, line.currency) if line.debit_minor else None,
            units(line.credit_minor, line.currency) if line.credit_minor else None,
            line.currency.upper(),
            entry.told,
            entry.refund,
            entry.charge,
            entry.clause,
        )
