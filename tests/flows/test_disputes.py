"""Disputes in our books: what is kept of each, in which order they are shown, and that stale reads change nothing."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from billingbot.core.case import CaseState
from billingbot.core.disputes.life import Answering, DisputeKind, DisputeOutcome
from billingbot.core.errors import InputError, NotFoundError
from billingbot.core.evidence.dossier import Dossier
from billingbot.core.job import Actor
from billingbot.core.policy import Policy, load_policy
from billingbot.flows.casework import review
from billingbot.flows.desk import step
from billingbot.gateway.client import StripeGateway
from billingbot.store import database, disputes
from billingbot.store.views import explanation
from billingbot.store.views.disputes import DisputeFilter, DisputeLine, dispute_list, dispute_page
from tests.builders import POLICY_FILE
from tests.flows.shop import Shop, in_days


def listed(shop: Shop, **filters: Any) -> list[DisputeLine]:
    with shop.desk.db.begin() as connection:
        return list(dispute_list(connection, DisputeFilter(**filters)).items)


def heard(shop: Shop) -> None:
    shop.deliver()
    shop.work()


def test_all_of_a_chargeback_is_kept_and_followed_to_its_end(shop: Shop) -> None:
    _, charge = shop.charged_trial()
    dispute = shop.stripe.dispute(charge, reason="subscription_canceled", due_by=in_days(7))["id"]
    heard(shop)
    [line] = listed(shop)
    [case] = shop.cases_of(charge)
    assert (line.dispute.id, line.kind, line.outcome, line.answering) == (
        dispute,
        DisputeKind.CHARGEBACK,
        None,
        Answering.AWAITED,
    )
    assert (line.case_id, line.case_state) == (case.id, case.state)
    assert line.dispute.moved is not None
    assert (line.dispute.moved.withdrawn_minor, line.dispute.moved.fees_minor) == (4900, 1500)

    shop.stripe.move_dispute(dispute, "won")
    heard(shop)
    [line] = listed(shop, open=False)
    assert (line.outcome, line.answering) == (DisputeOutcome.WON, Answering.OVER)
    assert line.closed_at is not None
    assert line.dispute.moved is not None
    assert (line.dispute.moved.reinstated_minor, line.dispute.moved.fees_minor) == (4900, 0)
    assert listed(shop, open=True) == []


def test_a_look_asks_for_every_dispute_that_an_event_has_told_of(shop: Shop) -> None:
    _, charge = shop.charged_trial()
    dispute = shop.stripe.dispute(charge, due_by=in_days(7))["id"]
    heard(shop)
    asked_for: list[object] = []

    class Listening(StripeGateway):
        def dossier(self, charge_id: str, **how: Any) -> Dossier:
            asked_for.append(how["heard_of"])
            return super().dossier(charge_id, **how)

    shop.replace_gateway(Listening("default", "rk_test_shop", False, api_base=shop.stripe.url))
    [case] = shop.cases_of(charge)
    review.ask_again(shop.desk, shop.person(case.id), "more is known")
    shop.work()
    assert asked_for == [[dispute]]


def test_disputes_are_shown_by_deadline_and_pages_neither_skip_nor_repeat(shop: Shop) -> None:
    trials = [shop.start_trial() for _ in range(4)]
    shop.end_trials()
    due = {"later": in_days(9), "sooner": in_days(2), "never": 0, "over": in_days(1)}
    ids = {}
    for trial, (name, due_by) in zip(trials, due.items(), strict=True):
        status = "lost" if name == "over" else "needs_response"
        ids[name] = shop.stripe.dispute(shop.last_charge(trial), status=status, due_by=due_by)["id"]
    heard(shop)

    seen, after = [], None
    for _ in range(10):
        with shop.desk.db.begin() as connection:
            page = dispute_list(connection, after=after, limit=1)
        seen += [line.dispute.id for line in page.items]
        after = page.next
        if after is None:
            break
    assert seen[:2] == [ids["sooner"], ids["later"]]
    assert set(seen[2:]) == {ids["never"], ids["over"]}
    assert len(seen) == 4

    soon = datetime.now(UTC) + timedelta(days=5)
    assert [line.dispute.id for line in listed(shop, due_before=soon)] == [ids["sooner"]]
    assert {line.answering for line in listed(shop, open=True)} == {Answering.AWAITED, Answering.IMPOSSIBLE}


def test_a_read_that_began_before_the_newest_one_changes_nothing(shop: Shop) -> None:
    _, charge = shop.charged_trial()
    dispute_id = shop.stripe.dispute(charge)["id"]
    stale = shop.desk.account("default").stripe.dispute(dispute_id)
    with step(shop.desk) as this:
        long_ago = database.now(this.db)
    shop.stripe.move_dispute(dispute_id, "lost")
    heard(shop)
    with step(shop.desk) as this:
        looked = disputes.looked_at(this.db, "default", stale, read_at=long_ago, case_id=None)
        kept = disputes.get(this.db, "default", dispute_id)
    assert not looked.is_newest
    assert (kept.dispute.status, kept.outcome, kept.dispute.due_by) == ("lost", DisputeOutcome.LOST, stale.due_by)


def test_one_dispute_is_shown_with_the_refunds_and_the_other_disputes_of_its_charge(shop: Shop) -> None:
    trial, charge = shop.charged_trial()
    shop.usage.used_by.add(trial.customer)  # or the inquiry would be refunded at once
    first = shop.stripe.dispute(charge, status="warning_needs_response", due_by=in_days(5))["id"]
    heard(shop)
    second = shop.stripe.dispute(charge, status="lost", fee=0)["id"]
    heard(shop)
    with shop.desk.db.begin() as connection:
        page = dispute_page(connection, first)
        with pytest.raises(NotFoundError):
            dispute_page(connection, "dp_none")
        with pytest.raises(InputError):
            dispute_list(connection, after="no cursor")
    assert (page.line.kind, page.line.dispute.charge_id) == (DisputeKind.INQUIRY, charge)
    assert [(other.dispute.id, other.outcome) for other in page.others] == [(second, DisputeOutcome.RESOLVED)]
    assert [line.refund.state for line in page.refunds] == [row.state for row in shop.refunds_of(charge)]


def lenient_policy() -> Policy:
    """One of somebody's own that forgets disputes but for open chargebacks."""
    source = POLICY_FILE.read_text(encoding="utf-8")
    begin = source.index('undisputed = "')
    source = source[:begin] + 'undisputed = "!dispute.open_chargeback"' + source[source.index("\n", begin) :]
    return load_policy(source, filename="lenient.toml")


def test_a_policy_that_forgets_disputes_pays_nothing_that_was_won_back_and_its_decision_reproduces(shop: Shop) -> None:
    shop.policy = lenient_policy()
    _, charge = shop.charged_trial()
    dispute = shop.stripe.dispute(charge)["id"]
    shop.stripe.move_dispute(dispute, "won")
    case_id = shop.ask(charge, unused=True).case.id
    shop.work()
    case = shop.case(case_id)
    assert (case.state, case.reason, case.recommendation) == (CaseState.REVIEW, "limit-money", "none")
    with shop.desk.db.begin() as connection:
        told = explanation(connection, case_id)
    assert told is not None
    assert told.reproduces
    shop.assert_not_paid(charge)

    review.approve(shop.desk, shop.person(case_id), reason="a gesture")  # a person may
    shop.work()
    assert len(shop.refunds_at_stripe(charge)) == 1


def test_a_dispute_that_is_lost_between_decision_and_call_stops_the_payment(shop: Shop) -> None:
    shop.policy = lenient_policy()
    _, charge = shop.charged_trial()
    case_id = shop.ask(charge, unused=True).case.id
    shop.work(only=Actor.ASSESS)
    assert shop.case(case_id).state is CaseState.REFUNDING
    shop.stripe.dispute(charge, status="lost")
    shop.work()
    shop.assert_not_paid(charge)
    assert shop.case(case_id).outcome == "returned-through-dispute"
