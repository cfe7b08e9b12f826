"""`billingbot demo`: a month at a small SaaS, played end to end on private engines and a local Stripe."""

import shlex
import signal
import sys
import time
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from billingbot.cli.demo import report
from billingbot.cli.demo.play import ASK_DAY, Month, Played, stranger_is_refused
from billingbot.cli.demo.stage import MONTH, Stage, StageError, set_stage
from billingbot.cli.demo.stories import all_stories
from billingbot.cli.demo.waiting import DemoError

# Where nobody's terminal sets a width, wide enough for whole ids in a log.
_PAPER: Final = 140


def demo(
    serve: Annotated[bool, typer.Option("--serve", help="Leave everything running afterwards, until Ctrl-C.")] = False,
    data_dir: Annotated[Path, typer.Option(help="Where engines and logs live; emptied first.")] = Path("data/demo"),
    seed: Annotated[int, typer.Option(help="Decides the order of things, and the faults.")] = 1,
) -> None:
    """Plays a month at a small SaaS, and checks that every outcome is the expected one.

    Starts private PostgreSQL and Valkey, a local Stripe, and billingbot's web, workers and scheduler as real
    processes. Exit code 0 only if every customer ends as expected. Needs no account, no network and no Docker.
    """
    console = Console() if sys.stdout.isatty() else Console(width=_PAPER)
    began = time.monotonic()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # what was started is stopped, too
    try:
        with set_stage(data_dir.resolve(), seed=seed) as stage:
            played, refused = _play(console, stage, seed)
            good = _report(console, stage, played) and refused
            console.print(f"A live-mode event at the test endpoint: {'refused' if refused else 'NOT REFUSED'}.")
            console.print(f"Played in {time.monotonic() - began:.0f} s. Logs: {data_dir}", style="dim")
            if serve:
                _prepare(console, stage, played)
                _serve(console, stage)
    except (StageError, DemoError) as fault:
        console.print(str(fault), style="bold red")
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        console.print("Stopped.")
        raise typer.Exit(130) from None
    raise typer.Exit(0 if good else 1)


def _play(console: Console, stage: Stage, seed: int) -> tuple[list[Played], bool]:
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console) as progress:
        bars: dict[str, TaskID] = {}

        def say(what: str, done: int, total: int) -> None:
            if what not in bars:
                bars[what] = progress.add_task(what, total=total)
            progress.update(bars[what], completed=done, total=total)

        played = Month(stage.world, stage.billingbot, all_stories(), seed=seed, say=say).play()
    return played, stranger_is_refused(stage.webhook_url, stage.webhook_secret)


def _report(console: Console, stage: Stage, played: list[Played]) -> bool:
    log = stage.billingbot.get("/api/v1/refunds", params={"limit": 100}).json()["items"]
    for table in (report.outcomes(played), report.refunds(log), report.queue(played), report.times(played)):
        console.print(table)
        console.print()
    proof = stage.billingbot.get("/api/v1/ledger/verification").json()
    console.print(report.ledger(proof))
    return report.verdict(console, played) and bool(proof["holds"])


def _prepare(console: Console, stage: Stage, played: list[Played]) -> None:
    """What there is to do in the console: cases that people have worked on, jobs that failed, and a month drawn."""
    from billingbot.cli.demo.incident import have_incident  # the plain demo needs no database and no broker of its own
    from billingbot.cli.demo.people import draw_month, leave_traces

    with console.status("Somebody works through the queue, and Stripe has a bad hour ..."):
        leave_traces(stage.billingbot, played)
        have_incident(stage)
        draw_month(stage.billingbot, _busiest(stage))


def _serve(console: Console, stage: Stage) -> None:
    console.print(f"\nThe console of this desk; the link signs you in, once: {stage.sign_in_link()}", soft_wrap=True)
    console.print(f"  Decide a case:           {stage.url}/queue")
    console.print(f"  Replay what failed:      {stage.url}/jobs")
    console.print(f"  Read a month's books:    {stage.url}/months/{_busiest(stage)}")
    console.print(f"The API is at {stage.url}/api/v1, the local Stripe at {stage.world.stripe.url}.")
    console.print("Its API key, for the header Authorization:", stage.billingbot.headers["Authorization"])
    console.print("Its commands, in another terminal: ", end="")
    console.print(f". {shlex.quote(str(stage.leave_environment()))}; billingbot cases list", soft_wrap=True)
    console.print("Ctrl-C stops everything.")
    while True:
        time.sleep(3600)


def _busiest(stage: Stage) -> str:
    """The month in which most was asked for, by the clocks of the books: UTC."""
    return f"{stage.world.ends_at - MONTH + timedelta(days=ASK_DAY):%Y-%m}"
