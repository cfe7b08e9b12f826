"""Failed jobs over the API: a dry run that changes nothing, a replay under a name, a dismissal."""

from typing import Any

import httpx
import pytest
import sqlalchemy as sa

REPLAY, DISMISS = "/api/v1/jobs/replay", "/api/v1/jobs/dismiss"
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


def test_failed_jobs_are_foretold_replayed_once_and_put_away(api: httpx.Client, failed: list[str]) -> None:
    dry = api.post(REPLAY, json={"filter": {"actor": "assess"}, "dry_run": True}).json()
    assert [(one["job"], one["effect"], one["amount"]) for one in dry["jobs"]] == [
        (job, "may_pay", None) for job in failed
    ]
    assert (dry["may_move"], dry["amounts_unknown"], dry["replayed"], dry["next"]) == ([], 2, None, None)
    assert _states(api) == dict.fromkeys(failed, "failed")

    first = api.post(REPLAY, json={"ids": failed[:1], **ACT}).json()
    second = api.post(REPLAY, json={"ids": failed[:1], **ACT}).json()
    assert first["replayed"] == {"count": 1, "already": 0, "left": 0}
    assert second["replayed"] == {"count": 0, "already": 0, "left": 0}

    away = api.post(DISMISS, json={"filter": {}, "by": "ada", "why": "a test of ours"})
    assert (away.status_code, away.json()) == (200, {"count": 1})
    assert _states(api) == {failed[0]: "ready", failed[1]: "dismissed"}
    kinds = [entry["kind"] for entry in api.get("/api/v1/ledger", params={"actor": "ada"}).json()["items"]]
    assert kinds == ["mode.changed", "job.replayed", "job.dismissed"]


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
