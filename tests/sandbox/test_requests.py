"""The manners of the API: keys, forms, unknown addresses, pages, expansion, versions, modes."""

from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
import stripe
from tests.calls import tls
from tests.sandbox.shop import Shop

from billingbot.sandbox.server import running_sandbox

DAY = 86_400


def _get(shop: Shop, path: str, **how: Any) -> httpx.Response:
    return httpx.get(
        f"{shop.sandbox.url}{path}", **{"headers": {"Authorization": "Bearer sk_test_x"}, **how}, verify=tls()
    )


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer pk_test_1", "Bearer sk_live_1", "Basic !!", "Digest x"])
def test_without_a_key_of_this_mode_nobody_comes_in(shop: Shop, header: str) -> None:
    answer = _get(shop, "/v1/charges", headers={"Authorization": header} if header else {})
    assert answer.status_code == 401
    assert answer.json()["error"]["type"] == "invalid_request_error"
    assert "request_log_url" not in answer.json()["error"]


def test_restricted_keys_and_basic_authentication_are_taken(shop: Shop) -> None:
    assert _get(shop, "/v1/charges", headers={"Authorization": "Bearer rk_test_1"}).status_code == 200
    assert _get(shop, "/v1/charges", headers={}, auth=("sk_test_1", "")).status_code == 200


def test_an_unknown_address_is_answered_as_stripe_does(shop: Shop) -> None:
    answer = _get(shop, "/v1/unicorns")
    assert answer.status_code == 404
    assert answer.json()["error"]["message"].startswith("Unrecognized request URL (GET: /v1/unicorns).")


def test_every_answer_names_the_request_and_the_version(shop: Shop) -> None:
    answer = _get(shop, "/v1/charges")
    assert answer.headers["Request-Id"].startswith("req_")
    assert answer.headers["Stripe-Version"] == stripe.api_version


@pytest.mark.parametrize(
    ("form", "param", "code"),
    [
        ("colour=red", "colour", "parameter_unknown"),
        ("items[0][price]=p", "customer", "parameter_missing"),
        ("customer=c&items[0][prize]=p", "items[0][prize]", "parameter_unknown"),
        ("customer=c&items[0][quantity]=x", "items[0][quantity]", "parameter_invalid_integer"),
        ("customer=c&items[0][quantity]=-1", "items[0][quantity]", "parameter_invalid_integer"),
        ("customer=", "customer", "parameter_invalid_empty"),
        ("customer=c&cancel_at_period_end=perhaps", "cancel_at_period_end", None),
        ("customer=c&items=x", "items", None),
        ("customer=c&trial_end=tomorrow", "trial_end", None),
        ("customer=c&items[0]=x", "items[0]", None),
    ],
)
def test_a_malformed_parameter_is_named(shop: Shop, form: str, param: str, code: str | None) -> None:
    headers = {"Authorization": "Bearer sk_test_x", "Content-Type": "application/x-www-form-urlencoded"}
    answer = httpx.post(f"{shop.sandbox.url}/v1/subscriptions", content=form, headers=headers, verify=tls())
    error = answer.json()["error"]
    assert (answer.status_code, error.get("param"), error.get("code")) == (400, param, code)


def test_pages_run_from_the_newest_to_the_oldest_and_back(shop: Shop) -> None:
    made = [shop.customer(None, f"{number}@example.com").id for number in range(7)]
    newest_first = made[::-1]
    listed = shop.sdk.v1.customers.list
    first = listed({"limit": 3})
    assert ([each.id for each in first.data], first.has_more) == (newest_first[:3], True)
    last = listed({"limit": 3, "starting_after": newest_first[3]})
    assert ([each.id for each in last.data], last.has_more) == (newest_first[4:], False)
    back = listed({"limit": 2, "ending_before": newest_first[4]})
    assert ([each.id for each in back.data], back.has_more) == (newest_first[2:4], True)
    assert [each.id for each in listed({"limit": 2}).auto_paging_iter()] == newest_first
    chronological = listed({"limit": 2, "ending_before": newest_first[-1]}).auto_paging_iter()
    assert [each.id for each in chronological] == made[1:]


@pytest.mark.parametrize("params", [{"limit": 0}, {"limit": 101}, {"starting_after": "cus_nobody"}])
def test_a_page_that_can_not_be_is_refused(shop: Shop, params: Any) -> None:
    with pytest.raises(stripe.InvalidRequestError):
        shop.sdk.v1.customers.list(params)


def test_customers_are_found_by_their_exact_address_and_by_time(shop: Shop) -> None:
    first = shop.customer(None, "a@example.com")
    shop.control.advance(days=1)
    shop.customer(None, "A@example.com")
    assert [each.id for each in shop.sdk.v1.customers.list({"email": "a@example.com"}).data] == [first.id]
    recent = shop.sdk.v1.customers.list({"created": {"gte": shop.control.now()}}).data
    assert [each.email for each in recent] == ["A@example.com"]
    shop.sdk.v1.customers.update(first.id, {"email": "moved@example.com"})
    assert shop.sdk.v1.customers.list({"email": "a@example.com"}).data == []


def test_ids_become_objects_where_expansion_asks_for_them(shop: Shop) -> None:
    charge = shop.one_off()
    shop.sdk.v1.refunds.create({"charge": charge.id, "amount": 100})
    expand = ["balance_transaction", "payment_intent.payment_method", "refunds.data.balance_transaction"]
    read = shop.sdk.v1.charges.retrieve(charge.id, {"expand": expand})
    assert read.balance_transaction.net > 0
    assert read.payment_intent.payment_method.card.last4 == "4242"
    assert read.refunds is not None
    assert read.refunds.data[0].balance_transaction.amount == -100
    listed = shop.sdk.v1.charges.list({"expand": ["data.payment_intent"]})
    assert listed.data[0].payment_intent.id == charge.payment_intent


@pytest.mark.parametrize("path", ["amount", "nonsense", "payment_intent.payment_method.customer.a.b"])
def test_what_can_not_be_expanded_is_refused(shop: Shop, path: str) -> None:
    with pytest.raises(stripe.InvalidRequestError) as refusal:
        shop.sdk.v1.charges.retrieve(shop.one_off().id, {"expand": [path]})
    assert refusal.value.param == "expand"


def test_an_older_version_on_a_request_gets_the_older_shapes(shop: Shop) -> None:
    _, charge = shop.converted()
    older = {"stripe_version": "2024-06-20"}
    read: Any = shop.sdk.v1.charges.retrieve(charge.id, options=older)  # type: ignore[arg-type] # an option the types leave out
    invoice: Any = shop.sdk.v1.invoices.retrieve(
        read.invoice, {"expand": ["payment_intent.latest_charge"]}, options=older  # type: ignore[arg-type] # as above
    )  # fmt: skip
    assert invoice.payment_intent.latest_charge.id == charge.id


def test_a_live_sandbox_is_live_everywhere_and_wants_live_keys() -> None:
    with running_sandbox(livemode=True) as live:
        shop = Shop(live, key="sk_live_shop")
        assert shop.one_off().livemode
        assert shop.events("charge.succeeded")[0].livemode
        with pytest.raises(stripe.AuthenticationError):
            Shop(live, key="sk_test_shop").customer(None)


def test_events_are_listed_by_type_time_and_cursor_and_kept_for_thirty_days(shop: Shop) -> None:
    subscription = shop.trial()
    listed = shop.sdk.v1.events.list
    assert [event.type for event in listed({"types": ["invoice.paid", "customer.created"]}).data] == [
        "invoice.paid",
        "customer.created",
    ]
    created = shop.events("customer.subscription.created")[0]
    assert created.data.object["id"] == subscription.id
    later = [event.type for event in listed({"ending_before": created.id}).auto_paging_iter()]
    assert later == shop.kinds()[shop.kinds().index("customer.subscription.created") + 1 :]
    with pytest.raises(stripe.InvalidRequestError):
        listed({"types": ["invoice.paid"] * 21})
    shop.control.advance(days=31)
    assert created.id not in [event.id for event in listed({"limit": 100}).auto_paging_iter()]
    with pytest.raises(stripe.InvalidRequestError):
        shop.sdk.v1.events.retrieve(created.id)


def test_declining_cards_decline_when_attached_or_when_charged(shop: Shop) -> None:
    customer = shop.customer(None)
    with pytest.raises(stripe.CardError) as declined:
        shop.sdk.v1.payment_methods.attach("pm_card_chargeDeclined", {"customer": customer.id})
    assert declined.value.code == "card_declined"
    attached = shop.sdk.v1.payment_methods.attach("pm_card_chargeCustomerFail", {"customer": customer.id})
    with pytest.raises(stripe.CardError) as refused:
        shop.sdk.v1.payment_intents.create(
            {"amount": 500, "currency": "usd", "customer": customer.id, "payment_method": attached.id, "confirm": True}
        )
    assert refused.value.error is not None
    assert refused.value.error.decline_code == "generic_decline"
    assert shop.sdk.v1.payment_methods.list({"customer": customer.id, "type": "card"}).data[0].id == attached.id


def test_a_deleted_customer_says_so_and_keeps_its_charges(shop: Shop) -> None:
    subscription, charge = shop.converted()
    shop.sdk.v1.customers.delete(charge.customer)
    gone = shop.sdk.v1.customers.retrieve(charge.customer)
    assert gone.deleted
    assert shop.subscription(subscription).status == "canceled"
    assert shop.sdk.v1.charges.list({"customer": charge.customer}).data[0].id == charge.id
    assert shop.sdk.v1.customers.list().data == []
    assert shop.sdk.v1.refunds.create({"charge": charge.id}).status == "succeeded"


def test_the_small_endpoints_answer_the_sdk(shop: Shop) -> None:
    sdk, customer = shop.sdk, shop.customer()
    sub = shop.trial(customer)
    shop.control.advance(days=14, hours=2)
    invoice = shop.invoices(sub)[0]
    assert sdk.v1.invoices.line_items.list(invoice.id).data[0].invoice == invoice.id
    (payment,) = sdk.v1.invoice_payments.list({"invoice": invoice.id}).data
    assert sdk.v1.invoice_payments.retrieve(payment.id).amount_paid == payment.amount_paid
    intent = payment.payment.payment_intent
    by_intent: Any = {"payment": {"type": "payment_intent", "payment_intent": intent}}
    assert sdk.v1.invoice_payments.list(by_intent).data[0].id == payment.id
    charge = sdk.v1.charges.list({"payment_intent": intent}).data[0]
    assert sdk.v1.balance_transactions.list({"source": charge.id}).data[0].id == charge.balance_transaction
    assert sdk.v1.payment_intents.list({"customer": customer.id}).data[0].id == intent
    assert sdk.v1.balance.retrieve().available[0].amount == charge.amount - 172
    assert sdk.v1.accounts.retrieve_current().id.startswith("acct_")
    assert sdk.v1.products.list().data[0].name == "Tracking"
    assert len(sdk.v1.prices.list({"active": True}).data) == 1
    endpoint = sdk.v1.webhook_endpoints.create({"url": "http://127.0.0.1:9/", "enabled_events": ["*"]})
    assert sdk.v1.webhook_endpoints.list().data[0].id == endpoint.id
    assert sdk.v1.webhook_endpoints.delete(endpoint.id).deleted


def test_a_manual_invoice_is_billed_and_can_be_voided(shop: Shop) -> None:
    customer = shop.customer()
    shop.sdk.v1.invoice_items.create({"customer": customer.id, "amount": 700, "currency": "usd"})
    draft = shop.sdk.v1.invoices.create({"customer": customer.id, "pending_invoice_items_behavior": "include"})
    assert (draft.status, draft.total, draft.parent) == ("draft", 700, None)
    assert shop.sdk.v1.invoices.finalize_invoice(draft.id).status == "open"
    assert shop.sdk.v1.invoices.void_invoice(draft.id).status == "void"


def test_the_clock_starts_where_it_is_told_and_moves_only_forward() -> None:
    start = datetime(2026, 3, 1, tzinfo=UTC)
    with running_sandbox(start_at=start) as sandbox:
        assert sandbox.client.now() == int(start.timestamp())
        sandbox.client.advance(days=1)
        assert sandbox.client.clock()["iso"] == "2026-03-02T00:00:00+00:00"
        with pytest.raises(Exception, match="forward"):
            sandbox.client.advance(to=start)


def test_a_running_clock_ends_trials_by_itself(shop: Shop) -> None:
    subscription = shop.trial()
    shop.control.advance(to=subscription.trial_end - 1)
    shop.control.run_clock()
    shop.control.advance(seconds=2)
    assert shop.subscription(subscription).status == "active"
    shop.control.run_clock(running=False)


def test_a_reset_empties_the_account_and_keeps_the_endpoints(shop: Shop) -> None:
    endpoint = shop.control.add_endpoint("http://127.0.0.1:9/", ["never"])
    shop.customer(None)
    shop.control.reset()
    assert shop.sdk.v1.customers.list().data == []
    assert shop.control.endpoints()[0]["secrets"] == [endpoint["secret"]]


def test_the_same_seed_makes_the_same_ids() -> None:
    made = []
    for _ in range(2):
        with running_sandbox(seed=42) as sandbox:
            made.append(Shop(sandbox).one_off().id)
    assert made[0] == made[1]
