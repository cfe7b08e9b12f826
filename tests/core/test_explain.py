"""An explanation says what was decided, by which rule, on what, and who said so."""

from tests.builders import NOW as AT
from tests.builders import a_dossier, a_history, a_request, facts, no_cancellation, shipped_policy, unreachable, unused

from billingbot.core.canonical import canonical_bytes
from billingbot.core.evidence.establish import establish
from billingbot.core.explain import explain
from billingbot.core.policy import decide
from billingbot.core.restore import restore_decision, restore_facts

POLICY = shipped_policy()


def told(**overrides: object) -> str:
    found = facts(**overrides)  # type: ignore[arg-type]  # a test's own keywords
    return "\n".join(explain(decide(found, POLICY), found, POLICY))


def test_a_refund_names_amount_rule_clause_and_every_limit() -> None:
    text = told()
    assert text.startswith("Refund at once: USD 49.00.\nRule unused-trial (row 7): A trial that was never used")
    assert "Clause unused-trial: A trial that was never used." in text
    assert "the largest automatic refund: inside (observed USD 49.00; allowed above zero, at most USD 200.00)" in text
    assert "+ never used: wanted true, observed true" in text
    assert "usage.used is false (test, 2026-03-17 10:00:00 UTC)" in text


def test_a_review_names_its_advice_and_stops_at_the_rule_that_decided() -> None:
    text = told(usage__used=True)
    assert text.startswith("A person decides.\nAdvice: decline. Priority: normal.\nRule used (row 8)")
    assert "row 8, used: applies" in text
    assert "row 9" not in text


def test_an_unknown_that_held_a_refund_back_is_named_with_its_rule() -> None:
    text = told(history__trial_by_card=None)
    assert "Held back: a rule above it could not be told, and it might forbid this: repeat-trial." in text
    assert "? same card or mailbox: wanted true, observed unknown" in text
    assert "history.trial_by_card is unknown: not told by this test" in text


def test_a_limit_that_held_a_refund_back_is_named() -> None:
    text = told(desk__mode="shadow")
    assert "Held back by a limit (limit-mode): the desk's mode." in text
    assert "the desk's mode: outside (observed mode shadow; allowed mode auto)" in text


def test_a_close_says_that_nothing_is_left() -> None:
    text = told(charge__refunded_minor=4900, charge__refundable_minor=0)
    assert text.startswith("Close, there is nothing to refund.\nRule already-refunded (row 1)")


def test_a_source_with_a_gap_is_named_without_any_address() -> None:
    found = establish(
        at=AT,
        dossier=a_dossier(),
        request=a_request(),
        usage=[unused(), unreachable("api-calls", why="ada@example.com: timed out")],
        support=[no_cancellation(answered=False, why="closed", coverage=())],
        history=a_history(),
        mode="auto",
    )
    text = "\n".join(explain(decide(found, POLICY), found, POLICY))
    assert "Sources with a gap:\n  api-calls: (address): timed out\n  support-desk: closed" in text
    assert "example.com" not in text


def test_what_was_stored_is_explained_in_the_same_words() -> None:
    found = facts(usage__used=None, usage__complete=False)
    decision = decide(found, POLICY)
    again = restore_facts(canonical_bytes(found))
    restored = restore_decision(canonical_bytes(decision))
    first, second = explain(decision, found, POLICY), explain(restored, again, POLICY)
    assert sorted(first) == sorted(second)
