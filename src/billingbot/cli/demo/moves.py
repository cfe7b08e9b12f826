"""The moves that the demo's stories are made of: ways to ask, things that happen, and people in special places."""

from collections.abc import Sequence
from typing import Any

from billingbot.cli.demo.story import Asks, Begin, Happen
from billingbot.cli.demo.waiting import until
from billingbot.cli.demo.world import Person, World

# ---------------------------------------------------------------- ways to ask


def by_charge(**claims: Any) -> Asks:
    return lambda _world, person: [{"charge": person.charge, "claims": claims}]


def by_customer(_world: World, person: Person) -> Sequence[dict[str, Any]]:
    return [{"customer": person.customer}]


def by_subscription(_world: World, person: Person) -> Sequence[dict[str, Any]]:
    return [{"subscription": person.subscription}]


def by_email(world: World, person: Person) -> Sequence[dict[str, Any]]:
    return [{"email": world.stripe.get(f"/customers/{person.customer}")["email"]}]


def by_invoice(world: World, person: Person) -> Sequence[dict[str, Any]]:
    invoices = world.stripe.get("/invoices", subscription=person.subscription)["data"]
    return [{"invoice": invoices[0]["id"]}]


def twice(_world: World, person: Person) -> Sequence[dict[str, Any]]:
    return [{"charge": person.charge}, {"charge": person.charge}]


def nobody(_world: World, _person: Person) -> Sequence[dict[str, Any]]:
    return []


ASK = by_charge(unused=True)


def trial(**how: Any) -> Begin:
    return lambda world: world.trial(**how)


# ---------------------------------------------------------------- things that happen


def use(world: World, person: Person) -> None:
    world.uses(person)


def install_tag(world: World, person: Person) -> None:
    world.uses(person, tag=True)


def cancel_at_end(world: World, person: Person) -> None:
    """Asked for in the trial, to take effect after the period that follows: the final invoice is still paid."""
    trial_end = world.stripe.get(f"/subscriptions/{person.subscription}")["trial_end"]
    world.stripe.post(f"/subscriptions/{person.subscription}", cancel_at=trial_end + 30 * 86_400)


def cancel_and_use(world: World, person: Person) -> None:
    cancel_at_end(world, person)
    use(world, person)


def write_to_support(world: World, person: Person) -> None:
    world.product.of(person.customer).cancellation_asked_at = world.now()
    use(world, person)


def source_down(world: World, person: Person) -> None:
    world.product.of(person.customer).down = True


def source_back(world: World, person: Person) -> None:
    world.product.of(person.customer).down = False


def source_stale(world: World, person: Person) -> None:
    world.product.of(person.customer).stale = True


def source_gap(world: World, person: Person) -> None:
    world.product.of(person.customer).covered_from = world.now()


def end_trial_now(world: World, person: Person) -> None:
    world.stripe.post(f"/subscriptions/{person.subscription}", trial_end="now")


def mend_card(world: World, person: Person) -> None:
    world.stripe.add_card(person.customer, fingerprint=f"mended-{person.customer}")


def dispute(*, due_in_hours: float | None = None, **how: Any) -> Happen:
    """The bank disputes the charge; an answer is due so long after the month, so that it can still be given then."""

    def happen(world: World, person: Person) -> None:
        due = {} if due_in_hours is None else {"due_by": world.after_the_month(hours=due_in_hours)}
        world.stripe.dispute(person.charge, **due, **how)

    return happen


def warn(fraud_type: str = "misc") -> Happen:
    """The bank warns that the cardholder denies the charge."""

    def happen(world: World, person: Person) -> None:
        world.stripe.warn(person.charge, fraud_type)

    return happen


def dashboard_refund(amount: int | None = None) -> Happen:
    def happen(world: World, person: Person) -> None:
        part: dict[str, Any] = {"amount": amount} if amount else {}
        world.stripe.post("/refunds", charge=person.charge, **part)

    return happen


def uses_between(world: World, person: Person) -> None:
    world.product.of(person.customer).when_asked = lambda: world.uses(person)


def disputed_between(world: World, person: Person) -> None:
    def strike() -> None:
        world.stripe.dispute(person.charge, status="needs_response", reason="fraudulent")

    world.product.of(person.customer).when_asked = strike


def refund_will(**outcome: Any) -> Happen:
    def happen(world: World, person: Person) -> None:
        world.stripe.refund_outcome(charge=person.charge, **outcome)

    return happen


def turn_refund(status: str) -> Happen:
    """What becomes of the charge's refund, once there is one: a crowd may keep it waiting."""

    def happen(world: World, person: Person) -> None:
        for refund in until(lambda: world.stripe.get("/refunds", charge=person.charge)["data"]):
            world.stripe.turn_refund(refund["id"], status)

    return happen


def cancel_and_comment(world: World, person: Person) -> None:
    """Cancels in the customer portal after the charge, and writes there that the money should come back."""
    said = {"feedback": "unused", "comment": "I never used it after the trial. Please refund the last payment."}
    world.stripe.delete(f"/subscriptions/{person.subscription}", cancellation_details=said)


def split(world: World, person: Person) -> None:
    world.stripe.split_next(person.subscription, [2000, 2900])


# ---------------------------------------------------------------- people who are not simply in a trial


def one_off(*, capture: str = "automatic", token: str = "pm_card_visa") -> Begin:  # noqa: S107 - a test card's public name
    def begin(world: World) -> Person:
        customer = world.customer(token=token)
        method = world.stripe.get("/payment_methods", customer=customer)["data"][0]["id"]
        intent = {"customer": customer, "amount": 9900, "currency": "usd", "payment_method": method, "confirm": True}
        world.stripe.post("/payment_intents", **intent, capture_method=capture)
        return Person(customer=customer)

    return begin


def declined(world: World) -> Person:
    return world.trial(token="pm_card_chargeCustomerFail")  # noqa: S106 - a test card's public name


def two_subscriptions(world: World) -> Person:
    person = world.trial()
    person.other = world.subscribe(person.customer, amount=9900)
    return person


def same_card(name: str) -> Begin:
    """The second customer with this card; the first is `other`."""

    def begin(world: World) -> Person:
        first = world.trial(card=name)
        world.stripe.advance(hours=1)
        person = world.trial(card=name)
        person.other = first.customer
        return person

    return begin


def same_mailbox(world: World) -> Person:
    world.trial(email="ab@gmail.com")
    world.stripe.advance(hours=1)
    return world.trial(email="a.b+trial@gmail.com")


def colleague(world: World) -> Person:
    world.trial(email="first.colleague@studio.example.com")
    return world.trial(email="second.colleague@studio.example.com")


def again(world: World, person: Person) -> None:
    """After a first trial that was refunded, and so ended by the desk, the same customer starts another one."""
    person.subscription = world.subscribe(person.customer, days=5)


def with_fee(world: World) -> Person:
    customer = world.customer()
    setup: dict[str, Any] = {"currency": "usd", "unit_amount": 1500, "product_data": {"name": "Set-up"}}
    fee = {"price": world.stripe.post("/prices", **setup)["id"]}
    return Person(customer=customer, subscription=world.subscribe(customer, add_invoice_items=[fee]))


def oldest(world: World, person: Person) -> Sequence[dict[str, Any]]:
    return [{"charge": world.charges(person.customer)[-1]["id"]}]
