"""Health: what a load balancer and a monitoring system see, with and without Postgres."""

import httpx
import sqlalchemy as sa
from prometheus_client.parser import text_string_to_metric_families

from billingbot.core.mode import Mode
from billingbot.flows.desk import Desk
from billingbot.flows.switch import set_mode
from billingbot.web.app import make_app
from billingbot.web.gauges import DeskGauges
from billingbot.web.health import check
from tests.calls import visitor
from tests.engines.shared import SharedPostgres
from tests.web.street import close_desk, endpoints, open_desk, served, sign, snapshot

AWAY = "postgresql+psycopg://nobody:nothing@127.0.0.1:9/nowhere"


def scraped(client: httpx.Client) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """All samples of the page, by name and labels."""
    answer = client.get("/metrics")
    assert answer.status_code == 200
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def test_a_process_that_lives_says_so(street: httpx.Client) -> None:
    answer = street.get("/healthz")

    assert (answer.status_code, answer.json()) == (200, {"status": "alive"})


def test_a_migrated_database_and_a_policy_make_it_ready(street: httpx.Client) -> None:
    answer = street.get("/readyz")

    found = answer.json()
    assert answer.status_code == 200
    assert found["ready"] is True
    assert found["reasons"] == []
    assert found["policy"]["digest"].startswith("sha256:")
    assert found["redis"] == "not asked"


def test_a_database_that_is_not_migrated_is_named(postgres: SharedPostgres) -> None:
    empty = postgres.create_database()
    desk = open_desk(empty.app_url)
    try:
        found = check(desk, None)
    finally:
        close_desk(desk)
        postgres.drop_database(empty)

    assert not found.ready
    assert found.reasons == ("postgres: is not migrated to this release",)


def test_without_postgres_it_is_not_ready_and_the_metrics_page_says_so_and_lives() -> None:
    desk = open_desk(AWAY)
    with served(make_app(desk, endpoints())) as url, visitor(url) as client:
        ready = client.get("/readyz")
        alive = client.get("/healthz")
        samples = scraped(client)
    close_desk(desk)

    assert ready.status_code == 503
    assert ready.json()["reasons"] == ["postgres: cannot be read (RetryLaterError)"]
    assert alive.status_code == 200
    assert samples["billingbot_postgres_up", ()] == 0
    assert ("billingbot_jobs_due", ()) not in samples


def test_a_silent_redis_is_told_and_keeps_nobody_out(desk: Desk) -> None:
    def hangs_up() -> bool:
        raise ConnectionError("refused")

    assert check(desk, hangs_up).redis == "down"
    assert check(desk, lambda: True).redis == "up"
    assert check(desk, hangs_up).ready


def test_the_gauges_are_those_of_the_desk(desk: Desk, street: httpx.Client) -> None:
    set_mode(desk, "default", Mode.ASSIST, by="tests", why=None)
    body = snapshot()
    street.post("/webhooks/stripe", content=body, headers={"Stripe-Signature": sign(body)})
    street.post("/webhooks/stripe", content=body, headers={"Stripe-Signature": sign(body)})
    street.post("/webhooks/stripe", content=body)
    street.get("/api/v1/cases/case_1")

    samples = scraped(street)

    assert samples["billingbot_postgres_up", ()] == 1
    assert samples["billingbot_inbox_events", ()] == 1
    assert samples["billingbot_jobs_due", ()] == 1
    assert samples["billingbot_ledger_last_seq", ()] == 1
    assert samples["billingbot_mode", (("account", "default"), ("mode", "assist"))] == 1
    assert samples["billingbot_mode", (("account", "second"), ("mode", "shadow"))] == 1
    assert samples["billingbot_cases", (("state", "review"),)] == 0
    assert samples["billingbot_intake_events_total", (("result", "stored"),)] == 1
    assert samples["billingbot_intake_events_total", (("result", "duplicate"),)] == 1
    for result, count in (("accepted", 2), ("rejected", 1)):
        assert samples["billingbot_webhooks_total", (("account", "default"), ("result", result))] == count
    missing = (("account", "default"), ("reason", "signature_missing"))
    assert samples["billingbot_webhooks_rejected_total", missing] == 1
    routes = {dict(labels).get("route") for name, labels in samples if name == "billingbot_http_request_seconds_count"}
    assert {"/webhooks/stripe", "/api/v1/cases/{case_id}"} <= routes


def test_paths_and_methods_of_strangers_make_no_new_label(street: httpx.Client) -> None:
    for n in range(5):
        street.get(f"/nothing/{n}")
        street.request(f"BREW{n}", "/healthz")

    requests = [labels for name, labels in scraped(street) if name == "billingbot_http_request_seconds_count"]
    assert (("method", "GET"), ("route", "none"), ("status", "404")) in requests
    assert len([labels for labels in requests if dict(labels)["method"] == "other"]) == 1


def test_many_scrapes_read_postgres_once_in_a_while(desk: Desk, owner: sa.Engine) -> None:
    now = [0.0]
    gauges = DeskGauges(desk, clock=lambda: now[0])

    def inbox() -> float:
        [value] = [f.samples[0].value for f in gauges.collect() if f.name == "billingbot_ledger_last_seq"]
        return value

    before = inbox()
    set_mode(desk, "default", Mode.AUTO, by="tests", why=None)
    cached = inbox()
    now[0] += 5
    after = inbox()

    assert (before, cached, after) == (0, 0, 1)
