"""Disputes and their bookings have the fields of the recorded ones, down to the last, and the same kinds of values."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from tests.sandbox.shop import Shop
from tests.sandbox.test_recordings import RECORDED, RECORDINGS

# Younger than the newest recording of a dispute; the types of stripe 16.1 have them.
ADDED_SINCE = {"submission_method", "intended_submission_method", "network", "balance_type"}

pytestmark = pytest.mark.skipif(not RECORDED, reason="the recorded exchanges are not beside the repository")


def _recorded() -> list[Any]:
    bodies = [each["body"] for each in RECORDED if each["file"] == "disputes" and "error" not in each["body"]]
    paths = (RECORDINGS / "webhooks").glob("*.charge_dispute_closed.json")
    return bodies + [json.loads(path.read_text())["data"]["object"] for path in sorted(paths)]


def _played(shop: Shop) -> Iterator[Any]:
    """One dispute of ours in each state that was recorded."""
    for status in ("needs_response", "under_review", "won", "lost", "warning_closed"):
        dispute = shop.control.dispute(shop.one_off(1000).id, status=status)
        yield shop.control.get(f"/disputes/{dispute['id']}")
    answered = shop.control.dispute(shop.one_off(1000).id)
    yield shop.control.post(f"/disputes/{answered['id']}", evidence={"uncategorized_text": "winning_evidence"})


def _kinds(value: Any, at: str = "") -> Iterator[tuple[str, str]]:
    """Every field of a value by its path, with the kind of value it holds."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _kinds(inner, f"{at}.{name}")
    elif isinstance(value, list):
        for inner in value:
            yield from _kinds(inner, f"{at}[]")
    else:
        yield at, type(value).__name__


def test_a_dispute_has_every_field_that_was_recorded_and_no_other(shop: Shop) -> None:
    theirs = {kind for body in _recorded() for kind in _kinds(body)}
    ours = {kind for body in _played(shop) for kind in _kinds(body)}
    paths = {path for path, _ in theirs}
    assert {path for path, _ in ours} - paths <= {path for path, _ in ours if path.rpartition(".")[2] in ADDED_SINCE}
    assert paths <= {path for path, _ in ours}
    for path, kind in ours:
        if path in paths:
            assert {kind} <= {each for name, each in theirs if name == path} | {"NoneType"}, path


def test_recorded_money_of_a_won_dispute_is_ours_to_the_cent(shop: Shop) -> None:
    [theirs] = [body for body in _recorded() if body["status"] == "won"]
    ours = shop.control.dispute(shop.one_off(theirs["amount"]).id, status="won")
    named = ("amount", "fee", "net", "currency", "type", "reporting_category", "exchange_rate")
    for one, other in zip(ours["balance_transactions"], theirs["balance_transactions"], strict=True):
        assert [one[name] for name in named] == [other[name] for name in named]
        assert one["fee_details"][0]["description"] == other["fee_details"][0]["description"]
        assert one["description"].split(" ch_")[0] == other["description"].split(" ch_")[0]
