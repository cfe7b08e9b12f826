"""Working the queue over the API: cases are handed out, put off, passed on, given their charge and their reply."""

from datetime import UTC, datetime, timedelta

import httpx

from billingbot.core.access.powers import Power, Role
from billingbot.flows.access import people
from billingbot.flows.switch import create_key
from tests.flows.shop import Shop
from tests.flows.test_queue import ambiguous, in_review
from tests.web.test_api import fields

CASES = "/api/v1/cases"


def test_cases_are_handed_out_put_off_brought_back_and_passed_on(shop: Shop, counter: httpx.Client) -> None:
    waiting = in_review(shop, 2)
    people.add(shop.desk, name="Lou", email=None, roles=[Role.SUPPORT], by="tests")
    first, second = (counter.post(f"{CASES}/next", json={"by": by}).json()["case"] for by in ("ada", "bob"))
    assert {first["id"], second["id"]} == set(waiting)
    assert (first["assignee"], second["assignee"]) == ("ada", "bob")
    assert counter.post(f"{CASES}/next", json={"by": "kim"}).json() == {"case": None}

    path, then = f"{CASES}/{first['id']}", datetime.now(UTC) + timedelta(hours=1)
    asleep = counter.post(
        f"{path}/snooze", json={"by": "ada", "version": first["version"], "until": then.isoformat()}
    ).json()["case"]
    assert datetime.fromisoformat(asleep["snoozed_until"]) == then
    assert [one["id"] for one in counter.get(CASES, params={"snoozed": True}).json()["items"]] == [first["id"]]
    assert [one["id"] for one in counter.get(CASES, params={"snoozed": False}).json()["items"]] == [second["id"]]
    stale = counter.post(f"{path}/wake", json={"by": "ada", "version": first["version"]})
    assert (stale.status_code, stale.json()["error"]["reason"]) == (409, "conflict")
    assert "has changed since you looked" in stale.json()["error"]["message"]
    assert counter.post(f"{path}/wake", json={"by": "ada"}).json()["case"]["snoozed_until"] is None
    gone = counter.post(f"{path}/snooze", json={"by": "ada", "until": "2020-01-01T00:00:00Z"})
    assert fields(gone) == {"until": "expected a time in the future"}

    assert counter.post(f"{path}/reassign", json={"by": "ada", "to": "lou"}).json()["case"]["assignee"] == "Lou"
    assert "nobody called 'Max'" in fields(counter.post(f"{path}/reassign", json={"by": "ada", "to": "Max"}))["to"]
    both = {"by": "kim", "cases": [first["id"], "case_none"]}
    assert counter.post(f"{CASES}/release", json=both).json()["done"] == [first["id"]]
    taken = counter.post(f"{CASES}/claim", json={"by": "kim", "cases": waiting}).json()
    assert taken["done"] == [first["id"]]
    assert "bob has it already" in taken["refused"][0]["message"]


def test_whoever_a_note_mentions_finds_it_until_they_have_seen_the_case(shop: Shop, counter: httpx.Client) -> None:
    [case_id] = in_review(shop)
    people.add(shop.desk, name="Lou", email=None, roles=[Role.SUPPORT], by="tests")
    noted = counter.post(f"{CASES}/{case_id}/note", json={"by": "ada", "text": "@lou, do you know them?"}).json()
    assert (noted["case"]["id"], noted["mentioned"]) == (case_id, ["Lou"])
    [found] = counter.get(f"{CASES}/mentions", params={"person": "Lou"}).json()["items"]
    assert (found["case_id"], found["author"], found["seen_at"]) == (case_id, "ada", None)
    assert counter.post(f"{CASES}/{case_id}/seen", json={"by": "Lou"}).status_code == 200
    [found] = counter.get(f"{CASES}/mentions", params={"person": "Lou"}).json()["items"]
    assert found["seen_at"] is not None


def test_the_charge_that_was_meant_is_named_and_the_reply_worded_as_it_would_be_sent(
    shop: Shop, counter: httpx.Client
) -> None:
    case_id, [charge, _] = ambiguous(shop)
    path = f"{CASES}/{case_id}"
    assert "charge" in fields(counter.post(f"{path}/charge", json={"by": "ada", "charge": "ch_nowhere"}))
    named = counter.post(f"{path}/charge", json={"by": "ada", "charge": charge}).json()["case"]
    assert (named["id"], named["charge"], named["state"]) == (case_id, charge, "assessing")
    early = counter.post(f"{path}/reply", json={"by": "ada", "subject": "Yours", "text": "Soon."})
    assert early.status_code == 409
    shop.work()

    words = {"by": "ada", "subject": " About  your refund", "text": "Here is why."}
    worded = counter.post(f"{path}/reply", json=words).json()
    assert (worded["subject"], worded["text"]) == ("About your refund", "Here is why.")
    assert "no [mail] is configured" in worded["obstacle"]
    assert counter.get(f"{path}/reply").json() == worded
    stale = counter.post(f"{path}/reply", json={**words, "text": "Or so.", "version": worded["version"] - 1})
    assert stale.status_code == 409
    assert set(fields(counter.post(f"{path}/reply", json={"by": "ada", "text": "x"}))) == {"subject"}


def test_a_key_that_may_not_decide_works_no_case(shop: Shop, counter: httpx.Client) -> None:
    [case_id] = in_review(shop)
    key = create_key(shop.desk, "reader", by="tests", may=[Power.SEE])
    acts = {
        "next": {},
        "claim": {"cases": [case_id]},
        f"{case_id}/reassign": {"to": "Lou"},
        f"{case_id}/snooze": {"until": "2099-01-01T00:00:00Z"},
        f"{case_id}/wake": {},
        f"{case_id}/charge": {"charge": "ch_1"},
        f"{case_id}/reply": {"subject": "x", "text": "y"},
        f"{case_id}/note": {"text": "x"},
    }
    for act, body in acts.items():
        answer = counter.post(f"{CASES}/{act}", json={"by": "ada", **body}, headers={"Authorization": f"Bearer {key}"})
        assert (act, answer.status_code, answer.json()["error"]["reason"]) == (act, 403, "forbidden")
        assert "an API key that may decide" in answer.json()["error"]["message"]
    assert shop.case(case_id).version == counter.get(f"{CASES}/{case_id}").json()["case"]["version"]
    assert shop.case(case_id).assignee is None
