"""`billingbot disputes figures`: what disputes cost, how they end, and which evidence goes with a win."""

from typing import Annotated

import typer

from billingbot.cli.listing import OfAccount
from billingbot.cli.output import AsJson, money, show_json, show_section, show_table
from billingbot.cli.reading import day_or_instant
from billingbot.cli.session import read


def figures(
    *,
    account: OfAccount = None,
    since: Annotated[str | None, typer.Option(help="Opened at or after: a day, a time, or how long ago: 90d.")] = None,
    until: Annotated[str | None, typer.Option(help="Opened before: a day, a time, or how long ago.")] = None,
    as_json: AsJson = False,
) -> None:
    """Disputes by reason (amounts, fees, win rate) and by the kinds of evidence that went out with answers."""
    from billingbot.store.views import dispute_figures as figured

    wanted = figured.FigureFilter(
        account=account,
        since=day_or_instant("--since", since) if since else None,
        until=day_or_instant("--until", until) if until else None,
    )
    found = read(lambda connection: figured.dispute_figures(connection, wanted))
    if as_json:
        from billingbot.web.api.dispute_figures import FiguresShown

        show_json(FiguresShown.of(found))
        return
    rows = (
        (
            one.reason,
            one.kind,
            one.count,
            one.open,
            one.won,
            one.lost,
            one.resolved + one.prevented,
            one.missed,
            _percent(one.win_rate),
            money(one.amount_minor, one.currency),
            money(one.lost_minor, one.currency),
            ", ".join(money(minor, currency) for currency, minor in one.fees_minor.items()),
        )
        for one in found.by_reason
    )
    columns = ("reason", "kind", "number", "open", "won", "lost", "by rule", "missed", "won of ended", "amount")
    show_table((*columns, "with customers", "fees"), rows)
    evidence = ((e.evidence, e.count, e.open, e.won, e.lost, _percent(e.win_rate)) for e in found.by_evidence)
    show_section("By evidence", ("evidence", "number", "open", "won", "lost", "won of ended"), evidence)


def _percent(rate: float | None) -> str | None:
    return None if rate is None else f"{rate:.0%}"
