"""`billingbot events replay`: stored events interpreted again, whatever became of them the first time."""

from typing import Annotated

import typer

from billingbot.cli.events.shown import About, OfState, OfType, Since, Until
from billingbot.cli.listing import OfAccount
from billingbot.cli.output import AsJson
from billingbot.cli.reading import ago_if_told
from billingbot.cli.replaying import DryRun, Expect, Name, Rate, Replay, Sure, Why, expected
from billingbot.cli.session import By, desk, me
from billingbot.core.replay import DEFAULT_RATE

Ids = Annotated[list[str] | None, typer.Argument(metavar="[EVENT]...", help="Only these, inb_... or evt_...")]


def replay(
    *,
    events: Ids = None,
    account: OfAccount = None,
    type_: OfType = None,
    about: About = None,
    state: OfState = None,
    since: Since = None,
    until: Until = None,
    name: Name = "",
    why: Why = "",
    by: By = me(),
    rate: Rate = DEFAULT_RATE,
    expect_total: Expect = None,
    dry_run: DryRun = False,
    yes: Sure = False,
    as_json: AsJson = False,
) -> None:
    """Interprets stored events again: what they name is read afresh, and nothing that is done is done twice.

    Shown first, and named, stopped and gone on with, as `billingbot jobs replay` is.
    """
    from billingbot.flows.replay.replay import check
    from billingbot.flows.replay.replay_runs import jobs_of_events
    from billingbot.store.views.events import EventFilter

    wanted = EventFilter(
        account=account,
        type=type_,
        object_id=about,
        job_state=state,
        since=ago_if_told("--since", since),
        until=ago_if_told("--until", until),
    )
    most = expected(expect_total)
    if not dry_run:
        check(name=name, by=by, why=why)
    with desk(for_account=True) as at:
        chosen = jobs_of_events(at, wanted, ids=events)
        acting = Replay(at, name=name, why=why, by=by, rate=rate, expected=most, yes=yes, quiet=as_json, of_events=True)
        acting.whole(chosen, dry_run=dry_run)
