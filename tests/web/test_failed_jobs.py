"""Failed jobs over the API: a dry run that changes nothing, a replay under a name, a dismissal."""

from typing import Any

import httpx
import pytest
import sqlalchemy as sa

from billingbot.flows.desk import Desk
from billingbot.worker.run import run

REPLAY, DISMISS, RUNS = "/api/v1/jobs/replay", "/api/v1/jobs/dismiss", "/api/v1/jobs/replays"
ACT = {"name": "incident 2026-12-01", "by": "ada", "why": "Stripe is back"}


@pytest.fixture
def failed(api: httpx.Client, owner: sa.Engine) -> list[str]:
    """Two assessments that failed to the end, in mode auto, oldest first."""
    api.put("/api/v1/mode", json={"mode": "auto", "by": "ada"})
    for charge in ("ch_1", "ch_2"):
        api.post("/api/v1/refund-requests", json={"charge": charge})
    with owner.begin() as connection:
        connection.exec_driver_sql("UPDATE jobs SET state = 'failed', finished_at = now() WHERE actor = 'assess'")
        ids = connection.exec_driver_sql("SELECT id FROM jobs WHERE actor = 'assess' ORDER BY id").scalars().all()
    return list(ids)


def test_failed_jobs_are_foretold_replayed_once_and_put_away(api: httpx.Client, desk: Desk, failed: list[str]) -> None:
    dry = api.post(REPLAY, json={"filter": {"actor": "assess"}, "dry_run": True}).json()
    assert [(one["job"], one["effect"], one["amount"]) for one in dry["jobs"]] == [
        (job, "may_pay", None) for job in failed
    ]
    assert (dry["may_move"], dry["amounts_unknown"], dry["run"], dry["next"]) == ([], 2, None, None)
    assert (dry["count"], dry["effects"]) == (2, {"may_pay": 2})
    later = api.post(REPLAY, json={"filter": {"until": dry["as_of"], "after": failed[0]}, "dry_run": True}).json()
    assert [one["job"] for one in later["jobs"]] == failed[1:]
    assert _states(api) == dict.fromkeys(failed, "failed")

    first = api.post(REPLAY, json={"ids": failed[:1], **ACT}).json()["run"]
    assert (first["name"], first["state"], first["jobs"], first["waiting"]) == (ACT["name"], "running", 1, 1)
    assert run(desk, _replay_job(api))
    second = api.post(REPLAY, json={"filter": {}, **ACT}).json()["run"]
    assert (second["state"], second["jobs"], second["replayed"]) == ("done", 1, 1), "the name was used: nothing begins"
    assert api.get(f"{RUNS}/{ACT['name']}").json() == second
    assert [one["name"] for one in api.get(RUNS).json()["items"]] == [ACT["name"]]

    away = api.post(DISMISS, json={"filter": {}, "by": "ada", "why": "a test of ours"})
    assert (away.status_code, away.json()) == (200, {"count": 1})
    assert _states(api) == {failed[0]: "ready", failed[1]: "dismissed"}
    kinds = [entry["kind"] for entry in api.get("/api/v1/ledger", params={"actor": "ada"}).json()["items"]]
    assert kinds == ["mode.changed", "replay.started", "job.replayed", "replay.ended", "job.dismissed"]


def test_a_replay_is_stopped_and_goes_on_over_the_api(api: httpx.Client, desk: Desk, failed: list[str]) -> None:
    api.post(REPLAY, json={"filter": {}, **ACT})
    stopped = api.post(f"{RUNS}/{ACT['name']}/stop", json={"by": "mia"}).json()
    assert (stopped["state"], stopped["stopped_why"], stopped["waiting"]) == ("stopped", "stopped by mia", 2)
    assert run(desk, _replay_job(api))
    assert _states(api) == dict.fromkeys(failed, "failed")

    resumed = api.post(f"{RUNS}/{ACT['name']}/resume", json={"by": "ada"})
    assert resumed.json()["state"] == "running"
    assert run(desk, _replay_job(api))
    assert api.get(f"{RUNS}/{ACT['name']}").json()["state"] == "done"
    assert set(_states(api).values()) == {"ready"}


def test_more_than_is_expected_is_refused_before_anything_runs(
    api: httpx.Client, owner: sa.Engine, failed: list[str]
) -> None:
    with owner.begin() as connection:
        connection.exec_driver_sql("UPDATE cases SET amount_minor = 4900, currency = 'usd'")

    refused = api.post(REPLAY, json={"filter": {}, **ACT, "expect_total": [{"minor": 4900, "currency": "usd"}]})

    assert (refused.status_code, refused.json()["error"]["reason"]) == (409, "conflict")
    assert "USD 98.00 would be paid now, and USD 49.00 were confirmed" in refused.json()["error"]["message"]
    assert api.get(RUNS).json()["items"] == []
    assert _states(api) == dict.fromkeys(failed, "failed")


def test_lists_are_narrowed_by_case_account_error_and_time(api: httpx.Client, failed: list[str]) -> None:
    [case] = [one["subject"] for one in api.get("/api/v1/jobs").json()["items"] if one["id"] == failed[0]]

    def listed(**query: str) -> list[str]:
        return [one["id"] for one in api.get("/api/v1/jobs", params={"actor": "assess", **query}).json()["items"]]

    assert listed(case=case) == [failed[0]]
    assert listed(account="default") == failed[::-1]
    assert listed(account="second") == listed(error_class="ValueError") == listed(since="2090-01-01T00:00:00Z") == []
    assert listed(until="2090-01-01T00:00:00Z") == failed[::-1]


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        (REPLAY, ACT, "ids"),
        (REPLAY, {"ids": [], "filter": {}, **ACT}, "ids"),
        (REPLAY, {"filter": {}, "by": "ada", "why": "x"}, "name"),
        (REPLAY, {"filter": {}, "name": "x", "why": "x"}, "by"),
        (REPLAY, {"filter": {"state": "ready"}, **ACT}, "filter.state"),
        (REPLAY, {"filter": {"since": "yesterday"}, **ACT}, "filter.since"),
        (REPLAY, {"filter": {}, "dry_run": "yes", **ACT}, "dry_run"),
        (REPLAY, {"filter": {}, **ACT, "rate": 0}, "rate"),
        (REPLAY, {"filter": {}, **ACT, "name": "a/b"}, "name"),
        (REPLAY, {"filter": {}, **ACT, "expect_total": [{"minor": 1.5, "currency": "usd"}]}, "expect_total[0].minor"),
        (DISMISS, {"filter": {}, "by": "ada"}, "why"),
        (DISMISS, {"filter": {}, "by": "billingbot", "why": "x"}, "by"),
        (DISMISS, {"by": "ada", "why": "x"}, "ids"),
    ],
)
def test_a_bad_body_names_the_field_and_changes_nothing(
    api: httpx.Client, failed: list[str], path: str, body: dict[str, Any], field: str
) -> None:
    answer = api.post(path, json=body)

    assert answer.status_code == 422, answer.text
    assert [one["field"] for one in answer.json()["error"]["fields"]] == [field]
    assert _states(api) == dict.fromkeys(failed, "failed")


def test_a_job_that_is_not_there_is_not_found_and_strangers_get_in_nowhere(
    api: httpx.Client, failed: list[str]
) -> None:
    for path in (REPLAY, DISMISS):
        answer = api.post(path, json={"ids": [*failed, "job_nothing"], "by": "ada", "why": "x", **_named(path)})
        assert (answer.status_code, answer.json()["error"]["reason"]) == (404, "not_found")
        stranger = api.post(path, json={"ids": failed}, headers={"Authorization": "Bearer bbk_wrong"})
        assert stranger.status_code == 401
    assert _states(api) == dict.fromkeys(failed, "failed")


def _named(path: str) -> dict[str, str]:
    return {"name": "incident"} if path == REPLAY else {}


def _states(api: httpx.Client) -> dict[str, str]:
    return {job["id"]: job["state"] for job in api.get("/api/v1/jobs", params={"actor": "assess"}).json()["items"]}


def _replay_job(api: httpx.Client) -> str:
    """The newest job that carries a replay."""
    found: str = api.get("/api/v1/jobs", params={"actor": "replay", "limit": 1}).json()["items"][0]["id"]
    return found
