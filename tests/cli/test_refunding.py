"""A refund from the command line: asked for, explained, approved by a person, and paid once at a local Stripe."""

import pytest

from billingbot.core.mode import Mode
from tests.cli.terminal import KEYS, typed
from tests.engines.shared import Database
from tests.flows.conftest import shop as shop  # noqa: PLC0414  # pytest finds the fixture by this name
from tests.flows.shop import Shop


@pytest.fixture
def settings(shop: Shop, database: Database, redis_url: str) -> dict[str, str]:
    """The shop's own database and Stripe."""
    return {
        **KEYS,
        "BILLINGBOT_STRIPE_API_BASE": shop.stripe.url,
        "BILLINGBOT_DATABASE_URL": database.app_url,
        "BILLINGBOT_REDIS_URL": redis_url,
    }


def test_a_refund_is_asked_for_explained_approved_and_paid_once(shop: Shop, settings: dict[str, str]) -> None:
    shop.set_mode(Mode.ASSIST)
    _, charge = shop.charged_trial()
    case = typed(settings, "request", "--charge", charge, "--unused", "--json").json["case"]["id"]
    shop.work()
    told = typed(settings, "cases", "explain", case)
    assert told.code == 0
    assert "Advice: refund." in told.out
    assert "byte for byte" in told.lines[-1]
    approved = typed(settings, "cases", "approve", case, "--why", "never used", "--as", "ada")
    assert (approved.code, approved.err) == (0, "")
    assert typed(settings, "cases", "approve", case, "--why", "again", "--as", "bob").code == 1
    shop.work()
    shop.deliver()
    shop.work()
    assert [refund["amount"] for refund in shop.refunds_at_stripe(charge)] == [4900]
    listed = typed(settings, "refunds", "list", "--charge", charge, "--json").json["items"]
    assert [(one["state"], one["decided_by"]) for one in listed] == [("succeeded", "ada")]
    shown = typed(settings, "refunds", "show", listed[0]["id"])
    assert "USD 49.00" in shown.out
    assert f"billingbot:refund:test:{charge}:{listed[0]['id']}:1" in shown.out
    assert "refunded" in typed(settings, "cases", "show", case).out
    assert charge in typed(settings, "conversions", "list").out
    assert typed(settings, "ledger", "verify").code == 0


def test_a_subscription_that_was_not_cancelled_is_listed_tried_again_and_settled(
    shop: Shop, settings: dict[str, str]
) -> None:
    (first, charge), (second, other) = shop.charged_trial(), shop.charged_trial()
    shop.stripe.fault("declined", method="DELETE", path="/v1/subscriptions/", times=2)
    for each in (charge, other):
        shop.ask(each, unused=True)
    shop.work()
    waiting = {one["charge_id"]: one["id"] for one in typed(settings, "cancellations", "list", "--json").json["items"]}
    assert waiting.keys() == {charge, other}
    assert "refused" in typed(settings, "cancellations", "show", waiting[charge]).out
    [case] = shop.cases_of(charge)
    assert "subscription-not-cancelled" in typed(settings, "cases", "show", case.id).out
    denied = typed(settings, "cases", "deny", case.id, "--why", "by mistake")
    assert "waits for its subscription" in denied.err
    assert typed(settings, "cancellations", "retry", waiting[charge], "--as", "ada").code == 0
    shop.work()
    assert shop.stripe.get(f"/subscriptions/{first.subscription}")["status"] == "canceled"
    assert typed(settings, "cancellations", "settled", waiting[other], "--as", "ada").code == 0
    assert shop.stripe.get(f"/subscriptions/{second.subscription}")["status"] == "active"
    assert typed(settings, "cancellations", "settled", waiting[other]).code == 1
    shop.assert_paid_once(charge)
    shop.assert_paid_once(other)


def test_an_explanation_says_loudly_when_the_stored_bytes_give_another_verdict(
    shop: Shop, settings: dict[str, str]
) -> None:
    _, charge = shop.charged_trial()
    case = shop.ask(charge, unused=True).case.id
    shop.work(only=None)
    with shop.owner.begin() as connection:
        connection.exec_driver_sql("SET session_replication_role = replica")
        connection.exec_driver_sql(
            "UPDATE decisions SET facts = convert_to(replace(convert_from(facts, 'UTF8'), '4900', '4901'), 'UTF8')"
        )
    told = typed(settings, "cases", "explain", case)
    assert told.code == 1
    assert "does NOT give the stored verdict again" in told.err


def test_the_sources_are_asked_with_what_stripe_knows_of_the_customer(shop: Shop, settings: dict[str, str]) -> None:
    trial = shop.start_trial(email="ada@example.org")
    said = typed(settings, "sources", "check", "--customer", trial.customer)
    assert (said.code, said.err) == (0, "")
    unknown = typed(settings, "sources", "check", "--customer", "cus_nobody")
    assert "Stripe does not tell the customer's address" in unknown.err
