"""What was decided under an earlier catalogue of facts is decided again to the same bytes, for an auditor any year.

`as_decided` holds facts, policy and decisions as they were stored in November 2026. Nothing there is ever written
anew: where a change of the code makes a test here fail, stored decisions of real cases no longer prove themselves.
"""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from billingbot.core.canonical import canonical_bytes, digest
from billingbot.core.explain import explain
from billingbot.core.facts import CATALOGUE
from billingbot.core.policy import decide, load_policy
from billingbot.core.restore import restore_decision, restore_facts

STORED = Path(__file__).parent / "as_decided"
NAMES = sorted(path.name.partition(".")[0] for path in STORED.glob("*.facts.json"))
POLICY = load_policy((STORED / "policy.toml").read_bytes(), filename="policy.toml")


def _facts(name: str) -> bytes:
    return (STORED / f"{name}.facts.json").read_bytes()


def _decision(name: str) -> bytes:
    return (STORED / f"{name}.decision.json").read_bytes()


@pytest.mark.parametrize("name", NAMES)
def test_a_stored_decision_comes_out_again_byte_for_byte(name: str) -> None:
    stored = _decision(name)
    assert canonical_bytes(restore_facts(_facts(name))) == _facts(name)
    assert canonical_bytes(restore_decision(stored)) == stored
    assert canonical_bytes(decide(restore_facts(_facts(name)), POLICY)) == stored


@given(st.sampled_from(NAMES), st.sets(st.sampled_from(sorted(CATALOGUE))))
@settings(max_examples=60, deadline=None)
def test_facts_stored_by_any_smaller_catalogue_keep_their_bytes_and_are_unknown_beyond_them(
    name: str, lacking: set[str]
) -> None:
    raw = json.loads(_facts(name))
    raw["facts"] = {fact: told for fact, told in raw["facts"].items() if fact not in lacking}
    content = canonical_bytes(raw)
    found = restore_facts(content)
    assert canonical_bytes(found) == content
    assert decide(found, POLICY).facts_digest == digest(content)
    assert lacking <= set(found.gained)
    assert all(found.known(fact) is None for fact in lacking)
    assert lacking <= {fact for fact, _ in found.unknowns()}


def test_a_fact_that_the_catalogue_lost_since_stays_in_the_bytes() -> None:
    raw = json.loads(_facts("refund"))
    raw["facts"]["moon.phase"] = {"as_of": raw["at"], "source": "almanac", "value": "2026-03-01T09:00:00.000000Z"}
    content = canonical_bytes(raw)
    assert canonical_bytes(restore_facts(content)) == content
    assert decide(restore_facts(content), POLICY).facts_digest == digest(content)


def test_that_the_catalogue_grew_is_told_loudly_and_whether_the_rules_ask_for_it() -> None:
    raw = json.loads(_facts("refund"))
    del raw["facts"]["usage.last_at"], raw["facts"]["trial.exists"]
    found = restore_facts(canonical_bytes(raw))
    lines = explain(decide(found, POLICY), found, POLICY)
    at = lines.index("NOT YET FACTS when this was decided, and unknown here:")
    assert "trial.exists" in lines[at + 1]
    assert "usage.last_at" in lines[at + 1]
    assert lines[at + 2] == "  These rules read trial.exists."


def test_facts_of_today_say_nothing_of_a_catalogue_that_grew() -> None:
    raw = json.loads(_facts("refund"))
    raw["facts"] |= {name: {"as_of": raw["at"], "source": "x", "why": "y"} for name in CATALOGUE.keys() - raw["facts"]}
    found = restore_facts(canonical_bytes(raw))
    assert found.gained == ()
    assert not any("NOT YET" in line for line in explain(decide(found, POLICY), found, POLICY))


def test_the_order_of_facts_that_stored_decisions_name_them_in_never_changes() -> None:
    """`missing` lists facts in the catalogue's order: a new one stands behind those there were."""
    then = [
        "request.channel request.claims_unused request.claims_cancellation request.nothing_charged request.ambiguous",
        "charge.succeeded charge.captured charge.amount_minor charge.refunded_minor charge.refundable_minor",
        "charge.currency charge.created_at charge.is_last charge.single_payment charge.invoice_sent",
        "dispute.none dispute.open_inquiry dispute.open_chargeback dispute.money_returned dispute.won",
        "dispute.allows_refund warning.actionable trial.exists trial.started_at trial.ended_at trial.ended_early",
        "trial.charged_at_end trial.earlier_charge usage.used usage.complete usage.first_at usage.last_at",
        "cancellation.before_charge history.trial_by_card history.trial_by_email history.refunds_customer",
        "history.refunds_card history.refunds_email history.denied_before desk.mode",
    ]
    assert [name for name in CATALOGUE if name in json.loads(_facts("refund"))["facts"]] == " ".join(then).split()
