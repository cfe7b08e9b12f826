"""`billingbot policy backtest` on planted cases: what flips is found, told, priced and explained."""

import csv
import json
import os
import re
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from billingbot.core.backtest import Flip
from billingbot.core.canonical import canonical_bytes
from billingbot.core.ledger import Draft, EntryKind
from billingbot.core.policy import Policy, decide, load_policy
from billingbot.core.restore import restore_facts
from billingbot.flows.policy.backtest import backtest as decide_all_again
from billingbot.flows.policy.rehearse import Plan, Text
from billingbot.store import decisions, ledger
from billingbot.store.database import make_engine, transaction
from billingbot.store.schema import cases, refunds
from billingbot.store.views.past import STRETCH_CASES, Wanted, stretches
from tests.builders import POLICY_FILE, facts, shipped_policy
from tests.cli.conftest import Start
from tests.cli.terminal import typed
from tests.engines.shared import Database

Settings = dict[str, str]
MARCH, APRIL = datetime(2026, 3, 20, tzinfo=UTC), datetime(2026, 4, 2, tzinfo=UTC)
# Without its examples, which say what the unchanged rules do.
SHIPPED = POLICY_FILE.read_text("utf-8").partition("[examples.base]")[0]
LOWER = SHIPPED.replace("usd = 20000 # 200.00", "usd = 4000", 1)


@dataclass(frozen=True, kw_only=True)
class Planted:
    """A past case: facts that differ from an unused trial's, the person's word, when it was decided."""

    values: Mapping[str, Any]
    at: datetime = MARCH
    person: str | None = None
    without: Sequence[str] = ()
    held_by_day: bool = False


def plant(database: Database, *planted: Planted, policy: Policy | None = None) -> list[str]:
    """Stores these cases as deciding them would have; returns their ids."""
    policy = policy or shipped_policy()
    engine = sa.create_engine(database.superuser_url)
    ids = []
    with engine.begin() as connection:
        decisions.remember_policy(
            connection,
            policy_digest=policy.digest,
            policy_id=policy.id,
            version=policy.version,
            source=policy.source,
        )
        for index, one in enumerate(planted):
            ids.append(_plant(connection, f"case_{index:026}", one, policy))
    engine.dispose()
    return ids


def _plant(connection: sa.Connection, case_id: str, one: Planted, policy: Policy) -> str:
    stored = json.loads(canonical_bytes(facts(one.values)))
    for name in one.without:
        del stored["facts"][name]
    content = canonical_bytes(stored)
    decision = decide(restore_facts(content), policy)
    outcome, reason = decision.outcome.value, decision.reason
    if one.held_by_day:
        outcome, reason = "review", "limit-daily-count"
    decision_id = case_id.replace("case", "dec")
    denied = one.person == "denied"
    connection.execute(
        cases.insert().values(
            id=case_id,
            account="default",
            livemode=False,
            state="closed" if denied else "review",
            charge_id=case_id.replace("case", "ch"),
            decision_id=decision_id,
            assignee="ada" if one.person else None,
            outcome="denied" if denied else None,
            opened_at=one.at,
            decided_at=one.at,
        )
    )
    connection.execute(
        sa.text(
            "INSERT INTO decisions (id, case_id, purpose, outcome, rule, reason, clause, recommendation, facts,"
            " facts_digest, policy_digest, decision, decision_digest, decided_at) VALUES (:id, :case, 'assess',"
            " :outcome, :rule, :reason, :clause, :recommendation, :facts, :fd, :pd, :decision, :dd, :at)"
        ),
        {
            "id": decision_id,
            "case": case_id,
            "outcome": outcome,
            "rule": decision.rule,
            "reason": reason,
            "clause": decision.clause,
            "recommendation": decision.recommendation.value,
            "facts": content,
            "fd": decision.facts_digest,
            "pd": policy.digest,
            "decision": canonical_bytes(decision),
            "dd": "sha256:none",
            "at": one.at,
        },
    )
    if one.person == "approved":
        connection.execute(
            refunds.insert().values(
                id=case_id.replace("case", "rfd"),
                case_id=case_id,
                account="default",
                livemode=False,
                charge_id=case_id.replace("case", "ch"),
                amount_minor=4900,
                currency="usd",
                state="succeeded",
                origin="person",
                decided_by="ada",
            )
        )
    return case_id


def write(tmp_path: Path, text: str, name: str = "new.toml") -> str:
    """A policy file; the text has to load."""
    load_policy(text, filename=name)
    (tmp_path / name).write_text(text, "utf-8")
    return str(tmp_path / name)


def backtest(settings: Settings, *words: str) -> Any:
    """The backtest as JSON."""
    said = typed(settings, "policy", "backtest", *words, "--json")
    assert (said.code, said.err) == (0, said.err), said.err
    return said.json


@pytest.fixture
def month(database: Database) -> list[str]:
    """A small and a large refund, a used one that was denied, and one that a person approved."""
    return plant(
        database,
        Planted(values={}),
        Planted(values={"charge.amount_minor": 3900, "charge.refundable_minor": 3900}, at=APRIL),
        Planted(values={"usage.used": True}, person="denied"),
        Planted(values={"trial.exists": False}, person="approved"),
    )


def test_the_same_policy_flips_nothing(settings: Settings, month: list[str]) -> None:
    told = backtest(settings, str(POLICY_FILE))
    assert (told["cases"], told["flips"], told["other_rule"], told["unreadable"]) == (len(month), 0, 0, 0)
    assert (told["causes"], told["largest_flips"], told["lacking"]) == ([], [], {})
    assert told["money"][0]["after"] == [2, 8800]


def test_a_lower_limit_is_priced_by_month_and_told_as_the_limit_that_holds(
    settings: Settings, month: list[str], tmp_path: Path
) -> None:
    flips = tmp_path / "flips.csv"
    told = backtest(settings, write(tmp_path, LOWER), "--csv", str(flips))
    assert told["flips"] == 1
    [cause] = told["causes"]
    assert (cause["rule"], cause["change"], cause["conditions"]) == (
        "unused-trial",
        "is held back by a limit now",
        ["limit-amount"],
    )
    assert (cause["before"], cause["after"], cause["amounts"]) == ("refund", "review (refund)", {"usd": 4900})
    months = {line["month"]: (line["before"], line["after"], line["lost"]) for line in told["money_by_month"]}
    assert months == {"2026-03": ([1, 4900], [0, 0], [1, 4900]), "2026-04": ([1, 3900], [1, 3900], [0, 0])}
    [row] = csv.DictReader(flips.read_text("utf-8").splitlines())
    assert (row["case"], row["before"], row["after_reason"]) == (month[0], "refund", "limit-amount")
    assert row["facts"] == "charge.refundable_minor=4900; charge.currency=usd"


COURTESY = """\
[[rule]]
id = "courtesy"
row = 1
outcome = "close"
summary = "A courtesy."
[rule.when]
no-trial = "!trial.exists"

"""
# What is replaced in the shipped policy, by what, and the one cause of the one flip that follows; None for none.
CHANGES: list[tuple[str, str, tuple[str, str, list[str]] | None]] = [
    (
        'began-with-a-trial = "trial.exists"\ncharged',
        'began-with-a-trial = "trial.exists && charge.amount_minor > 4000"\ncharged',
        ("unused-trial", "no longer matches", ["began-with-a-trial"]),
    ),
    (
        '[rule.when]\nnothing-was-charged = "request.nothing_charged"',
        '[rule.when]\nnothing-was-charged = "request.nothing_charged || usage.used"',
        ("nothing-charged", "matches now", ["nothing-was-charged"]),
    ),
    (
        'row = 8\nclause = "discretion"\noutcome = "review"\nrecommendation = "decline"',
        'row = 8\nclause = "discretion"\noutcome = "review"\nrecommendation = "refund"',
        ("used", "says something else now", []),
    ),
    (
        '[[rule]]\nid = "charge-failed"',
        COURTESY + '[[rule]]\nid = "charge-failed"',
        ("courtesy", "is new and matches", ["no-trial"]),
    ),
    ('id = "no-trial"', 'id = "without-trial"', None),
    ('use-was-seen = "usage.used"', 'use-was-seen = "usage.used || charge.amount_minor == 3900"', None),
]


@pytest.mark.parametrize(("old", "new", "cause"), CHANGES)
@pytest.mark.usefixtures("month")
def test_the_rule_and_the_condition_that_flipped_a_case_are_named(
    settings: Settings, tmp_path: Path, old: str, new: str, cause: tuple[str, str, list[str]] | None
) -> None:
    assert SHIPPED.count(old) == 1
    told = backtest(settings, write(tmp_path, SHIPPED.replace(old, new)))
    assert told["flips"] == len(told["largest_flips"]) == (1 if cause else 0)
    assert [(one["rule"], one["change"], one["conditions"]) for one in told["causes"]] == ([cause] if cause else [])


@pytest.mark.usefixtures("month")
def test_peoples_words_are_compared_and_their_hours_counted_from_the_ledger(
    settings: Settings, tmp_path: Path, database: Database, month: list[str]
) -> None:
    told = backtest(settings, str(POLICY_FILE))
    assert told["hours_saved"] is None
    took(database, month[2], minutes=30)
    kinder = SHIPPED.replace(CHANGES[3][0], CHANGES[3][1].replace("courtesy", "closed"))
    told = backtest(settings, write(tmp_path, kinder))
    lines = {line["person"]: line for line in told["people"]}
    assert (lines["denied"]["cases"], lines["denied"]["same_before"], lines["denied"]["same_after"]) == (1, 1, 1)
    # The policy advised to decline what a person then paid, and would close it by itself now.
    assert (lines["approved"]["opposite_before"], lines["approved"]["now_opposite"]) == (1, 0)
    assert told["reviews"] == {"before": 2, "after": 1, "timed": 1, "median_seconds": pytest.approx(1800, abs=1)}
    assert told["hours_saved"] == pytest.approx(0.5, abs=0.01)


def test_against_another_file_both_decide_anew(settings: Settings, month: list[str], tmp_path: Path) -> None:
    told = backtest(settings, str(POLICY_FILE), "--against", write(tmp_path, LOWER))
    assert [(one["change"], one["conditions"]) for one in told["causes"]] == [
        ("is no longer held back by a limit", ["limit-amount"])
    ]
    assert told["largest_flips"][0]["case"] == month[0]
    assert told["money"][0]["gained"] == [1, 4900]


def test_a_version_that_decided_is_found_by_its_name(settings: Settings, month: list[str]) -> None:
    told = backtest(settings, shipped_policy().version)
    assert (told["cases"], told["new"]["digest"]) == (len(month), shipped_policy().digest)
    unknown = typed(settings, "policy", "backtest", "of-next-year")
    assert unknown.code == 1
    assert unknown.err.startswith("policy of-next-year: ")


def test_only_the_wanted_time_is_decided_again(settings: Settings, month: list[str]) -> None:
    assert backtest(settings, str(POLICY_FILE), "--since", "2026-04-01")["cases"] == 1
    assert backtest(settings, str(POLICY_FILE), "--until", "2026-04-01")["cases"] == len(month) - 1
    assert backtest(settings, str(POLICY_FILE), "--account", "another")["cases"] == 0
    wrong = typed(settings, "policy", "backtest", str(POLICY_FILE), "--since", "last month")
    assert (wrong.code, wrong.err.partition(":")[0]) == (2, "--since")


def test_facts_that_are_younger_than_a_case_are_unknown_and_counted(settings: Settings, database: Database) -> None:
    young, number = ["dispute.won"], ["charge.refunded_minor"]
    plant(database, Planted(values={}), Planted(values={}, without=young), Planted(values={}, without=number))
    told = backtest(settings, str(POLICY_FILE))
    assert told["lacking"] == {"charge.refunded_minor": 1, "dispute.won": 1}
    assert (told["flips"], told["money"][0]["after"]) == (0, [1, 4900])
    assert "was a fact" in typed(settings, "policy", "backtest", str(POLICY_FILE)).out


def test_a_refund_that_only_the_days_budget_held_back_is_no_flip(settings: Settings, database: Database) -> None:
    plant(database, Planted(values={}, held_by_day=True))
    told = backtest(settings, str(POLICY_FILE))
    assert (told["flips"], told["day_limited"]) == (0, 1)


def test_days_that_go_over_the_policys_own_budget_are_told(
    settings: Settings, month: list[str], tmp_path: Path
) -> None:
    tight = SHIPPED.replace("daily_count_max = 50", "daily_count_max = 0")
    told = backtest(settings, write(tmp_path, tight))
    assert [(one["day"], one["cases"], one["allowed"]) for one in told["over_budget"]] == [
        ("2026-03-20", 1, 0),
        ("2026-04-02", 1, 0),
    ]
    assert told["flips"] == 0, f"{month}: the budget is told, not replayed"


def test_what_was_met_in_shadow_is_decided_as_if_in_auto(settings: Settings, database: Database) -> None:
    plant(database, Planted(values={"desk.mode": "shadow"}))
    assert backtest(settings, str(POLICY_FILE))["flips"] == 0
    told = backtest(settings, str(POLICY_FILE), "--as-mode", "auto")
    assert [(one["change"], one["conditions"], one["after"]) for one in told["causes"]] == [
        ("is no longer held back by a limit", ["limit-mode"], "refund")
    ]


def test_facts_that_cannot_be_read_are_counted_and_in_no_figure(settings: Settings, database: Database) -> None:
    [_, broken] = plant(database, Planted(values={}), Planted(values={}))
    engine = sa.create_engine(database.superuser_url)
    with engine.begin() as connection:
        connection.execute(sa.text("UPDATE decisions SET facts = 'no facts' WHERE case_id = :case"), {"case": broken})
    engine.dispose()
    told = backtest(settings, str(POLICY_FILE))
    assert (told["cases"], told["unreadable"], told["money"][0]["after"]) == (1, 1, [1, 4900])


def test_a_policy_that_this_release_cannot_read_decided_before(
    settings: Settings, database: Database, tmp_path: Path
) -> None:
    old = shipped_policy()
    plant(database, Planted(values={}), policy=replace(old, source="[policy]\nof = 'old'", digest="sha256:old"))
    told = backtest(settings, write(tmp_path, LOWER))
    assert [one["change"] for one in told["causes"]] == ["decides now; what decided before cannot be told"]


def test_the_page_stands_alone_and_the_terminal_tells_the_same(
    settings: Settings, month: list[str], tmp_path: Path
) -> None:
    page = tmp_path / "page.html"
    said = typed(settings, "policy", "backtest", write(tmp_path, LOWER), "--html", str(page))
    assert (said.code, said.err) == (0, f"Written: {page}\n")
    for text in ("4 cases decided again", "1 flip", "limit-amount", "USD 49.00", month[0], "Hours: unknown"):
        assert text in said.out
    html = page.read_text("utf-8")
    for text in ("limit-amount", "USD 49.00", month[0], "<svg", "prefers-color-scheme: dark", "@media print"):
        assert text in html
    assert re.findall(r"<script|https?://|src=|url\(", html) == []
    assert _unclosed(html) == []


def _unclosed(html: str) -> list[str]:
    """The elements that the page opens and does not close in order."""
    still: list[str] = []

    class Reader(HTMLParser):
        def handle_starttag(self, tag: str, attrs: object) -> None:
            if tag not in {"meta", "br"}:
                still.append(tag)

        def handle_startendtag(self, tag: str, attrs: object) -> None:
            """Closed where it was opened."""

        def handle_endtag(self, tag: str) -> None:
            assert still.pop() == tag

    Reader().feed(html)
    return still


def test_nothing_to_decide_is_said_without_a_fault(settings: Settings, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    said = typed(settings, "policy", "backtest", str(POLICY_FILE), "--html", str(page))
    assert said.code == 0
    assert "0 cases decided again" in said.out
    assert page.exists()


def test_stretches_on_several_processes_add_up(database: Database, tmp_path: Path) -> None:
    amounts = range(4900, 4920)
    plant(database, *(Planted(values={"charge.refundable_minor": n, "charge.amount_minor": n}) for n in amounts))
    engine = make_engine(database.app_url)
    with transaction(engine) as connection:
        cut = stretches(connection, Wanted(), size=3)
    engine.dispose()
    new = load_policy(LOWER, filename="new.toml")
    text = Text(source=new.source, filename="new.toml", id=new.id, version=new.version, digest=new.digest)
    flips: list[Flip] = []
    done: list[int] = []
    plan = Plan(database_url=database.app_url, wanted=Wanted(), new=text, processes=2)
    tally = decide_all_again(plan, cut, forward=done.append, keep=flips.append)
    assert (tally.cases, sum(done), len(cut)) == (20, 20, 7)
    assert [flip.amount_minor for flip in flips] == list(amounts)
    assert sum(one.amount_minor for one in tally.cells.values()) == sum(amounts)


@pytest.mark.skipif(sys.platform != "linux", reason="looks at processes through /proc")
def test_an_interrupt_leaves_neither_files_nor_processes(
    settings: Settings, database: Database, tmp_path: Path, start: Start
) -> None:
    [case] = plant(database, Planted(values={}))
    owner, log, flips = sa.create_engine(database.superuser_url), tmp_path / "log", tmp_path / "flips.csv"
    with owner.begin() as connection:  # more than one stretch of it, or no process would be started
        connection.execute(COPIES, {"case": case, "more": 2 * STRETCH_CASES})
    with owner.begin() as holding:
        holding.execute(sa.text("LOCK TABLE decisions"))
        words = ("policy", "backtest", str(POLICY_FILE), "--csv", str(flips), "--processes", "2")
        process = start(settings, log, *words)
        wait_until(lambda: holding.execute(WAITING).scalar_one() == 2)
        children = children_of(process.pid)
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does: everybody hears it
    assert process.wait(timeout=20) == 130
    owner.dispose()
    assert len(children) >= 2
    wait_until(lambda: not any(Path(f"/proc/{child}").exists() for child in children))
    assert list(tmp_path.glob("flips*")) == []
    assert "Traceback" not in log.read_text("utf-8")


COPIES = sa.text("""
    WITH copied AS (
        INSERT INTO cases (id, account, livemode, state, decision_id, opened_at, decided_at)
        SELECT c.id || n, account, livemode, state, decision_id, opened_at, decided_at
        FROM cases c, generate_series(1, :more) AS n WHERE c.id = :case
    ) SELECT 1
""")
WAITING = sa.text("""
    SELECT count(*) FROM pg_locks
    WHERE NOT granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
""")


def took(database: Database, case_id: str, *, minutes: int) -> None:
    """The ledger of a person who took the case and denied it so many minutes later."""
    engine = make_engine(database.app_url)
    with transaction(engine) as connection:
        for kind in (EntryKind.CASE_CLAIMED, EntryKind.CASE_DENIED):
            ledger.append(connection, Draft(kind=kind, account="default", subject=case_id, actor="ada", body={}))
    engine.dispose()
    owner = sa.create_engine(database.superuser_url)
    with owner.begin() as connection:
        connection.execute(sa.text("ALTER TABLE ledger_entries DISABLE TRIGGER USER"))
        connection.execute(
            sa.text("UPDATE ledger_entries SET at = at - make_interval(mins => :m) WHERE kind = 'case.claimed'"),
            {"m": minutes},
        )
    owner.dispose()


def children_of(pid: int) -> list[int]:
    """The processes that this one has started."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text("ascii").split()]


def wait_until(done: Callable[[], bool], *, seconds: float = 20) -> None:
    """Asks until it is so."""
    until = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < until, "it never was"
        time.sleep(0.02)
