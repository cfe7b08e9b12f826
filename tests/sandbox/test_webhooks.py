"""Deliveries: signed, retried, repeated, late, held, in two kinds and in older shapes."""

import hashlib
import hmac
import json
import time
from typing import Any

import pytest
import stripe
from tests.sandbox.conftest import Receiver
from tests.sandbox.shop import MONTHLY, Shop


def test_the_sdk_accepts_the_signature_and_reads_the_event(shop: Shop, receiver: Receiver) -> None:
    endpoint = shop.control.add_endpoint(receiver.url, ["customer.created"])
    customer = shop.customer(None)
    assert shop.control.quiet()
    (event,) = receiver.events(endpoint["secret"])
    assert (event.type, event.data.object.id, event.api_version) == (
        "customer.created", customer.id, stripe.api_version,
    )  # fmt: skip
    assert event.request.id == customer.last_response.headers["Request-Id"]
    assert event.pending_webhooks == 1
    assert shop.sdk.v1.events.retrieve(event.id).pending_webhooks == 0


def test_a_wrong_secret_is_noticed(shop: Shop, receiver: Receiver) -> None:
    shop.control.add_endpoint(receiver.url)
    shop.customer(None)
    shop.control.quiet()
    with pytest.raises(stripe.SignatureVerificationError):
        receiver.events("whsec_other")


def test_after_a_roll_both_secrets_sign(shop: Shop, receiver: Receiver) -> None:
    endpoint = shop.control.add_endpoint(receiver.url, ["customer.created"], secrets=["whsec_old"])
    new = shop.control.roll_secret(endpoint["id"])["secret"]
    shop.customer(None)
    shop.control.quiet()
    assert receiver.events("whsec_old")[0].id == receiver.events(new)[0].id
    assert receiver.received[0][0].count("v1=") == 2


def test_a_failed_delivery_is_tried_again_with_a_fresh_signature(shop: Shop, receiver: Receiver) -> None:
    receiver.answers = [500, 302]
    shop.control.add_endpoint(receiver.url, ["customer.created"])
    shop.customer(None)
    assert shop.control.quiet()
    (delivery,) = shop.control.deliveries()
    assert [attempt["status"] for attempt in delivery["attempts"]] == [500, 302, 200]
    assert delivery["state"] == "delivered"
    assert len({body for _, body in receiver.received}) == 1


def test_an_endpoint_that_never_answers_well_is_given_up_and_the_event_stays_undelivered(
    shop: Shop, receiver: Receiver
) -> None:
    receiver.answers = [503] * 9
    shop.control.add_endpoint(receiver.url, ["customer.created"])
    shop.customer(None)
    shop.control.quiet()
    missed = shop.sdk.v1.events.list({"delivery_success": False}).data
    assert [event.type for event in missed] == ["customer.created"]
    receiver.answers = []
    shop.control.resend(missed[0].id)
    shop.control.quiet()
    assert [each["state"] for each in shop.control.deliveries()] == ["failed", "delivered"]


def test_nobody_listening_is_a_failed_attempt_not_a_crash(shop: Shop) -> None:
    shop.control.add_endpoint("http://127.0.0.1:9/nobody", ["customer.created"])
    shop.customer(None)
    assert shop.control.quiet()
    assert shop.control.deliveries()[0]["attempts"][0]["error"] == "ConnectError"


def test_only_the_events_an_endpoint_asked_for_reach_it(shop: Shop, receiver: Receiver) -> None:
    endpoint = shop.sdk.v1.webhook_endpoints.create({"url": receiver.url, "enabled_events": ["refund.created"]})
    shop.sdk.v1.refunds.create({"charge": shop.one_off().id})
    shop.control.quiet()
    assert endpoint.secret is not None
    assert [event.type for event in receiver.events(endpoint.secret)] == ["refund.created"]


def test_duplicates_carry_the_same_id_and_twins_another(shop: Shop, receiver: Receiver) -> None:
    endpoint = shop.control.add_endpoint(receiver.url, ["customer.created"])
    shop.control.weather(duplicate=1)
    shop.customer(None)
    shop.control.weather(duplicate=0, twins=1)
    twin = shop.customer(None, "twin@example.com")
    shop.control.quiet()
    events = receiver.events(endpoint["secret"])
    ids = [event.id for event in events if event.data.object.id != twin.id]
    twins = {event.id for event in events if event.data.object.id == twin.id}
    assert (len(ids), len(set(ids)), len(twins)) == (2, 1, 2)


def test_what_is_held_leaves_when_it_is_let_go(shop: Shop, receiver: Receiver) -> None:
    shop.control.add_endpoint(receiver.url, ["customer.created"])
    shop.control.weather(held=True)
    shop.customer(None)
    assert not shop.control.quiet(0.2)
    assert receiver.received == []
    shop.control.weather(held=False)
    assert shop.control.quiet()
    assert len(receiver.received) == 1


def test_disorder_mixes_the_order_and_loses_nothing(shop: Shop, receiver: Receiver) -> None:
    endpoint = shop.control.add_endpoint(receiver.url, ["customer.created"])
    shop.control.weather(disorder_seconds=0.3)
    sent = [shop.customer(None, f"{number}@example.com").id for number in range(12)]
    assert shop.control.quiet()
    came = [event.data.object.id for event in receiver.events(endpoint["secret"])]
    assert sorted(came) == sorted(sent)
    assert came != sent


def test_a_delay_keeps_the_news_back(shop: Shop, receiver: Receiver) -> None:
    shop.control.add_endpoint(receiver.url, ["customer.created"])
    shop.control.weather(delay_seconds=0.3)
    start = time.monotonic()
    shop.customer(None)
    shop.control.quiet()
    assert time.monotonic() - start >= 0.3


def test_a_deleted_endpoint_hears_nothing_more(shop: Shop, receiver: Receiver) -> None:
    endpoint = shop.control.add_endpoint(receiver.url, ["customer.created"])
    shop.control.weather(held=True)
    shop.customer(None)
    shop.control.remove_endpoint(endpoint["id"])
    shop.control.weather(held=False)
    shop.control.quiet()
    assert receiver.received == []
    assert shop.control.deliveries()[0]["state"] == "dropped"


def test_a_thin_endpoint_hears_thin_events_that_the_sdk_can_follow(shop: Shop, receiver: Receiver) -> None:
    endpoint = shop.control.add_endpoint(receiver.url, ["refund.created"], thin=True)
    refund = shop.sdk.v1.refunds.create({"charge": shop.one_off().id}, options={"idempotency_key": "k"})
    shop.control.quiet()
    ((signature, body),) = receiver.received
    told: Any = shop.sdk.parse_event_notification(body, signature, endpoint["secret"])
    assert told.type == "v1.refund.created"
    assert told.fetch_related_object().id == refund.id
    full = told.fetch_event()
    assert full.reason.request.idempotency_key == "k"
    assert shop.sdk.v1.events.retrieve(full.snapshot_event).type == "refund.created"
    with pytest.raises(ValueError, match=r"construct_event|thin|notification"):
        stripe.Webhook.construct_event(body, signature, endpoint["secret"])


def test_thin_events_name_states_that_snapshots_do_not(shop: Shop) -> None:
    failing = shop.trial(shop.customer("pm_card_chargeCustomerFail"))
    shop.control.advance(days=14, hours=2)
    shop.sdk.v1.subscriptions.update(failing.id, {"cancel_at_period_end": True})
    kinds = {event["type"] for event in shop.control.objects("thin_event")}
    assert {"v1.customer.subscription.active", "v1.customer.subscription.past_due"} <= kinds
    assert "v1.customer.subscription.cancel_at_changed" in kinds


def test_an_older_endpoint_is_told_in_the_shapes_of_its_version(shop: Shop, receiver: Receiver) -> None:
    endpoint = shop.control.add_endpoint(
        receiver.url, ["invoice.paid", "charge.succeeded", "customer.subscription.updated"], api_version="2024-06-20"
    )
    subscription, charge = shop.converted()
    shop.control.quiet()
    told = {event.type: event.data.object for event in receiver.events(endpoint["secret"])
            if getattr(event.data.object, "total", 1)}  # fmt: skip
    invoice = told["invoice.paid"]
    assert (invoice.charge, invoice.payment_intent) == (charge.id, charge.payment_intent)
    assert (invoice.subscription, invoice.paid) == (subscription.id, True)
    assert "parent" not in invoice
    assert invoice.lines.data[0].price.unit_amount == MONTHLY
    assert invoice.lines.data[0].proration is False
    assert told["charge.succeeded"].invoice == invoice.id
    assert told["customer.subscription.updated"].current_period_start == subscription.trial_end
    assert {json.loads(body)["api_version"] for _, body in receiver.received} == {"2024-06-20"}


def test_the_signature_is_the_documented_mac_over_time_and_body(shop: Shop, receiver: Receiver) -> None:
    endpoint = shop.control.add_endpoint(receiver.url, ["customer.created"])
    shop.control.weather(v0=True)
    shop.customer(None)
    shop.control.quiet()
    signature, body = receiver.received[0]
    parts = dict(part.split("=") for part in signature.split(","))
    mac = hmac.new(endpoint["secret"].encode(), f"{parts['t']}.".encode() + body, hashlib.sha256).hexdigest()
    assert parts["v1"] == mac
    assert set(parts) == {"t", "v1", "v0"}
    assert abs(int(parts["t"]) - time.time()) < 60


def test_any_event_can_be_forged_with_a_true_signature(shop: Shop, receiver: Receiver) -> None:
    endpoint = shop.control.add_endpoint(receiver.url, ["charge.succeeded"])
    shop.one_off()
    (event,) = shop.control.objects("event")[-1:]
    shop.control.send(endpoint["id"], {**event, "id": "evt_live", "livemode": True})
    shop.control.quiet()
    told = {each.id: each.livemode for each in receiver.events(endpoint["secret"])}
    assert told["evt_live"] is True
    assert len(told) == 2
