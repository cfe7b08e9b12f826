"""`billingbot policy backtest`: what another policy would have made of every past case."""

import csv
import heapq
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Annotated, TextIO

import typer

from billingbot.cli.output import AsJson, progress, show_json, warn
from billingbot.cli.policy.backtested import SHOWN_FLIPS, Backtest
from billingbot.cli.reading import day_or_instant, one_of
from billingbot.cli.session import database

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from billingbot.core.backtest import Flip
    from billingbot.flows.policy.rehearse import Plan, Text


def backtest(
    new: Annotated[str, typer.Argument(metavar="NEW", help="The policy to try: a file, or a version.")],
    *,
    since: Annotated[str | None, typer.Option(help="Cases decided from then on: a day (UTC), a time, or 90d.")] = None,
    until: Annotated[str | None, typer.Option(help="Cases decided before then.")] = None,
    against: Annotated[
        str | None,
        typer.Option(metavar="CURRENT", help="Compare with this policy. Default: with what was decided then."),
    ] = None,
    as_mode: Annotated[
        str | None, typer.Option("--as-mode", help="Suppose this mode, such as auto, for what was met in shadow.")
    ] = None,
    account: Annotated[str | None, typer.Option(help="Cases of this account alone.")] = None,
    csv_file: Annotated[
        Path | None, typer.Option("--csv", help="Write every case that goes another way here, as CSV.")
    ] = None,
    html_file: Annotated[Path | None, typer.Option("--html", help="Write a page with plots here.")] = None,
    processes: Annotated[int | None, typer.Option(min=1, max=256, help="Default: one on each core.")] = None,
    as_json: AsJson = False,
) -> None:
    """Decides every past case again from its stored facts, and tells what would have been otherwise, and why.

    Nothing is written to the database. The day's budget and what other refunds would have changed in later cases
    are not replayed: each case is decided by itself, on the facts as they were known then.
    """
    from billingbot.cli.policy.backtest_tables import show_tables
    from billingbot.core.mode import Mode
    from billingbot.flows.policy.rehearse import Plan
    from billingbot.store.views.past import Wanted

    wanted = Wanted(
        since=day_or_instant("--since", since) if since else None,
        until=day_or_instant("--until", until) if until else None,
        account=account,
    )
    with database() as engine, ExitStack() as files:
        plan = Plan(
            database_url=engine.url.render_as_string(hide_password=False),
            wanted=wanted,
            new=_policy_text(engine, new),
            against=_policy_text(engine, against) if against else None,
            as_mode=one_of("--as-mode", Mode, as_mode) if as_mode else None,
            processes=processes,
        )
        keep = files.enter_context(_csv_sink(csv_file)) if csv_file else _nowhere
        page = files.enter_context(_whole_file(html_file)) if html_file else None
        found = _run(engine, plan, keep)
        if page is not None:
            from billingbot.cli.policy.backtest_page import render

            page.write(render(found))
    if as_json:
        show_json(_summary(found))
    else:
        show_tables(found)
    for file in (csv_file, html_file):
        if file is not None:
            warn(f"Written: {file}")


def _run(engine: "Engine", plan: "Plan", keep: "Callable[[Flip], None]") -> Backtest:
    from billingbot.core.backtest_report import report
    from billingbot.flows.policy.backtest import backtest as decide_all_again
    from billingbot.store.database import transaction
    from billingbot.store.views.past import handling, never_decided, stretches

    began, wanted, largest = monotonic(), plan.wanted, _Largest()

    def keep_both(flip: "Flip") -> None:
        largest.add(flip)
        keep(flip)

    limits = plan.new.load().limits
    with transaction(engine) as connection:
        cut = stretches(connection, wanted)
    with progress("Deciding again", total=sum(stretch.count for stretch in cut)) as steps:
        tally = decide_all_again(plan, cut, forward=steps.forward, keep=keep_both)
    with transaction(engine) as connection:
        timed, undecided = handling(connection, wanted), never_decided(connection, wanted)
    return Backtest(
        new=plan.new,
        against=plan.against,
        as_mode=plan.as_mode,
        since=wanted.since,
        until=wanted.until,
        never_decided=undecided,
        seconds=monotonic() - began,
        report=report(tally, limits, timed=timed.count, median_seconds=timed.median_seconds),
        largest=largest.told(),
    )


def _policy_text(engine: "Engine", named: str) -> "Text":
    """The policy that is meant, checked: a file, else a version or digest that the database has.

    ConfigError, NotFoundError, InputError.
    """
    from billingbot.bootstrap.build import read_policy
    from billingbot.core.policy import load_policy
    from billingbot.flows.policy.rehearse import Text
    from billingbot.store.database import transaction
    from billingbot.store.decisions import policy_named

    if Path(named).exists() or Path(named).suffix == ".toml":
        policy = read_policy(Path(named), named_by=None)
    else:
        with transaction(engine) as connection:
            policy = load_policy(policy_named(connection, named), filename=named)
    return Text(source=policy.source, filename=named, id=policy.id, version=policy.version, digest=policy.digest)


class _Largest:
    """The flips with the largest amounts, of however many; of equal ones the earlier."""

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, Flip]] = []
        self._count = 0

    def add(self, flip: "Flip") -> None:
        """Keeps it while it is among the largest."""
        self._count += 1
        entry = (flip.amount_minor or 0, -self._count, flip)
        (heapq.heappush if len(self._heap) < SHOWN_FLIPS else heapq.heappushpop)(self._heap, entry)

    def told(self) -> "list[Flip]":
        """The largest first."""
        return [flip for *_, flip in sorted(self._heap, reverse=True)]


def _nowhere(_flip: "Flip") -> None:
    return None


@contextmanager
def _csv_sink(path: Path) -> "Iterator[Callable[[Flip], None]]":
    from billingbot.flows.policy.backtests import FLIP_COLUMNS, flip_row

    with _whole_file(path) as sink:
        writer = csv.writer(sink)
        writer.writerow(FLIP_COLUMNS)
        yield lambda flip: writer.writerow(flip_row(flip))


@contextmanager
def _whole_file(path: Path) -> Iterator[TextIO]:
    """A file that appears when it is whole: an interrupted backtest leaves none behind."""
    part = path.with_name(f"{path.name}.part")
    try:
        with part.open("w", encoding="utf-8", newline="") as sink:
            yield sink
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _summary(found: Backtest) -> dict[str, object]:
    from billingbot.flows.policy.backtests import FLIP_COLUMNS, flip_row

    return {
        "new": _named(found.new),
        "against": _named(found.against) if found.against else None,
        "as_mode": found.as_mode,
        "since": found.since,
        "until": found.until,
        "never_decided": found.never_decided,
        "seconds": round(found.seconds, 3),
        **{name: getattr(found.report, name) for name in type(found.report).__slots__},
        "hours_saved": found.report.reviews.hours_saved,
        "largest_flips": [dict(zip(FLIP_COLUMNS, flip_row(flip), strict=True)) for flip in found.largest],
    }


def _named(text: "Text") -> dict[str, str]:
    return {"name": text.filename, "id": text.id, "version": text.version, "digest": text.digest}
