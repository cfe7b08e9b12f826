"""How a table looks on a terminal: drawn where it fits, row by row where drawing would break words."""

import contextlib
import io

import pytest

from billingbot.cli.output import show_table

CASE, CUSTOMER, CHARGE = "case_01m85zdcv4k9440tkhr24e3dnn", "cus_UmloBNJzHQMICM", "ch_5eQ8Re9lXB5TLNrNSRfzTkUt"


class Terminal(io.StringIO):
    """A stream that says somebody looks at it."""

    def isatty(self) -> bool:
        """Yes."""
        return True


def on_terminal(columns: int, monkeypatch: pytest.MonkeyPatch) -> str:
    """What a terminal of this width shows of one case."""
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("TERM", "xterm")
    names = ("id", "state", "reason", "with", "customer", "charge")
    with contextlib.redirect_stdout(Terminal()) as seen:
        show_table(names, [(CASE, "review", "charged-after-cancellation", None, CUSTOMER, CHARGE)], title="Cases")
    return seen.getvalue()


def test_a_wide_terminal_has_the_table_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = next(line for line in on_terminal(200, monkeypatch).splitlines() if CASE in line)
    assert all(word in drawn for word in (CASE, CUSTOMER, CHARGE, "charged-after-cancellation"))


def test_a_narrow_terminal_breaks_no_id(monkeypatch: pytest.MonkeyPatch) -> None:
    assert on_terminal(80, monkeypatch).splitlines() == [
        "Cases",
        CASE,
        "  state: review   reason: charged-after-cancellation",
        f"  customer: {CUSTOMER}   charge: {CHARGE}",
    ]
