"""The policy's versions through the API: published, listed, read back and compared; refused with every reason."""

import httpx
import pytest

from billingbot.flows.desk import Desk
from tests.builders import POLICY_FILE

POLICIES = "/api/v1/policies"


def a_source(version: str = "2026-12", *, count: int = 60) -> str:
    text = POLICY_FILE.read_text("utf-8").replace('version = "2026-11"', f'version = "{version}"')
    return text.replace("daily_count_max = 50", f"daily_count_max = {count}")


def wish(source: str, **more: object) -> dict[str, object]:
    return {"source": source, "by": "kim", "why": "more refunds a day", **more}


def test_before_anything_is_published_the_file_is_in_force(api: httpx.Client) -> None:
    assert api.get(POLICIES).json() == {"policies": [], "in_force": "2026-11"}


def test_a_published_version_is_listed_read_back_and_compared(api: httpx.Client, desk: Desk) -> None:
    answer = api.post(POLICIES, json=wish(a_source()))
    assert answer.status_code == 201, answer.text
    told = answer.json()
    assert (told["version"], told["published_by"], told["again"], told["replaces"]) == (
        "2026-12",
        "kim",
        False,
        "2026-11",
    )
    assert told["warnings"] == []

    listed = api.get(POLICIES).json()
    assert ([one["version"] for one in listed["policies"]], listed["in_force"]) == (["2026-11", "2026-12"], "2026-12")
    assert api.get(f"{POLICIES}/2026-12").json()["source"] == a_source()
    changes = api.get(f"{POLICIES}/differences", params={"before": "2026-11", "after": "2026-12"}).json()
    assert [change["what"] for change in changes["differences"]] == [
        "limits.daily_count_max: 50 becomes 60",
        "version: 2026-11 becomes 2026-12",
    ]
    assert desk.policy_for(None).limits.daily_count_max == 60


def test_the_same_bytes_again_are_told_and_not_published_twice(api: httpx.Client) -> None:
    api.post(POLICIES, json=wish(a_source()))
    again = api.post(POLICIES, json=wish(a_source()))
    assert (again.status_code, again.json()["again"]) == (201, True)
    assert len(api.get(POLICIES).json()["policies"]) == 2


def test_a_version_taken_by_another_text_is_a_conflict(api: httpx.Client) -> None:
    api.post(POLICIES, json=wish(a_source()))
    answer = api.post(POLICIES, json=wish(a_source(count=70)))
    assert answer.status_code == 409
    assert "version 2026-12: kim published it" in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ("x = 1", "policy: missing"),
        (a_source().replace("usd = 20000 # 200.00", "usd = 25000"), "example '200.01 dollars are too much'"),
        (a_source().replace('use-was-seen = "usage.used"', 'use-was-seen = "usage.usd"'), "did you mean 'usage.used'?"),
    ],
)
def test_a_text_that_fails_is_refused_with_its_lines(api: httpx.Client, source: str, problem: str) -> None:
    answer = api.post(POLICIES, json=wish(source))
    assert answer.status_code == 422
    told = answer.json()["error"]["fields"]
    assert {field["field"] for field in told} == {"source"}
    assert [field for field in told if problem in field["expected"] and field["expected"].startswith("policy.toml:")]
    assert api.get(POLICIES).json()["policies"] == []


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"by": "billingbot"}, "by"),
        ({"by": "key:other"}, "by"),
        ({"effective_from": "tomorrow"}, "effective_from"),
        ({"effective_from": 1790000000}, "effective_from"),
        ({"retroactive": "yes"}, "retroactive"),
        ({"why": ""}, "why"),
        ({"nonsense": 1}, "nonsense"),
    ],
)
def test_a_wish_that_is_wrong_names_its_field(api: httpx.Client, more: dict[str, object], field: str) -> None:
    answer = api.post(POLICIES, json=wish(a_source(), **more))
    assert answer.status_code == 422
    assert [one["field"] for one in answer.json()["error"]["fields"]] == [field]


def test_a_version_that_nobody_published_is_not_found(api: httpx.Client) -> None:
    assert api.get(f"{POLICIES}/2020-01").status_code == 404
    assert api.get(f"{POLICIES}/differences", params={"before": "a", "after": "b"}).status_code == 404
