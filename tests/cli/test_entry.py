"""The entry point: help without imports, wrong usage, and a configuration that is wrong in many places at once."""

import os
import pty
import re
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from billingbot.cli.entry import NOUNS
from tests.cli.terminal import KEYS, ROOT, bare, typed

_HEAVY = ["sqlalchemy", "dramatiq", "fastapi", "pydantic", "stripe", "redis", "structlog", "httpx", "cel_expr_python"]
_COLOUR = re.compile(r"\x1b\[(?:\d+;)*[39][0-7](?:;\d+)*m")
_HELP = """
import sys
from billingbot.cli import main
sys.argv = ["billingbot", "--help"]
try:
    main()
except SystemExit:
    print("imported:", *sorted(set(sys.argv_heavy) & set(sys.modules)))
"""


def test_the_help_reads_no_command_and_takes_less_than_half_a_second() -> None:
    source = _HELP.replace("sys.argv_heavy", repr(_HEAVY))
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, check=True, env=bare())
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.stdout.splitlines()[-1] == "imported:"
    # Seconds of the processor, since the wall clock of a busy machine says nothing about us.
    assert (after.ru_utime - before.ru_utime) + (after.ru_stime - before.ru_stime) < 0.5
    assert all(f" {noun} " in done.stdout for noun in NOUNS)


@pytest.mark.parametrize("noun", NOUNS)
def test_every_command_explains_itself(noun: str) -> None:
    said = typed({}, noun, "--help")
    assert (said.code, said.err) == (0, "")
    assert f"Usage: billingbot {noun}" in said.out


def test_an_unknown_command_is_bad_usage_and_a_near_one_is_named() -> None:
    said = typed({}, "ledgr")
    assert said.code == 2
    assert "Did you mean 'ledger'?" in said.err


def test_the_module_runs_as_the_command_does() -> None:
    done = subprocess.run([sys.executable, "-m", "billingbot", "version"], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[0].startswith("billingbot ")


@pytest.mark.parametrize("noun", ["up", "web", "worker", "scheduler"])
def test_with_no_key_one_sentence_says_so_and_offers_the_demo(noun: str, tmp_path: Path) -> None:
    said = typed({"BILLINGBOT_DATA_DIR": str(tmp_path / "data")}, noun)
    assert said.code == 2
    assert said.out == ""
    assert said.err.count("\n") == 1
    assert "No Stripe key is configured" in said.err
    assert "billingbot demo" in said.err
    assert not (tmp_path / "data").exists()


def test_everything_wrong_with_the_configuration_is_told_at_once_with_file_and_line(tmp_path: Path) -> None:
    config, policy = tmp_path / "billingbot.toml", tmp_path / "policy.toml"
    config.write_text('[[usage]]\ntype = "http"\nname = "tags"\nurl = "ftp://example.com"\n', encoding="utf-8")
    shipped = (ROOT / "config" / "policy.toml").read_text("utf-8")
    policy.write_text(shipped.replace("!request.ambiguous", "request.nonsense", 1), encoding="utf-8")
    settings = {
        "BILLINGBOT_STRIPE_API_KEY": "rk_live_abcdef",
        "BILLINGBOT_STRIPE_WEBHOOK_SECRET": "not-a-secret-of-stripes",
        "BILLINGBOT_CONFIG": str(config),
        "BILLINGBOT_POLICY": str(policy),
        "BILLINGBOT_DATABASE_URL": "mysql://somebody:hunter2@example.com/db",
        "BILLINGBOT_DATA_DIR": str(tmp_path / "data"),
    }
    said = typed(settings, "up")
    assert said.code == 2
    assert "BILLINGBOT_DATABASE_URL: expected an address such as postgresql://" in said.err
    assert "its API key is for live mode" in said.err
    assert "expected webhook secrets such as whsec_" in said.err
    assert re.search(rf"{re.escape(str(config))}:\d+: ", said.err)
    assert re.search(rf"{re.escape(str(policy))}:\d+: ", said.err)
    assert not any(secret in said.err for secret in ("hunter2", "not-a-secret-of-stripes", "rk_live_abcdef"))


def test_a_file_that_cannot_be_read_does_not_hide_what_is_wrong_with_the_policy(tmp_path: Path) -> None:
    config, policy = tmp_path / "billingbot.toml", tmp_path / "policy.toml"
    config.write_text("[[usage]\n", encoding="utf-8")
    shipped = (ROOT / "config" / "policy.toml").read_text("utf-8")
    policy.write_text(shipped.replace("!request.ambiguous", "request.nonsense", 1), encoding="utf-8")
    said = typed({**KEYS, "BILLINGBOT_CONFIG": str(config), "BILLINGBOT_POLICY": str(policy)}, "up")
    assert said.code == 2
    assert str(config) in said.err
    assert re.search(rf"{re.escape(str(policy))}:\d+: ", said.err)


def test_a_misspelled_section_is_told_with_its_line_and_where_the_right_ones_stand(tmp_path: Path) -> None:
    config = tmp_path / "billingbot.toml"
    config.write_text("[dsk]\nrecheck_after_seconds = 2\n", encoding="utf-8")
    said = typed({**KEYS, "BILLINGBOT_CONFIG": str(config)}, "up")
    assert said.code == 2
    assert said.err.startswith(f"{config}:1: dsk: there is no such section or setting; config/billingbot.toml")


def test_a_variable_that_is_wrong_is_named(tmp_path: Path) -> None:
    said = typed({**KEYS, "BILLINGBOT_PORT": "many", "BILLINGBOT_DATA_DIR": str(tmp_path)}, "up")
    assert said.code == 2
    assert said.err.startswith("BILLINGBOT_PORT: ")


def test_one_process_alone_needs_the_address_of_both_engines() -> None:
    said = typed(KEYS, "worker")
    assert said.code == 2
    assert [line.partition(":")[0] for line in said.err.splitlines()] == [
        "BILLINGBOT_DATABASE_URL",
        "BILLINGBOT_REDIS_URL",
    ]


def test_a_command_says_that_nothing_runs_and_what_to_do(tmp_path: Path) -> None:
    said = typed({"BILLINGBOT_DATA_DIR": str(tmp_path)}, "cases", "list")
    assert said.code == 1
    assert said.err.startswith(f"Nothing runs on {tmp_path}: start it with billingbot up")
    assert said.err.count("\n") == 1


def test_a_policy_that_loads_is_told_as_a_table_and_one_that_does_not_with_its_lines(tmp_path: Path) -> None:
    good = typed({}, "policy", "check")
    assert good.code == 0
    assert "unused-trial\t7\tunused-trial\trefund\trefund" in good.out
    broken = tmp_path / "mine.toml"
    text = (ROOT / "config" / "policy.toml").read_text("utf-8")
    broken.write_text(text.replace('outcome = "close"', 'outcome = "decline"', 2), encoding="utf-8")
    bad = typed({}, "policy", "check", str(broken))
    assert bad.code == 2
    assert len(bad.err.splitlines()) >= 2
    assert all(re.match(rf"{re.escape(str(broken))}:\d+: ", line) for line in bad.err.splitlines())


def test_a_terminal_gets_a_drawn_table() -> None:
    assert "┃" in _on_a_terminal({"COLUMNS": "150"}, "policy", "check")


def test_no_colour_where_none_is_wanted() -> None:
    assert _COLOUR.search(_on_a_terminal({"NO_COLOR": ""}, "--help"))
    assert not _COLOUR.search(_on_a_terminal({"NO_COLOR": "1"}, "--help"))


def _on_a_terminal(environment: dict[str, str], *words: str) -> str:
    """What a command shows on a terminal of its own."""
    ours, theirs = pty.openpty()
    argv = [sys.executable, "-m", "billingbot", *words]
    everything = {**bare(), "TERM": "xterm-256color", **environment}
    process = subprocess.Popen(argv, env=everything, cwd=ROOT, stdout=theirs, stdin=subprocess.DEVNULL)
    os.close(theirs)
    shown = b""
    try:
        while chunk := os.read(ours, 65536):
            shown += chunk
    except OSError:  # Linux ends a terminal that nobody writes to any more with an error
        pass
    finally:
        os.close(ours)
    assert process.wait() == 0
    return shown.decode("utf-8")
