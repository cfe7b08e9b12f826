"""The refund log in the console: filters, sums, drilling down, files; and the life of one refund."""

import csv
import io
from datetime import UTC, datetime

import openpyxl
import pyarrow.parquet as pq
import pytest

from billingbot.core.access.powers import Role
from billingbot.core.form import Form
from billingbot.papers.sheets import Column, Holds, Sheet, written
from tests.console.conftest import Client, Console, SignedIn
from tests.flows.test_answering import disputed
from tests.flows.test_months import refunded, settle


def paid(console: Console) -> str:
    """A refund that is settled; our id of it."""
    charge = refunded(console.shop)
    settle(console.shop)
    return str(console.shop.refunds_of(charge)[0].id)


def test_the_log_shows_who_decided_on_what_evidence_and_what_it_cost(console: Console, signed_in: SignedIn) -> None:
    refund = paid(console)
    page = signed_in(Role.FINANCE).get("/refunds").text
    [decision] = console.shop.rows("SELECT facts_digest FROM decisions WHERE purpose = 'assess'")
    assert f'href="/refunds/{refund}"' in page
    assert decision.facts_digest in page
    assert "−49.00" in page or "-49.00" in page
    assert "policy" in page


def test_a_filter_finds_its_rows_and_the_sums_follow(console: Console, signed_in: SignedIn) -> None:
    console.shop.stripe.settle("eur", "usd", "1.0834")
    dollars = paid(console)
    euros = str(console.shop.refunds_of(refunded(console.shop, currency="eur"))[0].id)
    settle(console.shop)
    finance = signed_in(Role.FINANCE)
    whole = finance.get("/refunds").text
    assert dollars in whole
    assert euros in whole
    only = finance.get("/refunds?currency=eur").text
    assert euros in only
    assert dollars not in only
    assert "53.09" in only  # what left the balance, in its own currency
    [row] = console.shop.rows("SELECT clause, decided_by FROM refunds WHERE id = :id", id=dollars)
    for asked in (f"clause={row.clause}", f"person={row.decided_by}", "state=succeeded", "origin=policy"):
        assert dollars in finance.get(f"/refunds?{asked}").text
    for asked in ("clause=none", "person=nobody", "state=failed", "origin=external", "month=2020-01"):
        page = finance.get(f"/refunds?{asked}").text
        assert dollars not in page
        assert "No refund is like this." in page


def test_a_bar_leads_to_its_rows(console: Console, signed_in: SignedIn) -> None:
    refund = paid(console)
    finance = signed_in(Role.FINANCE)
    today = f"{datetime.now(UTC):%Y-%m-%d}"
    assert "/refunds/plots/drawn?state=succeeded" in finance.get("/refunds/plots?state=succeeded").text
    assert f"/refunds?day={today}" in finance.get("/refunds/plots/drawn").text
    assert finance.get("/refunds/plots/drawn?month=all&currency=usd").status_code == 200
    assert refund in finance.get(f"/refunds?day={today}").text
    assert refund not in finance.get("/refunds?day=2020-02-29").text


def test_what_disputes_cost_follows_the_currency(console: Console, signed_in: SignedIn) -> None:
    disputed(console.shop)
    settle(console.shop)
    finance = signed_in(Role.FINANCE)
    assert "Disputes cost nothing" not in finance.get("/refunds/plots/drawn?currency=usd").text
    assert "Disputes cost nothing" in finance.get("/refunds/plots/drawn?currency=eur").text


def test_the_sums_of_all_time_follow_the_log(console: Console, signed_in: SignedIn) -> None:
    refund = paid(console)
    finance = signed_in(Role.FINANCE)
    page = finance.get("/refunds?month=all&state=succeeded").text
    assert refund in page
    assert "/refunds/totals?month=all&amp;state=succeeded" in page
    sums = finance.get("/refunds/totals?month=all&state=succeeded").text
    assert "49.00" in sums
    assert "49.00" not in finance.get("/refunds/totals?month=all&state=failed").text


@pytest.mark.parametrize(
    "asked", ["month=2020-13", "day=1999-12-31", "currency=EURO", "state=gone", "colour=red", "after=x"]
)
def test_what_no_filter_takes_is_refused_by_a_page(signed_in: SignedIn, asked: str) -> None:
    answer = signed_in(Role.FINANCE).get(f"/refunds?{asked}")
    assert answer.status_code == 422
    assert "That cannot be used" in answer.text


def test_one_refund_from_intent_to_settlement(console: Console, signed_in: SignedIn) -> None:
    refund = paid(console)
    [attempt] = console.shop.rows("SELECT key FROM refund_attempts")
    page = signed_in(Role.SUPPORT).get(f"/refunds/{refund}").text
    for told in (attempt.key, "Paid back to the customer.", "refund intended", "Available", "49.00"):
        assert told in page
    assert signed_in(Role.SUPPORT).get("/refunds/rfd_00000000000000000000000000").status_code == 404


def export(client: Client, form: Form, asked: str = "") -> bytes:
    answer = client.get(f"/refunds/export/{form}{asked}")
    assert answer.status_code == 200
    assert f".{form}" in answer.headers["content-disposition"]
    return answer.content


def test_the_log_as_a_file_in_three_forms_says_the_same(console: Console, signed_in: SignedIn) -> None:
    refund = paid(console)
    finance = signed_in(Role.FINANCE)
    [row] = csv.DictReader(io.StringIO(export(finance, Form.CSV).decode()))
    assert (row["refund"], row["amount"], row["currency"]) == (refund, "49.00", "USD")
    assert (row["settled_amount"], row["settled_net"]) == ("-49.00", "-49.00")
    sheet = openpyxl.load_workbook(io.BytesIO(export(finance, Form.XLSX))).active
    assert sheet is not None
    head, first = list(sheet.iter_rows(values_only=True))
    in_sheet = dict(zip(head, first, strict=True))
    assert (in_sheet["refund"], in_sheet["amount"], in_sheet["currency"]) == (refund, 49, "USD")
    assert sheet.freeze_panes == "A2"
    table = pq.read_table(io.BytesIO(export(finance, Form.PARQUET)))
    [record] = table.to_pylist()
    assert (record["refund"], str(record["amount"]), record["currency"]) == (refund, "49.000", "USD")
    assert str(table.schema.field("amount").type) == "decimal128(24, 3)"
    assert str(table.schema.field("intended_at").type) == "timestamp[us, tz=UTC]"
    assert table.schema.field("amount").metadata == {b"told": b"in units of currency"}
    assert table.schema.names == list(head) == list(row)


def test_an_export_follows_the_filter(console: Console, signed_in: SignedIn) -> None:
    paid(console)
    lines = export(signed_in(Role.FINANCE), Form.CSV, "?month=2020-01").decode().splitlines()
    assert len(lines) == 1


@pytest.mark.parametrize("form", [Form.CSV, Form.XLSX])
@pytest.mark.parametrize("text", ["=1+1", "+49", "-cmd|' /C calc'!A0", "@SUM(A1)", "\tx", "\uff1d1+1"])
def test_no_cell_is_a_formula(form: Form, text: str) -> None:
    columns = (Column(name="text", holds=Holds.TEXT, told="what somebody wrote"),)
    content = b"".join(written(Sheet(name="x", columns=columns, rows=[(text,)]), form))
    if form is Form.CSV:
        cell = list(csv.reader(io.StringIO(content.decode())))[1][0]
    else:
        sheet = openpyxl.load_workbook(io.BytesIO(content)).active
        assert sheet is not None
        assert sheet["A2"].data_type == "s"
        cell = str(sheet["A2"].value)
    assert cell == f"'{text}"


def test_ten_thousand_rows_leave_piece_by_piece() -> None:
    columns = (Column(name="number", holds=Holds.COUNT, told="a count"),)
    pieces = list(written(Sheet(name="x", columns=columns, rows=((n,) for n in range(100_000))), Form.CSV))
    assert len(pieces) > 5
    assert b"".join(pieces).count(b"\r\n") == 100_001
