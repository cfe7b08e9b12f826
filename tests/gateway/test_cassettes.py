"""The gateway on recorded exchanges: matched on body and idempotency key, played without any network.

`make record` plays the scenarios against the local Stripe and writes `cassettes/` anew; with STRIPE_TEST_API_KEY set,
those that a real test account can play are recorded there instead.
"""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.gateway import worlds
from tests.gateway.tapes import BEGIN, CASSETTES, Played, Tapes
from tests.gateway.worlds import AMOUNT, Given

from billingbot.core.errors import StripeForbiddenError, StripeNotFoundError
from billingbot.core.refund_terms import CancelWhen, RefundTerms, RefundWith
from billingbot.core.request import NamedBy
from billingbot.gateway import Accepted, Halted, NotDone, RefundAnswer, RefusalReason, Refused, UnknownOutcome
from billingbot.gateway.answers import CancelAnswer, Cancelled
from billingbot.sandbox.client import SandboxClient

NOW = datetime(2026, 4, 30, tzinfo=UTC)
TRIAL_END = BEGIN + timedelta(days=worlds.TRIAL_DAYS)


def pay(played: Played, key: str = "billingbot:refund:test:1", **changes: Any) -> RefundAnswer:
    asked: dict[str, Any] = {
        "charge_id": played.given["charge"],
        "amount_minor": played.given.get("amount", AMOUNT),
        "reason": "requested_by_customer",
        "metadata": {"billingbot_refund": "rfd_1", "billingbot_key": key},
        "idempotency_key": key,
    }
    return played.gateway.create_refund(**(asked | changes))


# Reading a charge and all around it.


def test_a_trial_that_was_charged_at_its_end(tapes: Tapes) -> None:
    with tapes.play("dossier/trial_end_charge", worlds.converted) as played:
        found = played.gateway.dossier(played.given["charge"], now=NOW)
    assert found.invoice is not None
    assert found.subscription is not None
    assert found.customer is not None
    assert found.invoice.id == played.given["invoice"]
    assert (found.invoice.billing_reason, found.invoice.amount_paid_minor) == ("subscription_cycle", AMOUNT)
    assert [line.period_start for line in found.invoice.lines] == [TRIAL_END]
    assert [payment.type for payment in found.invoice.payments] == ["payment_intent"]
    assert (found.subscription.trial_start_at, found.subscription.trial_end_at) == (BEGIN, TRIAL_END)
    assert found.subscription.fingerprint == found.charge.fingerprint
    assert found.customer.email == "ada@example.com"
    assert (found.other_paid, found.newer_charges, found.refunds, found.disputes, found.warnings) == ((),) * 5


def test_a_renewal_that_followed_makes_the_trial_end_charge_an_older_one(tapes: Tapes) -> None:
    def build(stripe: SandboxClient) -> Given:
        first = worlds.converted(stripe)
        stripe.advance(days=32)
        return first | {"newer": worlds.charge_of(stripe, first["subscription"])}

    with tapes.play("dossier/renewal", build) as played:
        old = played.gateway.dossier(played.given["charge"], now=NOW)
        new = played.gateway.dossier(played.given["newer"]["charge"], now=NOW)
    assert old.newer_charges == (played.given["newer"]["charge"],)
    assert [invoice.id for invoice in old.other_paid] == [played.given["newer"]["invoice"]]
    assert new.newer_charges == ()
    assert [invoice.id for invoice in new.other_paid] == [played.given["invoice"]]


def test_an_invoice_that_was_paid_in_two_payments(tapes: Tapes) -> None:
    def build(stripe: SandboxClient) -> Given:
        who = worlds.customer(stripe)
        subscription = worlds.trial(stripe, who)
        stripe.split_next(subscription, [3000, 1900])
        stripe.advance(days=worlds.TRIAL_DAYS, hours=2)
        return {"subscription": subscription, **worlds.charge_of(stripe, subscription)}

    with tapes.play("dossier/two_payments", build) as played:
        found = played.gateway.dossier(played.given["charge"], now=NOW)
        candidates = played.gateway.find_charges(NamedBy.INVOICE, played.given["invoice"])
    assert found.invoice is not None
    paid = [payment for payment in found.invoice.payments if payment.status == "paid"]
    assert sorted(payment.amount_paid_minor for payment in paid) == [1900, 3000]
    assert len(found.newer_charges) == 1
    assert sorted(candidate.amount_minor for candidate in candidates) == [1900, 3000]


def test_a_charge_with_a_partial_refund_a_chargeback_and_a_fraud_warning(tapes: Tapes) -> None:
    def build(stripe: SandboxClient) -> Given:
        given = worlds.converted(stripe)
        refund = stripe.post("/refunds", charge=given["charge"], amount=900)["id"]
        warning = stripe.warn(given["charge"])["id"]
        dispute = stripe.dispute(given["charge"], status="needs_response", reason="fraudulent")["id"]
        return given | {"refund": refund, "warning": warning, "dispute": dispute}

    with tapes.play("dossier/refunded_in_part_and_disputed", build) as played:
        found = played.gateway.dossier(played.given["charge"], now=NOW)
        one_by_one = (
            played.gateway.refund(played.given["refund"]),
            played.gateway.dispute(played.given["dispute"]),
            played.gateway.warning(played.given["warning"]),
        )
    assert (found.charge.disputed, found.charge.amount_refunded_minor) == (True, 900)
    assert (found.refunds, found.disputes, found.warnings) == tuple((one,) for one in one_by_one)
    assert found.refunds[0].our_refund_id is None
    assert (found.disputes[0].status, found.disputes[0].fee_minor) == ("needs_response", 1500)
    assert not found.disputes[0].is_charge_refundable
    assert found.warnings[0].fraud_type == "misc"


def test_a_dispute_that_rdr_settled_took_no_fee(tapes: Tapes) -> None:
    def build(stripe: SandboxClient) -> Given:
        given = worlds.converted(stripe)
        return given | {"dispute": stripe.dispute(given["charge"], status="lost", rdr=True)["id"]}

    with tapes.play("dossier/settled_by_rdr", build) as played:
        [dispute] = played.gateway.dossier(played.given["charge"], now=NOW).disputes
    assert (dispute.status, dispute.fee_minor) == ("lost", 0)


def test_a_cancellation_at_the_trials_end(tapes: Tapes) -> None:
    def build(stripe: SandboxClient) -> Given:
        given = worlds.converted(stripe)
        stripe.post(f"/subscriptions/{given['subscription']}", cancel_at_period_end=True)
        return given

    with tapes.play("dossier/cancelled", build) as played:
        found = played.gateway.subscription(played.given["subscription"])
    assert found.cancel_at_period_end
    assert found.canceled_at == TRIAL_END + timedelta(hours=2)
    assert found.cancellation_reason == "cancellation_requested"


def test_a_one_off_charge_in_a_currency_without_decimals(tapes: Tapes) -> None:
    def build(stripe: SandboxClient) -> Given:
        return worlds.one_off(stripe, amount=5000, currency="jpy")

    with tapes.play("dossier/one_off_yen", build, real=True) as played:
        found = played.gateway.dossier(played.given["charge"], now=NOW)
    assert (found.charge.amount_minor, found.charge.currency) == (5000, "jpy")
    assert (found.invoice, found.subscription, found.other_paid) == (None, None, ())
    assert found.customer is not None


def test_what_is_not_there_is_not_found(tapes: Tapes) -> None:
    with tapes.play("dossier/not_found", lambda _: {}, real=True) as played:
        for read in (played.gateway.charge, played.gateway.invoice, played.gateway.subscription, played.gateway.refund):
            with pytest.raises(StripeNotFoundError):
                read("nothing_of_that_name")
        assert played.gateway.find_charges(NamedBy.CUSTOMER, "cus_nobody") == ()


# Finding what a request means.


def test_each_name_leads_to_the_same_charge(tapes: Tapes) -> None:
    with tapes.play("find/by_every_name", worlds.converted) as played:
        given = played.given
        answers = [
            played.gateway.find_charges(NamedBy.CHARGE, given["charge"]),
            played.gateway.find_charges(NamedBy.INVOICE, given["invoice"]),
            played.gateway.find_charges(NamedBy.SUBSCRIPTION, given["subscription"]),
            played.gateway.find_charges(NamedBy.CUSTOMER, given["customer"]),
            played.gateway.find_charges(NamedBy.EMAIL, "Ada@example.com"),
        ]
        assert played.gateway.invoice_of_payment(given["payment"]) == given["invoice"]
    assert {answer[0] for answer in answers} == {answers[0][0]}
    assert {len(answer) for answer in answers} == {1}
    assert (answers[0][0].charge_id, answers[0][0].subscription_id) == (given["charge"], given["subscription"])


def test_two_subscriptions_and_two_customers_of_one_email_are_several_candidates(tapes: Tapes) -> None:
    def build(stripe: SandboxClient) -> Given:
        who = worlds.customer(stripe)
        first, second = worlds.trial(stripe, who), worlds.trial(stripe, who)
        other = worlds.customer(stripe)
        third = worlds.trial(stripe, other)
        stripe.advance(days=worlds.TRIAL_DAYS, hours=2)
        return {"customer": who, "subscriptions": [first, second], "all": [first, second, third]}

    with tapes.play("find/ambiguous", build) as played:
        by_customer = played.gateway.find_charges(NamedBy.CUSTOMER, played.given["customer"])
        by_email = played.gateway.find_charges(NamedBy.EMAIL, "ada@example.com")
    assert {candidate.subscription_id for candidate in by_customer} == set(played.given["subscriptions"])
    assert {candidate.subscription_id for candidate in by_email} == set(played.given["all"])


def test_an_email_of_a_customer_with_one_off_charges_only(tapes: Tapes) -> None:
    def build(stripe: SandboxClient) -> Given:
        return worlds.one_off(stripe, email="grace@example.com")

    with tapes.play("find/one_off_by_customer", build, real=True) as played:
        [candidate] = played.gateway.find_charges(NamedBy.CUSTOMER, played.given["customer"])
    assert (candidate.charge_id, candidate.subscription_id) == (played.given["charge"], None)


# Paying.


def test_a_refund_is_accepted_once_and_replayed_after(tapes: Tapes) -> None:
    with tapes.play("refund/accepted_and_replayed", worlds.one_off, real=True) as played:
        first, second = pay(played, currency="usd"), pay(played, currency="usd")
        [listed] = played.gateway.refunds_of_charge(played.given["charge"])
    assert isinstance(first, Accepted)
    assert isinstance(second, Accepted)
    assert (first.replayed, second.replayed) == (False, True)
    assert first.refund.id == second.refund.id == listed.id
    assert (listed.our_refund_id, listed.our_attempt_key) == ("rfd_1", "billingbot:refund:test:1")


def test_a_second_key_for_a_refunded_charge_is_refused(tapes: Tapes) -> None:
    with tapes.play("refund/already_refunded", worlds.one_off, real=True) as played:
        assert isinstance(pay(played), Accepted)
        answer = pay(played, key="billingbot:refund:test:2")
    assert isinstance(answer, Refused)
    assert (answer.reason, answer.code) == (RefusalReason.ALREADY_REFUNDED, "charge_already_refunded")


def test_more_than_is_left_is_refused(tapes: Tapes) -> None:
    with tapes.play("refund/amount_too_large", worlds.one_off, real=True) as played:
        assert isinstance(pay(played, amount_minor=1500), Accepted)
        answer = pay(played, key="billingbot:refund:test:2", amount_minor=600)
    assert isinstance(answer, Refused)
    assert answer.reason is RefusalReason.AMOUNT_TOO_LARGE


def test_the_same_key_for_another_amount_is_refused(tapes: Tapes) -> None:
    with tapes.play("refund/key_of_another_request", worlds.one_off, real=True) as played:
        assert isinstance(pay(played, amount_minor=500), Accepted)
        answer = pay(played, amount_minor=600)
    assert isinstance(answer, Refused)
    assert answer.reason is RefusalReason.IDEMPOTENCY_MISMATCH


def test_a_charge_that_is_not_there_is_refused(tapes: Tapes) -> None:
    with tapes.play("refund/not_found", lambda _: {"charge": "ch_nothing"}, real=True) as played:
        answer = pay(played)
    assert isinstance(answer, Refused)
    assert (answer.reason, answer.code) == (RefusalReason.NOT_FOUND, "resource_missing")


def test_a_charge_that_was_charged_back_is_refused(tapes: Tapes) -> None:
    def build(stripe: SandboxClient) -> Given:
        given = worlds.one_off(stripe)
        stripe.dispute(given["charge"], status="needs_response")
        return given

    with tapes.play("refund/charged_back", build) as played:
        answer = pay(played)
    assert isinstance(answer, Refused)
    assert (answer.reason, answer.code) == (RefusalReason.DISPUTED, "charge_disputed")


def test_a_refund_without_balance_is_pending(tapes: Tapes) -> None:
    def build(stripe: SandboxClient) -> Given:
        given = worlds.one_off(stripe)
        stripe.set_balance(0)
        return given

    with tapes.play("refund/pending", build) as played:
        answer = pay(played)
    assert isinstance(answer, Accepted)
    assert (answer.refund.status, answer.refund.pending_reason) == ("pending", "insufficient_funds")


@pytest.mark.parametrize(
    ("kind", "answer"),
    [
        ("rate_limit", NotDone),
        ("lock_timeout", NotDone),
        ("forbidden", Halted),
        ("error_before", UnknownOutcome),
        ("bad_gateway", UnknownOutcome),
    ],
)
def test_a_bad_day_is_told_by_its_answer(tapes: Tapes, kind: str, answer: type[RefundAnswer]) -> None:
    def build(stripe: SandboxClient) -> Given:
        given = worlds.one_off(stripe)
        worlds.fault(stripe, kind, method="POST", path="/v1/refunds")
        return given

    with tapes.play(f"refund/{kind}", build) as played:
        assert isinstance(pay(played), answer)


def test_an_error_after_the_effect_is_replayed_under_its_key_and_the_refund_is_found_by_our_ids(tapes: Tapes) -> None:
    def build(stripe: SandboxClient) -> Given:
        given = worlds.one_off(stripe)
        worlds.fault(stripe, "error_after", method="POST", path="/v1/refunds")
        return given

    with tapes.play("refund/error_after_effect", build) as played:
        answers = [pay(played), pay(played)]
        [found] = played.gateway.refunds_of_charge(played.given["charge"])
    assert all(isinstance(answer, UnknownOutcome) for answer in answers)
    assert (found.our_refund_id, found.our_attempt_key) == ("rfd_1", "billingbot:refund:test:1")


# Paying by credit note.


def credit(played: Played, key: str = "billingbot:refund:test:1", **changes: Any) -> RefundAnswer:
    asked: dict[str, Any] = {
        "invoice_id": played.given["invoice"],
        "charge_id": played.given["charge"],
        "amount_minor": AMOUNT,
        "metadata": {"billingbot_refund": "rfd_1", "billingbot_key": key},
        "idempotency_key": key,
        "currency": "usd",
    }
    return played.gateway.create_credit_note(**(asked | changes))


def test_a_credit_note_makes_one_refund_and_its_answer_is_replayed(tapes: Tapes) -> None:
    with tapes.play("credit/accepted_and_replayed", worlds.converted) as played:
        first, second = credit(played), credit(played)
        [listed] = played.gateway.refunds_of_charge(played.given["charge"])
        [marked] = played.gateway.refunds_of_charge(played.given["charge"], credited_on=played.given["invoice"])
        invoice = played.gateway.invoice(played.given["invoice"])
    assert isinstance(first, Accepted)
    assert isinstance(second, Accepted)
    assert (first.replayed, second.replayed) == (False, True)
    assert first.refund == second.refund == marked
    assert (listed.our_refund_id, listed.id) == (None, marked.id)
    assert (marked.our_refund_id, marked.our_attempt_key) == ("rfd_1", "billingbot:refund:test:1")
    assert marked.credit_note_id is not None
    assert marked.credit_note_number is not None
    assert invoice.credited_minor == AMOUNT


def test_a_second_credit_note_for_the_same_money_is_refused(tapes: Tapes) -> None:
    with tapes.play("credit/nothing_left", worlds.converted) as played:
        assert isinstance(credit(played), Accepted)
        answer = credit(played, key="billingbot:refund:test:2")
    assert isinstance(answer, Refused)


def test_an_error_after_a_credit_note_leaves_a_note_that_is_found(tapes: Tapes) -> None:
    def build(stripe: SandboxClient) -> Given:
        given = worlds.converted(stripe)
        worlds.fault(stripe, "error_after", method="POST", path="/v1/credit_notes")
        return given

    with tapes.play("credit/error_after_effect", build) as played:
        answers = [credit(played), credit(played)]
        found = played.gateway.refunds_of_charge(played.given["charge"], credited_on=played.given["invoice"])
    assert all(isinstance(answer, UnknownOutcome) for answer in answers)
    assert [one.our_refund_id for one in found] == ["rfd_1"]


# Ending a subscription.


def end(played: Played, cancel_when: CancelWhen) -> CancelAnswer:
    return played.gateway.cancel_subscription(
        subscription_id=played.given["subscription"],
        cancel_when=cancel_when,
        cancellation_id="cnl_1",
        idempotency_key="billingbot:cancel:test:1",
    )


def test_a_subscription_is_ended_at_once_and_a_second_time_there_is_none(tapes: Tapes) -> None:
    with tapes.play("cancel/now", worlds.converted) as played:
        first, second = end(played, CancelWhen.NOW), end(played, CancelWhen.NOW)
        found = played.gateway.subscription(played.given["subscription"])
        left = played.gateway.still_collected(found.id, found.customer_id)
    assert isinstance(first, Cancelled)
    assert isinstance(second, Refused)
    assert second.reason is RefusalReason.NOT_FOUND
    assert (found.status, found.our_cancellation_id) == ("canceled", "cnl_1")
    assert left == ()


def test_a_subscription_is_set_to_end_with_its_period(tapes: Tapes) -> None:
    with tapes.play("cancel/period_end", worlds.converted) as played:
        answer = end(played, CancelWhen.PERIOD_END)
    assert isinstance(answer, Cancelled)
    assert (answer.subscription.status, answer.subscription.cancel_at_period_end) == ("active", True)
    assert answer.subscription.our_cancellation_id == "cnl_1"
    assert len(answer.subscription.price_ids) == 1


@pytest.mark.parametrize(
    ("kind", "answer"), [("lock_timeout", NotDone), ("forbidden", Halted), ("error_before", UnknownOutcome)]
)
def test_a_bad_day_of_a_cancellation_is_told_by_its_answer(tapes: Tapes, kind: str, answer: type[CancelAnswer]) -> None:
    def build(stripe: SandboxClient) -> Given:
        given = worlds.converted(stripe)
        worlds.fault(stripe, kind, method="DELETE", path="/v1/subscriptions")
        return given

    with tapes.play(f"cancel/{kind}", build) as played:
        assert isinstance(end(played, CancelWhen.NOW), answer)


# History and permissions.


def test_the_accounts_trials_are_read_page_by_page(tapes: Tapes) -> None:
    def build(stripe: SandboxClient) -> Given:
        trials = [worlds.trial(stripe, worlds.customer(stripe, f"person{n}@example.com")) for n in range(3)]
        worlds.trial(stripe, worlds.customer(stripe), trial_period_days=0)
        stripe.delete(f"/subscriptions/{trials[0]}")
        return {"trials": trials}

    with tapes.play("history/trials", build) as played:
        first = played.gateway.trial_subscriptions(after=None, limit=2)
        second = played.gateway.trial_subscriptions(after=first.next, limit=2)
        identity = played.gateway.subscription_identity(played.given["trials"][1])
    pairs = [*first.subscriptions, *second.subscriptions]
    assert {subscription.id for subscription, _ in pairs} == set(played.given["trials"])
    assert {customer.email for _, customer in pairs if customer} == {f"person{n}@example.com" for n in range(3)}
    assert all(subscription.fingerprint for subscription, _ in pairs)
    assert identity in pairs
    assert second.next is None


def test_a_restricted_key_is_told_what_it_lacks(tapes: Tapes) -> None:
    def build(stripe: SandboxClient) -> Given:
        worlds.fault(stripe, "forbidden", path="/v1/disputes", permission="rak_dispute_read", times=2)
        return {}

    with tapes.play("permissions/disputes_missing", build) as played:
        [sentence] = played.gateway.probe()
        with pytest.raises(StripeForbiddenError, match="rak_dispute_read"):
            played.gateway.dispute("dp_1")
    assert "rak_dispute_read" in sentence


def test_a_good_key_lacks_nothing(tapes: Tapes) -> None:
    with tapes.play("permissions/complete", lambda _: {}, real=True) as played:
        everything = RefundTerms(refund_with=RefundWith.CREDIT_NOTE, cancel_subscription=CancelWhen.NOW)
        assert played.gateway.probe(everything) == ()


# The cassettes themselves.


def test_another_body_or_another_key_is_not_answered_from_a_cassette(tapes: Tapes) -> None:
    if tapes.record:
        pytest.skip("there is nothing to match while recording")
    answers: list[RefundAnswer] = []

    def ask_otherwise() -> None:
        with tapes.play("refund/accepted_and_replayed", worlds.one_off) as played:
            answers.append(pay(played, amount_minor=1999))
            answers.append(pay(played, key="billingbot:refund:test:2"))

    with pytest.raises(AssertionError, match="record it anew"):
        ask_otherwise()
    assert answers == [UnknownOutcome(why="no answer (CannotOverwriteExistingCassetteException)")] * 2


_FORBIDDEN = re.compile(
    r"(?:sk|rk|pk)_(?:live|test)_|whsec_|_secret_|bearer|\bauthorization:|x-stripe-client|telemetry|user-agent|aiagent"
    r"|127\.0\.0\.1|localhost|receipts?/|/hosted",
    re.IGNORECASE,
)
_EMAIL = re.compile(r"[\w.+-]+(?:@|%40)[\w-]+\.[\w.-]+")


def test_no_cassette_holds_a_credential_an_address_or_a_persons_email() -> None:
    cassettes = sorted(CASSETTES.rglob("*.yaml"))
    assert len(cassettes) > 20
    for path in cassettes:
        text = path.read_text(encoding="utf-8")
        assert _FORBIDDEN.findall(text) == [], path.name
        assert [found for found in _EMAIL.findall(text) if not re.search(r"(?:@|%40)example\.com$", found)] == []
