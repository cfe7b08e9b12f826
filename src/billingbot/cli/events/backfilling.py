"""`billingbot events backfill` and `backfills`: reading Stripe's own list again, for what never arrived."""

import time
from typing import TYPE_CHECKING, Annotated

import typer

from billingbot.cli.listing import OfAccount, show_list
from billingbot.cli.output import AsJson, Limit, progress, say, show_json, show_table, warn
from billingbot.cli.reading import ago_if_told, instant_or_ago
from billingbot.cli.session import By, desk, me, one_account, read

if TYPE_CHECKING:
    from billingbot.cli.output import Steps
    from billingbot.core.backfill import Backfill
    from billingbot.flows.desk import Desk

# Often enough for a bar that moves, rare enough to cost nothing.
_LOOK_SECONDS = 0.25
# A worker that lives begins within a second; after this somebody should be told.
_PATIENCE_SECONDS = 10.0
_WHOLE = 100  # percent of the span


def backfill(
    *,
    since: Annotated[str, typer.Option(metavar="WHEN", help="From: ISO 8601 with a zone, or 90m, 36h, 7d ago.")],
    until: Annotated[str | None, typer.Option(metavar="WHEN", help="To: the same. Default: now.")] = None,
    account: Annotated[str | None, typer.Option(help="Whose events, where there are several accounts.")] = None,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Wait for the workers to read it.")] = True,
    by: By = me(),
    as_json: AsJson = False,
) -> None:
    """Takes in what Stripe lists and we never got, at most 29 days back. The workers read; known events do nothing.

    Ctrl-C stops the waiting, not the reading. Ends with 1 where the reading has failed for good.
    """
    from billingbot.core.backfill import BackfillState
    from billingbot.flows.replay import backfill as backfilling

    start = instant_or_ago("--since", since)
    end = ago_if_told("--until", until)
    with desk(for_account=True) as at:
        begun = backfilling.ask(at, one_account(at, account), start, end, by=by)
        ended = _watched(at, begun) if wait else begun
    if as_json:
        show_json(ended)
    else:
        _tell(ended)
    if ended.state is BackfillState.FAILED:
        raise typer.Exit(1)


def backfills(
    *,
    account: OfAccount = None,
    limit: Limit = 20,
    as_json: AsJson = False,
) -> None:
    """Passes over Stripe's list of events, newest first: those by themselves and those that were asked for."""
    from billingbot.store import backfills as passes

    found = read(lambda connection: passes.latest(connection, account=account, limit=limit))
    columns = ("id", "account", "state", "why", "from", "to", "missing", "known", "unreadable")
    show_list(columns, _row, found, as_json=as_json)


def _row(one: "Backfill") -> tuple[object, ...]:
    span = one.since, one.until
    return one.id, one.account, one.state, one.reason, *span, one.missing, one.known, one.unreadable


def _watched(at: "Desk", begun: "Backfill") -> "Backfill":
    """The pass when it has ended, or as it stands when nobody waits any longer."""
    from billingbot.core.backfill import BackfillState

    shown, moved_at, told = 0, time.monotonic(), False
    with progress("reading events", total=_WHOLE) as bar:
        try:
            while (now := _look(at, begun.id)).state is BackfillState.RUNNING:
                if (done := _percent(now)) > shown:
                    shown, moved_at = _forward(bar, shown, done), time.monotonic()
                elif not told and time.monotonic() - moved_at > _PATIENCE_SECONDS:
                    warn(_why_slow(at, begun.id))
                    told = True
                time.sleep(_LOOK_SECONDS)
        except KeyboardInterrupt:
            warn("The workers read on: billingbot events backfills")
    return now


def _look(at: "Desk", backfill_id: str) -> "Backfill":
    from billingbot.store import backfills as passes
    from billingbot.store.database import transaction

    with transaction(at.db) as connection:
        return passes.get(connection, backfill_id)


def _percent(now: "Backfill") -> int:
    return int(_WHOLE * ((now.read_to - now.since) / (now.until - now.since)))


def _forward(bar: "Steps", shown: int, done: int) -> int:
    bar.forward(done - shown)
    return done


def _why_slow(at: "Desk", backfill_id: str) -> str:
    from billingbot.store import views
    from billingbot.store.database import transaction

    with transaction(at.db) as connection:
        found = views.job_list(connection, views.JobFilter(subject=backfill_id)).items
    if found and found[0].last_error:
        return f"Not read yet; the last try: {found[0].last_error}"
    return "No worker is at it yet: does billingbot worker (or up) run?"


def _tell(ended: "Backfill") -> None:
    from billingbot.core.backfill import BackfillState

    counts = f"{ended.missing} were missing, {ended.known} known, {ended.unreadable} unreadable"
    match ended.state:
        case BackfillState.DONE:
            say(f"{ended.id}: read whole; {counts}.")
        case BackfillState.RUNNING:
            say(f"{ended.id}: being read, {_percent(ended)} % so far; {counts}.")
        case BackfillState.FAILED:
            say(f"{ended.id}: given up; {counts}. See billingbot jobs list --actor backfill --state failed")
    if ended.missing_types:
        show_table(("type", "missing"), sorted(ended.missing_types.items()))
