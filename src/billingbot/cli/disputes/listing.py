"""`billingbot disputes list|show`: what the banks ask and take, by deadline."""

from typing import TYPE_CHECKING, Annotated, Final

import typer

from billingbot.cli.listing import OfAccount, OfCase, OfCharge, show_list
from billingbot.cli.output import After, AsJson, Limit, money, say, show_json, show_pairs, show_section
from billingbot.cli.reading import instant
from billingbot.cli.session import read
from billingbot.core.disputes.life import DisputeKind, DisputeOutcome

if TYPE_CHECKING:
    from billingbot.store.views.disputes import DisputeLine, DisputePage


def list_(
    *,
    open_: Annotated[
        bool | None, typer.Option("--open/--ended", help="Only those that have not ended, or that have.")
    ] = None,
    unassigned: Annotated[bool, typer.Option("--unassigned", help="Only where nobody has the case.")] = False,
    kind: Annotated[DisputeKind | None, typer.Option(help="Only of this kind.")] = None,
    status: Annotated[str | None, typer.Option(help="Only in this status of Stripe's.")] = None,
    reason: Annotated[str | None, typer.Option(help="Only for this reason, such as fraudulent.")] = None,
    outcome: Annotated[DisputeOutcome | None, typer.Option(help="Only those that ended so.")] = None,
    account: OfAccount = None,
    charge: OfCharge = None,
    case: OfCase = None,
    due_before: Annotated[str | None, typer.Option(help="Open and due before: ISO 8601 with a zone.")] = None,
    after: After = None,
    limit: Limit = 50,
    as_json: AsJson = False,
) -> None:
    """Disputes: what is due first comes first, what has ended or takes no answer comes last."""
    from billingbot.store.views import disputes

    wanted = disputes.DisputeFilter(
        account=account,
        kind=kind,
        status=status,
        reason=reason,
        outcome=outcome,
        charge_id=charge,
        case_id=case,
        open=open_,
        unassigned=unassigned,
        due_before=instant("--due-before", due_before) if due_before else None,
    )
    page = read(lambda connection: disputes.dispute_list(connection, wanted, after=after, limit=limit))
    show_list(DISPUTE_COLUMNS, dispute_row, page.items, following=page.next, shown=_shown, as_json=as_json)


def missed(
    *,
    account: OfAccount = None,
    after: After = None,
    limit: Limit = 50,
    as_json: AsJson = False,
) -> None:
    """Disputes whose deadline passed without an answer, and what became of them; open ones first."""
    from billingbot.store.views import disputes

    wanted = disputes.DisputeFilter(account=account, missed=True)
    page = read(lambda connection: disputes.dispute_list(connection, wanted, after=after, limit=limit))
    columns = ("dispute", "amount", "reason", "was due", "seen", "became", "case", "assignee")
    show_list(columns, _missed_row, page.items, following=page.next, shown=_shown, as_json=as_json)


def show(
    dispute: Annotated[str, typer.Argument(help="The dispute, du_... or dp_...")],
    *,
    account: Annotated[str | None, typer.Option(help="Which account, where two could have it.")] = None,
    as_json: AsJson = False,
) -> None:
    """One dispute as last read, with the charge's refunds and other disputes, and its history."""
    from billingbot.store.views import disputes

    page = read(lambda connection: disputes.dispute_page(connection, dispute, account=account))
    if as_json:
        from billingbot.web.api.disputes import DisputePageShown

        show_json(DisputePageShown.of(page))
        return
    _show(page)


DISPUTE_COLUMNS: Final = ("dispute", "kind", "reason", "amount", "status", "answer", "due by", "case", "assignee")


def dispute_row(line: "DisputeLine") -> tuple[object, ...]:
    """A dispute as tables show it, by DISPUTE_COLUMNS."""
    dispute = line.dispute
    return (
        dispute.id,
        line.kind,
        dispute.reason,
        money(dispute.amount_minor, dispute.currency),
        dispute.status,
        line.answering,
        dispute.due_by if line.outcome is None else None,
        line.case_id,
        line.assignee,
    )


def _missed_row(line: "DisputeLine") -> tuple[object, ...]:
    dispute = line.dispute
    return (
        dispute.id,
        money(dispute.amount_minor, dispute.currency),
        dispute.reason,
        dispute.due_by,
        line.missed_at,
        line.outcome or dispute.status,
        line.case_id,
        line.assignee,
    )


def _shown(line: "DisputeLine") -> object:
    from billingbot.web.api.shown import DisputeShown

    return DisputeShown.of(line)


def _show(page: "DisputePage") -> None:
    line, dispute = page.line, page.line.dispute
    moved = dispute.moved
    show_pairs(
        [
            ("dispute", dispute.id),
            ("account", line.account),
            ("kind", line.kind),
            ("reason", dispute.reason),
            ("amount", money(dispute.amount_minor, dispute.currency)),
            ("status", dispute.status),
            ("outcome", line.outcome),
            ("answer", line.answering),
            ("due by", dispute.due_by or "no answer is possible"),
            ("deadline missed", line.missed_at),
            ("sent", f"{dispute.submission_count} times, {dispute.submission_method or 'no method told'}"),
            ("charge", dispute.charge_id),
            ("may be refunded", "yes" if dispute.is_charge_refundable else "no"),
            ("withdrawn", money(moved.withdrawn_minor, moved.currency) if moved else None),
            ("came back", money(moved.reinstated_minor, moved.currency) if moved else None),
            ("fees", money(moved.fees_minor, moved.currency) if moved else None),
            ("case", line.case_id),
            ("case is", line.case_state),
            ("assignee", line.assignee),
            ("opened", dispute.created_at),
            ("ended", line.closed_at),
            ("last read", line.looked_at),
        ]
    )
    if page.others:
        show_section("Other disputes of the charge", DISPUTE_COLUMNS, (dispute_row(other) for other in page.others))
    refunds = (
        (one.refund.id, money(one.refund.amount_minor, one.refund.currency), one.refund.state, one.refund.origin)
        for one in page.refunds
    )
    show_section("Refunds of the charge", ("refund", "amount", "state", "origin"), refunds)
    show_section("History", ("at", "what", "who"), ((entry.at, entry.kind, entry.actor) for entry in page.timeline))
    say("", f"The answer as it is drafted: billingbot disputes show-draft {dispute.id}")
