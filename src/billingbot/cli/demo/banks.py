"""What banks do: every form in which a cardholder's claim comes through Stripe, and what must come of it."""

import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any, Final

from billingbot.cli.demo import acts, moves
from billingbot.cli.demo.story import Expected, Happen, Story, closed, refund, review
from billingbot.cli.demo.waiting import until
from billingbot.cli.demo.world import Person, World

_ROW: Final = "2"
_SMALL, _NEAR, _LARGE = 900, 1900, 4900  # against Stripe's dispute fee of 15 USD
_FEE: Final = 1500
_MINUTE_HOURS: Final = 1 / 60
_OTHER_REASONS: Final = ("credit_not_processed", "general", "noncompliant", "product_not_received")
"""Of those that banks give for cards, what no other story has."""


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
        for status in statuses:
            world.stripe.move_dispute(world.newest_dispute(person), status)

    return happen


def _smart(world: World, person: Person) -> None:
    """Stripe's Smart Disputes answers in our place."""
    for dispute in world.stripe.get("/disputes", charge=person.charge)["data"]:
        world.stripe.answer_dispute(dispute["id"])


def _looks_too_late(world: World, person: Person) -> None:
    """Somebody writes on the dispute in the Dashboard, once its deadline is over; nothing is sent."""
    dispute = world.newest_dispute(person)
    due_by = world.stripe.get(f"/disputes/{dispute}")["evidence_details"]["due_by"]
    until(lambda: time.time() > due_by)
    world.stripe.post(f"/disputes/{dispute}", metadata={"seen": "too late"}, submit=False)


def _ended_first(world: World, person: Person) -> None:
    """Lost in the second in which it was opened, and told of in the wrong order."""
    world.stripe.weather(held=True)
    world.stripe.dispute(person.charge, status="lost", due_by=0)
    world.stripe.release_backwards()


_inquiry = partial(moves.dispute, status="warning_needs_response", reason="unrecognized")
_chargeback = partial(moves.dispute, status="needs_response", reason="subscription_canceled")


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
        "A warning that is not actionable, after the chargeback it speaks of",
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
        "A chargeback that is due within a day: people are reminded, and it is escalated",
        charged=_both(moves.use, moves.dispute(reason="product_unacceptable", due_in_hours=20)),
        expected=review(
            "open-chargeback",
            advice="contest_dispute",
            dispute="needs_response",
            told=frozenset({"deadline_near", "deadline_untaken"}),
        ),
    )
    yield _by_bank(
        "A chargeback whose deadline nobody meets",
        charged=_both(moves.use, moves.dispute(due_in_hours=_MINUTE_HOURS / 3)),
        later=_looks_too_late,
        expected=review(
            "open-chargeback",
            dispute="needs_response",
            ledgered=frozenset({"dispute.missed"}),
            told=frozenset({"deadline_missed"}),
        ),
    )
    for reason in _OTHER_REASONS:
        yield _by_bank(
            f"A chargeback for the reason {reason}, used: contest",
            charged=_both(moves.use, moves.dispute(reason=reason, due_in_hours=115)),
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
        "A chargeback, answered by a person, and won: the money and the fee come back",
        charged=_both(moves.use, moves.dispute(reason="fraudulent", due_in_hours=150)),
        people=acts.send_answer(),
        later=_move("won"),
        expected=closed("answered", dispute="won", booked=(_LARGE, _LARGE, 0), told=frozenset({"dispute_won"})),
    )
    yield _by_bank(
        "A chargeback, staged, answered by a person, and lost with its fee",
        charged=_both(moves.use, moves.dispute(reason="unrecognized", due_in_hours=145)),
        people=acts.send_answer(staged=True),
        later=_move("lost"),
        # Where the facts are just asked for anew as the answer leaves, the case ends with the bank's word.
        expected=closed(
            "answered",
            dispute="lost",
            booked=(_LARGE, 0, _FEE),
            told=frozenset({"dispute_lost"}),
            or_reason="returned-through-dispute",
        ),
    )
    yield _by_bank(
        "A chargeback, answered by a person, lost, and won late: Stripe keeps the fee",
        charged=_both(moves.use, _chargeback(due_in_hours=140, fee_returned=False)),
        people=acts.send_answer(),
        later=_move("lost", "won"),
        expected=closed("answered", dispute="won", booked=(_LARGE, _LARGE, _FEE), told=frozenset({"dispute_won"})),
    )
    yield _by_bank(
        "A chargeback, never used: accepted by a person",
        charged=_chargeback(due_in_hours=120),
        people=acts.accept,
        expected=closed("dispute_accepted", dispute="lost", booked=(_LARGE, 0, _FEE), subscription="canceled"),
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
        # Stripe fails the refund at once and tells of both. Where that of the refund is heard first, it is over already
        # when the chargeback is read, and there is nothing left to cross: both are true, and pay nothing.
        expected=replace(review("refund-crossed-by-dispute", dispute="needs_response"), or_reason="open-chargeback"),
    )


def _ends() -> Iterator[Story]:
    for title, happens, booked in (
        ("Lost a chargeback: the customer has the money", moves.dispute(status="lost"), (_LARGE, 0, _FEE)),
        ("Resolved by the bank's own rule (RDR), as lost", moves.dispute(rdr=True), (_LARGE, 0, 0)),
        (
            "Resolved by the bank's own rule (RDR), without lost",
            moves.dispute(rdr=True, status="prevented"),
            (_LARGE, 0, 0),
        ),
        ("Prevented by the network", moves.dispute(status="prevented", case_type="block"), (0, 0, 0)),
        ("Lost at once, and told of in the wrong order", _ended_first, (_LARGE, 0, _FEE)),
    ):
        yield Story(
            title=title,
            row="1",
            begin=moves.trial(),
            charged=happens,
            asks=moves.ASK,
            expected=closed("returned-through-dispute", booked=booked),
        )
    yield Story(
        title="Lost, asked for again, and won late",
        row="1",
        begin=moves.trial(),
        charged=moves.dispute(status="lost"),
        asks=moves.ASK,
        later=_move("won"),
        expected=closed("returned-through-dispute", dispute="won", booked=(_LARGE, _LARGE, 0)),
    )
    yield Story(
        title="A chargeback was won: a person decides",
        row="10",
        begin=moves.trial(),
        charged=moves.dispute(status="won"),
        asks=moves.ASK,
        expected=review("dispute-won", dispute="won"),
    )
