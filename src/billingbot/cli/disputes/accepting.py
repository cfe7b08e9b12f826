"""`billingbot disputes accept`: a dispute is given up in two steps, with what it costs between them."""

from typing import Annotated

import typer

from billingbot.cli.disputes.answering import (
    WAIT_SECONDS,
    DisputeId,
    OfAccount,
    Wait,
    act_of,
    outcome,
    tell_intent,
)
from billingbot.cli.output import AsJson, say, show_json
from billingbot.cli.session import By, me, whole_desk


def accept(
    dispute: DisputeId,
    by: By = me(),
    *,
    confirm: Annotated[str | None, typer.Option(help="What the first step gave you, ans_...: for ever.")] = None,
    take_back: Annotated[str | None, typer.Option(help="The first step that is not meant any more, ans_...")] = None,
    wait: Wait = WAIT_SECONDS,
    account: OfAccount = None,
    as_json: AsJson = False,
) -> None:
    """Gives a dispute up. The first step only tells what it costs; the second, with --confirm, cannot be undone.

    Above the policy's second_approval_above the second step is somebody else's.
    """
    from billingbot.core.disputes.answering import consequence
    from billingbot.core.errors import InputError
    from billingbot.flows.disputes import accepting

    if confirm is not None and take_back is not None:
        raise InputError("--confirm, --take-back", "expected one of them at the most")
    with whole_desk() as at:
        if take_back is not None:
            tell_intent(accepting.take_back(at, dispute, take_back, by=by), as_json=as_json)
            return
        if confirm is not None:
            confirmed = accepting.confirm_acceptance(at, dispute, confirm, by=by)
            tell_intent(outcome(at, confirmed, wait), as_json=as_json)
            return
        asked, seen = accepting.ask_to_accept(at, act_of(at, dispute, account, by))
    if as_json:
        show_json({"answer": asked, "consequence": consequence(seen)})
        return
    whom = "Somebody else confirms it" if asked.needs_second else "Confirm it"
    say(consequence(seen), "Nothing has happened yet.")
    say(f"{whom} within a day: billingbot disputes accept {dispute} --confirm {asked.id}")
