"""Month close and the ledger in the console: draw, read, sign, download; prove."""

import csv
import hashlib
import html
import io
import json
from collections import defaultdict
from decimal import Decimal

import pytest

from billingbot.core.access.powers import Role
from tests.console.conftest import Client, Console, SignedIn
from tests.flows.test_months import month_at_stripe, refunded, settle


def drawn(console: Console, signed_in: SignedIn) -> tuple[str, str]:
    """A month with a refund, closed through the page; its name, and its statement's digest."""
    refunded(console.shop)
    settle(console.shop)
    month = str(month_at_stripe(console.shop))
    finance = signed_in(Role.FINANCE)
    answer = finance.act("/months/close", account="default", month=month)
    assert "being read" in answer.text
    console.shop.work()
    [row] = console.shop.rows("SELECT digest FROM months")
    return month, row.digest


def test_a_month_is_closed_read_signed_and_frozen_by_finance(console: Console, signed_in: SignedIn) -> None:
    month, digest = drawn(console, signed_in)
    finance = signed_in(Role.FINANCE)
    page = finance.get(f"/months/{month}").text
    for told in ("Ledger, refunds and Stripe agree to the cent.", digest, "Closing", "-49.00", "Sign…"):
        assert told in page
    signed = finance.act(f"/months/{month}/sign", account="default", digest=digest, why="")
    assert "is signed and frozen" in signed.text
    [kept] = console.shop.rows("SELECT ledger_seq AS seq FROM months")
    assert f"Entries {kept.seq} to {kept.seq + 1} are as they were written" in since_signed(finance)
    assert "Sign…" not in signed.text
    again = finance.act("/months/close", account="default", month=month)
    assert again.status_code == 409
    assert "it is signed" in again.text
    [entry] = console.shop.rows("SELECT actor FROM ledger_entries WHERE kind = 'month.signed'")
    assert entry.actor == "finance"
    listed = finance.get("/months").text
    assert f"/months/{month}?account=default" in listed


@pytest.mark.parametrize("role", [Role.SUPPORT, Role.OPS])
def test_others_read_months_and_sign_none(console: Console, signed_in: SignedIn, role: Role) -> None:
    month, digest = drawn(console, signed_in)
    other = signed_in(role)
    assert "Sign…" not in other.get(f"/months/{month}").text
    assert other.act(f"/months/{month}/sign", account="default", digest=digest).status_code == 403
    assert other.act("/months/close", account="default", month=month).status_code == 403


def test_the_statement_as_downloaded_has_the_digest_that_was_signed(console: Console, signed_in: SignedIn) -> None:
    month, digest = drawn(console, signed_in)
    content = signed_in(Role.FINANCE).get(f"/months/{month}/export/json").content
    assert f"sha256:{hashlib.sha256(content).hexdigest()}" == digest
    assert json.loads(content)["month"] == month


def test_the_journal_balances_entry_by_entry(console: Console, signed_in: SignedIn) -> None:
    month, _ = drawn(console, signed_in)
    text = signed_in(Role.FINANCE).get(f"/months/{month}/export/journal").text
    balance: dict[str, Decimal] = defaultdict(Decimal)
    rows = list(csv.DictReader(io.StringIO(text)))
    assert {(row["account"], row["debit"], row["credit"]) for row in rows} == {
        ("4900", "49.00", ""),
        ("1150", "", "49.00"),
    }
    for row in rows:
        balance[row["entry"]] += Decimal(row["debit"] or 0) - Decimal(row["credit"] or 0)
    assert set(balance.values()) == {Decimal(0)}


@pytest.mark.parametrize("form", ["csv", "xlsx", "parquet"])
def test_the_rows_of_a_statement_leave_in_every_form(console: Console, signed_in: SignedIn, form: str) -> None:
    month, _ = drawn(console, signed_in)
    answer = signed_in(Role.FINANCE).get(f"/months/{month}/export/{form}")
    assert answer.status_code == 200
    assert len(answer.content) > 100


def test_a_month_that_nobody_closed_says_so(signed_in: SignedIn) -> None:
    answer = signed_in(Role.FINANCE).get("/months/2020-01")
    assert answer.status_code == 404
    assert "January 2020 of default: it has not been closed yet" in answer.text


def test_the_ledger_is_filtered_verified_in_steps_and_its_head_kept(console: Console, signed_in: SignedIn) -> None:
    refunded(console.shop)
    support = signed_in(Role.SUPPORT)
    [last] = console.shop.rows("SELECT seq, hash FROM ledger_entries ORDER BY seq DESC LIMIT 1")
    page = support.get("/ledger").text
    assert last.hash in page
    only = support.get("/ledger?kind=refund.intended").text
    assert "refund intended" in only
    assert "case opened</td>" not in only
    assert f"entry {last.seq}\nsha256 {last.hash}" in support.get("/ledger/head.txt").text
    assert "All " in support.get("/ledger/verification").text
    assert "holds" in support.get(f"/ledger/{last.seq}").text
    assert support.get(f"/ledger/{last.seq + 1}").status_code == 404


def test_a_touched_entry_is_found_by_whoever_looks(console: Console, signed_in: SignedIn) -> None:
    refunded(console.shop)
    with console.shop.owner.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE ledger_entries DISABLE TRIGGER ALL")
        connection.exec_driver_sql("UPDATE ledger_entries SET actor = 'nobody' WHERE seq = 2")
    support = signed_in(Role.SUPPORT)
    assert "Entry 2 was changed after it was written." in support.get("/ledger/verification").text
    assert "does not hold" in support.get("/ledger/2").text
    assert "does not hold" not in support.get("/ledger/3").text


def test_a_chain_written_anew_does_not_hold_against_the_hash_under_a_signature(
    console: Console, signed_in: SignedIn
) -> None:
    month, digest = drawn(console, signed_in)
    finance = signed_in(Role.FINANCE)
    assert f"Verify since {month} was signed" not in finance.get("/ledger").text
    finance.act(f"/months/{month}/sign", account="default", digest=digest, why="")
    assert f"Verify since {month} was signed" in finance.get("/ledger").text
    [kept] = console.shop.rows("SELECT ledger_seq AS seq FROM months")
    with console.shop.owner.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE ledger_entries DISABLE TRIGGER ALL")
        connection.exec_driver_sql("UPDATE months SET ledger_hash = repeat('1', 64)")
    assert f"Entry {kept.seq} has not the hash that was kept when {month} was signed." in since_signed(finance)


def since_signed(someone: Client) -> str:
    """What the page tells of the entries from the newest signature on."""
    return someone.get("/ledger/verification?kept=true").text


def test_the_bytes_of_an_entry_prove_it_without_us(console: Console, signed_in: SignedIn) -> None:
    refunded(console.shop)
    [entry] = console.shop.rows("SELECT hash FROM ledger_entries WHERE seq = 3")
    page = signed_in(Role.FINANCE).get("/ledger/3").text
    shown = page.rpartition('<pre tabindex="0">')[2].partition("</pre>")[0]
    assert hashlib.sha256(html.unescape(shown).encode()).hexdigest() == entry.hash
