"""What people do at the command line, round trip on a real database; no Stripe answers, and none is needed."""

import csv
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa

from billingbot.cli.session import me
from billingbot.core.breaker import Trip, TrippedBy
from billingbot.core.ledger import Draft, EntryKind
from billingbot.core.mode import Mode
from billingbot.core.notice import Notice, NoticeKind
from billingbot.core.signals import Envelope
from billingbot.flows.desk import Desk, step
from billingbot.flows.notify import tell
from billingbot.flows.receive import store
from billingbot.flows.switch import who_has
from billingbot.store import breakers, cases, modes
from billingbot.worker.run import run as run_job
from tests.cli.terminal import typed
from tests.desks import a_desk
from tests.engines.shared import Database
from tests.telling.listener import listening

Settings = dict[str, str]


@pytest.fixture
def desk(database: Database) -> Iterator[Desk]:
    """The same database, for what the test does behind the command line's back."""
    with a_desk(database) as opened:
        yield opened


@pytest.fixture
def case(settings: Settings) -> str:
    """A case that waits for a person: the mode was off when it was assessed."""
    assert typed(settings, "mode", "off", "--why", "a quiet start").code == 0
    return _asked(
        settings, "--charge", "ch_1", "--unused", "--text", "never \x1b[31mused\x1b[0m it", "--ref", "ticket-7"
    )


def test_a_key_is_shown_once_listed_without_its_secret_and_revoked(settings: Settings, desk: Desk) -> None:
    made = typed(settings, "keys", "create", "helpdesk", "--json").json
    assert who_has(desk, made["secret"]) is not None
    assert typed(settings, "keys", "create", "helpdesk").code == 1
    listed = typed(settings, "keys", "list")
    assert "helpdesk" in listed.out
    assert made["secret"] not in listed.out
    assert typed(settings, "keys", "revoke", "helpdesk").code == 0
    assert who_has(desk, made["secret"]) is None
    assert typed(settings, "keys", "list", "--in-use", "--json").json["items"] == []
    [key] = typed(settings, "keys", "list", "--made-by", me(), "--json").json["items"]
    assert (key["name"], key["made_by"]) == ("helpdesk", me())
    assert typed(settings, "keys", "list", "--made-by", "nobody", "--json").json["items"] == []
    again = typed(settings, "keys", "revoke", "helpdesk")
    assert (again.code, again.err) == (1, "name: there is no key in use called 'helpdesk'\n")


def test_a_mode_needs_a_reason_and_auto_a_yes(settings: Settings) -> None:
    assert "shadow" in typed(settings, "mode").out
    assert typed(settings, "mode", "set", "assist").code == 2
    unasked = typed(settings, "mode", "auto", "--why", "we trust it")
    assert unasked.code == 2
    assert unasked.err.startswith("--yes: ")
    assert typed(settings, "mode", "set", "auto", "--why", "we trust it", "-y", "--as", "ada").code == 0
    shown = typed(settings, "mode", "show", "--json").json["items"]
    assert [(row["mode"], row["changed_by"], row["why"]) for row in shown] == [("auto", "ada", "we trust it")]
    assert typed(settings, "mode", "set", "reckless", "--why", "x").code == 2


def test_a_request_is_answered_with_its_case_and_asking_again_joins_it(settings: Settings) -> None:
    first = typed(settings, "request", "--charge", "ch_1", "--unused", "--json").json
    second = typed(settings, "request", "--charge", "ch_1", "--cancelled-at", "2026-03-01T09:00:00Z", "--json").json
    assert (first["joined"], second["joined"]) == (False, True)
    assert first["case"]["id"] == second["case"]["id"]
    shown = typed(settings, "cases", "show", first["case"]["id"], "--json").json
    assert [(one["claims"]["unused"], one["claims"]["cancelled"]) for one in shown["requests"]] == [
        (True, False),
        (False, True),
    ]


@pytest.mark.parametrize(
    ("words", "field"),
    [
        ((), "--charge, --invoice"),
        (("--charge", "ch_1", "--customer", "cus_1"), "--charge, --invoice"),
        (("--charge", "in_1"), "charge: "),
        (("--email", "nobody"), "email: "),
        (("--charge", "ch_1", "--cancelled-at", "yesterday"), "--cancelled-at: "),
        (("--charge", "ch_1", "--cancelled-at", "2026-03-01T09:00:00"), "--cancelled-at: "),
        (("--charge", "ch_1", "--account", "other"), "--account: expected one of default"),
    ],
)
def test_a_bad_request_names_the_field_and_stores_nothing(
    settings: Settings, words: tuple[str, ...], field: str
) -> None:
    said = typed(settings, "request", *words)
    assert said.code == 2
    assert said.err.startswith(field)
    assert typed(settings, "cases", "list", "--all", "--json").json["items"] == []


def test_a_case_goes_through_peoples_hands(settings: Settings, desk: Desk, case: str) -> None:
    _work(desk)
    assert case in typed(settings, "cases", "list").out
    assert typed(settings, "cases", "claim", case, "--as", "ada").code == 0
    late = typed(settings, "cases", "claim", case, "--as", "bob")
    assert (late.code, late.err) == (1, f"case {case}: ada has it already\n")
    assert typed(settings, "cases", "list", "--unassigned").lines[1:] == []
    assert typed(settings, "cases", "note", case, "asked for the invoice", "--as", "ada").code == 0
    refused = typed(settings, "cases", "approve", case, "--why", "fair", "--as", "ada")
    assert refused.code == 1
    assert "mode: is off" in refused.err
    stale = typed(settings, "cases", "deny", case, "--why", "no", "--version", "1")
    assert stale.code == 1
    assert "has changed since you looked" in stale.err
    denied = typed(settings, "cases", "deny", case, "--why", "used", "--reply", "We are sorry.", "--as", "ada")
    assert denied.code == 0
    assert denied.lines[-1] == "We are sorry."
    shown = typed(settings, "cases", "show", case)
    assert "asked for the invoice" in shown.out
    assert "denied" in shown.out
    assert "\x1b" not in shown.out, "a customer's text must not steer the terminal"
    assert typed(settings, "cases", "list").lines[1:] == []
    assert case in typed(settings, "cases", "list", "--state", "closed").out


def test_a_case_is_put_back_and_assessed_anew(settings: Settings, desk: Desk, case: str) -> None:
    _work(desk)
    assert typed(settings, "cases", "claim", case, "--as", "ada").code == 0
    assert typed(settings, "cases", "release", case, "--as", "ada").code == 0
    assert case in typed(settings, "cases", "list", "--unassigned").out
    assert typed(settings, "cases", "reassess", case, "--why", "new evidence").code == 0
    assert typed(settings, "cases", "show", case, "--json").json["case"]["state"] == "assessing"


def test_what_is_not_there_is_said_in_a_sentence(settings: Settings) -> None:
    for words in (
        ("cases", "show"),
        ("cases", "explain"),
        ("cases", "claim"),
        ("jobs", "show"),
        ("refunds", "show"),
        ("events", "show"),
    ):
        said = typed(settings, *words, "nowhere_1")
        assert said.code == 1, words
        assert said.err.count("\n") == 1
        assert "there is no" in said.err


def test_the_ledger_verifies_until_somebody_touches_an_entry(
    settings: Settings, database: Database, tmp_path: Path
) -> None:
    for mode in ("off", "assist", "shadow"):
        assert typed(settings, "mode", mode, "--why", f"to {mode}").code == 0
    whole = typed(settings, "ledger", "verify", "--json").json
    assert (whole["holds"], whole["entries"], whole["flaws"]) == (True, 3, [])
    assert typed(settings, "mode", "off", "--why", "once more").code == 0
    kept = whole["head_hash"]
    assert typed(settings, "ledger", "verify", "--head", kept).code == 0
    gone = typed(settings, "ledger", "verify", "--head", "f" * 64)
    assert gone.code == 1
    assert "is not in this ledger" in gone.err
    _touch(database, "UPDATE ledger_entries SET actor = 'nobody' WHERE seq = 2")
    touched = typed(settings, "ledger", "verify")
    assert touched.code == 1
    assert "Entry 2: was changed after it was written" in touched.err
    assert "does NOT hold" in touched.err
    behind = ("ledger", "verify", "--head", kept, "--from-head")
    assert "What lies before was not looked at" in typed(settings, *behind).out
    told = typed(settings, *behind, "--json").json
    assert (told["holds"], told["from_seq"], told["entries"]) == (True, 3, 2), "from the third on, and that one as well"
    assert typed(settings, "ledger", "verify", "--from-head").code == 2, "from where?"
    assert typed(settings, "ledger", "verify", "--head", "f" * 64, "--from-head").code == 1
    _touch(database, "UPDATE ledger_entries SET actor = 'nobody' WHERE seq = 4")
    assert typed(settings, *behind).code == 1


def test_the_ledger_is_exported_whole_and_no_cell_is_a_formula(settings: Settings, desk: Desk, tmp_path: Path) -> None:
    for actor in ("=HYPERLINK(1)", "+1", "-1", "@sum", "ada"):
        with step(desk) as this:
            this.record(
                Draft(kind=EntryKind.CASE_NOTED, account="default", subject="case_1", actor=actor, body={"n": 1})
            )
    target = tmp_path / "ledger.csv"
    assert typed(settings, "ledger", "export", "--format", "csv", "--output", str(target)).code == 0
    with target.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["actor"] for row in rows] == ["'=HYPERLINK(1)", "'+1", "'-1", "'@sum", "ada"]
    assert [row["seq"] for row in rows] == ["1", "2", "3", "4", "5"]
    lines = [json.loads(line) for line in typed(settings, "ledger", "export", "--format", "jsonl").lines]
    assert [line["actor"] for line in lines][:2] == ["=HYPERLINK(1)", "+1"]
    assert lines[1]["previous_hash"] == lines[0]["hash"]
    assert [path.name for path in tmp_path.iterdir() if path.suffix == ".part"] == []


def test_the_ledger_lists_its_last_entries_and_pages_on(settings: Settings) -> None:
    for mode in ("off", "assist", "shadow"):
        assert typed(settings, "mode", mode, "--why", f"to {mode}").code == 0
    last = typed(settings, "ledger", "list", "--limit", "2", "--json").json
    assert [entry["body"]["to"] for entry in last["items"]] == ["assist", "shadow"]
    first = typed(settings, "ledger", "list", "--after", "0", "--limit", "2", "--json").json
    assert [entry["body"]["to"] for entry in first["items"]] == ["off", "assist"]
    following = typed(settings, "ledger", "list", "--after", first["next"], "--json").json
    assert [entry["body"]["to"] for entry in following["items"]] == ["shadow"]


def test_an_event_is_shown_with_its_job_and_the_jobs_failure_with_its_traceback(settings: Settings, desk: Desk) -> None:
    envelope = Envelope(
        account="default",
        event_id="evt_1",
        type="charge.refunded",
        thin=False,
        livemode=False,
        api_version="2026-10-28.endive",
        created=1_770_000_000,
        object_id="ch_1",
        trial_end_before=None,
        body=b"{}",
    )
    assert store(desk, [envelope, replace(envelope, event_id="evt_2", object_id="ch_2")]) == 2
    _work(desk)
    listed = typed(settings, "events", "list", "--object", "ch_1", "--json").json["items"]
    assert [(one["event_id"], one["type"]) for one in listed] == [("evt_1", "charge.refunded")]
    shown = typed(settings, "events", "show", "evt_1", "--json").json
    assert len(shown["jobs"]) == 1
    job = shown["jobs"][0]["id"]
    told = typed(settings, "jobs", "show", job)
    assert "Attempt 1" in told.out
    assert "StripeUnavailableError" in told.out
    assert "Traceback" in told.out
    assert job in typed(settings, "jobs", "list", "--actor", "interpret").out


def test_lists_of_nothing_are_empty(settings: Settings) -> None:
    for noun in ("refunds", "conversions", "events", "jobs", "keys"):
        said = typed(settings, noun, "list")
        assert said.code == 0, noun
        assert len(said.lines) == 1


def test_a_page_that_does_not_end_says_how_to_go_on(settings: Settings) -> None:
    for number in range(3):
        _asked(settings, "--charge", f"ch_{number}")
    first = typed(settings, "cases", "list", "--all", "--limit", "2")
    assert first.err.startswith("There is more: --after case_")
    cursor = first.err.rpartition(" ")[2].strip()
    rest = typed(settings, "cases", "list", "--all", "--limit", "2", "--after", cursor)
    assert len(rest.lines) == 2
    assert typed(settings, "cases", "list", "--all", "--after", "nonsense").code == 2


def test_the_sources_are_asked_and_one_that_does_not_answer_is_told(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "old.json").write_text(
        json.dumps(
            {
                "coverage": {"from": "2020-01-01T00:00:00Z", "to": "2020-02-01T00:00:00Z"},
                "customers": [{"customer_id": "cus_1", "events": 3, "first_at": "2020-01-02T00:00:00Z"}],
            }
        ),
        encoding="utf-8",
    )
    config = tmp_path / "billingbot.toml"
    config.write_text(
        f"""
[[usage]]
type = "static"
name = "old-system"
path = "old.json"
[[usage]]
type = "http"
name = "tag-hits"
url = "{settings["BILLINGBOT_STRIPE_API_BASE"]}/{{customer_id}}"
attempts = 1
[usage.map]
events = "events"
""",
        encoding="utf-8",
    )
    said = typed({**settings, "BILLINGBOT_CONFIG": str(config)}, "sources", "check", "--customer", "cus_1", "--json")
    assert said.code == 1
    by_name = {report["source"]: report for report in said.json["usage"]}
    assert (by_name["old-system"]["answered"], by_name["old-system"]["events"]) == (True, 3)
    assert by_name["tag-hits"]["answered"] is False


def test_the_doctor_names_what_is_wrong(settings: Settings) -> None:
    nobody_there = {"BILLINGBOT_PORT": "1"}  # at 8080 a desk of whoever runs this may answer
    said = typed({**settings, **nobody_there}, "doctor", "--json")
    assert said.code == 1
    found = {one["what"]: one["state"] for one in said.json["items"]}
    assert found == {
        "configuration": "ok",
        "policy": "ok",
        "usage sources": "warning",
        "support sources": "ok",
        "Stripe, default": "bad",
        "notifications": "warning",
        "Postgres": "ok",
        "authenticators": "ok",
        "breaker": "ok",
        "agreement with Stripe": "warning",
        "Redis": "ok",
        "web": "bad",
    }


def test_reading_needs_no_key_of_stripes(settings: Settings) -> None:
    keyless = {name: value for name, value in settings.items() if "STRIPE" not in name}
    assert typed(keyless, "cases", "list").code == 0
    assert typed(keyless, "keys", "create", "one").code == 0
    assert "No Stripe key is configured" in typed(keyless, "mode", "off", "--why", "x").err


def _asked(settings: Settings, *words: str) -> str:
    said = typed(settings, "request", *words, "--json")
    assert said.code == 0, said.err
    return str(said.json["case"]["id"])


def _work(desk: Desk) -> None:
    """Runs what is due, once."""
    with desk.db.begin() as connection:
        due = connection.execute(sa.text("SELECT id FROM jobs WHERE state = 'ready' AND run_at <= now()")).scalars()
        ids = list(due)
    assert ids
    for job_id in ids:
        run_job(desk, job_id)


def _touch(database: Database, statement: str) -> None:
    """What nobody may do: past the ledger's own guards, as its superuser."""
    engine = sa.create_engine(database.superuser_url)
    with engine.begin() as connection:
        connection.execute(sa.text("SET session_replication_role = replica"))
        connection.execute(sa.text(statement))
    engine.dispose()


def test_notices_are_listed_and_tested_by_hand(settings: Settings, desk: Desk, tmp_path: Path) -> None:
    with step(desk) as this:
        told = Notice(kind=NoticeKind.JOB_FAILED, account="", subject="job_1", headline="a job gave up", body="Look.")
        tell(this, told)
    listed = typed(settings, "notices", "list", "--kind", "job_failed", "--json").json["items"]
    assert [(one["headline"], one["state"], one["deliveries"]) for one in listed] == [("a job gave up", "waiting", [])]
    assert "a job gave up" in typed(settings, "notices", "list").out

    nowhere = typed(settings, "notices", "test")
    assert (nowhere.code, nowhere.err.partition(":")[0]) == (2, "notifications")
    config = tmp_path / "billingbot.toml"
    config.write_text('[[notifications]]\nname = "chat"\nurl_env = "CHAT_URL"\n')
    with listening() as ear:
        there = {**settings, "BILLINGBOT_CONFIG": str(config), "CHAT_URL": ear.url}
        sent = typed(there, "notices", "test", "--json")
        assert (sent.code, sent.json["items"]) == (0, [{"route": "chat", "sent": True, "why": None}])
        ear.status = 404
        refused = typed(there, "notices", "test")
        assert refused.code == 1
        assert "the destination refused it with 404" in refused.out
    assert ear.titles == ["billingbot: this is a test"]


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        ('url_env = "CHAT_URL"', "notifications.0.name"),
        ('name = "chat"\nurl_env = "json://token"', "notifications.0.url_env"),
        ('name = "chat"\nurl_env = "NOT_THERE"', "expected NOT_THERE in the environment"),
        ('name = "chat"\nurl_env = "CHAT_URL"', "expected a notification URL"),
        ('name = "chat"\nurl_env = "CHAT_URL"\nkinds = ["alarm"]', "notifications.0.kinds"),
        ('name = "chat"\nurl_env = "GOOD_URL"\nquiet_from = 22:00:00', "quiet_from, quiet_until"),
        (
            'name = "chat"\nurl_env = "GOOD_URL"\nquiet_from = 22:00:00\nquiet_until = 07:00:00\nquiet_zone = "Here"',
            "quiet_zone: expected a time zone",
        ),
    ],
)
def test_a_destination_that_cannot_be_used_is_named_without_its_secret(
    settings: Settings, tmp_path: Path, lines: str, says: str
) -> None:
    config = tmp_path / "billingbot.toml"
    config.write_text(f"[[notifications]]\n{lines}\n")
    secrets = {"CHAT_URL": "hush-token", "GOOD_URL": "json://localhost/hush"}
    said = typed({**settings, "BILLINGBOT_CONFIG": str(config), **secrets}, "notices", "test")
    assert said.code == 2
    assert says in said.err
    assert "hush" not in said.err


def test_a_breaker_is_shown_and_closed_by_hand(settings: Settings, desk: Desk) -> None:
    assert typed(settings, "breaker").lines == ["No breaker has ever opened."]
    assert typed(settings, "breaker", "close", "--why", "x").err == "breaker of account default: is not open\n"
    with step(desk) as this:
        trip = Trip(by=TrippedBy.PACE, observed="41 within an hour", allowed="at most 40")
        cases.open_case(this.db, "case_1", account="default", livemode=False, charge_id="ch_1")
        breakers.open_(this.db, "default", trip, case_id="case_1")
        modes.write(this.db, "default", Mode.ASSIST, by="billingbot", why="the breaker opened")
    assert "41 within an hour" in typed(settings, "breaker", "show").out
    assert "is open since" in typed(settings, "mode").out
    assert typed(settings, "mode", "--json").json["items"][0]["breaker_open_since"] is not None
    looked = typed(settings, "doctor", "--json").json["items"]
    assert [one["state"] for one in looked if one["what"] == "breaker"] == ["warning"]
    refused = typed(settings, "mode", "auto", "--why", "go on", "-y")
    assert refused.code == 1
    assert "billingbot breaker close --account default" in refused.err

    assert typed(settings, "breaker", "close").code == 2
    closed = typed(settings, "breaker", "close", "--why", "they were real", "--as", "ada")
    assert (closed.code, "mode auto" in closed.out) == (0, True)
