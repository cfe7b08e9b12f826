"""`billingbot reconcile`: compare Stripe with our books, and see where they differ and what was done about it."""

import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Final

import typer

from billingbot.cli.listing import OfAccount, show_list
from billingbot.cli.output import (
    After,
    AsJson,
    Limit,
    money,
    more,
    progress,
    say,
    show_page,
    show_table,
    warn,
)
from billingbot.cli.reading import ago_if_told
from billingbot.cli.session import By, desk, me, read, whole_desk
from billingbot.core.books.breaks import STAGES, Break, BreakKind, BreakState, Pass, PassState, Side

if TYPE_CHECKING:
    from billingbot.cli.output import Steps
    from billingbot.flows.desk import Desk

app = typer.Typer(add_completion=False)

Since = Annotated[str | None, typer.Option(metavar="WHEN", help="Made from: ISO 8601 with a zone, or 36h, 7d ago.")]
Until = Annotated[str | None, typer.Option(metavar="WHEN", help="Made before: the same. Default: five minutes ago.")]
Here = Annotated[bool, typer.Option("--here", help="In this process, with Stripe's key from this terminal.")]

# Often enough for a bar that moves, rare enough to cost nothing.
_LOOK_SECONDS: Final = 0.25
# A worker that lives begins within a second; after this somebody should be told.
_PATIENCE_SECONDS: Final = 10.0


@app.callback(invoke_without_command=True)
def _reconcile(context: typer.Context) -> None:
    """Refunds, charges and disputes at Stripe against our rows and ledger; `run` is what happens without a command.

    What differs is settled by itself where the rules of the house allow it, and is put before a person where they do
    not. Nothing is ever paid. It happens every hour by itself as well.
    """
    if context.invoked_subcommand is None:
        run()


@app.command()
def run(
    *,
    since: Since = None,
    until: Until = None,
    account: OfAccount = None,
    here: Here = False,
    by: By = me(),
    as_json: AsJson = False,
) -> None:
    """Compares now, and waits for it. Without a window: what the next pass by itself would, and 35 days of refunds.

    The workers do it, so Ctrl-C stops the waiting and not the work. With --here a pass that was cut short goes on by
    the next schedule; given the same --since and --until, by the same command.
    """
    start = ago_if_told("--since", since)
    end = ago_if_told("--until", until)
    with whole_desk() if here else desk(for_account=True) as at:
        names = _names(at, account)
        with progress("comparing", total=len(names) * len(STAGES)) as bar:
            compare = _here if here else _by_workers
            done = [compare(at, name, by, start, end, bar) for name in names]
    if as_json:
        show_page([_shown(one) for one in done])
        return
    for one in done:
        _tell(one)


@app.command()
def report(
    *,
    account: OfAccount = None,
    kind: Annotated[BreakKind | None, typer.Option(help="Only of this kind.")] = None,
    state: Annotated[BreakState | None, typer.Option(help="Only in this state.")] = None,
    every: Annotated[bool, typer.Option("--all", help="Those that are settled too.")] = False,
    charge: Annotated[str | None, typer.Option(help="Only of this charge.")] = None,
    since: Annotated[str | None, typer.Option(metavar="WHEN", help="First seen from: as in `run`.")] = None,
    after: After = None,
    limit: Limit = 50,
    as_json: AsJson = False,
) -> None:
    """Breaks with their age, what each side says, and what was done; those that are not settled, unless asked for."""
    from billingbot.store.views import reconcile as views

    wanted = views.BreakFilter(
        account=account,
        kind=kind,
        state=state,
        unsettled=state is None and not every,
        charge_id=charge,
        since=ago_if_told("--since", since),
    )
    page = read(lambda connection: views.break_list(connection, wanted, after=after, limit=limit))
    if as_json:
        from billingbot.web.api.reconcile import BreakShown

        show_page([BreakShown.of(one) for one in page.items], page.next)
        return
    if not page.items and after is None:
        say("No breaks: Stripe and our books agree, as far as they were compared.")
    else:
        _show(page.items)
    more(page.next)


@app.command("passes")
def passes_(*, account: OfAccount = None, after: After = None, limit: Limit = 20, as_json: AsJson = False) -> None:
    """Comparisons with Stripe, newest first."""
    from billingbot.store.views import reconcile as views

    page = read(lambda connection: views.pass_list(connection, account=account, after=after, limit=limit))
    columns = ("id", "account", "by", "state", "look", "from", "to", "seen", "breaks", "settled", "to a person")
    show_list(columns, _pass_row, page.items, following=page.next, shown=_shown, as_json=as_json)


def _names(at: "Desk", account: str | None) -> list[str]:
    return sorted(at.accounts) if account is None else [at.account(account).name]


def _here(at: "Desk", account: str, by: str, since: datetime | None, until: datetime | None, bar: "Steps") -> Pass:
    from billingbot.flows.reconcile import reconcile_whole

    moved = _Mover(bar)
    done = reconcile_whole(at, account, by=by, since=since, until=until, moved=moved.to)
    moved.to(done)
    return done


def _by_workers(
    at: "Desk", account: str, by: str, since: datetime | None, until: datetime | None, bar: "Steps"
) -> Pass:
    from billingbot.flows.reconcile import ask
    from billingbot.store import passes
    from billingbot.store.database import transaction

    now = ask(at, account, by=by, since=since, until=until)
    moved, began, told = _Mover(bar), time.monotonic(), False
    try:
        while now.state is PassState.RUNNING:
            if not told and now.advanced_at == now.began_at and time.monotonic() - began > _PATIENCE_SECONDS:
                warn("No worker has begun yet: do workers run? billingbot jobs list --actor reconcile")
                told = True
            time.sleep(_LOOK_SECONDS)
            with transaction(at.db) as connection:
                now = passes.get(connection, now.id)
            moved.to(now)
    except KeyboardInterrupt:
        warn("The workers go on: billingbot reconcile passes")
    return now


class _Mover:
    """Moves a bar on by the stages that a pass has left behind."""

    def __init__(self, bar: "Steps") -> None:
        self._bar, self._at = bar, 0

    def to(self, one: Pass) -> None:
        at = len(STAGES) if one.state is PassState.WHOLE else STAGES.index(one.stage)
        self._bar.forward(at - self._at)
        self._at = at


def _tell(one: Pass) -> None:
    tally = one.tally
    if one.state is PassState.RUNNING:
        say(f"{one.account}: still at its {one.stage} ({one.id}).")
    elif tally.found == 0:
        say(f"{one.account}: {tally.seen} objects compared, and all agree ({one.id}).")
    else:
        left = tally.found - tally.settled - tally.to_person
        say(
            f"{one.account}: {tally.seen} objects compared, {tally.found} breaks: {tally.settled} settled,"
            f" {tally.to_person} newly with a person, {left} known or left for the next pass ({one.id})."
        )
        warn("See them: billingbot reconcile report --all")


def _show(found: Sequence[Break]) -> None:
    now = datetime.now(UTC)
    rows = (
        (
            one.id,
            one.what.kind,
            one.what.object_id,
            _side(one.what.expected),
            _side(one.what.found),
            _age(now - one.first_seen_at),
            one.state,
            f"case {one.case_id}" if one.state is BreakState.CASE else one.how,
        )
        for one in found
    )
    show_table(("id", "kind", "object", "our books", "Stripe", "age", "state", "what was done"), rows)


def _side(side: Side) -> str | None:
    amount = money(side.amount_minor, side.currency) if side.amount_minor is not None else None
    return " ".join(filter(None, (amount, side.status))) or None


def _age(age: timedelta) -> str:
    """In the largest unit that says something: 3d, 5h, 12m."""
    minutes = max(0, int(age.total_seconds() // 60))
    return f"{minutes // 1440}d" if minutes >= 2 * 1440 else f"{minutes // 60}h" if minutes >= 120 else f"{minutes}m"


def _pass_row(one: "Pass") -> tuple[object, ...]:
    state = one.state if one.state is PassState.WHOLE else f"at its {one.stage}"
    look, tally = "deep" if one.deep else None, one.tally
    counts = tally.seen, tally.found, tally.settled, tally.to_person
    return one.id, one.account, one.by, state, look, one.since, one.until, *counts


def _shown(one: "Pass") -> object:
    from billingbot.web.api.reconcile import PassShown

    return PassShown.of(one)
