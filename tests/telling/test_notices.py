"""Notices: written with what they tell of, sent once to whoever asks for them, in one message where they are many."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa

from billingbot.core.job import MOST_ATTEMPTS
from billingbot.core.notice import GROUPED_WITHIN, Notice, NoticeKind, message_of
from billingbot.flows.desk import Desk, step
from billingbot.flows.notify import tell, try_routes
from billingbot.telling.by_url import sender
from billingbot.telling.route import QuietHours, Route
from billingbot.worker.run import run
from billingbot.worker.schedule import TASKS
from tests.desks import a_desk
from tests.engines.shared import Database
from tests.telling.listener import Listener, listening

CASE = f"case_{'0' * 26}"


@pytest.fixture
def ear() -> Iterator[Listener]:
    with listening() as listener:
        yield listener


@pytest.fixture
def desk(database: Database, ear: Listener) -> Iterator[Desk]:
    with a_desk(database) as opened:
        yield replace(opened, routes=(route(ear),), public_url="https://refunds.example.com/")


@pytest.fixture
def owner(database: Database) -> Iterator[sa.Engine]:
    engine = sa.create_engine(database.superuser_url)
    yield engine
    engine.dispose()


def route(ear: Listener, name: str = "chat", **how: Any) -> Route:
    return Route(**{"name": name, "kinds": None, "quiet": None, "send": sender(ear.url), **how})


def about(headline: str = "refund failed", *, kind: NoticeKind = NoticeKind.REFUND_FAILED) -> Notice:
    return Notice(kind=kind, account="default", subject=CASE, headline=headline, body="Look at the case.")


def say(desk: Desk, *notices: Notice) -> None:
    with step(desk) as this:
        for notice in notices:
            tell(this, notice)


def send(desk: Desk, owner: sa.Engine) -> None:
    """Runs every job that is due."""
    with owner.begin() as connection:
        due = connection.execute(sa.text("SELECT id FROM jobs WHERE state = 'ready' AND run_at <= now()")).scalars()
        ids = due.all()
    for job_id in ids:
        run(desk, job_id)


def pass_time(owner: sa.Engine, by: timedelta) -> None:
    with owner.begin() as connection:
        connection.execute(sa.text("UPDATE jobs SET run_at = run_at - :by, lease_until = NULL"), {"by": by})
        connection.execute(sa.text("UPDATE notices SET told_at = told_at - :by, tried_at = tried_at - :by"), {"by": by})
        connection.execute(sa.text("UPDATE notice_deliveries SET at = at - :by"), {"by": by})
        connection.execute(sa.text("UPDATE ticks SET last_run_at = last_run_at - :by"), {"by": by})


def rows(owner: sa.Engine, query: str) -> list[tuple[Any, ...]]:
    with owner.begin() as connection:
        return [tuple(row) for row in connection.execute(sa.text(query))]


def test_a_notice_arrives_with_a_link_to_its_case(desk: Desk, owner: sa.Engine, ear: Listener) -> None:
    say(desk, about())
    send(desk, owner)

    [message] = ear.heard
    assert (message["title"], message["type"]) == ("billingbot: refund failed", "warning")
    assert f"https://refunds.example.com/cases/{CASE}" in message["message"]
    assert rows(owner, "SELECT state FROM notices") == [("sent",)]
    assert rows(owner, "SELECT route, state, tries FROM notice_deliveries") == [("chat", "sent", 1)]


def test_what_is_rolled_back_is_not_told(desk: Desk, owner: sa.Engine, ear: Listener) -> None:
    class DidNotCommitError(Exception):
        """The work that the notice tells of."""

    def work() -> None:
        with step(desk) as this:
            tell(this, about())
            raise DidNotCommitError

    with pytest.raises(DidNotCommitError):
        work()
    send(desk, owner)
    assert ear.heard == []
    assert rows(owner, "SELECT 1 FROM notices") == []


def test_the_first_comes_at_once_and_those_behind_it_in_one_message(
    desk: Desk, owner: sa.Engine, ear: Listener
) -> None:
    say(desk, about("first"))
    send(desk, owner)
    for number in range(30):
        say(desk, about(f"later {number}"))
    send(desk, owner)
    assert ear.titles == ["billingbot: first"]

    pass_time(owner, GROUPED_WITHIN)
    send(desk, owner)
    assert ear.titles == ["billingbot: first", "billingbot: 30 x refund failed"]
    assert "and 10 more" in ear.heard[1]["message"]
    assert rows(owner, "SELECT DISTINCT state FROM notices") == [("sent",)]


def test_another_kind_does_not_wait(desk: Desk, owner: sa.Engine, ear: Listener) -> None:
    say(desk, about())
    send(desk, owner)
    say(desk, about("refunds stopped", kind=NoticeKind.BREAKER_OPEN))
    send(desk, owner)
    assert ear.titles[-1] == "billingbot: refunds stopped"


def test_a_destination_gets_only_the_kinds_that_it_asks_for(desk: Desk, owner: sa.Engine, ear: Listener) -> None:
    picky = replace(desk, routes=(route(ear, kinds=frozenset({NoticeKind.BREAKER_OPEN})),))
    say(picky, about(), about("refunds stopped", kind=NoticeKind.BREAKER_OPEN))
    send(picky, owner)
    assert ear.titles == ["billingbot: refunds stopped"]
    assert rows(owner, "SELECT kind, state FROM notices ORDER BY kind") == [
        ("breaker_open", "sent"),
        ("refund_failed", "kept"),
    ]


def test_without_destinations_a_notice_can_still_be_read(desk: Desk, owner: sa.Engine, ear: Listener) -> None:
    nowhere = replace(desk, routes=())
    say(nowhere, about())
    send(nowhere, owner)
    assert rows(owner, "SELECT headline, state FROM notices") == [("refund failed", "kept")]
    assert rows(owner, "SELECT state FROM jobs") == [("done",)]


def test_a_broken_destination_is_tried_again_alone(desk: Desk, owner: sa.Engine, ear: Listener) -> None:
    with listening() as broken:
        broken.status = 503
        both = replace(desk, routes=(route(broken, "pager"), route(ear)))
        say(both, about())
        send(both, owner)
        assert ear.titles == ["billingbot: refund failed"]
        assert rows(owner, "SELECT route, state, why FROM notice_deliveries ORDER BY route") == [
            ("chat", "sent", None),
            ("pager", "failed", "the destination refused it with 503"),
        ]

        broken.status = 200
        pass_time(owner, timedelta(minutes=1))
        send(both, owner)
        assert (len(ear.heard), len(broken.heard)) == (1, 1)
    assert rows(owner, "SELECT state FROM notices") == [("sent",)]


def test_a_destination_that_never_answers_ends_as_one_failed_job_and_nobody_is_told_of_that(
    desk: Desk, owner: sa.Engine, ear: Listener
) -> None:
    ear.status = 410
    say(desk, about())
    with owner.begin() as connection:
        connection.execute(sa.text("UPDATE jobs SET attempts = :n"), {"n": MOST_ATTEMPTS - 1})
    send(desk, owner)
    assert rows(owner, "SELECT state, last_error FROM jobs") == [
        ("failed", "chat: the destination refused it with 410"),
    ]
    assert rows(owner, "SELECT kind, state FROM notices") == [("refund_failed", "failed")]


def test_a_worker_that_dies_while_sending_is_followed_by_one_that_sends(
    desk: Desk, owner: sa.Engine, ear: Listener
) -> None:
    class Died(BaseException):
        """The process is gone."""

    def die(_message: object) -> None:
        raise Died

    say(desk, about())
    with pytest.raises(Died):
        send(replace(desk, routes=(route(ear, send=die),)), owner)
    send(desk, owner)
    assert ear.heard == []  # its lease still stands, and it may be sending yet

    pass_time(owner, timedelta(seconds=61))
    send(desk, owner)
    assert len(ear.heard) == 1


def test_a_notice_whose_job_looked_too_early_is_found_by_the_schedule(
    desk: Desk, owner: sa.Engine, ear: Listener
) -> None:
    say(desk, about())
    with owner.begin() as connection:
        connection.execute(sa.text("UPDATE jobs SET state = 'done'"))
    _, task = TASKS["notices"]
    assert task(desk) == 0
    pass_time(owner, timedelta(minutes=7))
    assert task(desk) == 1
    send(desk, owner)
    assert len(ear.heard) == 1


def test_quiet_hours_keep_notices_for_the_morning(desk: Desk, owner: sa.Engine, ear: Listener) -> None:
    now = datetime.now(UTC)
    night = QuietHours(
        begin=(now - timedelta(hours=1)).time(), until=(now + timedelta(hours=2)).time(), zone=ZoneInfo("UTC")
    )
    sleeping = replace(desk, routes=(route(ear, quiet=night),))
    say(sleeping, about())
    send(sleeping, owner)
    assert ear.heard == []
    assert rows(owner, "SELECT state FROM notices") == [("waiting",)]

    pass_time(owner, timedelta(hours=2, seconds=1))
    send(desk, owner)
    assert len(ear.heard) == 1


@pytest.mark.parametrize(
    ("at", "ends"),
    [
        ("2026-03-01T20:59:59+00:00", None),
        ("2026-03-01T21:00:00+00:00", "2026-03-02T06:00:00+00:00"),
        ("2026-03-02T05:59:59+00:00", "2026-03-02T06:00:00+00:00"),
        ("2026-03-02T06:00:00+00:00", None),
        ("2026-03-28T22:00:00+00:00", "2026-03-29T05:00:00+00:00"),  # the clock goes forward that night
    ],
)
def test_quiet_hours_end_by_the_clock_on_the_wall(at: str, ends: str | None) -> None:
    night = QuietHours(begin=time(22), until=time(7), zone=ZoneInfo("Europe/Berlin"))
    found = night.end_of(datetime.fromisoformat(at))
    assert (found.isoformat() if found else None) == ends


def test_a_test_goes_to_every_destination_and_says_which_did_not_take_it(desk: Desk, ear: Listener) -> None:
    with listening() as broken:
        broken.status = 500
        both = replace(desk, routes=(route(ear, kinds=frozenset()), route(broken, "pager")))
        assert try_routes(both, by="kim") == [("chat", None), ("pager", "the destination refused it with 500")]
    assert ear.titles == ["billingbot: this is a test"]


def test_a_destination_that_is_not_there_is_told_without_its_address() -> None:
    said = try_routes_of("json://hidden-token@127.0.0.1:9/secret")
    assert said == "the destination could not be reached"


def try_routes_of(url: str) -> str:
    from billingbot.telling.route import NotSentError

    with pytest.raises(NotSentError) as caught:
        sender(url)(message_of([about()], public_url=None))
    return str(caught.value)


def test_a_url_that_is_no_destination_is_refused_without_repeating_it() -> None:
    with pytest.raises(ValueError, match="expected a notification URL") as caught:
        sender("nonsense-token")
    assert "nonsense" not in str(caught.value)


@pytest.mark.parametrize(
    ("subject", "kind", "path"),
    [
        (CASE, NoticeKind.DEADLINE_NEAR, f"/cases/{CASE}"),
        (CASE.replace("case_", "rfd_"), NoticeKind.REFUND_OVERDUE, f"/refunds/{CASE.replace('case_', 'rfd_')}"),
        (CASE.replace("case_", "job_"), NoticeKind.JOB_FAILED, f"/jobs/{CASE.replace('case_', 'job_')}"),
        ("du_1", NoticeKind.DEADLINE_NEAR, "/disputes/du_1"),
        ("default", NoticeKind.BREAKER_OPEN, "/settings/modes"),
        ("brk_1", NoticeKind.RECONCILE_BREAK, "/reconcile"),
        ("test", NoticeKind.TEST, "/notices"),
    ],
)
def test_every_notice_leads_to_the_page_of_what_it_is_about(subject: str, kind: NoticeKind, path: str) -> None:
    notice = replace(about(), subject=subject, kind=kind)
    assert message_of([notice], public_url="https://x.example/").body.endswith(f"https://x.example{path}")
