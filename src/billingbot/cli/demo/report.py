"""What the demo tells at the end: expected against actual, refunds with clauses, the human queue, times, the ledger."""

from collections.abc import Sequence
from datetime import datetime
from statistics import median, quantiles
from typing import Any

from rich.console import Console
from rich.table import Table

from billingbot.cli.demo.play import Played


def outcomes(played: Sequence[Played]) -> Table:
    """Every story: what was expected, and what happened."""
    table = Table(title="What should have come of each customer, and what did", title_justify="left")
    table.add_column("row", no_wrap=True)
    table.add_column("customer")
    table.add_column("expected", overflow="fold")
    table.add_column("actual", overflow="fold")
    table.add_column("", justify="center")
    for one in played:
        expected = one.story.expected
        wanted = f"{expected.state}: {expected.reason}"
        got = f"{one.case.get('state', 'no case')}: {_reason(one.case)}"
        good = not one.problems
        table.add_row(
            one.story.row, one.story.title, wanted, got, "ok" if good else "DIFFERS", style="" if good else "bold red"
        )
    return table


def refunds(log: Sequence[dict[str, Any]]) -> Table:
    """Every refund with its clause and who decided it."""
    table = Table(title="Refunds", title_justify="left")
    for name in ("amount", "status", "clause", "decided by", "calls", "charge"):
        table.add_column(name, justify="right" if name in {"amount", "calls"} else "left", overflow="fold")
    for row in log:
        sends = sum(attempt["sends"] for attempt in row["attempts"])
        words = (row["amount"]["formatted"], row["state"], row["clause"] or "-", row["decided_by"])
        table.add_row(*words, str(sends or "-"), row["charge"])
    return table


def queue(played: Sequence[Played]) -> Table:
    """The cases that wait for a person, most urgent first."""
    table = Table(title="Waiting for a person", title_justify="left")
    for name in ("priority", "reason", "clause", "advice", "case"):
        table.add_column(name, overflow="fold")
    order = {"urgent": 0, "high": 1, "normal": 2}
    waiting = [one.case for one in played if one.case.get("state") == "review"]
    for case in sorted(waiting, key=lambda case: (order.get(case["priority"], 3), case["reason"] or "")):
        table.add_row(
            case["priority"], case["reason"], case["clause"] or "-", case["recommendation"] or "-", case["id"]
        )
    return table


def times(played: Sequence[Played]) -> Table:
    """Seconds from request to decision and from request to refund, of the cases that decided at once."""
    decided = [_seconds(one.case, one.case.get("decided_at")) for one in played if not one.story.later]
    closed = [one for one in played if one.case.get("outcome") == "refunded" and not one.story.later]
    refunded = [_seconds(one.case, one.case.get("closed_at")) for one in closed]
    table = Table(title="Times in seconds", title_justify="left")
    for name in ("", "cases", "median", "p95"):
        table.add_column(name, justify="left" if not name else "right")
    for name, found in (("request to decision", decided), ("request to refund", refunded)):
        known = sorted(seconds for seconds in found if seconds is not None)
        if len(known) > 1:
            p95 = quantiles(known, n=20)[-1]
            table.add_row(name, str(len(known)), f"{median(known):.2f}", f"{p95:.2f}")
    return table


def ledger(proof: dict[str, Any]) -> str:
    """What walking the ledger's chain found."""
    if not proof["holds"]:
        return f"[bold red]The ledger does not hold:[/] {proof['flaws']}"
    return f"The ledger holds: {proof['entries']} entries, each chained to the one before. Head: {proof['head_hash']}"


def verdict(console: Console, played: Sequence[Played]) -> bool:
    """The last word; True where everything is as expected."""
    wrong = [one for one in played if one.problems]
    for one in wrong:
        console.print(f"[bold red]{one.story.title}[/]: {'; '.join(one.problems)}")
    ended = sum(one.subscription == "canceled" and one.refunded_minor > 0 for one in played)
    console.print(f"\n{ended} subscriptions were cancelled after their refund: nobody is charged again.")
    console.print(f"{len(played) - len(wrong)} of {len(played)} customers as expected.", style="bold")
    return not wrong


def _reason(case: dict[str, Any]) -> str:
    return str(case.get("outcome") if case.get("state") == "closed" else case.get("reason"))


def _seconds(case: dict[str, Any], until: str | None) -> float | None:
    if not until or not case.get("opened_at"):
        return None
    return (datetime.fromisoformat(until) - datetime.fromisoformat(case["opened_at"])).total_seconds()
