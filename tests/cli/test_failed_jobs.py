"""Failed jobs at the command line: shown before anything is done, replayed under a name, put away."""

import signal
from pathlib import Path

import pytest
import sqlalchemy as sa

from tests.cli.conftest import Start
from tests.cli.terminal import typed
from tests.engines.shared import Database
from tests.worker.bench import eventually

Settings = dict[str, str]


@pytest.fixture
def failed(settings: Settings, database: Database) -> list[str]:
    """Two assessments that failed to the end, in mode auto, oldest first."""
    assert typed(settings, "mode", "auto", "--why", "we trust it", "-y").code == 0
    for charge in ("ch_1", "ch_2"):
        assert typed(settings, "request", "--charge", charge, "--unused").code == 0
    owner = sa.create_engine(database.superuser_url)
    with owner.begin() as connection:
        connection.exec_driver_sql("UPDATE jobs SET state = 'failed', finished_at = now() WHERE actor = 'assess'")
        ids = connection.exec_driver_sql("SELECT id FROM jobs WHERE actor = 'assess' ORDER BY id").scalars().all()
    owner.dispose()
    return list(ids)


def test_failed_jobs_are_shown_replayed_once_asked_and_put_away(settings: Settings, failed: list[str]) -> None:
    dry = typed(settings, "jobs", "replay", "--dry-run")
    assert dry.code == 0
    assert [line.split("\t")[:3] for line in dry.lines[1:]] == [[job, "assess", "may_pay"] for job in failed]
    assert "Money that a replay may move: 2 of an amount not known yet" in dry.err

    act = ("jobs", "replay", failed[0], "--name", "incident 2026-12-01", "--why", "Stripe is back", "--as", "ada")
    unasked = typed(settings, *act)
    assert (unasked.code, unasked.err.splitlines()[-1]) == (2, "--yes: expected, where nobody can be asked")
    assert [row["state"] for row in _jobs(settings)] == ["failed", "failed"]
    done = "'incident 2026-12-01' is done: 1 job ready again, 0 need a person, 0 had been seen to, 0 wait."
    assert typed(settings, *act, "--yes").lines[-1] == done
    again = typed(settings, *act, "--yes")
    assert (again.code, again.lines) == (0, ["No such job has failed.", done])

    away = typed(settings, "jobs", "dismiss", "--actor", "assess", "--why", "a test of ours", "-y", "--json")
    assert (away.code, away.json) == (0, {"count": 1})
    assert {row["id"]: row["state"] for row in _jobs(settings)} == {failed[0]: "ready", failed[1]: "dismissed"}


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("replay", "--why", "x", "-y"), "name: "),
        (("replay", "--name", "x", "-y"), "why: "),
        (("replay", "--name", "x", "--why", "x", "--as", "billingbot", "-y"), "by: "),
        (("replay", "--dry-run", "--since", "yesterday"), "--since: "),
        (("dismiss", "--why", " ", "-y"), "why: "),
    ],
)
def test_what_cannot_stand_in_the_ledger_is_refused_before_anything_is_asked(
    settings: Settings, failed: list[str], words: tuple[str, ...], says: str
) -> None:
    refused = typed(settings, "jobs", *words)

    assert refused.code == 2
    assert refused.err.startswith(says)
    assert {row["id"]: row["state"] for row in _jobs(settings)} == dict.fromkeys(failed, "failed")


def test_a_replay_that_would_pay_more_than_is_expected_is_refused(
    settings: Settings, failed: list[str], database: Database
) -> None:
    owner = sa.create_engine(database.superuser_url)
    with owner.begin() as connection:
        connection.exec_driver_sql("UPDATE cases SET amount_minor = 4900, currency = 'usd'")
    owner.dispose()
    act = ("jobs", "replay", "--name", "x", "--why", "x", "-y", "--rate", "1000", "--expect-total")

    refused = typed(settings, *act, "USD 97.99")
    assert refused.code != 0
    assert "USD 98.00 would be paid now, and USD 97.99 were confirmed" in refused.err
    assert typed(settings, *act, "USD 98.001").err.startswith("--expect-total: expected a currency and an amount")
    assert {row["state"] for row in _jobs(settings)} == {"failed"}
    assert typed(settings, *act, "USD 98.00").code == 0
    assert {row["state"] for row in _jobs(settings)} == {"ready"}


def test_a_replay_is_stopped_from_elsewhere_listed_and_gone_on_with(
    settings: Settings, failed: list[str], start: Start, tmp_path: Path
) -> None:
    act = ("jobs", "replay", "--name", "slow", "--why", "x", "-y", "--rate", "1")
    driving = start(settings, tmp_path / "log", *act)
    eventually(lambda: "1" in [row["replayed"] for row in _runs(settings)])

    driving.send_signal(signal.SIGINT)

    assert driving.wait(10) == 1
    assert "interrupted by" in (tmp_path / "log").read_text()
    assert [(row["state"], row["waiting"]) for row in _runs(settings)] == [("stopped", "1")]
    assert typed(settings, "jobs", "replay", "stop", "slow").lines[0].startswith("'slow' is stopped")
    assert typed(settings, *act).code == 0
    assert {row["state"] for row in _jobs(settings)} == {"ready"}
    assert typed(settings, "jobs", "replay", "stop").err.startswith("NAME: ")


def _runs(settings: Settings) -> list[dict[str, str]]:
    header, *rows = (line.split("\t") for line in typed(settings, "jobs", "replays").lines)
    return [dict(zip(header, row, strict=True)) for row in rows]


def _jobs(settings: Settings) -> list[dict[str, str]]:
    rows: list[dict[str, str]] = typed(settings, "jobs", "list", "--actor", "assess", "--json").json["items"]
    return rows
