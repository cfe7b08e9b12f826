"""Where a charge's money is: the table, and what holds for every combination of charge, refunds and disputes."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.builders import AMOUNT, CHARGED, a_charge, a_dispute, a_dossier, a_refund, an_inquiry

from billingbot.core.decision import Blocker
from billingbot.core.disputes.life import returned_money
from billingbot.core.evidence.dossier import CHARGEBACK_OPEN, DISPUTE_STATUSES, Dispute, Dossier
from billingbot.core.evidence.establish import establish
from billingbot.core.money_state import MoneyState, money_of, payment_blockers
from billingbot.core.policy import approval_blockers
from billingbot.core.refund import Origin
from billingbot.core.request import Channel, Claims, RequestFacts

WON = a_dispute(status="won", is_charge_refundable=True)
LOST = a_dispute(status="lost")
RDR = a_dispute(status="lost", fee_minor=0)

STATES: list[tuple[str, dict[str, Any], MoneyState]] = [
    ("captured", {}, MoneyState.CAPTURED),
    ("failed", {"charge": a_charge(status="failed")}, MoneyState.NOT_TAKEN),
    ("reserved", {"charge": a_charge(captured=False, amount_captured_minor=0)}, MoneyState.NOT_TAKEN),
    ("pending", {"charge": a_charge(status="pending")}, MoneyState.UNCLEAR),
    ("refunded in part", {"refunds": (a_refund(amount_minor=100),)}, MoneyState.PARTLY_REFUNDED),
    ("refunded", {"refunds": (a_refund(),)}, MoneyState.REFUNDED),
    ("refunded elsewhere", {"charge": a_charge(amount_refunded_minor=AMOUNT)}, MoneyState.REFUNDED),
    ("a refund that came back", {"refunds": (a_refund(status="failed"),)}, MoneyState.CAPTURED),
    ("inquired", {"disputes": (an_inquiry(),)}, MoneyState.INQUIRED),
    ("inquiry closed", {"disputes": (an_inquiry(status="warning_closed"),)}, MoneyState.CAPTURED),
    ("charged back", {"disputes": (a_dispute(),)}, MoneyState.CHARGED_BACK),
    ("appealed", {"disputes": (a_dispute(status="appeal_needs_response"),)}, MoneyState.CHARGED_BACK),
    ("won", {"disputes": (WON,)}, MoneyState.WON),
    ("lost", {"disputes": (LOST,)}, MoneyState.LOST),
    ("resolved by the bank's rule", {"disputes": (RDR,)}, MoneyState.PREVENTED),
    ("prevented", {"disputes": (a_dispute(status="prevented"),)}, MoneyState.PREVENTED),
    ("refunded, then charged back", {"refunds": (a_refund(),), "disputes": (a_dispute(),)}, MoneyState.CHARGED_BACK),
    ("refunded, then lost", {"refunds": (a_refund(),), "disputes": (LOST,)}, MoneyState.PAID_TWICE),
    ("refunded, and by rule as well", {"refunds": (a_refund(),), "disputes": (RDR,)}, MoneyState.PAID_TWICE),
    ("refunded, then won", {"refunds": (a_refund(),), "disputes": (WON,)}, MoneyState.REFUNDED),
    ("lost in part", {"disputes": (a_dispute(status="lost", amount_minor=100),)}, MoneyState.UNCLEAR),
    (
        "the rest refunded, a part lost",
        {
            "refunds": (a_refund(amount_minor=AMOUNT - 100),),
            "disputes": (a_dispute(status="lost", amount_minor=100),),
        },
        MoneyState.LOST,
    ),
    ("over more than the charge", {"disputes": (an_inquiry(amount_minor=AMOUNT + 1),)}, MoneyState.UNCLEAR),
    ("in another currency", {"disputes": (an_inquiry(currency="eur"),)}, MoneyState.UNCLEAR),
    ("a status that nobody knows", {"disputes": (a_dispute(status="pondering"),)}, MoneyState.UNCLEAR),
    ("won and asked again", {"disputes": (WON, an_inquiry(id="dp_2"))}, MoneyState.UNCLEAR),
    ("lost and charged back again", {"disputes": (LOST, a_dispute(id="dp_2"))}, MoneyState.UNCLEAR),
    ("disputed, and the list is behind", {"charge": a_charge(disputed=True)}, MoneyState.UNCLEAR),
]


@pytest.mark.parametrize(("parts", "state"), [line[1:] for line in STATES], ids=[line[0] for line in STATES])
def test_charge_refunds_and_disputes_say_together_where_the_money_is(parts: dict[str, Any], state: MoneyState) -> None:
    assert money_of(a_dossier(**parts)).state is state


def test_every_state_stands_in_the_table() -> None:
    assert {state for _, _, state in STATES} == set(MoneyState)


def test_a_person_may_give_what_was_won_back_and_a_machine_may_not() -> None:
    money = money_of(a_dossier(disputes=(WON,)))
    assert payment_blockers(money, Origin.PERSON) == ()
    assert payment_blockers(money, Origin.POLICY) == (Blocker.DISPUTE_WON,)


def test_stripes_word_over_all_disputes_overrules_every_state() -> None:
    forbidding = an_inquiry(status="warning_closed", is_charge_refundable=False)
    money = money_of(a_dossier(disputes=(forbidding,)))
    assert money.state is MoneyState.CAPTURED
    assert payment_blockers(money, Origin.PERSON) == (Blocker.DISPUTE_FORBIDS,)


def test_without_a_charge_nothing_is_paid() -> None:
    assert payment_blockers(None, Origin.PERSON) == (Blocker.MONEY_UNCLEAR,)


AMOUNTS = st.sampled_from([0, 100, AMOUNT - 100, AMOUNT, AMOUNT + 1])


@st.composite
def any_dispute(draw: st.DrawFn) -> Dispute:
    return a_dispute(
        id=f"dp_{draw(st.integers(1, 10**6))}",
        status=draw(st.sampled_from([*sorted(DISPUTE_STATUSES), "brand_new"])),
        case_type=draw(st.sampled_from([None, "inquiry", "chargeback", "compliance", "block", "resolution"])),
        amount_minor=draw(AMOUNTS),
        currency=draw(st.sampled_from(["usd", "usd", "usd", "eur"])),
        fee_minor=draw(st.sampled_from([None, 0, 1500])),
        is_charge_refundable=draw(st.booleans()),
    )


@st.composite
def any_dossier(draw: st.DrawFn) -> Dossier:
    refunds = draw(
        st.lists(
            st.builds(
                a_refund,
                amount_minor=AMOUNTS,
                status=st.sampled_from(["pending", "requires_action", "succeeded", "failed", "canceled"]),
            ),
            max_size=2,
        )
    )
    charge = a_charge(
        status=draw(st.sampled_from(["succeeded", "succeeded", "succeeded", "failed", "pending", "brand_new"])),
        captured=draw(st.sampled_from([True, True, True, False])),
        disputed=draw(st.booleans()),
        amount_captured_minor=draw(st.sampled_from([0, 100, AMOUNT])),
        amount_refunded_minor=draw(AMOUNTS),
    )
    disputes = draw(st.lists(any_dispute(), max_size=3))
    return a_dossier(charge=charge, refunds=tuple(refunds), disputes=tuple(disputes))


@given(any_dossier(), st.randoms(use_true_random=False))
def test_every_combination_has_one_state_in_whatever_order_its_disputes_are_listed(
    found: Dossier, any_order: Any
) -> None:
    shuffled = list(found.disputes)
    any_order.shuffle(shuffled)
    other = a_dossier(charge=found.charge, refunds=found.refunds, disputes=tuple(shuffled))
    assert money_of(other) == money_of(found)


@given(any_dossier(), st.sampled_from([Origin.POLICY, Origin.PERSON]))
def test_nothing_is_paid_where_the_customer_has_or_may_get_the_money_another_way(found: Dossier, by: Origin) -> None:
    money = money_of(found)
    if payment_blockers(money, by):
        return
    assert found.charge.status == "succeeded"
    assert found.charge.captured
    assert 0 < money.refundable_minor <= found.charge.amount_captured_minor
    assert not any(returned_money(dispute) for dispute in found.disputes)
    assert not any(dispute.status in CHARGEBACK_OPEN for dispute in found.disputes)
    assert all(dispute.is_charge_refundable for dispute in found.disputes)
    assert all(dispute.currency == found.charge.currency for dispute in found.disputes)
    assert all(dispute.amount_minor <= found.charge.amount_captured_minor for dispute in found.disputes)
    assert by is Origin.PERSON or not any(dispute.status == "won" for dispute in found.disputes)


@given(any_dossier())
def test_what_stored_facts_forbid_the_money_forbids_too(found: Dossier) -> None:
    facts = establish(
        at=CHARGED,
        dossier=found,
        request=RequestFacts(channel=Channel.API, claims=Claims()),
        usage=(),
        support=(),
        history=None,
        mode="auto",
    )
    if approval_blockers(facts):
        assert payment_blockers(money_of(found), Origin.PERSON)
