"""Finance from the command line and through the API: the log exported, a month closed, signed and exported, a file."""

import csv
import io
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from pypdf import PdfReader

from billingbot.core.access.powers import ALL, Power
from billingbot.flows.switch import create_key
from billingbot.web.app import make_app
from tests.calls import visitor
from tests.cli.terminal import KEYS, typed
from tests.engines.shared import Database
from tests.flows.conftest import shop as shop  # noqa: PLC0414  # pytest finds the fixture by this name
from tests.flows.shop import Shop
from tests.flows.test_months import month_at_stripe, refunded, settle
from tests.web.street import endpoints, served


@pytest.fixture
def settings(shop: Shop, database: Database, redis_url: str) -> dict[str, str]:
    """The shop's own database and Stripe."""
    return {
        **KEYS,
        "BILLINGBOT_STRIPE_API_BASE": shop.stripe.url,
        "BILLINGBOT_DATABASE_URL": database.app_url,
        "BILLINGBOT_REDIS_URL": redis_url,
    }


def test_a_month_is_closed_shown_signed_and_exported(shop: Shop, settings: dict[str, str], tmp_path: Path) -> None:
    charge = refunded(shop)
    settle(shop)
    month = str(month_at_stripe(shop))
    closed = typed(settings, "months", "close", month, "--as", "fin", "--json").json
    digest = closed["closing"]["digest"]
    assert (closed["closing"]["state"], closed["statement"]["breaks"]) == ("drawn", [])
    shown = typed(settings, "months", "show", month).out
    assert "USD -49.00" in shown
    assert digest in shown
    assert typed(settings, "months", "sign", month, "--digest", f"sha256:{'0' * 64}").code == 1
    signed = typed(settings, "months", "sign", month, "--digest", digest, "--as", "fin")
    assert (signed.code, "signed by fin" in signed.out) == (0, True)
    listed = typed(settings, "months", "list", "--json").json["items"]
    assert [(one["month"], one["state"]) for one in listed] == [(month, "signed")]
    target = tmp_path / "march.parquet"
    assert typed(settings, "months", "export", month, "--format", "parquet", "--output", str(target)).code == 0
    assert pq.read_table(target).num_rows == 1
    journal = tmp_path / "journal.csv"
    assert typed(settings, "months", "export", month, "--journal", "--output", str(journal)).code == 0
    assert [row["account"] for row in csv.DictReader(journal.open())] == ["4900", "1150"]
    log = tmp_path / "log.csv"
    assert typed(settings, "refunds", "export", "--output", str(log)).code == 0
    assert [row["charge"] for row in csv.DictReader(log.open())] == [charge]
    [case] = shop.cases_of(charge)
    paper = tmp_path / "case.pdf"
    assert typed(settings, "cases", "file", case.id, "--output", str(paper)).code == 0
    assert case.id in PdfReader(paper).pages[0].extract_text()
    assert typed(settings, "months", "show", "2020-13").code == 2


def test_the_same_through_the_api(shop: Shop) -> None:
    charge = refunded(shop)
    settle(shop)
    month = str(month_at_stripe(shop))
    with served(make_app(shop.desk, endpoints())) as url, visitor(url) as api:

        def use(**key: Any) -> None:
            api.headers["Authorization"] = f"Bearer {create_key(shop.desk, **key, by='tests')}"

        use(name="reader", may=frozenset({Power.SEE}))
        body = {"account": "default", "by": "fin"}
        assert api.post(f"/api/v1/months/{month}/close", json=body).status_code == 403
        use(name="books", may=ALL)
        assert api.post(f"/api/v1/months/{month}/close", json=body).status_code == 202
        shop.work()
        [closing] = api.get("/api/v1/months").json()["items"]
        whole = api.get(f"/api/v1/months/{month}/statement", params={"account": "default"})
        assert whole.json()["rows"][0]["charge"] == charge
        signed = api.post(f"/api/v1/months/{month}/sign", json=body | {"digest": closing["digest"]})
        assert (signed.status_code, signed.json()["state"]) == (200, "signed")
        log = api.get("/api/v1/refunds/export", params={"format": "csv"}).text
        assert [row["charge"] for row in csv.DictReader(io.StringIO(log))] == [charge]
        journal = api.get(f"/api/v1/months/{month}/export", params={"account": "default", "journal": "true"})
        assert journal.text.count("1150") == 1
        assert api.get("/api/v1/months/2020-01/statement", params={"account": "default"}).status_code == 404
