"""The demo's stories: one customer each, with what they do, what they ask, and what must come of it."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from billingbot.cli.demo.world import Person, World

Begin: TypeAlias = Callable[[World], Person]
Happen: TypeAlias = Callable[[World, Person], None]
Asks: TypeAlias = Callable[[World, Person], Sequence[dict[str, Any]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What must come of a story: the case's state and reason, and what Stripe has paid back in minor units."""

    state: str
    reason: str
    refunded_minor: int = 0
    refunded_outside_minor: int = 0
    """Paid back in the Dashboard before or beside billingbot."""
    subscription: str | None = None
    """Its status at Stripe in the end, checked where given."""
    recommendation: str | None = None
    """Checked where given."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """One customer's month. `row` is the row of the decision table, or the limit or law that it shows."""

    title: str
    row: str
    begin: Begin
    expected: Expected
    in_trial: Happen | None = None
    early: bool = False
    """Asks once before the others do, and goes on from there with `charged`."""
    charged: Happen | None = None
    asks: Asks
    later: Happen | None = None


def _refund(amount: int = 4900) -> Expected:
    # Refunded, and cancelled: nobody is charged again for what was just refunded.
    return Expected(state="closed", reason="refunded", refunded_minor=amount, subscription="canceled")


def _review(reason: str, *, outside: int = 0, advice: str | None = None) -> Expected:
    return Expected(state="review", reason=reason, refunded_outside_minor=outside, recommendation=advice)


def _closed(reason: str, *, outside: int = 0) -> Expected:
    return Expected(state="closed", reason=reason, refunded_outside_minor=outside)


# ---------------------------------------------------------------- ways to ask


def _by_charge(**claims: Any) -> Asks:
    return lambda _world, person: [{"charge": person.charge, "claims": claims}]


def _by_customer(_world: World, person: Person) -> Sequence[dict[str, Any]]:
    return [{"customer": person.customer}]


def _by_subscription(_world: World, person: Person) -> Sequence[dict[str, Any]]:
    return [{"subscription": person.subscription}]


def _by_email(world: World, person: Person) -> Sequence[dict[str, Any]]:
    return [{"email": world.stripe.get(f"/customers/{person.customer}")["email"]}]


def _by_invoice(world: World, person: Person) -> Sequence[dict[str, Any]]:
    invoices = world.stripe.get("/invoices", subscription=person.subscription)["data"]
    return [{"invoice": invoices[0]["id"]}]


def _twice(_world: World, person: Person) -> Sequence[dict[str, Any]]:
    return [{"charge": person.charge}, {"charge": person.charge}]


def _nobody(_world: World, _person: Person) -> Sequence[dict[str, Any]]:
    return []


_ASK = _by_charge(unused=True)


def _trial(**how: Any) -> Begin:
    return lambda world: world.trial(**how)


# ---------------------------------------------------------------- things that happen


def _use(world: World, person: Person) -> None:
    world.uses(person)


def _install_tag(world: World, person: Person) -> None:
    world.uses(person, tag=True)


def _cancel_at_end(world: World, person: Person) -> None:
    """Asked for in the trial, to take effect after the period that follows: the final invoice is still paid."""
    trial_end = world.stripe.get(f"/subscriptions/{person.subscription}")["trial_end"]
    world.stripe.post(f"/subscriptions/{person.subscription}", cancel_at=trial_end + 30 * 86_400)


def _cancel_and_use(world: World, person: Person) -> None:
    _cancel_at_end(world, person)
    _use(world, person)


def _write_to_support(world: World, person: Person) -> None:
    world.product.of(person.customer).cancellation_asked_at = world.now()
    _use(world, person)


def _source_down(world: World, person: Person) -> None:
    world.product.of(person.customer).down = True


def _source_back(world: World, person: Person) -> None:
    world.product.of(person.customer).down = False


def _source_stale(world: World, person: Person) -> None:
    world.product.of(person.customer).stale = True


def _source_gap(world: World, person: Person) -> None:
    world.product.of(person.customer).covered_from = world.now()


def _end_trial_now(world: World, person: Person) -> None:
    world.stripe.post(f"/subscriptions/{person.subscription}", trial_end="now")


def _mend_card(world: World, person: Person) -> None:
    world.stripe.add_card(person.customer, fingerprint=f"mended-{person.customer}")


def _dispute(**how: Any) -> Happen:
    def happen(world: World, person: Person) -> None:
        world.stripe.dispute(person.charge, **how)

    return happen


def _dispute_used(world: World, person: Person) -> None:
    _use(world, person)
    world.stripe.dispute(person.charge, status="needs_response", reason="fraudulent")


def _warn(world: World, person: Person) -> None:
    world.stripe.warn(person.charge)


def _dashboard_refund(amount: int | None = None) -> Happen:
    def happen(world: World, person: Person) -> None:
        part: dict[str, Any] = {"amount": amount} if amount else {}
        world.stripe.post("/refunds", charge=person.charge, **part)

    return happen


def _uses_between(world: World, person: Person) -> None:
    world.product.of(person.customer).when_asked = lambda: world.uses(person)


def _disputed_between(world: World, person: Person) -> None:
    def strike() -> None:
        world.stripe.dispute(person.charge, status="needs_response", reason="fraudulent")

    world.product.of(person.customer).when_asked = strike


def _refund_will(**outcome: Any) -> Happen:
    def happen(world: World, person: Person) -> None:
        world.stripe.refund_outcome(charge=person.charge, **outcome)

    return happen


def _turn_refund(status: str) -> Happen:
    def happen(world: World, person: Person) -> None:
        for refund in world.stripe.get("/refunds", charge=person.charge)["data"]:
            world.stripe.turn_refund(refund["id"], status)

    return happen


def _split(world: World, person: Person) -> None:
    world.stripe.split_next(person.subscription, [2000, 2900])


# ---------------------------------------------------------------- people who are not simply in a trial


def _one_off(*, capture: str = "automatic", token: str = "pm_card_visa") -> Begin:  # noqa: S107 - a test card's public name
    def begin(world: World) -> Person:
        customer = world.customer(token=token)
        method = world.stripe.get("/payment_methods", customer=customer)["data"][0]["id"]
        intent = {"customer": customer, "amount": 9900, "currency": "usd", "payment_method": method, "confirm": True}
        world.stripe.post("/payment_intents", **intent, capture_method=capture)
        return Person(customer=customer)

    return begin


def _declined(world: World) -> Person:
    return world.trial(token="pm_card_chargeCustomerFail")  # noqa: S106 - a test card's public name


def _two_subscriptions(world: World) -> Person:
    person = world.trial()
    person.other = world.subscribe(person.customer, amount=9900)
    return person


def _same_card(world: World) -> Person:
    world.trial(card="shared-card")
    world.stripe.advance(hours=1)
    return world.trial(card="shared-card")


def _same_mailbox(world: World) -> Person:
    world.trial(email="ab@gmail.com")
    world.stripe.advance(hours=1)
    return world.trial(email="a.b+trial@gmail.com")


def _colleague(world: World) -> Person:
    world.trial(email="first.colleague@studio.example.com")
    return world.trial(email="second.colleague@studio.example.com")


def _again(world: World, person: Person) -> None:
    """After a first trial that was refunded, and so ended by the desk, the same customer starts another one."""
    person.subscription = world.subscribe(person.customer, days=5)


# ---------------------------------------------------------------- all of them


def all_stories() -> list[Story]:
    """Every row of the decision table and the cases that trip a naive build, at least sixty customers."""
    return [*_refunds(), *_nothing_to_refund(), *_banks(), *_people_decide(), *_other_charges(), *_limits()]


def _refunds() -> Iterator[Story]:
    row = "7"
    for number in range(12):
        yield Story(
            title=f"Never used, asks for the charge ({number + 1})",
            row=row,
            begin=_trial(),
            asks=_ASK,
            expected=_refund(),
        )
    for title, asks in (
        ("customer", _by_customer),
        ("subscription", _by_subscription),
        ("e-mail", _by_email),
        ("invoice", _by_invoice),
    ):
        yield Story(title=f"Never used, names only the {title}", row=row, begin=_trial(), asks=asks, expected=_refund())
    for currency, amount in (("eur", 4500), ("gbp", 3900), ("jpy", 6000), ("kwd", 15_000)):
        yield Story(
            title=f"Never used, charged in {currency.upper()}",
            row=row,
            begin=_trial(currency=currency, amount=amount),
            asks=_ASK,
            expected=_refund(amount),
        )
    yield Story(title="Three seats, none used", row=row, begin=_trial(quantity=3), asks=_ASK, expected=_refund(14_700))
    yield Story(title="Asks twice at the same moment", row=row, begin=_trial(), asks=_twice, expected=_refund())
    yield Story(
        title="Card failed at first, charged days later",
        row=row,
        begin=_declined,
        charged=_mend_card,
        asks=_ASK,
        expected=_refund(),
    )
    yield Story(
        title="Cancelled in the trial, charged all the same, never used",
        row=row,
        begin=_trial(),
        in_trial=_cancel_at_end,
        asks=_by_charge(cancelled=True),
        expected=_refund(),
    )
    yield Story(
        title="Shares only a company domain with a colleague", row=row, begin=_colleague, asks=_ASK, expected=_refund()
    )
    yield Story(
        title="The source was down, and answers again later",
        row=row,
        begin=_trial(),
        in_trial=_source_down,
        asks=_ASK,
        later=_source_back,
        expected=_refund(),
    )
    yield Story(
        title="Balance is low: the refund waits, then succeeds",
        row=row,
        begin=_trial(),
        charged=_refund_will(status="pending", pending_reason="insufficient_funds"),
        asks=_ASK,
        later=_turn_refund("succeeded"),
        expected=_refund(),
    )
    yield Story(
        title="An open inquiry by the bank, nobody else asked",
        row=row,
        begin=_trial(),
        charged=_dispute(status="warning_needs_response", reason="unrecognized"),
        asks=_nobody,
        expected=_refund(),
    )
    yield Story(
        title="An early fraud warning, nobody else asked",
        row=row,
        begin=_trial(),
        charged=_warn,
        asks=_nobody,
        expected=_refund(),
    )


def _nothing_to_refund() -> Iterator[Story]:
    row = "1"
    yield Story(
        title="Refunded in the Dashboard before",
        row=row,
        begin=_trial(),
        charged=_dashboard_refund(),
        asks=_ASK,
        expected=_closed("already-refunded", outside=4900),
    )
    yield Story(title="The charge failed", row=row, begin=_declined, asks=_ASK, expected=_closed("charge-failed"))
    yield Story(
        title="Authorised and never captured",
        row=row,
        begin=_one_off(capture="manual"),
        asks=_ASK,
        expected=_closed("not-captured"),
    )
    yield Story(
        title="Lost a chargeback: the customer has the money",
        row=row,
        begin=_trial(),
        charged=_dispute(status="lost", reason="fraudulent"),
        asks=_ASK,
        expected=_closed("returned-through-dispute"),
    )
    yield Story(
        title="Resolved by the bank's own rule (RDR)",
        row=row,
        begin=_trial(),
        charged=_dispute(status="lost", reason="fraudulent", rdr=True),
        asks=_ASK,
        expected=_closed("returned-through-dispute"),
    )
    yield Story(
        title="Prevented by the network",
        row=row,
        begin=_trial(),
        charged=_dispute(status="prevented", reason="fraudulent"),
        asks=_ASK,
        expected=_closed("returned-through-dispute"),
    )


def _banks() -> Iterator[Story]:
    chargeback = _dispute(status="needs_response", reason="subscription_canceled")
    yield Story(
        title="A chargeback, never used: accept",
        row="2",
        begin=_trial(),
        charged=chargeback,
        asks=_nobody,
        expected=_review("open-chargeback", advice="accept_dispute"),
    )
    yield Story(
        title="A chargeback, used: contest",
        row="2",
        begin=_trial(),
        charged=_dispute_used,
        asks=_nobody,
        expected=_review("open-chargeback", advice="contest_dispute"),
    )
    yield Story(
        title="A chargeback between decision and payment",
        row="2",
        begin=_trial(),
        charged=_disputed_between,
        asks=_ASK,
        expected=_review("open-chargeback"),
    )
    yield Story(
        title="A chargeback was won: a person decides",
        row="10",
        begin=_trial(),
        charged=_dispute(status="won", reason="fraudulent"),
        asks=_ASK,
        expected=_review("dispute-won"),
    )


def _people_decide() -> Iterator[Story]:
    yield Story(
        title="Same card as another customer's trial",
        row="3",
        begin=_same_card,
        asks=_ASK,
        expected=_review("repeat-trial"),
    )
    yield Story(
        title="Same mailbox, spelled another way",
        row="3",
        begin=_same_mailbox,
        asks=_ASK,
        expected=_review("repeat-trial"),
    )
    yield Story(
        title="Says it was cancelled, nobody recorded it",
        row="4",
        begin=_trial(),
        asks=_by_charge(cancelled=True),
        expected=_review("cancellation-not-found"),
    )
    yield Story(
        title="Cancelled before the charge, and used",
        row="5",
        begin=_trial(),
        in_trial=_cancel_and_use,
        asks=_by_charge(cancelled=True),
        expected=_review("charged-after-cancellation"),
    )
    yield Story(
        title="Wrote to support to cancel, and used",
        row="5",
        begin=_trial(),
        in_trial=_write_to_support,
        asks=_ASK,
        expected=_review("charged-after-cancellation"),
    )
    yield Story(
        title="The source does not answer",
        row="6",
        begin=_trial(),
        in_trial=_source_down,
        asks=_ASK,
        expected=_review("evidence-incomplete"),
    )
    yield Story(
        title="The source is two days behind",
        row="6",
        begin=_trial(),
        in_trial=_source_stale,
        asks=_ASK,
        expected=_review("evidence-incomplete"),
    )
    yield Story(
        title="The source began after the trial did",
        row="6",
        begin=_trial(),
        in_trial=_source_gap,
        asks=_ASK,
        expected=_review("evidence-incomplete"),
    )
    yield Story(
        title="Tag hits in the trial", row="8", begin=_trial(), in_trial=_use, asks=_ASK, expected=_review("used")
    )
    yield Story(
        title="The tag is installed, no hit yet",
        row="8",
        begin=_trial(),
        in_trial=_install_tag,
        asks=_ASK,
        expected=_review("used"),
    )
    yield Story(
        title="Used after the charge, before asking",
        row="8",
        begin=_trial(),
        charged=_use,
        asks=_ASK,
        expected=_review("used"),
    )
    yield Story(
        title="Use begins between decision and payment",
        row="8",
        begin=_trial(),
        charged=_uses_between,
        asks=_ASK,
        expected=_review("used"),
    )
    yield Story(
        title="Two subscriptions, names only the customer",
        row="10",
        begin=_two_subscriptions,
        asks=_by_customer,
        expected=_review("ambiguous-request"),
    )
    yield Story(
        title="Refunded in part in the Dashboard",
        row="10",
        begin=_trial(),
        charged=_dashboard_refund(1000),
        asks=_ASK,
        expected=_review("refunded-in-part", outside=1000),
    )
    yield Story(
        title="The invoice was paid in two payments",
        row="10",
        begin=_trial(),
        in_trial=_split,
        asks=_ASK,
        expected=_review("several-payments"),
    )
    yield Story(
        title="The refund succeeds, and fails days later",
        row="law 3",
        begin=_trial(),
        asks=_ASK,
        later=_turn_refund("failed"),
        expected=_review("refund-failed"),
    )


def _other_charges() -> Iterator[Story]:
    row = "9"
    yield Story(title="No trial at all", row=row, begin=_trial(days=0), asks=_ASK, expected=_review("no-trial"))
    yield Story(title="A one-off charge", row=row, begin=_one_off(), asks=_ASK, expected=_review("no-trial"))
    yield Story(
        title="Ended the trial early by an upgrade",
        row=row,
        begin=_trial(),
        in_trial=_end_trial_now,
        asks=_ASK,
        expected=_review("trial-ended-early"),
    )
    yield Story(
        title="Asks for a later renewal",
        row=row,
        begin=_trial(days=7, interval="week"),
        asks=_ASK,
        expected=_review("not-the-first-charge"),
    )
    yield Story(
        title="A set-up fee was charged in the trial",
        row=row,
        begin=_with_fee,
        asks=_ASK,
        expected=_review("not-the-first-charge"),
    )
    yield Story(
        title="Asks for the trial's charge after a renewal",
        row=row,
        begin=_trial(days=7, interval="week"),
        asks=_oldest,
        expected=_review("not-the-last-charge"),
    )


def _limits() -> Iterator[Story]:
    yield Story(
        title="Above the limit for one refund",
        row="7, limit",
        begin=_trial(amount=29_900),
        asks=_ASK,
        expected=_review("limit-amount"),
    )
    yield Story(
        title="In a currency without a limit",
        row="7, limit",
        begin=_trial(currency="sek", amount=49_900),
        asks=_ASK,
        expected=_review("limit-currency"),
    )
    yield Story(
        title="Had an automatic refund already, and tries again",
        row="7, limit",
        begin=_trial(days=5),
        early=True,
        charged=_again,
        asks=_ASK,
        expected=_review("limit-earlier-refund"),
    )


def _with_fee(world: World) -> Person:
    customer = world.customer()
    setup: dict[str, Any] = {"currency": "usd", "unit_amount": 1500, "product_data": {"name": "Set-up"}}
    fee = {"price": world.stripe.post("/prices", **setup)["id"]}
    return Person(customer=customer, subscription=world.subscribe(customer, add_invoice_items=[fee]))


def _oldest(world: World, person: Person) -> Sequence[dict[str, Any]]:
    return [{"charge": world.charges(person.customer)[-1]["id"]}]
