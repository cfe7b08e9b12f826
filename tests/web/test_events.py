"""Events at the doors: delivered, poisoned, listed with what came of them, interpreted again, and read afterwards."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from billingbot.core.access.powers import ALL
from billingbot.core.job import MOST_ATTEMPTS, Actor
from billingbot.flows.switch import create_key
from billingbot.web.app import make_app
from tests.calls import visitor
from tests.flows.shop import Shop
from tests.web.street import endpoints, served, sign, snapshot

EVENTS = "/api/v1/events"
ACT = {"name": "again", "by": "ada", "why": "we read them wrongly"}


@pytest.fixture
def door(shop: Shop) -> Iterator[httpx.Client]:
    """The shop's own doors, with an API key."""
    with served(make_app(shop.desk, endpoints())) as url, visitor(url) as client:
        client.headers["Authorization"] = f"Bearer {create_key(shop.desk, 'helpdesk', by='tests', may=ALL)}"
        yield client


def deliver(door: httpx.Client, event_id: str, kind: str, about: str) -> None:
    body = snapshot(event_id, type=kind, data={"object": {"id": about, "object": kind.split(".", maxsplit=1)[0]}})
    assert door.post("/webhooks/stripe", content=body, headers={"Stripe-Signature": sign(body)}).status_code == 200


def test_poison_ends_as_one_failed_job_that_tells_all_and_holds_nobody_up(shop: Shop, door: httpx.Client) -> None:
    trial, charge = shop.charged_trial()
    [invoice] = shop.stripe.get("/invoices", customer=trial.customer, status="paid", limit=1)["data"]
    # Stripe itself refuses this one object, each time that anybody asks.
    shop.stripe.fault("forbidden", path="/v1/disputes/dp_poison", times=None, permission="rak_dispute_read")
    deliver(door, "evt_poison", "charge.dispute.created", "dp_poison")
    deliver(door, "evt_invoice", "invoice.paid", invoice["id"])
    deliver(door, "evt_charge", "charge.succeeded", charge)

    for _ in range(MOST_ATTEMPTS):
        shop.hurry()
        shop.work(only=Actor.INTERPRET)
    shop.stripe.clear_faults()

    [failed] = door.get("/api/v1/jobs", params={"state": "failed"}).json()["items"]
    page = door.get(f"/api/v1/jobs/{failed['id']}").json()
    assert page["event"]["event_id"] == "evt_poison"
    assert len(page["failures"]) == MOST_ATTEMPTS
    assert {one["error_class"] for one in page["failures"]} == {"StripeForbiddenError"}
    assert "rak_dispute_read" in page["failures"][-1]["error"]
    assert "Traceback" in page["failures"][-1]["traceback"]
    others = door.get(EVENTS, params={"job_state": "done"}).json()["items"]
    assert {one["event_id"] for one in others} >= {"evt_invoice", "evt_charge"}
    assert [one["charge"] for one in door.get("/api/v1/conversions").json()["items"]] == [charge]


def test_an_event_tells_what_it_meant_and_what_came_of_it(shop: Shop, door: httpx.Client) -> None:
    _, charge = shop.charged_trial()
    shop.ask(charge, unused=True)
    shop.work()
    deliver(door, "evt_charge", "charge.succeeded", charge)
    shop.work()

    page = door.get(f"{EVENTS}/evt_charge").json()

    assert (page["signal"], page["names"]) == ("ChargeChanged", {"charge_id": charge})
    assert [job["state"] for job in page["jobs"]] == ["done"]
    assert {(one["kind"], one["state"]) for one in page["came_of_it"]} == {("case", "closed"), ("refund", "succeeded")}
    assert page["body"]["data"]["object"]["id"] == charge
    assert door.get(f"{EVENTS}/{page['event']['id']}").json() == page
    assert door.get(f"{EVENTS}/evt_none").status_code == 404


def test_events_are_found_by_type_time_account_object_and_job(shop: Shop, door: httpx.Client) -> None:
    deliver(door, "evt_1", "charge.succeeded", "ch_1")
    deliver(door, "evt_2", "invoice.paid", "in_1")

    def found(**query: str) -> list[str]:
        return [one["event_id"] for one in door.get(EVENTS, params=query).json()["items"]]

    later = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    assert found() == ["evt_2", "evt_1"]
    assert found(type="invoice.paid") == found(object_id="in_1") == ["evt_2"]
    assert found(account="second") == found(since=later) == found(job_state="done") == []
    assert found(account="default", until=later, job_state="ready") == ["evt_2", "evt_1"]


def test_events_are_interpreted_again_under_a_name_and_nothing_is_done_twice(shop: Shop, door: httpx.Client) -> None:
    _, charge = shop.charged_trial()
    shop.stripe.dispute(charge, status="warning_needs_response")
    [dispute] = shop.stripe.objects("dispute")
    deliver(door, "evt_dispute", "charge.dispute.created", dispute["id"])
    shop.work()
    cases = shop.cases_of(charge)

    dry = door.post(f"{EVENTS}/replay", json={"ids": ["evt_dispute"], "dry_run": True}).json()
    assert [(one["effect"], one["actor"]) for one in dry["jobs"]] == [("may_pay", "interpret")]
    begun = door.post(f"{EVENTS}/replay", json={"filter": {"type": "charge.dispute.created"}, **ACT}).json()["run"]
    assert (begun["jobs"], begun["of_events"]) == (1, True)
    shop.work()

    run = door.get(f"/api/v1/jobs/replays/{ACT['name']}").json()
    assert (run["state"], run["replayed"]) == ("done", 1)
    assert [case.id for case in shop.cases_of(charge)] == [case.id for case in cases]
    [row] = shop.rows("SELECT attempts, state FROM jobs WHERE actor = 'interpret'")
    assert (row.attempts, row.state) == (1, "done"), "it ran again"
    assert len(shop.rows("SELECT 1 FROM ledger_entries WHERE kind = 'job.replayed'")) == 1
    wrong = door.post(f"{EVENTS}/replay", json={"ids": ["evt_none"], **ACT})
    assert (wrong.status_code, door.post(f"{EVENTS}/replay", json=ACT).status_code) == (404, 422)


def test_what_was_missed_is_read_on_request_and_counted_in_the_metrics(shop: Shop, door: httpx.Client) -> None:
    shop.stripe.advance(days=13)
    shop.charged_trial()
    since = (datetime.now(UTC) - timedelta(days=28)).isoformat()

    begun = door.post(f"{EVENTS}/backfill", json={"since": since, "by": "ada"})
    assert (begun.status_code, begun.json()["state"]) == (202, "running")
    shop.work(only=Actor.BACKFILL)

    read = door.get(f"{EVENTS}/backfills/{begun.json()['id']}").json()
    assert (read["state"], read["asked_by"]) == ("done", "ada")
    assert read["missing"] == len(shop.rows("SELECT 1 FROM inbox")) > 0
    assert door.get(f"{EVENTS}/backfills").json()["items"] == [read]
    assert f"billingbot_events_found_missing {float(read['missing'])}" in door.get("/metrics").text
    early = door.post(f"{EVENTS}/backfill", json={"since": "2020-01-01T00:00:00Z", "by": "ada"})
    assert [one["field"] for one in early.json()["error"]["fields"]] == ["since"]
    assert json.loads(early.text)["error"]["reason"] == "invalid_input"
