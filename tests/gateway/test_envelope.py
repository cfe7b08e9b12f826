"""Envelopes: what an event says of itself, and that no bytes can break the door."""

import contextlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from billingbot.core.signals import SIGNALS, Envelope
from billingbot.gateway import EnvelopeError, EnvelopeReason, decode

WEBHOOKS = Path(__file__).resolve().parents[3] / "shared" / "stripe-recordings" / "webhooks"
CREATED = 1_790_000_000

# The clock of a machine that runs the whole suite at once says nothing about us.
PATIENT = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


def snapshot(**changes: Any) -> dict[str, Any]:
    return {
        "id": "evt_1Abc",
        "object": "event",
        "api_version": "2026-10-28.endive",
        "created": CREATED,
        "data": {"object": {"id": "in_1", "object": "invoice", "metadata": {"id": "x", "name": "Zoë"}}},
        "livemode": False,
        "type": "invoice.paid",
    } | changes


def thin(**changes: Any) -> dict[str, Any]:
    return {
        "id": "evt_test_1",
        "object": "v2.core.event",
        "type": "v1.invoice.paid",
        "livemode": False,
        "created": "2026-09-21T14:13:20.500Z",
        "related_object": {"id": "in_1", "type": "invoice", "url": "/v1/invoices/in_1"},
        "reason": None,
    } | changes


def without(event: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in event.items() if key != name}


def read(event: object, *, livemode: bool = False, stripe_account: str | None = None) -> Envelope:
    body = event if isinstance(event, bytes) else json.dumps(event, indent=2).encode()
    return decode(body, account="main", livemode=livemode, stripe_account=stripe_account)


def refused(event: object, **kwargs: Any) -> tuple[EnvelopeReason, str]:
    with pytest.raises(EnvelopeError) as caught:
        read(event, **kwargs)
    return caught.value.reason, caught.value.field


def test_a_snapshot_event_is_decoded() -> None:
    body = json.dumps(snapshot()).encode()
    assert read(body) == Envelope(
        account="main",
        event_id="evt_1Abc",
        type="invoice.paid",
        thin=False,
        livemode=False,
        api_version="2026-10-28.endive",
        created=CREATED,
        object_id="in_1",
        trial_end_before=None,
        body=body,
    )


def test_a_thin_event_is_decoded() -> None:
    body = json.dumps(thin()).encode()
    assert read(body) == Envelope(
        account="main",
        event_id="evt_test_1",
        type="v1.invoice.paid",
        thin=True,
        livemode=False,
        api_version=None,
        created=CREATED,
        object_id="in_1",
        trial_end_before=None,
        body=body,
    )


def test_a_moved_trial_end_is_noticed() -> None:
    moved = {"object": {"id": "sub_1"}, "previous_attributes": {"trial_end": CREATED, "items": {}}}
    assert read(snapshot(type="customer.subscription.updated", data=moved)).trial_end_before == CREATED


@pytest.mark.parametrize("before", [None, {}, {"trial_end": None}, {"status": "trialing"}])
def test_a_trial_end_that_was_not_there_before_is_none(before: object) -> None:
    data = {"object": {"id": "sub_1"}, "previous_attributes": before}
    assert read(snapshot(type="customer.subscription.updated", data=data)).trial_end_before is None


@pytest.mark.parametrize("data", [{}, {"object": {}}, {"object": {"object": "balance"}}, None, 7])
def test_a_type_nobody_needs_may_be_about_anything(data: object) -> None:
    assert read(snapshot(type="balance.available", data=data)).object_id is None
    assert read(thin(type="v2.core.account.created", related_object=data)).object_id is None


@pytest.mark.parametrize("event_type", sorted(SIGNALS))
def test_every_type_we_need_has_an_object(event_type: str) -> None:
    assert read(snapshot(type=event_type)).object_id == "in_1"
    assert read(thin(type=f"v1.{event_type}")).object_id == "in_1"


def test_the_mode_has_to_be_the_endpoints_own() -> None:
    assert refused(snapshot(livemode=True)) == (EnvelopeReason.WRONG_MODE, "livemode")
    assert refused(snapshot(), livemode=True) == (EnvelopeReason.WRONG_MODE, "livemode")
    assert read(snapshot(livemode=True), livemode=True).livemode


def test_an_event_of_another_account_is_refused() -> None:
    assert refused(snapshot(account="acct_2")) == (EnvelopeReason.WRONG_ACCOUNT, "account")
    assert refused(thin(context="acct_2")) == (EnvelopeReason.WRONG_ACCOUNT, "context")
    assert refused(snapshot(account="acct_2"), stripe_account="acct_1") == (EnvelopeReason.WRONG_ACCOUNT, "account")
    assert read(snapshot(account="acct_2"), stripe_account="acct_2").account == "main"
    assert read(snapshot(account=None)).event_id == "evt_1Abc"


@pytest.mark.parametrize(
    ("event", "reason", "field"),
    [
        (b"", EnvelopeReason.BAD_JSON, "body"),
        (b" ", EnvelopeReason.BAD_JSON, "body"),
        (b"[]", EnvelopeReason.NOT_AN_EVENT, "body"),
        (b"null", EnvelopeReason.NOT_AN_EVENT, "body"),
        (b"7", EnvelopeReason.NOT_AN_EVENT, "body"),
        (b'"x"', EnvelopeReason.NOT_AN_EVENT, "body"),
        (b"{}", EnvelopeReason.NOT_AN_EVENT, "object"),
        (b"{", EnvelopeReason.BAD_JSON, "body"),
        (b"{}{}", EnvelopeReason.BAD_JSON, "body"),
        (b"<html>", EnvelopeReason.BAD_JSON, "body"),
        (b'{"object":NaN}', EnvelopeReason.BAD_JSON, "body"),
        (b'{"object":Infinity}', EnvelopeReason.BAD_JSON, "body"),
        (b'{"object":"event","object":"event"}', EnvelopeReason.BAD_JSON, "body"),
        (b'{"\\u006fbject":"event"}', EnvelopeReason.BAD_JSON, "body"),
        (b'{"object":"\xff"}', EnvelopeReason.BAD_JSON, "body"),
        (b'{"other":"\xff"}', EnvelopeReason.BAD_JSON, "body"),
        (b'{"object":"\\ud800"}', EnvelopeReason.BAD_JSON, "body"),
        (b'{"other":"\\ud800"}', EnvelopeReason.BAD_JSON, "body"),
        (b'{"object":"a\x00"}', EnvelopeReason.BAD_JSON, "body"),
        (b"\xef\xbb\xbf" + json.dumps(snapshot()).encode(), EnvelopeReason.BAD_JSON, "body"),
        (json.dumps(snapshot()).encode("utf-16"), EnvelopeReason.BAD_JSON, "body"),
        (json.dumps(snapshot()).encode("utf-32"), EnvelopeReason.BAD_JSON, "body"),
        (b'{"object":' + b"[" * 200_000 + b"]" * 200_000 + b"}", EnvelopeReason.BAD_JSON, "body"),
        (b'{"a":' * 200_000 + b"1" + b"}" * 200_000, EnvelopeReason.BAD_JSON, "body"),
        (snapshot(object="charge"), EnvelopeReason.NOT_AN_EVENT, "object"),
        (snapshot(object=7), EnvelopeReason.BAD_FIELD, "object"),
        (without(snapshot(), "id"), EnvelopeReason.BAD_FIELD, "id"),
        (snapshot(id=7), EnvelopeReason.BAD_FIELD, "id"),
        (snapshot(id="in_1"), EnvelopeReason.BAD_FIELD, "id"),
        (snapshot(id="evt_"), EnvelopeReason.BAD_FIELD, "id"),
        (snapshot(id="evt_1\n"), EnvelopeReason.BAD_FIELD, "id"),
        (snapshot(id="evt_1\0"), EnvelopeReason.BAD_FIELD, "id"),
        (snapshot(id="evt_é"), EnvelopeReason.BAD_FIELD, "id"),
        (snapshot(id="evt_" + "a" * 251), EnvelopeReason.BAD_FIELD, "id"),
        (without(snapshot(), "type"), EnvelopeReason.BAD_FIELD, "type"),
        (snapshot(type=""), EnvelopeReason.BAD_FIELD, "type"),
        (snapshot(type=None), EnvelopeReason.BAD_FIELD, "type"),
        (snapshot(type=["invoice.paid"]), EnvelopeReason.BAD_FIELD, "type"),
        (snapshot(type="invoice.paid\0"), EnvelopeReason.BAD_FIELD, "type"),
        (snapshot(type="a" * 129), EnvelopeReason.BAD_FIELD, "type"),
        (without(snapshot(), "livemode"), EnvelopeReason.BAD_FIELD, "livemode"),
        (snapshot(livemode=None), EnvelopeReason.BAD_FIELD, "livemode"),
        (snapshot(livemode=0), EnvelopeReason.BAD_FIELD, "livemode"),
        (snapshot(livemode="false"), EnvelopeReason.BAD_FIELD, "livemode"),
        (snapshot(account=7), EnvelopeReason.BAD_FIELD, "account"),
        (without(snapshot(), "created"), EnvelopeReason.BAD_FIELD, "created"),
        (snapshot(created="2026-09-21T14:13:20Z"), EnvelopeReason.BAD_FIELD, "created"),
        (snapshot(created=0), EnvelopeReason.BAD_FIELD, "created"),
        (snapshot(created=-1), EnvelopeReason.BAD_FIELD, "created"),
        (snapshot(created=CREATED * 1000), EnvelopeReason.BAD_FIELD, "created"),
        (snapshot(created=10**400), EnvelopeReason.BAD_FIELD, "created"),
        (snapshot(created=CREATED + 0.5), EnvelopeReason.BAD_FIELD, "created"),
        (snapshot(created=True), EnvelopeReason.BAD_FIELD, "created"),
        (snapshot(api_version=7), EnvelopeReason.BAD_FIELD, "api_version"),
        (snapshot(api_version=""), EnvelopeReason.BAD_FIELD, "api_version"),
        (snapshot(api_version="2026\0"), EnvelopeReason.BAD_FIELD, "api_version"),
        (without(snapshot(), "data"), EnvelopeReason.MISSING_OBJECT_ID, "data"),
        (snapshot(data=None), EnvelopeReason.BAD_FIELD, "data"),
        (snapshot(data={}), EnvelopeReason.MISSING_OBJECT_ID, "data.object"),
        (snapshot(data={"object": []}), EnvelopeReason.BAD_FIELD, "data.object"),
        (snapshot(data={"object": {}}), EnvelopeReason.MISSING_OBJECT_ID, "data.object.id"),
        (snapshot(data={"object": {"id": None}}), EnvelopeReason.BAD_FIELD, "data.object.id"),
        (snapshot(data={"object": {"id": 7}}), EnvelopeReason.BAD_FIELD, "data.object.id"),
        (snapshot(data={"object": {"id": ""}}), EnvelopeReason.BAD_FIELD, "data.object.id"),
        (snapshot(data={"object": {"id": "in 1"}}), EnvelopeReason.BAD_FIELD, "data.object.id"),
        (snapshot(data={"object": {"id": "a" * 256}}), EnvelopeReason.BAD_FIELD, "data.object.id"),
        (
            snapshot(data={"object": {"id": "sub_1"}, "previous_attributes": []}),
            EnvelopeReason.BAD_FIELD,
            "data.previous_attributes",
        ),
        (
            snapshot(data={"object": {"id": "sub_1"}, "previous_attributes": {"trial_end": "now"}}),
            EnvelopeReason.BAD_FIELD,
            "data.previous_attributes.trial_end",
        ),
        (
            snapshot(data={"object": {"id": "sub_1"}, "previous_attributes": {"trial_end": 10**30}}),
            EnvelopeReason.BAD_FIELD,
            "data.previous_attributes.trial_end",
        ),
        (thin(created=CREATED), EnvelopeReason.BAD_FIELD, "created"),
        (thin(created="yesterday"), EnvelopeReason.BAD_FIELD, "created"),
        (thin(created="2026-09-21T14:13:20"), EnvelopeReason.BAD_FIELD, "created"),
        (thin(created="0001-01-01T00:00:00+23:59"), EnvelopeReason.BAD_FIELD, "created"),
        (thin(created="9999-12-31T23:59:59-23:59"), EnvelopeReason.BAD_FIELD, "created"),
        (thin(related_object=None), EnvelopeReason.BAD_FIELD, "related_object"),
        (without(thin(), "related_object"), EnvelopeReason.MISSING_OBJECT_ID, "related_object"),
        (thin(related_object={"type": "invoice"}), EnvelopeReason.MISSING_OBJECT_ID, "related_object.id"),
        (thin(context=7), EnvelopeReason.BAD_FIELD, "context"),
    ],
)
def test_a_hostile_body_is_refused_with_its_field(event: object, reason: EnvelopeReason, field: str) -> None:
    assert refused(event) == (reason, field)


@pytest.mark.parametrize(
    "inside",
    ['{"object":{"id":"in_1"},"object":{"id":"in_2"}}', '{"object":{"id":"in_1","id":"in_2"}}'],
)
def test_an_object_named_twice_is_refused_rather_than_chosen(inside: str) -> None:
    body = json.dumps(snapshot(data=0)).replace('"data": 0', f'"data": {inside}').encode()
    assert refused(body)[0] is EnvelopeReason.BAD_JSON


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@PATIENT
@given(st.binary())
def test_no_bytes_raise_anything_but_our_error(body: bytes) -> None:
    with contextlib.suppress(EnvelopeError):
        read(body)


@PATIENT
@given(
    base=st.sampled_from([snapshot(), thin()]),
    changes=st.dictionaries(st.sampled_from(sorted(snapshot() | thin())), _JSON),
)
def test_an_event_with_any_values_is_read_or_refused(base: dict[str, Any], changes: dict[str, Any]) -> None:
    with contextlib.suppress(EnvelopeError):
        envelope = read(json.dumps(base | changes).encode())
        assert envelope.event_id.startswith("evt_")
        assert envelope.object_id is None or envelope.object_id.isascii()


@PATIENT
@given(cut=st.integers(0, 300), swap=st.integers(0, 255), at=st.integers(0, 300))
def test_a_damaged_event_is_read_or_refused(cut: int, swap: int, at: int) -> None:
    body = bytearray(json.dumps(snapshot()).encode())
    body[at % len(body)] = swap
    with contextlib.suppress(EnvelopeError):
        read(bytes(body[: len(body) - cut % len(body)]))


def test_recorded_events_of_every_api_version_are_decoded() -> None:
    if not WEBHOOKS.is_dir():
        pytest.skip("recorded webhooks are not at hand")
    for path in sorted(WEBHOOKS.glob("*.json")):
        recorded = json.loads(path.read_bytes())
        livemode = recorded["livemode"]
        found = read(path.read_bytes(), livemode=livemode, stripe_account=recorded.get("account"))
        assert (found.event_id, found.type) == (recorded["id"], recorded["type"])
        assert found.object_id in (None, recorded["data"]["object"]["id"])
