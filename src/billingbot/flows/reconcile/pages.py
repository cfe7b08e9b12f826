"""Pages: what each stage of a pass reads at a time, and where the next page starts."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from billingbot.core.books.breaks import NOTHING, BreakKind, Mismatch, Stage
from billingbot.core.disputes.life import returned_money
from billingbot.flows.desk import step
from billingbot.flows.reconcile.agreeing import (
    agree_on_charge,
    agree_on_conversion,
    agree_on_dispute,
    agree_on_ours,
    agree_on_refund,
    dispute_differs,
    look_again,
    refunded_differs,
)
from billingbot.flows.reconcile.round import Round
from billingbot.gateway.lists import Listing, Span
from billingbot.store import agreement, breaks, disputes
from billingbot.store.database import transaction

# Stripe retries a failed payment for two months at the most, by the schedule that an account chooses.
# https://docs.stripe.com/billing/revenue-recovery/smart-retries
CHARGED_WITHIN: Final = timedelta(days=60)
# A lost dispute may turn into a won one: after an appeal, or where the issuer gives in. Stripe names no time; networks
# end arbitration within half a year of the chargeback. https://docs.stripe.com/disputes/how-disputes-work
LATE_WINS: Final = timedelta(days=180)


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """How many objects a page had, and where the next one starts; None where the stage is over."""

    seen: int
    next: str | None


def refunds_page(at: Round) -> Read:
    """Refunds at Stripe against our rows and their ledger entries."""
    span = Span(since=at.of.refunds_since, until=at.of.until)
    page = at.account.stripe.refunds_created(span, after=at.of.cursor, limit=at.rows)
    with transaction(at.desk.db) as connection:
        wrong = agreement.mismatches(connection, at.account.name, page.items)
        agreement.seen_at_stripe(connection, at.account.name, [found.id for found in page.items])
    for found in page.items:
        if found.id in wrong:
            at.each(wrong[found.id], agree_on_refund, found.id)
    return _read(at, page)


def charges_page(at: Round) -> Read:
    """Charges: what they say was refunded, and those at the end of a trial that nobody told us of."""
    span = Span(since=at.of.since, until=at.of.until)
    page = at.account.stripe.charges_created(span, after=at.of.cursor, limit=at.rows)
    paid = [charge for charge in page.items if charge.status == "succeeded" and charge.captured]
    with transaction(at.desk.db) as connection:
        ours = agreement.refunded_by_charge(connection, at.account.name, [charge.id for charge in paid])
        missed = agreement.may_be_conversions(connection, at.account.name, paid, within=CHARGED_WITHIN)
    for charge in paid:
        wrong = refunded_differs(charge, ours.get(charge.id, 0))
        if wrong is not None:
            at.each([wrong], agree_on_charge, charge.id)
    for charge in missed:
        at.each([], agree_on_conversion, charge.id)
    return _read(at, page)


def disputes_page(at: Round) -> Read:
    """Disputes at Stripe against those that we have looked at."""
    span = Span(since=at.of.since, until=at.of.until)
    page = at.account.stripe.disputes_created(span, after=at.of.cursor, limit=at.rows)
    with transaction(at.desk.db) as connection:
        known = disputes.statuses(connection, at.account.name, [found.id for found in page.items])
        disputes.seen(connection, at.account.name, [found.id for found in page.items])
        news = {one.id for one in disputes.differing(connection, at.account.name, page.items)}
        paid = agreement.refunded_by_charge(
            connection, at.account.name, [one.charge_id for one in page.items if returned_money(one)]
        )
    for found in page.items:
        if known.get(found.id) != found.status:
            wrong = dispute_differs(found, known.get(found.id))
            at.each([wrong], agree_on_dispute, found.id)
        elif found.id in news or (returned_money(found) and paid.get(found.charge_id)):
            at.each([], agree_on_dispute, found.id)
    return _read(at, page)


def open_disputes_page(at: Round) -> Read:
    """Disputes that we know as open, and that are older than the window; once a day also those that may be won late."""
    with transaction(at.desk.db) as connection:
        ids = disputes.open_and_unseen(
            connection,
            at.account.name,
            since=at.of.began_at,
            lost_since=at.of.began_at - LATE_WINS if at.of.deep else None,
            after=at.of.cursor,
            limit=at.rows,
        )
    for dispute_id in ids:
        at.each([], agree_on_dispute, dispute_id)
    return Read(seen=len(ids), next=ids[-1] if len(ids) == at.rows else None)


def ours_page(at: Round) -> Read:
    """Refunds that our books claim to be at Stripe and that its lists did not show, and calls without an answer."""
    with transaction(at.desk.db) as connection:
        page = agreement.unseen(
            connection,
            at.account.name,
            since=at.of.began_at,
            intended=(at.of.refunds_since, at.of.until),
            after=at.of.cursor,
            limit=at.rows,
        )
    for refund in page:
        at.each([], agree_on_ours, refund.id)
    return Read(seen=len(page), next=page[-1].id if len(page) == at.rows else None)


def breaks_page(at: Round) -> Read:
    """Breaks that are not settled and were not met on the way: still so, or agreed meanwhile?"""
    with transaction(at.desk.db) as connection:
        page = breaks.unseen(connection, at.account.name, since=at.of.began_at, after=at.of.cursor, limit=at.rows)
    for met in page:
        at.each([met.what], look_again, met)
    return Read(seen=0, next=page[-1].id if len(page) == at.rows else None)


PAGES: Final[Mapping[Stage, Callable[[Round], Read]]] = {
    Stage.REFUNDS: refunds_page,
    Stage.CHARGES: charges_page,
    Stage.DISPUTES: disputes_page,
    Stage.OPEN_DISPUTES: open_disputes_page,
    Stage.OURS: ours_page,
    Stage.BREAKS: breaks_page,
}


def _read(at: Round, page: Listing[Any]) -> Read:
    for object_id, why in page.unreadable:
        what = Mismatch(
            kind=BreakKind.UNREADABLE,
            object_id=object_id,
            charge_id=None,
            refund_id=None,
            expected=NOTHING,
            found=NOTHING,
        )
        with step(at.desk) as this:
            at.leave(this, at.meet(this, what), why)
    return Read(seen=len(page.items) + len(page.unreadable), next=page.next)
