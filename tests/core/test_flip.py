"""The nearest flip is true, smallest, and found for whatever facts a case has."""

from hypothesis import given
from tests.builders import facts, shipped_policy
from tests.core.test_decide_properties import FEW, SOME_FACTS

from billingbot.core.decision import Outcome
from billingbot.core.explain import flips_in_words
from billingbot.core.facts import Facts, FactValue
from billingbot.core.policy import decide, load_policy
from billingbot.core.policy.conditions import known_values
from billingbot.core.policy.flip import Flip, nearest_flips, outcome_of

POLICY = shipped_policy()


def changed(found: Facts, flip: Flip) -> dict[str, FactValue]:
    return {name: value for change in flip.changes for name, value in change.facts.items()}


def flips_of(**overrides: FactValue | None) -> list[dict[str, FactValue]]:
    found = facts(**overrides)
    return [changed(found, flip) for flip in nearest_flips(found, POLICY)]


@FEW
@given(SOME_FACTS)
def test_the_short_way_to_an_outcome_is_what_deciding_says(values: dict[str, FactValue | None]) -> None:
    found = facts(values)
    outcome, rule = outcome_of(known_values(found), POLICY)
    decision = decide(found, POLICY)
    assert (outcome, rule.id) == (decision.outcome, decision.rule)


@FEW
@given(SOME_FACTS)
def test_every_flip_leads_where_it_says_and_no_part_of_it_does(values: dict[str, FactValue | None]) -> None:
    found = facts(values)
    before = decide(found, POLICY).outcome
    for flip in nearest_flips(found, POLICY):
        after = decide(facts({**values, **changed(found, flip)}), POLICY)
        assert (after.outcome, after.rule) == (flip.outcome, flip.rule)
        assert after.outcome is not before
        for left_out in flip.changes:
            rest = {n: v for change in flip.changes if change is not left_out for n, v in change.facts.items()}
            assert decide(facts({**values, **rest}), POLICY).outcome is not Outcome.REFUND or before is Outcome.REFUND


def test_one_use_is_what_stood_between_a_used_trial_and_its_refund() -> None:
    assert flips_of(usage__used=True) == [{"usage.used": False}]


def test_a_gap_in_the_evidence_needs_both_an_answer_and_no_use_in_it() -> None:
    assert flips_of(usage__used=None, usage__complete=False) == [{"usage.complete": True, "usage.used": False}]


def test_an_amount_above_the_limit_would_have_had_to_be_the_limit_to_the_cent() -> None:
    assert flips_of(charge__amount_minor=20001, charge__refundable_minor=20001) == [
        {"charge.amount_minor": 20000, "charge.refundable_minor": 20000}
    ]


def test_a_disputed_charge_would_have_had_never_to_be_disputed() -> None:
    told = facts(dispute__open_chargeback=True, dispute__none=False, dispute__allows_refund=False)
    assert flips_in_words(told, POLICY) == ("Refunded at once (unused-trial) had the charge never been disputed.",)


def test_what_would_have_stopped_a_refund_is_told_with_use_first() -> None:
    first, *_ = flips_in_words(facts(), POLICY)
    assert first == "A person would decide (used) had usage.used been true, not false."


def test_times_and_numbers_of_a_policy_are_met_to_the_second_and_to_the_unit() -> None:
    source = POLICY.source.replace(
        'one-charge-is-meant = "!request.ambiguous"\nbegan-with-a-trial',
        "soon = \"charge.created_at - trial.ended_at < duration('30m')\"\n"
        'one-charge-is-meant = "!request.ambiguous"\nbegan-with-a-trial',
    )
    late = load_policy(source, filename="policy.toml")
    found = facts()  # charged an hour after the trial's end
    ended = found.known("trial.ended_at")
    values = [changed(found, flip) for flip in nearest_flips(found, late)]
    assert values
    for value in values:
        after = facts(value)
        gap = after.known("charge.created_at") - after.known("trial.ended_at")  # type: ignore[operator]  # both are times
        assert gap.total_seconds() < 1800
    assert ended is not None


def test_a_case_that_nothing_near_could_turn_has_no_flip() -> None:
    far = facts(
        usage__used=True,
        trial__exists=False,
        trial__charged_at_end=False,
        trial__earlier_charge=True,
        charge__is_last=False,
    )
    assert nearest_flips(far, POLICY) == ()
    assert decide(far, POLICY).outcome is Outcome.REVIEW
