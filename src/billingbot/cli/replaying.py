"""Replays at the command line: shown before anything is done, agreed to, driven with a bar, stopped by Ctrl-C."""

import sys
import time
from typing import TYPE_CHECKING, Annotated

import typer

from billingbot.cli.output import money, progress, say, show_json, show_table, warn
from billingbot.cli.reading import amount
from billingbot.core.errors import InputError
from billingbot.core.replay import DEFAULT_RATE, FASTEST_RATE, ItemState, ReplayRun, RunState

if TYPE_CHECKING:
    from billingbot.flows.desk import Desk
    from billingbot.flows.replay.replay import Survey, Totals
    from billingbot.store.jobs import FailedFilter

Name = Annotated[str, typer.Option(help="What it is for: under one name a replay runs once.")]
Rate = Annotated[int, typer.Option(min=1, max=FASTEST_RATE, help=f"Jobs a second, at the most; else {DEFAULT_RATE}.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only show what it would do.")]
Expect = Annotated[
    list[str] | None,
    typer.Option(metavar="AMOUNT", help="The most that it may pay, such as 'USD 4900.00'; one for each currency."),
]
Why = Annotated[str, typer.Option(help="Why; its digest stands in the ledger.")]
Sure = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask first.")]


class Replay:
    """One replay from its name to its end, at a terminal."""

    def __init__(
        self,
        at: "Desk",
        *,
        name: str,
        why: str,
        by: str,
        rate: int,
        expected: "Totals | None",
        yes: bool,
        quiet: bool,
        of_events: bool = False,
    ) -> None:
        self._at, self._name, self._why, self._by, self._rate = at, name, why, by, rate
        self._expected, self._yes, self._quiet = expected, yes, quiet
        self._of_events = of_events
        self._earlier: ReplayRun | None = None

    def look(self, wanted: "FailedFilter") -> "Survey":
        """What is to be run: the chosen jobs, or what is left of the replay that has this name already."""
        from billingbot.flows.replay import replay_runs
        from billingbot.flows.replay.replay import survey
        from billingbot.store import replays as stored
        from billingbot.store.database import transaction

        if self._name:
            with transaction(self._at.db) as connection:
                self._earlier = stored.find(connection, self._name)
        if self._earlier is None:
            with progress("looking"):
                return survey(self._at, wanted)
        if not self._quiet:
            warn(f"{self._name!r} is there already, {state_of(self._earlier)}: what is left of it")
        return replay_runs.remaining(self._at, self._name)

    def run(self, wanted: "FailedFilter", found: "Survey") -> ReplayRun | None:
        """Runs them, once somebody has agreed; None where there is nothing to run."""
        from billingbot.flows.replay import replay_runs

        if self._earlier is None:
            if not found.count:
                return None
            ask_first(f"Run {jobs_of(found.count)} again?", yes=self._yes)
            replay_runs.start(
                self._at,
                found.of(wanted),
                name=self._name,
                by=self._by,
                why=self._why,
                rate=self._rate,
                confirmed=self._expected or found.totals,
                is_capped=self._expected is not None,
                of_events=self._of_events,
            )
        elif self._earlier.state is RunState.DONE:
            return self._earlier
        else:
            ask_first(f"Go on with {jobs_of(found.count)}?", yes=self._yes)
            replay_runs.resume(self._at, self._name, by=self._by, expected=self._expected)
        return self._drive(found.count)

    def whole(self, wanted: "FailedFilter", *, dry_run: bool) -> None:
        """Everything in order: shown, agreed to, run, told. Ends with 1 where it did not come to its end."""
        found = self.look(wanted)
        if not self._quiet:
            show(found)
        run = None if dry_run else self.run(wanted, found)
        if self._quiet:
            from billingbot.web.api.jobs import ReplayAnswer

            show_json(ReplayAnswer.of(found, run))
        elif run is not None:
            tell(run)
        if run is not None and run.state is not RunState.DONE:
            raise typer.Exit(1)

    def _drive(self, count: int) -> ReplayRun:
        from billingbot.flows.replay import replay_runs

        try:
            with progress("replaying", total=count) as bar:
                return replay_runs.drive(self._at, self._name, pause=_sleep, moved=bar.forward)
        except KeyboardInterrupt:
            return replay_runs.let_go(self._at, self._name, by=self._by)


def _sleep(seconds: float) -> bool:
    time.sleep(seconds)
    return False


def state_of(run: ReplayRun) -> str:
    """Its state, told apart where nobody is at it any more."""
    return "interrupted" if run.state is RunState.RUNNING and not run.is_held else str(run.state)


def tell(run: ReplayRun) -> None:
    """How it stands, in a line."""
    why = f" ({run.stopped_why})" if run.stopped_why else ""
    counts = {state: run.count(state) for state in ItemState}
    say(
        f"{run.name!r} is {state_of(run)}{why}: {jobs_of(counts[ItemState.REPLAYED])} ready again, "
        f"{counts[ItemState.LEFT]} need a person, {counts[ItemState.GONE]} had been seen to, "
        f"{counts[ItemState.WAITING]} wait."
    )


def expected(amounts: list[str] | None) -> "Totals | None":
    """The most that a replay may pay, where somebody says so. InputError for what is no amount."""
    from billingbot.flows.replay.replay import Totals

    if not amounts:
        return None
    return Totals(amounts=tuple(amount("--expect-total", text) for text in amounts), unknown=0)


def show(found: "Survey") -> None:
    """What a replay of these jobs would do, and the money that it may move."""
    if not found.count:
        say("No such job has failed.")
        return
    rows = (
        (
            told.job.id,
            told.job.actor,
            told.effect,
            money(told.amount_minor, told.currency),
            told.why,
            told.job.last_error,
        )
        for told in found.previews
    )
    show_table(("id", "actor", "a replay", "amount", "because", "last error"), rows)
    if len(found.previews) < found.count:
        warn(f"These are the {len(found.previews)} oldest; the figures are of all.")
    warn(", ".join(f"{count} {effect.replace('_', ' ')}" for effect, count in found.effects.items()))
    if found.is_cut:
        warn(f"These are {jobs_of(found.count)}, the oldest; there are more, for another turn.")
    sums = found.totals
    if sums.amounts or sums.unknown:
        told = [str(amount) for amount in sums.amounts]
        told += [f"{sums.unknown} of an amount not known yet"] if sums.unknown else []
        warn(f"Money that a replay may move: {', '.join(told)}")


def ask_first(question: str, *, yes: bool) -> None:
    """Goes on only where somebody agrees. InputError where nobody can be asked."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise InputError("--yes", "expected, where nobody can be asked")
    typer.confirm(question, abort=True, err=True)


def jobs_of(count: int) -> str:
    """So many jobs, in words."""
    return "1 job" if count == 1 else f"{count} jobs"
