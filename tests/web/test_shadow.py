"""A candidate beside the live policy, through the API: started from a published version, compared, and ended."""

import httpx

from tests.web.test_policies import POLICIES, a_source, wish

SHADOW = "/api/v1/shadow"


def test_a_published_version_runs_beside_the_live_one_until_it_is_ended(api: httpx.Client) -> None:
    assert api.get(SHADOW).json()["shadow"] is None
    api.post(POLICIES, json=wish(a_source()))
    began = api.post(SHADOW, json={"version": "2026-12", "by": "kim", "why": "before the new year"})
    assert (began.status_code, began.json()["version"]) == (201, "2026-12"), began.text
    running = api.get(SHADOW).json()
    assert running["shadow"]["started_by"] == "kim"
    assert running["agreement"] == {"same": 0, "of": 0, "share": None, "interval_95": [0.0, 1.0]}
    assert api.post(SHADOW, json={"version": "2026-12", "by": "kim", "why": "again"}).status_code == 409
    assert api.post(f"{SHADOW}/stop", json={"by": "lee"}).status_code == 200
    assert api.get(SHADOW).json()["shadow"]["stopped_at"] is not None
    assert api.post(f"{SHADOW}/stop", json={"by": "lee"}).status_code == 409


def test_a_version_that_nobody_published_cannot_run(api: httpx.Client) -> None:
    assert api.post(SHADOW, json={"version": "2020-01", "by": "kim", "why": "to see"}).status_code == 404
