"""Breaks and passes through the API and the gauges."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from billingbot.core.access.powers import ALL, Power
from billingbot.flows.reconcile import reconcile_whole
from billingbot.flows.switch import create_key
from billingbot.web.app import make_app
from tests.calls import visitor
from tests.engines.shared import Database
from tests.flows.shop import Shop, open_shop, open_stripe
from tests.web.street import served


@pytest.fixture
def shop(database: Database) -> Iterator[Shop]:
    with open_stripe() as stripe, open_shop(database, stripe) as opened:
        yield opened


def test_breaks_and_passes_are_shown_with_both_sides_and_counted_by_kind(shop: Shop) -> None:
    _, charge = shop.charged_trial()
    shop.stripe.post("/refunds", charge=charge, amount=1000)
    shop.deliver()
    shop.work()
    with shop.owner.begin() as connection:
        connection.exec_driver_sql("UPDATE refunds SET amount_minor = 900")
    done = reconcile_whole(shop.desk, "default", by="kim", until=datetime.now(UTC) + timedelta(hours=1))
    key = create_key(shop.desk, "tests", by="kim", may=ALL)

    headers = {"Authorization": f"Bearer {key}"}
    with served(make_app(shop.desk, {})) as url, visitor(url, headers=headers) as client:
        [shown] = client.get("/api/v1/reconcile/breaks", params={"state": "case"}).json()["items"]
        assert (shown["kind"], shown["charge"]) == ("amount", charge)
        assert (shown["expected"]["amount"]["minor"], shown["found"]["amount"]["minor"]) == (900, 1000)
        assert client.get("/api/v1/reconcile/breaks", params={"kind": "nonsense"}).status_code == 422
        [passed] = client.get("/api/v1/reconcile/passes").json()["items"]
        assert (passed["id"], passed["state"], passed["to_person"]) == (done.id, "whole", 1)
        told = client.get("/metrics").text
    assert 'billingbot_reconcile_breaks{kind="amount"} 1.0' in told
    assert 'billingbot_reconcile_breaks{kind="status"} 0.0' in told


def test_a_program_has_the_workers_compare_an_account_with_stripe_now(shop: Shop) -> None:
    _, charge = shop.charged_trial()
    shop.stripe.post("/refunds", charge=charge, amount=1000)
    shop.deliver()
    shop.work()
    key = create_key(shop.desk, "tests", by="kim", may=ALL)
    weak = create_key(shop.desk, "readers", by="kim", may=frozenset({Power.SEE}))
    until = (datetime.now(UTC) + timedelta(hours=1)).isoformat()

    with served(make_app(shop.desk, {})) as url:
        with visitor(url, headers={"Authorization": f"Bearer {weak}"}) as client:
            refused = client.post("/api/v1/reconcile/passes", json={"account": "default", "by": "kim"})
        with visitor(url, headers={"Authorization": f"Bearer {key}"}) as client:
            unknown = client.post("/api/v1/reconcile/passes", json={"account": "elsewhere", "by": "kim"})
            begun = client.post("/api/v1/reconcile/passes", json={"account": "default", "by": "kim", "until": until})
            shop.work()
            [shown] = client.get("/api/v1/reconcile/passes").json()["items"]
    assert (refused.status_code, unknown.status_code, begun.status_code) == (403, 422, 202)
    assert (begun.json()["state"], begun.json()["by"]) == ("running", "kim")
    assert (shown["id"], shown["state"], shown["found"]) == (begun.json()["id"], "whole", 0)
