"""Sources together: asked side by side, in order, within a deadline, and what follows from all their answers."""

import subprocess
import sys
import threading
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.evidence.people import EMAIL, NOW, SINCE, subject
from tests.evidence.records import NoPushes, Pushes, nothing_pushed

from billingbot.core.evidence.usage import Span, Subject, UsageReport, shortfall
from billingbot.evidence.build import build_usage_sources
from billingbot.evidence.config import read_evidence_config
from billingbot.evidence.guard import Guard
from billingbot.evidence.push import PushedAnswer
from billingbot.evidence.reading import NotThereError, SupportReading, UnreachableError, UsageReading
from billingbot.evidence.sources import GuardedSupport, GuardedUsage, gather_support, gather_usage

COVERED = (Span(start=SINCE, end=NOW),)
UNUSED = UsageReading(coverage=COVERED)
USED = UsageReading(used=True)

Read = Callable[[Subject, datetime], UsageReading]


def source(name: str, read: Read, *, guard: Guard | None = None) -> GuardedUsage:
    return GuardedUsage(name=name, max_age=timedelta(minutes=5), read=read, guard=guard or Guard())


def saying(reading: UsageReading) -> Read:
    return lambda _subject, _now: reading


def failing(fault: Exception) -> Read:
    def read(_subject: Subject, _now: datetime) -> UsageReading:
        raise fault

    return read


class Clock:
    """Seconds that pass when the test says so."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def gathered(*readings: UsageReading | Exception) -> tuple[UsageReport, ...]:
    reads = [failing(one) if isinstance(one, Exception) else saying(one) for one in readings]
    return gather_usage([source(f"s{index}", read) for index, read in enumerate(reads)], subject(), NOW)


@given(st.lists(st.sampled_from(["used", "unused", "uncovered", "down"]), max_size=5))
def test_used_if_any_says_so_and_unused_only_if_all_cover_everything(kinds: list[str]) -> None:
    known = {"used": USED, "unused": UNUSED, "uncovered": UsageReading(), "down": UnreachableError("down")}
    reports = gathered(*(known[kind] for kind in kinds))
    assert [report.source for report in reports] == [f"s{index}" for index in range(len(kinds))]
    assert any(report.saw_use for report in reports) is ("used" in kinds)
    complete = all(shortfall(report, since=SINCE, now=NOW) is None for report in reports)
    assert complete is all(kind == "unused" for kind in kinds)


def test_no_sources_give_no_reports() -> None:
    assert gather_usage([], subject(), NOW) == ()
    assert gather_support([], subject(), NOW) == ()


def test_an_unexpected_fault_is_a_report_that_tells_its_class_and_no_message() -> None:
    (report,) = gathered(RuntimeError(f"postgres://u:secret@h {EMAIL}"))
    assert not report.answered
    assert (report.why or "").startswith("failed unexpectedly (RuntimeError at test_sources.py:")
    assert EMAIL not in (report.why or "")


def test_a_hanging_source_is_reported_in_time_and_the_others_are_heard() -> None:
    release = threading.Event()

    def hang(_subject: Subject, _now: datetime) -> UsageReading:
        release.wait(20)
        return USED

    began = time.monotonic()
    sources = [source("slow", hang), source("quick", saying(UNUSED))]
    slow, quick = gather_usage(sources, subject(), NOW, deadline_seconds=0.2)
    release.set()
    assert time.monotonic() - began < 2
    assert (slow.source, slow.answered, slow.why) == ("slow", False, "no answer within 0.2 s")
    assert (quick.source, quick.answered) == ("quick", True)


def test_sources_are_asked_at_the_same_time() -> None:
    together = threading.Barrier(3, timeout=5)

    def meet(_subject: Subject, _now: datetime) -> UsageReading:
        together.wait()
        return UNUSED

    reports = gather_usage([source(name, meet) for name in ("a", "b", "c")], subject(), NOW)
    assert [report.answered for report in reports] == [True, True, True]


def test_hanging_questions_do_not_pile_up() -> None:
    release = threading.Event()

    def hang(_subject: Subject, _now: datetime) -> UsageReading:
        release.wait(20)
        return UNUSED

    slow = source("slow", hang, guard=Guard(open_questions=2))
    for _ in range(2):
        gather_usage([slow], subject(), NOW, deadline_seconds=0.05)
    before = threading.active_count()
    reports = [gather_usage([slow], subject(), NOW, deadline_seconds=1)[0] for _ in range(10)]
    assert {report.why for report in reports} == {"not asked: 2 earlier questions are still open"}
    assert threading.active_count() <= before
    release.set()


def test_a_hanging_source_does_not_hold_the_end_of_the_process() -> None:
    program = (
        "import time\n"
        "from tests.evidence.test_sources import *\n"
        "hang = source('slow', lambda s, n: time.sleep(60))\n"
        "print(gather_usage([hang], subject(), NOW, deadline_seconds=0.1)[0].why)\n"
    )
    root = Path(__file__).resolve().parents[2]
    run = [sys.executable, "-c", program]
    done = subprocess.run(run, cwd=root, capture_output=True, text=True, timeout=30, check=True)
    assert done.stdout.strip() == "no answer within 0.1 s"


def test_a_dead_source_rests_after_failures_in_a_row_and_is_asked_again_later() -> None:
    clock, asked = Clock(), []
    answers: list[UsageReading | Exception] = [UnreachableError("down")] * 4 + [UNUSED, UNUSED]

    def read(_subject: Subject, _now: datetime) -> UsageReading:
        asked.append(clock.seconds)
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    weak = source("weak", read, guard=Guard(failures=3, rest_seconds=10, clock=clock))
    for _ in range(5):
        last = weak.report(subject(), now=NOW)
    assert (last.why, len(asked)) == ("not asked: failed 3 times in a row, asked again soon", 3)
    clock.seconds = 10.0
    assert weak.report(subject(), now=NOW).why == "down"
    assert not weak.report(subject(), now=NOW).answered
    assert len(asked) == 4
    clock.seconds = 20.0
    assert weak.report(subject(), now=NOW).answered
    assert weak.report(subject(), now=NOW).answered
    assert len(asked) == 6


def test_only_one_question_tries_a_resting_source() -> None:
    clock, inside, release, asked = Clock(), threading.Event(), threading.Event(), []

    def read(_subject: Subject, _now: datetime) -> UsageReading:
        asked.append(1)
        if len(asked) == 1:
            raise UnreachableError("down")
        inside.set()
        release.wait(5)
        return UNUSED

    weak = source("weak", read, guard=Guard(failures=1, rest_seconds=10, clock=clock))
    weak.report(subject(), now=NOW)
    clock.seconds = 10.0
    probe = threading.Thread(target=weak.report, args=(subject(),), kwargs={"now": NOW})
    probe.start()
    assert inside.wait(5)
    assert not weak.report(subject(), now=NOW).answered
    release.set()
    probe.join()
    assert len(asked) == 2
    assert weak.report(subject(), now=NOW).answered


def test_a_customer_whom_the_source_cannot_place_does_not_rest_it() -> None:
    absent = source("s", failing(NotThereError("does not know this customer")), guard=Guard(failures=2))
    whys = {absent.report(subject(), now=NOW).why for _ in range(10)}
    assert whys == {"does not know this customer"}


def test_support_is_gathered_the_same_way() -> None:
    def dead(_subject: Subject, _now: datetime) -> SupportReading:
        raise UnreachableError("down")

    asked_at = NOW - timedelta(days=1)
    sources = [
        GuardedSupport(name="dead", max_age=timedelta(), read=dead),
        GuardedSupport(
            name="desk", max_age=timedelta(), read=lambda _s, _n: SupportReading(cancellation_asked_at=asked_at)
        ),
    ]
    first, second = gather_support(sources, subject(), NOW)
    assert (first.source, first.answered, first.why) == ("dead", False, "down")
    assert (second.source, second.cancellation_asked_at) == ("desk", asked_at)


PUSH = '[[usage]]\ntype = "push"\nname = "events"\nmax_age_seconds = 60\n'


def test_pushed_activity_is_a_source_like_the_others() -> None:
    hit = NOW - timedelta(days=3)
    told = PushedAnswer(first_at=hit, last_at=hit, events=1, tag_installed_at=None, api_connected_at=None, coverage=())
    records = Pushes({("main", False, "events", "cus_dana"): told}, coverage=COVERED)
    (events,) = build_usage_sources(read_evidence_config(PUSH, file="b.toml"), {}, Path(), records)
    dana = events.report(subject(), now=NOW)
    idle = events.report(subject(customer_id="cus_idle"), now=NOW)
    assert (dana.used, dana.events, dana.first_at, dana.coverage) == (True, 1, hit, ())
    assert (idle.used, idle.events, idle.max_age) == (False, 0, timedelta(seconds=60))
    assert shortfall(idle, since=SINCE, now=NOW) is None


@pytest.mark.parametrize("mark", ["tag_installed_at", "api_connected_at"])
def test_a_pushed_mark_without_any_event_is_use(mark: str) -> None:
    told = PushedAnswer(**{**{name: getattr(nothing_pushed(), name) for name in PushedAnswer.__slots__}, mark: NOW})
    records = Pushes({("main", False, "events", "cus_dana"): told})
    (events,) = build_usage_sources(read_evidence_config(PUSH, file="b.toml"), {}, Path(), records)
    assert events.report(subject(), now=NOW).used


def test_records_that_cannot_be_read_are_no_answer() -> None:
    class Broken(NoPushes):
        def activity(self, *, account: str, livemode: bool, source: str, subject: Subject) -> PushedAnswer:
            raise OSError("connection to 10.0.0.1 lost")

    (events,) = build_usage_sources(read_evidence_config(PUSH, file="b.toml"), {}, Path(), Broken())
    report = events.report(subject(), now=NOW)
    assert not report.answered
    assert "10.0.0.1" not in (report.why or "")
