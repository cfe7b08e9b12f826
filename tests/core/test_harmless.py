"""What leaves in logs and papers: no secret, no address, no card, however deep it stands, and no paper that cannot be
printed."""

import json

import pytest

from billingbot.bootstrap.telemetry import strike_out
from billingbot.papers.file import file_of
from billingbot.papers.paper import Section

HOSTILE = (
    "\u202eevil",
    "a" * 5000,
    "\N{GRINNING FACE}" * 500,
    "\x00\x07",
    "\u05e9\u05dc " * 600,
    "\n" * 500,
    "\u200b" * 900,
)


@pytest.mark.parametrize(
    "secret",
    ["vera@example.com", "sk_live_abc123", "rk_test_abc123", "whsec_abc", "bbk_abc-def", "4242 4242 4242 4242"],
)
def test_nothing_private_stands_in_a_log_however_deep(secret: str) -> None:
    event = {"why": f"x {secret} y", "several": [secret, {"deep": (secret, 1)}], "fault": ValueError(secret), "n": 3}
    struck = json.dumps(strike_out(None, "info", event))
    assert secret not in struck
    assert json.loads(struck)["n"] == 3
    assert strike_out(None, "info", {"token": "x", "more": {"password": "y"}}) == {
        "token": "[struck out]",
        "more": {"password": "[struck out]"},
    }


@pytest.mark.parametrize("text", HOSTILE, ids=[repr(text[:4]) for text in HOSTILE])
def test_a_case_file_is_printed_whatever_stands_in_it(text: str) -> None:
    section = Section(title=text[:60], pairs=[("x", text)], columns=("a", "b"), widths=(1, 9), rows=[(text, text)])
    assert file_of("A file", [text[:200]], [section]).startswith(b"%PDF")
