"""A case on a terminal: the case itself, what was asked, decided and paid, notes, and what happened when."""

from collections.abc import Iterator, Sequence

from billingbot.cli.disputes.listing import DISPUTE_COLUMNS, dispute_row
from billingbot.cli.output import cell, money, say, show_pairs, show_section
from billingbot.store.requests import Request
from billingbot.store.views import CasePage


def show_case(page: CasePage, blockers: Sequence[str]) -> None:
    """Prints the page; `blockers` are what the stored facts say against paying."""
    case = page.case
    show_pairs(
        [
            ("case", f"{case.id}, version {case.version}"),
            ("state", case.state),
            ("account", f"{case.account}, {'live' if case.livemode else 'test'} mode"),
            ("charge", case.charge_id),
            ("amount", money(case.amount_minor, case.currency) if case.currency else None),
            ("customer", case.customer_id),
            ("subscription", case.subscription_id),
            ("invoice", case.invoice_id),
            ("reason", case.reason),
            ("why", _fault(page)),
            ("clause", case.clause),
            ("advice", case.recommendation),
            ("priority", case.priority),
            ("due", case.due_at),
            ("with", case.assignee),
            ("outcome", case.outcome),
            ("approved", _first(page)),
            ("cannot be paid", ", ".join(blockers) or None),
            ("looks again", page.recheck_at),
            ("opened", case.opened_at),
            ("decided", case.decided_at),
            ("closed", case.closed_at),
            ("joined", ", ".join(page.joined) or case.joined_case_id),
        ]
    )
    show_section("Asked", ("when", "through", "by", "names", "claims", "reference"), _requests(page.requests))
    show_section("Disputes", DISPUTE_COLUMNS, (dispute_row(line) for line in page.disputes))
    wrote = ((one.noticed_at, one.feedback, one.comment, ", ".join(one.matched)) for one in page.comments)
    show_section("Wrote when cancelling", ("when", "feedback", "comment", "words"), wrote)
    decisions = ((one.decided_at, one.purpose, one.outcome, one.rule, one.reason, one.id) for one in page.decisions)
    show_section("Decided", ("when", "purpose", "outcome", "rule", "reason", "id"), decisions)
    refunds = (
        (one.refund.id, money(one.refund.amount_minor, one.refund.currency), one.refund.state, one.refund.why)
        for one in page.refunds
    )
    show_section("Refunds", ("id", "amount", "state", "why"), refunds)
    notes = ((one.refund.credit_note_number, one.refund.credit_note_id, one.refund.id) for one in page.refunds)
    show_section("Credit notes", ("number", "id", "refund"), [row for row in notes if row[1]])
    ends = ((one.id, one.cancel_when, one.state, one.why, one.waits_for) for one in page.cancellations)
    show_section("Subscription", ("id", "cancel", "state", "why", "waits for"), ends)
    sent = ((one.written_at, one.state, one.subject, one.written_by, one.why) for one in page.letters)
    show_section("Letters", ("written", "state", "subject", "by", "why"), sent)
    show_section("Notes", ("when", "by", "note"), ((one.written_at, one.author, one.text) for one in page.notes))
    happened = ((entry.at, entry.kind, entry.actor, entry.seq) for entry in page.timeline)
    show_section("What happened", ("when", "what", "by", "entry"), happened)
    if case.reply:
        say("", "For the customer:", *(f"  {line}" for line in case.reply.splitlines()))
    if page.decision is not None:
        say("", f"Why: billingbot cases explain {case.id}")
    around = page.facts.exhibits.get("around") if page.facts is not None else None
    if around and around["links"]:
        say(f"Who looks like this customer: billingbot cases links {case.id}")


def _fault(page: CasePage) -> str | None:
    """What went wrong, where the case is with a person since it could not be assessed."""
    if page.case.reason != "could-not-assess":
        return None
    told = (entry.body.get("why") for entry in reversed(page.timeline) if entry.kind == "case.given_up")
    return next(told, None)


def _first(page: CasePage) -> str | None:
    first = page.first_approval
    if first is None:
        return None
    return f"by {first.maker} at {cell(first.made_at)}; one more approval is wanted from somebody else"


def _requests(requests: Sequence[Request]) -> Iterator[tuple[object, ...]]:
    for one in requests:
        claims = [
            *(["not used"] if one.claims.unused else []),
            *(["cancelled"] if one.claims.cancelled else []),
            *([f"at {one.claims.cancelled_at:%Y-%m-%d %H:%M}Z"] if one.claims.cancelled_at else []),
            *([f'"{one.claims.text}"'] if one.claims.text else []),
        ]
        named = f"{one.named_by} {one.named}"
        yield one.asked_at, one.channel, one.asked_by, named, ", ".join(claims), one.external_ref
