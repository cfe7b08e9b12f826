"""What follows a refund, pure: the life of a cancellation, what stands against it, and against a credit note."""

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests import builders

from billingbot.core.aftercare import LIVE, CancellationState, Stands, become, is_over, stands_in_the_way
from billingbot.core.credit import CreditObstacle, credit_obstacle, with_its_note
from billingbot.core.errors import ConfigError, ConflictError
from billingbot.core.evidence.dossier import CreditNote, Dossier
from billingbot.core.policy import load_policy
from billingbot.core.refund_terms import CancelWhen, RefundTerms, RefundWith

_S = CancellationState


@given(st.lists(st.sampled_from(CancellationState), max_size=12))
def test_what_is_done_or_not_needed_or_withdrawn_stays_so(moves: list[CancellationState]) -> None:
    state = _S.INTENDED
    for move in moves:
        before = state
        try:
            state = become(state, move)
        except ConflictError:
            continue
        assert before not in {_S.DONE, _S.NOT_NEEDED, _S.WITHDRAWN}
        assert before in LIVE or move is _S.INTENDED  # only a person brings one back, from its beginning


def a_dossier() -> Dossier:
    """A trial-end charge of a running subscription, with its invoice and price."""
    found = builders.a_dossier()
    assert found.invoice is not None
    assert found.subscription is not None
    lines = tuple(replace(line, price_id="price_1") for line in found.invoice.lines)
    return replace(
        found,
        invoice=replace(found.invoice, lines=lines),
        subscription=replace(found.subscription, price_ids=("price_1",)),
    )


def test_nothing_stands_against_the_plain_case() -> None:
    found = a_dossier()
    assert found.subscription is not None
    assert stands_in_the_way(found, found.subscription.id) is None
    assert credit_obstacle(found, found.charge.amount_minor) is None


def test_each_change_since_the_refund_is_told_by_name() -> None:
    found = a_dossier()
    invoice, subscription = found.invoice, found.subscription
    assert invoice is not None
    assert subscription is not None
    later = replace(invoice, id="in_later", paid_at=found.charge.created_at + timedelta(days=30))
    changes = {
        Stands.NO_SUCH: replace(found, subscription=replace(subscription, id="sub_other")),
        Stands.OTHER_OWNER: replace(found, subscription=replace(subscription, customer_id="cus_other")),
        Stands.OTHER_PLAN: replace(found, subscription=replace(subscription, price_ids=("price_1", "price_2"))),
        Stands.PAID_AGAIN: replace(found, newer_charges=("ch_newer",)),
    }
    for stands, changed in changes.items():
        assert stands_in_the_way(changed, subscription.id) is stands
    assert stands_in_the_way(replace(found, other_paid=(later,)), subscription.id) is Stands.PAID_AGAIN
    nameless = replace(found, subscription=replace(subscription, price_ids=()))
    assert stands_in_the_way(nameless, subscription.id) is Stands.OTHER_PLAN  # unknown is not the same


def test_a_subscription_set_to_end_is_over_only_where_no_more_is_wanted() -> None:
    subscription = a_dossier().subscription
    assert subscription is not None
    ending = replace(subscription, cancel_at_period_end=True)
    assert [is_over(ending, when) for when in (CancelWhen.NOW, CancelWhen.PERIOD_END)] == [False, True]
    assert is_over(replace(subscription, status="canceled"), CancelWhen.NOW)


def test_each_obstacle_to_a_credit_note_is_told_by_name() -> None:
    found = a_dossier()
    invoice, amount = found.invoice, found.charge.amount_minor
    assert invoice is not None
    [payment] = invoice.payments
    changes = {
        CreditObstacle.NO_INVOICE: None,
        CreditObstacle.NOT_PAID: replace(invoice, status="open"),
        CreditObstacle.PAID_OUTSIDE: replace(invoice, amount_paid_off_stripe_minor=1),
        CreditObstacle.SEVERAL_PAYMENTS: replace(invoice, payments=(payment, replace(payment, id="inpay_2"))),
        CreditObstacle.CREDITED_BEFORE: replace(invoice, credited_minor=1),
        CreditObstacle.TOO_LITTLE: replace(invoice, amount_paid_minor=amount - 1),
    }
    for obstacle, changed in changes.items():
        assert credit_obstacle(replace(found, invoice=changed), amount) is obstacle
    others = replace(invoice, payments=(replace(payment, reference_id="pi_other"),))
    assert credit_obstacle(replace(found, invoice=others), amount) is CreditObstacle.SEVERAL_PAYMENTS


def test_a_refund_is_known_by_a_note_of_ours_and_by_no_other() -> None:
    refund = builders.a_refund()
    note = CreditNote(
        id="cn_1", number="A-1-CN-01", invoice_id="in_1", amount_minor=1, currency="usd", refunds=(refund.id,),
        our_refund_id="rfd_1", our_attempt_key="key",
    )  # fmt: skip
    marked = with_its_note(refund, (note,))
    assert (marked.our_refund_id, marked.credit_note_id) == ("rfd_1", "cn_1")
    assert with_its_note(refund, (replace(note, refunds=("re_other",)),)) == refund
    assert with_its_note(refund, (replace(note, our_refund_id=None),)) == refund
    own = replace(refund, our_refund_id="rfd_own")
    assert with_its_note(own, (note,)) == own


def _policy(tables: str) -> str:
    source = builders.shipped_policy().source
    head, _, rest = source.partition("[refunds]")
    return head + tables + rest[rest.index("\n\n\n") :]


def test_a_policy_says_how_it_pays_and_what_it_cancels() -> None:
    told = load_policy(
        _policy('[refunds]\nrefund_with = "credit_note"\n[after_refund]\ncancel_subscription = "period_end"\n'),
        filename="p",
    )
    assert told.terms == RefundTerms(refund_with=RefundWith.CREDIT_NOTE, cancel_subscription=CancelWhen.PERIOD_END)
    assert load_policy(_policy(""), filename="p").terms == RefundTerms() == builders.shipped_policy().terms
    with pytest.raises(ConfigError, match="cancel_subscription: expected one of now, period_end, no"):
        load_policy(_policy('[after_refund]\ncancel_subscription = "later"\n'), filename="p")
    with pytest.raises(ConfigError, match="unknown key 'refund_by'"):
        load_policy(_policy('[refunds]\nrefund_by = "cheque"\n'), filename="p")
