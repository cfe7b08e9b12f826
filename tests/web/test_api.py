"""The API on a real server: keys at the door, one shape for every refusal, and the verbs behind it."""

import gzip
import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
import sqlalchemy as sa

from billingbot.core.access.powers import ALL
from billingbot.core.breaker import Trip, TrippedBy
from billingbot.core.ids import Kind
from billingbot.core.mode import Mode
from billingbot.flows.breaker import TrippedError, trip
from billingbot.flows.desk import Desk, step
from billingbot.flows.switch import create_key, revoke_key
from billingbot.store import cases, modes
from billingbot.web.app import make_app
from tests.calls import visitor
from tests.flows.shop import Shop
from tests.web.street import close_desk, endpoints, open_desk, served
from tests.web.test_health import AWAY

ASK = "/api/v1/refund-requests"
NO_CASE = f"case_{'0' * 26}"


def fields(answer: httpx.Response) -> dict[str, str]:
    """The wrong fields of a 422, with what was expected of each."""
    assert answer.status_code == 422, answer.text
    told = answer.json()["error"]
    assert told["reason"] == "invalid_input"
    assert told["message"]
    return {field["field"]: field["expected"] for field in told["fields"]}


# ---------------------------------------------------------------- at the door


@pytest.mark.parametrize(
    "header",
    [None, "", "Bearer", "Bearer bbk_", "Bearer bbk_wrong", "Basic bbk_wrong", "bbk_wrong", "Bearer bbk_" + "x" * 300],
)
def test_without_a_key_in_use_nobody_passes(street: httpx.Client, header: str | None) -> None:
    headers = {} if header is None else {"Authorization": header}

    for method, path in (("POST", ASK), ("GET", "/api/v1/cases"), ("PUT", "/api/v1/mode"), ("GET", "/api/v1/ledger")):
        answer = street.request(method, path, headers=headers)
        assert (answer.status_code, answer.json()["error"]["reason"]) == (401, "unauthorized")
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")


def test_a_revoked_key_is_refused_at_once(desk: Desk, api: httpx.Client) -> None:
    before = api.get("/api/v1/cases").status_code
    revoke_key(desk, "helpdesk", by="tests")

    assert (before, api.get("/api/v1/cases").status_code) == (200, 401)


def test_a_stranger_is_refused_before_the_body_is_read(street: httpx.Client) -> None:
    assert street.post(ASK, content=b"{" * 1000).status_code == 401


def test_every_route_of_the_api_asks_for_a_key(app: Any, street: httpx.Client) -> None:
    paths = street.get("/api/v1/openapi.json").json()["paths"]
    guarded = [(path, method) for path in paths if path.startswith("/api/") for method in paths[path]]

    assert len(guarded) > 15
    for path, method in guarded:
        assert street.request(method, path.replace("{case_id}", NO_CASE)).status_code == 401, (method, path)
        assert paths[path][method]["security"]


def test_the_interface_is_described_and_nothing_is_loaded_from_elsewhere(street: httpx.Client) -> None:
    assert street.get("/api/v1/openapi.json").json()["info"]["title"] == "billingbot"
    assert street.get("/docs").status_code == 404


# ---------------------------------------------------------------- asking for a refund


def test_a_request_is_answered_with_its_case_at_once(api: httpx.Client) -> None:
    answer = api.post(
        ASK,
        json={
            "charge": "ch_1",
            "claims": {
                "unused": True,
                "cancelled": True,
                "cancelled_at": "2026-03-01T10:00:00+01:00",
                "text": "no use",
            },
            "external_ref": "T-1",
        },
    )

    told = answer.json()
    assert answer.status_code == 202
    assert (told["repeated"], told["joined"]) == (False, False)
    assert told["case"]["state"] == "assessing"
    assert told["case"]["charge"] == "ch_1"
    assert answer.headers["Location"] == f"/api/v1/cases/{told['case']['id']}"
    page = api.get(answer.headers["Location"]).json()
    [request] = page["requests"]
    assert request["claims"]["cancelled_at"] == "2026-03-01T09:00:00Z"
    assert (request["asked_by"], request["channel"], request["external_ref"]) == ("key:helpdesk", "api", "T-1")


def test_the_same_request_under_the_same_key_is_answered_the_same(api: httpx.Client) -> None:
    headers = {"Idempotency-Key": "ticket-1"}
    first = api.post(ASK, json={"charge": "ch_1"}, headers=headers)
    again = api.post(ASK, json={"charge": "ch_1"}, headers=headers)
    other = api.post(ASK, json={"charge": "ch_2"}, headers=headers)

    assert (first.status_code, again.status_code, other.status_code) == (202, 200, 409)
    assert again.json()["repeated"] is True
    assert again.json()["request_id"] == first.json()["request_id"]
    assert other.json()["error"]["reason"] == "conflict"


def test_two_keys_have_idempotency_keys_of_their_own(desk: Desk, api: httpx.Client) -> None:
    headers = {"Idempotency-Key": "ticket-1"}
    api.post(ASK, json={"charge": "ch_1"}, headers=headers)
    other = {"Authorization": f"Bearer {create_key(desk, 'shop', by='tests', may=ALL)}", **headers}

    assert api.post(ASK, json={"charge": "ch_2"}, headers=other).status_code == 202


def test_a_second_request_for_the_charge_joins_the_open_case(api: httpx.Client) -> None:
    first = api.post(ASK, json={"charge": "ch_1"}).json()
    second = api.post(ASK, json={"charge": "ch_1"}).json()

    assert second["joined"] is True
    assert second["case"]["id"] == first["case"]["id"]


@pytest.mark.parametrize(
    ("body", "wrong"),
    [
        ({}, {"body"}),
        ({"charge": "ch_1", "email": "a@example.com"}, {"body"}),
        ({"charge": "in_1"}, {"charge"}),
        ({"charge": "ch_1\x00"}, {"charge"}),
        ({"charge": 5}, {"charge"}),
        ({"charge": ""}, {"charge"}),
        ({"charge": "ch_" + "x" * 300}, {"charge"}),
        ({"email": "nobody"}, {"email"}),
        ({"charge": "ch_1", "account": "elsewhere"}, {"account"}),
        ({"charge": "ch_1", "channel": "dispute"}, {"channel"}),
        ({"charge": "ch_1", "claims": {"unused": "yes"}}, {"claims.unused"}),
        ({"charge": "ch_1", "claims": {"text": "a\x00b"}}, {"claims.text"}),
        ({"charge": "ch_1", "claims": {"text": "x" * 10_001}}, {"claims.text"}),
        ({"charge": "ch_1", "claims": {"text": "\ud800"}}, {"claims.text"}),
        ({"charge": "ch_1", "claims": {"cancelled_at": "2026-01-01T00:00:00Z"}}, {"claims.cancelled_at"}),
        ({"charge": "ch_1", "claims": {"cancelled": True, "cancelled_at": "2026-01-01"}}, {"claims.cancelled_at"}),
        ({"charge": "ch_1", "claims": {"cancelled": True, "cancelled_at": 1767225600}}, {"claims.cancelled_at"}),
        (
            {"charge": "ch_1", "claims": {"cancelled": True, "cancelled_at": "9999-12-31T23:59:59-23:59"}},
            {"claims.cancelled_at"},
        ),
        ({"charge": "ch_1", "claims": {"who": 1}, "more": 2}, {"claims.who", "more"}),
        ([], {"body"}),
        ("ch_1", {"body"}),
    ],
)
def test_a_request_that_is_wrong_is_refused_by_field_and_nothing_is_stored(
    api: httpx.Client, owner: sa.Engine, body: Any, wrong: set[str]
) -> None:
    answer = api.post(ASK, content=json.dumps(body), headers={"Content-Type": "application/json"})

    told = fields(answer)
    assert set(told) == wrong
    assert all(expected.startswith("expected") for expected in told.values())
    with owner.begin() as connection:
        assert connection.execute(sa.text("SELECT count(*) FROM requests")).scalar_one() == 0


@pytest.mark.parametrize("key", ["k" * 256, ""])
def test_an_idempotency_key_out_of_bounds_is_named(api: httpx.Client, key: str) -> None:
    answer = api.post(ASK, json={"charge": "ch_1"}, headers={"Idempotency-Key": key})

    assert set(fields(answer)) == {"Idempotency-Key"}


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"{", "application/json"),
        (b"", "application/json"),
        (b"\xff\xfe{", "application/json"),
        (b"[" * 200_000, "application/json"),
        (b'{"charge": ' + b"9" * 6000 + b"}", "application/json"),
        (b'{"charge": "ch_1"}', "text/plain"),
        (b'{"charge": "ch_1"}', "nonsense"),
        (gzip.compress(b'{"charge": "ch_1"}', mtime=0), "application/json"),
    ],
)
def test_a_body_that_is_no_json_is_refused(api: httpx.Client, content: bytes, kind: str) -> None:
    answer = api.post(ASK, content=content, headers={"Content-Type": kind})

    assert answer.status_code in {400, 422}
    assert answer.json()["error"]["reason"] == "invalid_input"


def test_a_body_without_end_is_refused(api: httpx.Client) -> None:
    answer = api.post(ASK, content=b'"' + b"x" * (6 * 1024 * 1024), headers={"Content-Type": "application/json"})

    assert (answer.status_code, answer.json()["error"]["reason"]) == (413, "too_large")


def test_without_postgres_the_api_asks_to_come_again() -> None:
    desk = open_desk(AWAY)
    with served(make_app(desk, endpoints())) as url, visitor(url) as client:
        answer = client.get("/api/v1/cases", headers={"Authorization": "Bearer bbk_whoever"})
    close_desk(desk)

    assert (answer.status_code, answer.json()["error"]["reason"]) == (503, "unavailable")
    assert "Retry-After" in answer.headers


# ---------------------------------------------------------------- lists and pages


def test_lists_page_through_all_rows_and_refuse_bad_filters_by_name(api: httpx.Client) -> None:
    made = [api.post(ASK, json={"charge": f"ch_{n}"}).json()["case"]["id"] for n in range(5)]

    seen, after = [], None
    while True:
        page = api.get("/api/v1/cases", params={"limit": 2} | ({"after": after} if after else {})).json()
        seen += [case["id"] for case in page["items"]]
        after = page["next"]
        if after is None:
            break

    assert seen == made[::-1]
    assert set(fields(api.get("/api/v1/cases", params={"state": "lost", "limit": 0}))) == {"state", "limit"}
    assert set(fields(api.get("/api/v1/cases", params={"after": "zzz"}))) == {"after"}
    assert set(fields(api.get("/api/v1/cases", params={"charge": "a\x00"}))) == {"charge"}
    assert set(fields(api.get("/api/v1/cases", params={"colour": "red"}))) == {"colour"}
    assert set(fields(api.get("/api/v1/refunds", params={"since": "yesterday"}))) == {"since"}
    assert set(fields(api.get("/api/v1/ledger", params={"after": "-1"}))) == {"after"}


@pytest.mark.parametrize("name", ["case_1", NO_CASE, "x" * 500, "%00", "case_%F0%9F%92%B8", "%ff"])
def test_a_case_that_is_not_there_is_not_found_whatever_its_name(api: httpx.Client, name: str) -> None:
    paths = [
        ("GET", f"/api/v1/cases/{name}", None),
        ("GET", f"/api/v1/cases/{name}/explanation", None),
        ("POST", f"/api/v1/cases/{name}/claim", {"by": "ada"}),
        ("POST", f"/api/v1/cases/{name}/note", {"by": "ada", "text": "hello"}),
        ("GET", f"/api/v1/jobs/{name}", None),
    ]
    for method, path, body in paths:
        answer = api.request(method, path, json=body)
        assert (answer.status_code, answer.json()["error"]["reason"]) == (404, "not_found"), path


def test_a_nul_in_a_path_breaks_nothing(api: httpx.Client) -> None:
    spec = api.get("/api/v1/openapi.json").json()
    named = [(verb, path, act) for path, acts in spec["paths"].items() for verb, act in acts.items() if "{" in path]
    assert len(named) > 40
    broken = []
    for verb, path, act in named:
        asked = act.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
        shape = spec["components"]["schemas"].get(asked.get("$ref", "").rpartition("/")[2], {})
        body = {field: 1 if field == "version" else "so" for field in shape.get("required", ())}
        answer = api.request(verb.upper(), re.sub(r"\{\w+\}", "%00", path), json=body)
        broken += [(verb, path)] if answer.status_code >= 500 else []
    assert broken == []


def test_jobs_can_be_read(api: httpx.Client) -> None:
    case_id = api.post(ASK, json={"charge": "ch_1"}).json()["case"]["id"]

    [job] = api.get("/api/v1/jobs", params={"actor": "assess"}).json()["items"]
    page = api.get(f"/api/v1/jobs/{job['id']}").json()

    assert (job["subject"], job["state"]) == (case_id, "ready")
    assert (page["case_id"], page["failures"], page["event"]) == (case_id, [], None)
    assert api.get("/api/v1/jobs", params={"state": "failed"}).json() == {"items": [], "next": None}


def test_modes_are_shown_and_set_per_account_and_the_ledger_knows_who(api: httpx.Client) -> None:
    wanted = {"account": "second", "mode": "assist", "by": "ada", "why": "first week"}
    changed = api.put("/api/v1/mode", json=wanted).json()
    modes = {mode["account"]: mode["mode"] for mode in api.get("/api/v1/mode").json()["modes"]}

    assert (changed["mode"], changed["changed_by"], changed["why"]) == ("assist", "ada", "first week")
    assert modes == {"default": "shadow", "second": "assist"}
    assert set(fields(api.put("/api/v1/mode", json=wanted | {"mode": "on"}))) == {"mode"}
    assert set(fields(api.put("/api/v1/mode", json=wanted | {"account": "third"}))) == {"account"}
    assert set(fields(api.put("/api/v1/mode", json=wanted | {"by": " "}))) == {"by"}
    entries = api.get("/api/v1/ledger", params={"kind": "mode.changed"}).json()["items"]
    assert [(entry["actor"], entry["subject"]) for entry in entries] == [("ada", "second")]


def test_a_breaker_is_shown_and_closed_and_notices_tell_of_it(desk: Desk, api: httpx.Client) -> None:
    assert api.get("/api/v1/breakers").json() == {"breakers": []}
    with step(desk) as this:
        case_id = this.new_id(Kind.CASE)
        case, _ = cases.open_case(this.db, case_id, account="second", livemode=False, charge_id="ch_1")
        modes.write(this.db, "second", Mode.AUTO, by="ada", why=None)
        found = Trip(by=TrippedBy.PACE, observed="41 within an hour", allowed="at most 40")
        trip(this, case, TrippedError(found, opens=True, closed_at=None))

    [breaker] = api.get("/api/v1/breakers").json()["breakers"]
    assert (breaker["account"], breaker["open"], breaker["case_id"]) == ("second", True, case_id)
    assert api.get("/readyz").json()["breakers_open"] == ["second"]
    assert 'billingbot_breaker_open{account="second"} 1.0' in api.get("/metrics").text
    auto = {"account": "second", "mode": "auto", "by": "ada"}
    assert api.put("/api/v1/mode", json=auto).status_code == 403
    [notice] = api.get("/api/v1/notices", params={"kind": "breaker_open"}).json()["items"]
    assert (notice["subject"], notice["state"], notice["deliveries"]) == (case_id, "waiting", [])

    close = "/api/v1/breakers/second/close"
    assert set(fields(api.post(close, json={"by": "ada"}))) == {"why"}
    assert api.post(close, json={"by": "ada", "why": "all real"}).json()["open"] is False
    assert api.post(close, json={"by": "ada", "why": "again"}).status_code == 409
    shown = {mode["account"]: mode["mode"] for mode in api.get("/api/v1/mode").json()["modes"]}
    assert shown["second"] == "auto"


def test_the_ledger_is_listed_and_proven(api: httpx.Client) -> None:
    for n in range(3):
        api.post(ASK, json={"charge": f"ch_{n}"})

    first = api.get("/api/v1/ledger", params={"limit": 2}).json()
    rest = api.get("/api/v1/ledger", params={"after": first["next"]}).json()
    proof = api.get("/api/v1/ledger/verification").json()

    seqs = [entry["seq"] for entry in (*first["items"], *rest["items"])]
    assert seqs == list(range(1, len(seqs) + 1))
    assert proof["holds"] is True
    assert (proof["entries"], proof["head_hash"]) == (len(seqs), rest["items"][-1]["hash"])


# ---------------------------------------------------------------- activity


def test_activity_is_pushed_in_bulk_all_or_nothing(api: httpx.Client, owner: sa.Engine) -> None:
    now = datetime.now(UTC)
    hit = {"customer_id": "cus_1", "kind": "tag", "events": 3, "first_at": str(now - timedelta(days=2))}
    span = {"from": (now - timedelta(days=30)).isoformat(), "to": now.isoformat()}
    good = {"source": "product", "hits": [hit, hit | {"customer_id": "cus_2", "kind": "api"}], "coverage": [span]}

    answer = api.post("/api/v1/activity", json=good)
    late = hit | {"last_at": (now + timedelta(days=1)).isoformat()}
    bad = api.post("/api/v1/activity", json=good | {"hits": [hit | {"customer_id": "cus_3"}, late]})

    assert answer.json() == {"hits": 2, "coverage": 1}
    assert set(fields(bad)) == {"hits[1]"}
    with owner.begin() as connection:
        rows = connection.execute(sa.text("SELECT customer_id, events FROM activity ORDER BY 1")).all()
        assert [tuple(row) for row in rows] == [("cus_1", 3), ("cus_2", 3)]
        assert connection.execute(sa.text("SELECT count(*) FROM activity_coverage")).scalar_one() == 1


@pytest.mark.parametrize(
    ("change", "wrong"),
    [
        ({"source": "other"}, "source"),
        ({"hits": [{"customer_id": "cus_1", "kind": "click", "events": 1}]}, "hits[0].kind"),
        ({"hits": [{"customer_id": "cus_1", "kind": "tag", "events": -1}]}, "hits[0].events"),
        ({"hits": [{"customer_id": "cus_1", "kind": "tag", "events": 1.5}]}, "hits[0].events"),
        ({"hits": [{"customer_id": "cus_1", "kind": "tag", "events": 10**30}]}, "hits[0].events"),
        ({"hits": [{"customer_id": "\x00", "kind": "tag", "events": 1}]}, "hits[0].customer_id"),
        ({"hits": [{"customer_id": "cus_1", "kind": "tag"}]}, "hits[0].events"),
        (
            {
                "hits": [
                    {
                        "customer_id": "cus_1",
                        "kind": "tag",
                        "events": 1,
                        "first_at": "2026-01-02T00:00:00Z",
                        "last_at": "2026-01-01T00:00:00Z",
                    }
                ]
            },
            "hits[0].last_at",
        ),
        ({"hits": [{"customer_id": "cus_1", "kind": "tag", "events": 1}] * 10_001}, "hits"),
        ({"coverage": [{"from": "2026-01-02T00:00:00Z", "to": "2026-01-01T00:00:00Z"}]}, "coverage[0].to"),
        ({"coverage": [{"from": "2026-01-02T00:00:00Z", "to": "2098-01-01T00:00:00Z"}]}, "coverage[0].to"),
        ({"coverage": [{"start": "2026-01-02T00:00:00Z", "to": "2026-01-03T00:00:00Z"}]}, "coverage[0].from"),
    ],
)
def test_activity_that_is_wrong_is_refused_by_field(api: httpx.Client, change: dict[str, Any], wrong: str) -> None:
    assert wrong in fields(api.post("/api/v1/activity", json={"source": "product"} | change))


# ---------------------------------------------------------------- people and cases


def _used_case(shop: Shop, counter: httpx.Client) -> tuple[str, str]:
    """A case in the queue, and its charge."""
    trial, charge = shop.charged_trial()
    shop.usage.used_by.add(trial.customer)
    case_id = counter.post(ASK, json={"charge": charge}).json()["case"]["id"]
    shop.work()
    return case_id, charge


def test_a_person_approves_and_the_money_leaves_by_the_one_path(shop: Shop, counter: httpx.Client) -> None:
    case_id, charge = _used_case(shop, counter)
    [waiting] = counter.get("/api/v1/cases", params={"state": "review"}).json()["items"]

    claimed = counter.post(f"/api/v1/cases/{case_id}/claim", json={"by": "ada", "version": waiting["version"]})
    stale = counter.post(
        f"/api/v1/cases/{case_id}/approve", json={"by": "ada", "version": waiting["version"], "reason": "goodwill"}
    )
    approved = counter.post(
        f"/api/v1/cases/{case_id}/approve",
        json={"by": "ada", "version": claimed.json()["case"]["version"], "reason": "goodwill"},
    )
    shop.work()
    page = counter.get(f"/api/v1/cases/{case_id}").json()

    assert waiting["id"] == case_id
    assert waiting["amount"] == {"minor": 4900, "currency": "usd", "formatted": "USD 49.00"}
    assert (stale.status_code, approved.status_code) == (409, 200)
    assert approved.json()["case"]["state"] == "refunding"
    assert page["case"]["outcome"] == "refunded"
    [refund] = page["refunds"]
    assert (refund["state"], refund["origin"], refund["decided_by"]) == ("succeeded", "person", "ada")
    assert refund["attempts"][0]["outcome"] == "accepted"
    assert len(shop.refunds_at_stripe(charge)) == 1
    [listed] = counter.get("/api/v1/refunds", params={"charge": charge}).json()["items"]
    assert listed == refund
    kinds = [entry["kind"] for entry in page["timeline"]]
    assert kinds.index("case.claimed") < kinds.index("case.approved") < kinds.index("refund.intended")


def test_the_page_of_a_case_shows_every_fact_with_its_source_and_the_trace(shop: Shop, counter: httpx.Client) -> None:
    case_id, _ = _used_case(shop, counter)

    page = counter.get(f"/api/v1/cases/{case_id}").json()

    facts = {fact["name"]: fact for fact in page["facts"]}
    assert facts["usage.used"]["known"] is True
    assert facts["usage.used"]["value"] is True
    assert facts["usage.used"]["source"]
    assert facts["usage.used"]["as_of"].endswith("Z")
    assert page["decision"]["recommendation"] == "decline"
    assert page["decision"]["trace"][-1]["observed"] == "true"
    assert page["decision"]["decision_digest"].startswith("sha256:")
    assert page["exhibits"]["usage"][0]["coverage"]
    assert page["blockers"] == []


def test_an_explanation_says_whether_the_stored_bytes_reproduce_it(shop: Shop, counter: httpx.Client) -> None:
    case_id, _ = _used_case(shop, counter)

    told = counter.get(f"/api/v1/cases/{case_id}/explanation").json()

    assert told["reproduces"] is True
    assert told["lines"][0].startswith("A person decides")
    assert told["policy_digest"].startswith("sha256:")


def test_a_reply_is_not_sent_where_no_mail_is_configured(shop: Shop, counter: httpx.Client) -> None:
    case_id, _ = _used_case(shop, counter)
    answer = counter.post(f"/api/v1/cases/{case_id}/send", json={"by": "ada"})
    assert answer.status_code == 403
    assert "no [mail] is configured" in answer.text
    assert counter.post(f"/api/v1/cases/{case_id}/send", json={"by": ""}).status_code == 422
    assert counter.get(f"/api/v1/cases/{case_id}").json()["letters"] == []


def test_an_explanation_goes_back_in_time_and_names_what_it_cannot_find(shop: Shop, counter: httpx.Client) -> None:
    case_id, _ = _used_case(shop, counter)
    path = f"/api/v1/cases/{case_id}/explanation"
    now = counter.get(path, params={"at": "2100-01-01T00:00:00Z"}).json()
    assert now["nearest_flips"] == ["Refunded at once (unused-trial) had usage.used been false, not true."]
    assert now["under"] is None
    assert counter.get(path, params={"at": "2020-01-01T00:00:00Z"}).status_code == 404
    assert counter.get(path, params={"at": "noon"}).status_code == 422
    assert counter.get(path, params={"policy": "1999"}).status_code == 404
    assert counter.get(path, params={"policy": now["policy_version"]}).json()["under"]["same"] is True


def test_a_person_denies_with_a_reason_and_a_reply(shop: Shop, counter: httpx.Client) -> None:
    case_id, charge = _used_case(shop, counter)
    path = f"/api/v1/cases/{case_id}"

    silent = counter.post(f"{path}/deny", json={"by": "ada"})
    denied = counter.post(f"{path}/deny", json={"by": "ada", "reason": "used daily", "reply": "Sorry."}).json()["case"]
    again = counter.post(f"{path}/deny", json={"by": "bob", "reason": "me too"})

    assert set(fields(silent)) == {"reason"}
    assert (denied["outcome"], denied["reply"], denied["assignee"]) == ("denied", "Sorry.", "ada")
    assert again.status_code == 409
    assert shop.refunds_at_stripe(charge) == []


def test_of_two_people_at_once_one_has_the_case_and_the_other_is_told(shop: Shop, counter: httpx.Client) -> None:
    case_id, _ = _used_case(shop, counter)
    path = f"/api/v1/cases/{case_id}"

    first = counter.post(f"{path}/claim", json={"by": "ada"})
    second = counter.post(f"{path}/claim", json={"by": "bob"})
    counter.post(f"{path}/release", json={"by": "ada"})
    third = counter.post(f"{path}/claim", json={"by": "bob"})

    assert [answer.status_code for answer in (first, second, third)] == [200, 409, 200]
    assert "ada" in second.json()["error"]["message"]


def test_notes_and_a_new_assessment_are_acts_of_the_ledger(shop: Shop, counter: httpx.Client) -> None:
    case_id, _ = _used_case(shop, counter)
    path = f"/api/v1/cases/{case_id}"

    noted = counter.post(f"{path}/note", json={"by": "ada", "text": "called them"})
    again = counter.post(f"{path}/reassess", json={"by": "ada", "reason": "they say otherwise"})
    shop.work()
    page = counter.get(path).json()

    assert noted.status_code == 200
    assert again.json()["case"]["state"] == "assessing"
    assert [(note["author"], note["text"]) for note in page["notes"]] == [("ada", "called them")]
    assert len(page["decisions"]) == 2
    kinds = [entry["kind"] for entry in page["timeline"]]
    assert {"case.noted", "case.reassessed"} <= set(kinds)


def test_in_shadow_no_person_can_make_money_leave(shop: Shop, counter: httpx.Client) -> None:
    case_id, charge = _used_case(shop, counter)
    shop.set_mode(Mode.SHADOW)

    answer = counter.post(f"/api/v1/cases/{case_id}/approve", json={"by": "ada", "reason": "goodwill"})

    assert (answer.status_code, answer.json()["error"]["reason"]) == (403, "forbidden")
    assert shop.refunds_at_stripe(charge) == []


def test_a_request_that_turns_out_to_be_about_an_open_case_tells_which(shop: Shop, counter: httpx.Client) -> None:
    trial, charge = shop.charged_trial()
    shop.usage.used_by.add(trial.customer)
    first = counter.post(ASK, json={"charge": charge}).json()["case"]["id"]
    shop.work()
    second = counter.post(ASK, json={"customer": trial.customer}).json()["case"]["id"]
    shop.work()

    joined = counter.get(f"/api/v1/cases/{second}").json()["case"]
    page = counter.get(f"/api/v1/cases/{first}").json()

    assert (joined["outcome"], joined["joined_case_id"]) == ("joined", first)
    assert page["joined"] == [second]
    assert [request["named_by"] for request in page["requests"]] == ["charge", "customer"]


def test_conversions_are_listed(shop: Shop, counter: httpx.Client) -> None:
    trial, charge = shop.charged_trial()
    shop.deliver()
    shop.work()

    [found] = counter.get("/api/v1/conversions", params={"customer": trial.customer}).json()["items"]

    assert found["charge"] == charge
    assert found["amount"]["formatted"] == "USD 49.00"


def test_an_id_of_another_kind_is_not_a_case(desk: Desk, api: httpx.Client) -> None:
    assert api.get(f"/api/v1/cases/{desk.new_id(Kind.JOB)}").status_code == 404


def test_a_subscription_that_was_not_cancelled_is_seen_to_by_api(shop: Shop, counter: httpx.Client) -> None:
    _, charge = shop.charged_trial()
    case_id = shop.ask(charge, unused=True).case.id
    shop.stripe.fault("declined", method="DELETE", path="/v1/subscriptions/", times=2)
    shop.work()
    [waiting] = counter.get("/api/v1/cancellations").json()["items"]
    path = f"/api/v1/cancellations/{waiting['id']}"
    assert (waiting["state"], waiting["waits_for"]) == ("refused", "subscription-not-cancelled")
    assert counter.get(path).json() == waiting
    assert [one["id"] for one in counter.get(f"/api/v1/cases/{case_id}").json()["cancellations"]] == [waiting["id"]]
    assert counter.post(f"{path}/retry", json={"by": "ada"}).json()["state"] == "intended"
    assert counter.post(f"{path}/retry", json={"by": "ada"}).status_code == 409
    shop.work()
    assert counter.post(f"{path}/settled", json={"by": "ada"}).json()["waits_for"] is None
    assert counter.post(f"{path}/settled", json={"by": "ada"}).status_code == 409
    assert counter.get("/api/v1/cancellations").json()["items"] == []
    assert counter.get("/api/v1/cancellations/cnl_1").status_code == 404
