"""`billingbot request`: asks for a refund on behalf of a customer, by the same verb as the API."""

import time
from typing import TYPE_CHECKING, Annotated, Final

import typer

from billingbot.cli.output import AsJson, money, progress, say, show_json, show_pairs, warn
from billingbot.cli.reading import instant
from billingbot.cli.session import By, desk, me, one_account
from billingbot.core.case import Case, CaseState
from billingbot.core.errors import InputError
from billingbot.core.request import Channel, Claims, NamedBy

if TYPE_CHECKING:
    from billingbot.flows.desk import Desk

# A verdict takes a second; a minute covers a source that times out and Stripe's retries.
_WAIT_SECONDS: Final = 60.0
_GLANCE_SECONDS: Final = 0.2
_ON_ITS_WAY: Final = frozenset({CaseState.ASSESSING, CaseState.REFUNDING})


def request(
    *,
    charge: Annotated[str | None, typer.Option(help="The charge, ch_...")] = None,
    invoice: Annotated[str | None, typer.Option(help="The invoice, in_...")] = None,
    subscription: Annotated[str | None, typer.Option(help="The subscription, sub_...")] = None,
    customer: Annotated[str | None, typer.Option(help="The customer, cus_...")] = None,
    email: Annotated[str | None, typer.Option(help="The customer's e-mail address.")] = None,
    text: Annotated[str | None, typer.Option(help="What the customer wrote.")] = None,
    ref: Annotated[str | None, typer.Option(help="A ticket's number or address.")] = None,
    cancelled_at: Annotated[
        str | None, typer.Option(help="When, by the customer's word: ISO 8601 with a zone.")
    ] = None,
    account: Annotated[str | None, typer.Option(help="Which account, where there are several.")] = None,
    by: By = me(),
    unused: Annotated[bool, typer.Option("--unused", help="The customer says it was never used.")] = False,
    cancelled: Annotated[bool, typer.Option("--cancelled", help="The customer says it was cancelled.")] = False,
    wait: Annotated[
        bool, typer.Option("--wait", help="Wait for the verdict, and for the refund if there is one.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Asks for a refund. Name what the customer names: a charge, invoice, subscription, customer or e-mail.

    Answers with the case at once; asking again for the same charge joins its open case.
    """
    from billingbot.flows.request import Ask, ask

    named_by, named = _named(
        {
            NamedBy.CHARGE: charge,
            NamedBy.INVOICE: invoice,
            NamedBy.SUBSCRIPTION: subscription,
            NamedBy.CUSTOMER: customer,
            NamedBy.EMAIL: email,
        }
    )
    when = instant("--cancelled-at", cancelled_at) if cancelled_at is not None else None
    claims = Claims(unused=unused, cancelled=cancelled or when is not None, cancelled_at=when, text=text)
    with desk(for_account=True) as at:
        wish = Ask(
            account=one_account(at, account),
            named_by=named_by,
            named=named,
            claims=claims,
            channel=Channel.CLI,
            asked_by=by,
            external_ref=ref,
        )
        answer = ask(at, wish)
        case = _wait_for(at, answer.case) if wait else answer.case
    if as_json:
        show_json({"request_id": answer.request_id, "joined": answer.joined, "case": case})
        return
    _tell(case, joined=answer.joined)


def _named(given: dict[NamedBy, str | None]) -> tuple[NamedBy, str]:
    names = [(by, value) for by, value in given.items() if value is not None]
    if len(names) != 1:
        options = ", ".join(f"--{by}" for by in given)
        raise InputError(options, f"expected exactly one of them, got {len(names)}")
    return names[0]


def _wait_for(desk: "Desk", case: Case) -> Case:
    from billingbot.store import cases
    from billingbot.store.database import transaction

    until = time.monotonic() + _WAIT_SECONDS
    with progress("Waiting for the verdict"):
        while case.state in _ON_ITS_WAY and time.monotonic() < until:
            time.sleep(_GLANCE_SECONDS)
            with transaction(desk.db) as connection:
                case = cases.get(connection, case.joined_case_id or case.id)
    if case.state in _ON_ITS_WAY:
        warn(f"Still {case.state} after {_WAIT_SECONDS:.0f} s; see billingbot cases show {case.id}")
    return case


def _tell(case: Case, *, joined: bool) -> None:
    show_pairs(
        [
            ("case", f"{case.id}{' (open already: this request joined it)' if joined else ''}"),
            ("state", case.state),
            ("reason", case.reason),
            ("clause", case.clause),
            ("advice", case.recommendation),
            ("outcome", case.outcome),
            ("amount", money(case.amount_minor, case.currency) if case.currency else None),
        ]
    )
    if case.state in _ON_ITS_WAY:
        say(f"Follow it with: billingbot cases show {case.id}")
