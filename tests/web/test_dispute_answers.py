"""The answer to a bank at the doors: read, edited, staged, sent and given up by API and command line alike."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from billingbot.core.access.powers import ALL, Power
from billingbot.flows.casework import review
from billingbot.flows.switch import create_key
from billingbot.web.app import make_app
from tests.calls import visitor
from tests.cli.conftest import settings as settings  # noqa: PLC0414  # pytest finds the fixture by this name
from tests.cli.terminal import typed
from tests.flows.shop import Shop
from tests.web.street import served


@pytest.fixture
def street(shop: Shop) -> Iterator[httpx.Client]:
    """A client of a server over the shop's own desk, which reaches its Stripe; without a key."""
    with served(make_app(shop.desk, {})) as url, visitor(url) as client:
        yield client


@pytest.fixture
def api(shop: Shop, street: httpx.Client) -> httpx.Client:
    """The same with a key that may do everything."""
    street.headers["Authorization"] = f"Bearer {create_key(shop.desk, 'helpdesk', by='tests', may=ALL)}"
    return street


@pytest.fixture
def dispute(shop: Shop) -> str:
    """A chargeback that awaits an answer, of a customer who used the service."""
    trial, charge = shop.charged_trial()
    due_by = int((datetime.now(UTC) + timedelta(days=5)).timestamp())  # Stripe's clock here stands before ours
    shop.usage.used_by.add(trial.customer)
    opened = str(shop.stripe.dispute(charge, reason="product_not_received", due_by=due_by)["id"])
    shop.deliver()
    shop.work()
    return opened


def post(api: httpx.Client, dispute: str, what: str, **body: Any) -> httpx.Response:
    return api.post(f"/api/v1/disputes/{dispute}/{what}", json={"by": "kim", **body})


def test_a_person_reads_corrects_and_sends_one_answer_through_the_api(
    shop: Shop, api: httpx.Client, dispute: str
) -> None:
    page = api.get(f"/api/v1/disputes/{dispute}/answer").json()
    assert page["version"] == 1
    assert page["opinion"]["advice"] == "contest_dispute"
    assert page["worth"]["expected_minor"] == 2450
    fields = {line["field"]: line for line in page["fields"]}
    assert fields["access_activity_log"]["source"] == "tag-hits"
    assert fields["receipt"]["paper"]["pages"] == 1
    assert fields["product_description"]["text"] is not None or fields["product_description"]["why_not"]
    assert [act["act"] for act in page["acts"] if act["why_not"] is None] == [
        "draft",
        "edit",
        "stage",
        "send",
        "accept",
    ]

    preview = api.get(f"/api/v1/disputes/{dispute}/answer/papers/receipt")
    assert (preview.headers["content-type"], preview.content[:5]) == ("application/pdf", b"%PDF-")
    assert api.get(f"/api/v1/disputes/{dispute}/answer/papers/service_date").status_code == 404

    edited = post(api, dispute, "answer/edit", field="customer_name", text="Ada Lovelace", version=1).json()
    assert edited["version"] == 2
    assert post(api, dispute, "answer/drop", field="service_date", version=1).status_code == 409
    assert post(api, dispute, "answer/drop", field="service_date").json()["version"] == 3
    assert post(api, dispute, "answer/restore", field="service_date").json()["version"] == 4
    assert post(api, dispute, "answer/draft").json()["version"] == 5
    assert post(api, dispute, "answer/edit", field="enhanced_evidence", text="x").status_code == 422

    assert post(api, dispute, "answer/stage").json()["state"] == "intended"
    shop.work()
    assert post(api, dispute, "answer/send").status_code == 422  # nobody sends what they do not say they saw
    assert post(api, dispute, "answer/send", version=4).status_code == 409
    assert post(api, dispute, "answer/send", version=5).json()["kind"] == "send"
    shop.work()
    sent = shop.stripe.get(f"/disputes/{dispute}")
    assert (sent["evidence_details"]["submission_count"], sent["evidence"]["customer_name"]) == (1, "Ada Lovelace")
    done = api.get(f"/api/v1/disputes/{dispute}/answer").json()
    assert [(one["kind"], one["state"]) for one in done["intents"]] == [("stage", "done"), ("send", "done")]
    assert {act["act"] for act in done["acts"] if act["why_not"] is None} == {"draft"}
    assert post(api, dispute, "answer/send", version=5).status_code in {403, 409}


def test_a_dispute_is_accepted_through_the_api_in_two_steps(shop: Shop, api: httpx.Client, dispute: str) -> None:
    first = post(api, dispute, "accept").json()
    assert "cannot be undone" in first["consequence"]
    assert post(api, dispute, "accept/confirm", answer="ans_1").status_code == 404
    assert post(api, dispute, "accept/take-back", answer=first["answer"]["id"]).json()["state"] == "lapsed"
    second = post(api, dispute, "accept").json()["answer"]["id"]
    for act in ("confirm", "take-back"):  # under another dispute's address: whoever mixes two up closes neither
        assert post(api, "dp_another", f"accept/{act}", answer=second).status_code == 404
    assert post(api, dispute, "accept/confirm", answer=second).json()["state"] == "intended"
    shop.work()
    assert shop.stripe.get(f"/disputes/{dispute}")["status"] == "lost"


def test_a_large_dispute_is_not_accepted_by_one_key_that_names_two_people(
    shop: Shop, api: httpx.Client, dispute: str
) -> None:
    shop.allow(second_approval_above={"usd": 1000})
    asked = post(api, dispute, "accept").json()["answer"]
    assert asked["needs_second"]
    refused = post(api, dispute, "accept/confirm", answer=asked["id"], by="somebody else")
    assert (refused.status_code, "one API key" in refused.text) == (403, True)
    shop.work()
    assert shop.stripe.get(f"/disputes/{dispute}")["status"] == "needs_response"
    second = create_key(shop.desk, "the second", by="tests", may=ALL)
    api.headers["Authorization"] = f"Bearer {second}"
    assert post(api, dispute, "accept/confirm", answer=asked["id"], by="somebody else").json()["state"] == "intended"


def test_a_key_that_may_only_decide_drafts_and_stages_and_sends_nothing_large(
    shop: Shop, street: httpx.Client, dispute: str
) -> None:
    shop.allow(second_approval_above={"usd": 1000})
    secret = create_key(shop.desk, "support", by="tests", may=frozenset({Power.SEE, Power.DECIDE}))
    street.headers["Authorization"] = f"Bearer {secret}"
    assert post(street, dispute, "answer/send", version=1).status_code == 403
    assert post(street, dispute, "accept").status_code == 403
    assert post(street, dispute, "answer/stage").status_code == 200


def test_a_dispute_without_a_draft_is_not_found(api: httpx.Client) -> None:
    assert api.get("/api/v1/disputes/dp_none/answer").status_code == 404


def test_the_command_line_takes_an_answer_from_draft_to_sent(
    shop: Shop, settings: dict[str, str], dispute: str, tmp_path: Any
) -> None:
    settings = {**settings, "BILLINGBOT_STRIPE_API_BASE": shop.stripe.url}
    shown = typed(settings, "disputes", "show-draft", dispute, "--pdf", str(tmp_path / "papers"))
    assert shown.code == 0, shown.err
    assert "contest it" in shown.out
    assert "access_activity_log: What the customer's account did" in shown.out
    assert (tmp_path / "papers" / "receipt.pdf").read_bytes().startswith(b"%PDF-")
    assert typed(settings, "disputes", "edit", dispute, "customer_name", "--text", "Ada", "--as", "kim").code == 0
    both = typed(settings, "disputes", "edit", dispute, "customer_name", "--text", "Ada", "--drop")
    assert (both.code, both.err.startswith("--text, --file, --drop, --restore: ")) == (2, True)
    staged = typed(settings, "disputes", "stage", dispute, "--as", "kim", "--wait", "0", "--json")
    assert staged.json["state"] == "intended"
    shop.work()
    asked = typed(settings, "disputes", "send", dispute, "--as", "kim")
    assert (asked.code, asked.err.splitlines()[-1].startswith("--yes: ")) == (2, True)
    sent = typed(settings, "disputes", "send", dispute, "--yes", "--as", "kim", "--wait", "0")
    assert "is intended" in sent.out
    shop.work()
    page = typed(settings, "disputes", "show-draft", dispute, "--json").json
    assert [(one["kind"], one["state"]) for one in page["intents"]] == [("stage", "done"), ("send", "done")]
    refused = typed(settings, "disputes", "accept", dispute, "--as", "kim")
    assert refused.code == 1


def test_the_command_line_accepts_in_two_steps(shop: Shop, settings: dict[str, str], dispute: str) -> None:
    settings = {**settings, "BILLINGBOT_STRIPE_API_BASE": shop.stripe.url}
    first = typed(settings, "disputes", "accept", dispute, "--as", "kim")
    assert "Nothing has happened yet." in first.out
    answer = first.out.split("--confirm ")[1].strip()
    assert typed(settings, "disputes", "accept", dispute, "--confirm", answer, "--as", "kim", "--wait", "0").code == 0
    shop.work()
    assert shop.stripe.get(f"/disputes/{dispute}")["status"] == "lost"


def test_what_the_product_knows_of_a_purchase_is_told_to_the_bank_and_can_be_taken_away(
    shop: Shop, api: httpx.Client, dispute: str
) -> None:
    [row] = shop.rows("SELECT customer_id FROM cases LIMIT 1")
    facts = {"customer_purchase_ip": "203.0.113.9", "customer_name": "Ada Lovelace"}
    told = api.post("/api/v1/purchases", json={"customer_id": row.customer_id, "facts": facts})
    assert (told.status_code, told.json()) == (200, {"facts": 2})
    page = post(api, dispute, "answer/draft").json()
    fields = {line["field"]: line for line in page["fields"]}
    assert fields["customer_purchase_ip"]["text"] == "203.0.113.9"
    assert fields["customer_purchase_ip"]["source"] == "pushed by the product"
    gone = {"customer_id": row.customer_id, "facts": {"customer_purchase_ip": None}}
    assert api.post("/api/v1/purchases", json=gone).status_code == 200
    page = post(api, dispute, "answer/draft").json()
    [line] = [one for one in page["fields"] if one["field"] == "customer_purchase_ip"]
    assert line["text"] is None


@pytest.mark.parametrize(
    ("facts", "field"),
    [
        ({"customer_purchase_ip": "somewhere"}, "customer_purchase_ip"),
        ({"terms_shown_at": "2026-01-02T03:04:05"}, "terms_shown_at"),
        ({"customer_name": " "}, "customer_name"),
    ],
)
def test_a_fact_that_cannot_be_what_it_says_is_refused(api: httpx.Client, facts: dict[str, str], field: str) -> None:
    refused = api.post("/api/v1/purchases", json={"customer_id": "cus_1", "facts": facts})
    assert refused.status_code == 422
    assert field in refused.json()["error"]["message"]


def test_a_note_is_marked_for_banks_by_command_line_and_by_api(
    shop: Shop, api: httpx.Client, settings: dict[str, str], dispute: str
) -> None:
    [case] = shop.rows("SELECT id FROM cases")
    review.note(shop.desk, shop.person(case.id), "Called us, and was happy.")
    [note] = shop.rows("SELECT id FROM notes")
    assert "may quote it" in typed(settings, "disputes", "quote", note.id, "--as", "kim").out
    page = post(api, dispute, "answer/draft").json()
    [line] = [one for one in page["fields"] if one["field"] == "customer_communication"]
    assert "Called us" in line["text"]
    taken = api.post(f"/api/v1/notes/{note.id}/for-bank", json={"by": "kim", "for_bank": False}).json()
    assert taken["for_bank"] is False
    assert typed(settings, "disputes", "quote", "note_none").code == 1
