"""What banks do: every form in which a cardholder's claim comes through Stripe, and what must come of it."""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any, Final

import httpx

from billingbot.cli.demo import moves
from billingbot.cli.demo.story import Expected, Happen, Story, closed, refund, review
from billingbot.cli.demo.waiting import DemoError, until
from billingbot.cli.demo.world import Person, World

_ROW: Final = "2"
_SUPPORT: Final = "support"
_SOLD: Final = "A subscription to tracking of conversions, billed by the month after a free trial."
_SMALL, _NEAR, _LARGE = 900, 1900, 4900  # against Stripe's dispute fee of 15 USD


def bank_stories() -> list[Story]:
    """Inquiries, fraud warnings, chargebacks and their ends."""
    return [*_inquiries(), *_warnings(), *_chargebacks(), *_ends()]


def _by_bank(title: str, *, row: str = _ROW, begin: Any = None, expected: Expected, **happens: Any) -> Story:
    """A story in which nobody asks but the bank."""
    return Story(title=title, row=row, begin=begin or moves.trial(), asks=moves.nobody, expected=expected, **happens)


def _both(*happens: Happen) -> Happen:
    def happen(world: World, person: Person) -> None:
        for each in happens:
            each(world, person)

    return happen


def _move(*statuses: str) -> Happen:
    """The bank moves the newest dispute of the charge on, through these."""

    def happen(world: World, person: Person) -> None:
        newest = world.stripe.get("/disputes", charge=person.charge)["data"][0]["id"]
        for status in statuses:
            world.stripe.move_dispute(newest, status)

    return happen


def _smart(world: World, person: Person) -> None:
    """Stripe's Smart Disputes answers in our place."""
    for dispute in world.stripe.get("/disputes", charge=person.charge)["data"]:
        world.stripe.answer_dispute(dispute["id"])


def _ended_first(world: World, person: Person) -> None:
    """Lost in the second in which it was opened, and told of in the wrong order."""
    world.stripe.weather(held=True)
    world.stripe.dispute(person.charge, status="lost", due_by=0)
    world.stripe.release_backwards()


_inquiry = partial(moves.dispute, status="warning_needs_response", reason="unrecognized")
_chargeback = partial(moves.dispute, status="needs_response", reason="subscription_canceled")


def _answer(world: World, billingbot: httpx.Client, person: Person) -> None:
    """A person reads the drafted answer, says one thing in their own words, and sends it to the bank."""
    dispute = _newest(world, person)
    page = until(lambda: _drafted(billingbot, dispute))
    edit = {"by": _SUPPORT, "version": page["version"], "field": "product_description", "text": _SOLD}
    page = _post(billingbot, f"/disputes/{dispute}/answer/edit", edit)
    _post(billingbot, f"/disputes/{dispute}/answer/send", {"by": _SUPPORT, "version": page["version"]})
    until(lambda: world.stripe.get(f"/disputes/{dispute}")["status"] == "under_review")


def _accept(world: World, billingbot: httpx.Client, person: Person) -> None:
    """A person gives the dispute up, in two steps."""
    dispute = _newest(world, person)
    until(lambda: _drafted(billingbot, dispute))
    asked = _post(billingbot, f"/disputes/{dispute}/accept", {"by": _SUPPORT})
    _post(billingbot, f"/disputes/{dispute}/accept/confirm", {"by": _SUPPORT, "answer": asked["answer"]["id"]})
    until(lambda: world.stripe.get(f"/disputes/{dispute}")["status"] == "lost")


def _newest(world: World, person: Person) -> str:
    return str(world.stripe.get("/disputes", charge=person.charge)["data"][0]["id"])


def _drafted(billingbot: httpx.Client, dispute: str) -> Any:
    """The page of a dispute's answer, once it is drafted."""
    answer = billingbot.get(f"/api/v1/disputes/{dispute}/answer")
    page = answer.json() if answer.is_success else {}
    return page if page.get("version") else None


def _post(billingbot: httpx.Client, path: str, body: dict[str, Any]) -> Any:
    answer = billingbot.post(f"/api/v1{path}", json=body)
    if answer.is_error:
        raise DemoError(f"POST {path}: HTTP {answer.status_code} {answer.text[:300]}")
    return answer.json()


def _inquiries() -> Iterator[Story]:
    yield _by_bank(
        "An open inquiry by the bank, nobody else asked",
        row="7",
        charged=_inquiry(),
        expected=refund(dispute="warning_closed"),
    )
    yield _by_bank(
        "An inquiry, and the product was used: a person answers",
        row="8",
        charged=_both(moves.use, _inquiry(due_in_hours=60)),
        expected=review("used", advice="decline", dispute="warning_needs_response"),
    )
    yield _by_bank(
        "An inquiry, refunded in part by hand, becomes a chargeback",
        charged=_both(moves.use, _inquiry(due_in_hours=90), moves.dashboard_refund(1000)),
        later=_move("needs_response"),
        expected=review("open-chargeback", outside=1000, dispute="needs_response"),
    )
    yield _by_bank(
        "An inquiry about a plain renewal: a person answers",
        row="9",
        begin=moves.trial(days=0),
        charged=_inquiry(due_in_hours=70),
        expected=review("no-trial", advice="decline", dispute="warning_needs_response"),
    )


def _warnings() -> Iterator[Story]:
    row = "7"
    yield _by_bank("An early fraud warning, nobody else asked", row=row, charged=moves.warn(), expected=refund())
    yield _by_bank(
        "A warning on a small charge, used",
        row=row,
        begin=moves.trial(amount=_SMALL),
        charged=_both(moves.use, moves.warn()),
        expected=review("warning-small-against-fee", advice="refund"),
    )
    yield _by_bank(
        "A warning on a charge near the dispute fee, used",
        row=row,
        begin=moves.trial(amount=_NEAR),
        charged=_both(moves.use, moves.warn()),
        expected=review("warning-near-the-fee", advice="none"),
    )
    yield _by_bank(
        "A warning on a large charge, used",
        row=row,
        begin=moves.trial(amount=_LARGE),
        charged=_both(moves.use, moves.warn()),
        expected=review("warning-used-above-fee", advice="decline"),
    )
    yield _by_bank(
        "A warning on a large charge, never used, no trial",
        row=row,
        begin=moves.trial(days=0),
        charged=moves.warn(),
        expected=review("warning-unused-above-fee", advice="decline"),
    )
    yield _by_bank(
        "A warning that the card was stolen, used",
        row=row,
        charged=_both(moves.use, moves.warn("made_with_stolen_card")),
        expected=review("warning-card-not-theirs", advice="none"),
    )
    yield _by_bank(
        "A warning after the chargeback it speaks of",
        charged=_both(moves.use, _chargeback(due_in_hours=110), moves.warn()),
        expected=review("open-chargeback", advice="contest_dispute"),
    )


def _chargebacks() -> Iterator[Story]:
    yield _by_bank(
        "A chargeback, never used: accept",
        charged=_chargeback(due_in_hours=96),
        expected=review("open-chargeback", advice="accept_dispute", dispute="needs_response"),
    )
    yield _by_bank(
        "A chargeback, used: contest",
        charged=_both(moves.use, moves.dispute(reason="fraudulent", due_in_hours=75)),
        expected=review("open-chargeback", advice="contest_dispute", dispute="needs_response"),
    )
    yield _by_bank(
        "A chargeback that is due within a day",
        charged=_both(moves.use, moves.dispute(reason="product_unacceptable", due_in_hours=20)),
        expected=review("open-chargeback", advice="contest_dispute", dispute="needs_response"),
    )
    yield _by_bank(
        "A chargeback that nobody can answer",
        charged=_chargeback(due_by=0),
        expected=review("open-chargeback", dispute="needs_response"),
    )
    yield _by_bank(
        "Smart Disputes has answered already",
        charged=_both(moves.use, moves.dispute(reason="fraudulent", smart=True, due_in_hours=80)),
        later=_smart,
        expected=review("open-chargeback", dispute="under_review"),
    )
    yield _by_bank(
        "Two chargebacks of one charge, one of them won",
        charged=_both(
            moves.use,
            moves.dispute(amount=2000, due_in_hours=100),
            _move("won"),
            moves.dispute(amount=2900, reason="duplicate", due_in_hours=100),
        ),
        expected=review("open-chargeback", advice="contest_dispute", dispute="needs_response"),
    )
    yield _by_bank(
        "One chargeback over several charges",
        charged=_both(moves.use, _chargeback(amount=14_700, due_in_hours=85)),
        expected=review("open-chargeback", dispute="needs_response"),
    )
    yield _by_bank(
        "A chargeback that was lost is appealed",
        charged=_both(moves.use, moves.dispute(status="lost", due_in_hours=90), _move("appeal_needs_response")),
        expected=review("open-chargeback", dispute="appeal_needs_response"),
    )
    yield _by_bank(
        "A chargeback, answered by a person, and won",
        charged=_both(moves.use, moves.dispute(reason="fraudulent", due_in_hours=150)),
        people=_answer,
        later=_move("won"),
        expected=closed("answered", dispute="won"),
    )
    yield _by_bank(
        "A chargeback, answered by a person, lost, and won late",
        charged=_both(moves.use, _chargeback(due_in_hours=140)),
        people=_answer,
        later=_move("lost", "won"),
        expected=closed("answered", dispute="won"),
    )
    yield _by_bank(
        "A chargeback, never used: accepted by a person",
        charged=_chargeback(due_in_hours=120),
        people=_accept,
        expected=closed("dispute_accepted", dispute="lost"),
    )
    yield Story(
        title="A chargeback between decision and payment",
        row=_ROW,
        begin=moves.trial(),
        charged=moves.disputed_between,
        asks=moves.ASK,
        expected=review("open-chargeback"),
    )
    yield Story(
        title="A chargeback meets a refund that is under way",
        row=_ROW,
        begin=moves.trial(),
        charged=moves.refund_will(status="pending", pending_reason="processing"),
        asks=moves.ASK,
        later=_chargeback(due_in_hours=130),
        expected=replace(review("open-chargeback", dispute="needs_response"), or_reason="refund-crossed-by-dispute"),
    )


def _ends() -> Iterator[Story]:
    returned = closed("returned-through-dispute")
    for title, happens in (
        ("Lost a chargeback: the customer has the money", moves.dispute(status="lost")),
        ("Resolved by the bank's own rule (RDR)", moves.dispute(rdr=True)),
        ("Prevented by the network", moves.dispute(status="prevented")),
        ("Lost at once, and told of in the wrong order", _ended_first),
    ):
        yield Story(title=title, row="1", begin=moves.trial(), charged=happens, asks=moves.ASK, expected=returned)
    yield Story(
        title="Lost, asked for again, and won late",
        row="1",
        begin=moves.trial(),
        charged=moves.dispute(status="lost"),
        asks=moves.ASK,
        later=_move("won"),
        expected=closed("returned-through-dispute", dispute="won"),
    )
    yield Story(
        title="A chargeback was won: a person decides",
        row="10",
        begin=moves.trial(),
        charged=moves.dispute(status="won"),
        asks=moves.ASK,
        expected=review("dispute-won", dispute="won"),
    )
