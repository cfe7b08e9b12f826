"""Deadlines by the clock: what is to be told by when, and when a case is due."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billingbot.bootstrap.settings import DisputesSection
from billingbot.core.disputes.deadlines import DEFAULT_TERMS, DisputeTerms, case_due, moved_due, next_alarm, passed

DUE = datetime(2026, 3, 20, 23, 59, 59, tzinfo=UTC)


@pytest.mark.parametrize(
    ("hours_left", "near", "escalates", "missed"),
    [
        (73, 0, False, False),
        (72, 1, False, False),
        (24, 2, True, False),
        (4, 3, True, False),
        (0, 3, True, True),
    ],
)
def test_reminders_come_at_their_distances(hours_left: int, near: int, *, escalates: bool, missed: bool) -> None:
    found = passed(DUE, DUE - timedelta(hours=hours_left), DEFAULT_TERMS)
    assert (len(found.near), found.escalates, found.missed) == (near, escalates, missed)


distances = st.lists(st.integers(0, 500).map(lambda hours: timedelta(hours=hours)), max_size=5).map(tuple)


@given(distances, st.timedeltas(timedelta(hours=0), timedelta(hours=500)), st.timedeltas(-timedelta(9), timedelta(30)))
def test_between_now_and_the_next_alarm_nothing_becomes_due(
    remind: tuple[timedelta, ...], escalate: timedelta, before: timedelta
) -> None:
    terms = DisputeTerms(remind_before=remind, escalate_before=escalate)
    now = DUE - before
    following = next_alarm(DUE, now, terms)
    if following is None:
        assert passed(DUE, now, terms).missed
        return
    assert now < following <= DUE
    just_before = following - timedelta(microseconds=1)
    assert passed(DUE, max(now, just_before), terms) == passed(DUE, now, terms)
    assert passed(DUE, following, terms) != passed(DUE, now, terms)


def test_a_case_follows_its_deadline_and_keeps_what_is_due_sooner_for_another_reason() -> None:
    later, sooner = DUE + timedelta(days=3), case_due(DUE, DEFAULT_TERMS) - timedelta(hours=1)
    followed = case_due(DUE, DEFAULT_TERMS)
    assert moved_due(None, applied=None, due_by=DUE, terms=DEFAULT_TERMS) == followed
    assert moved_due(followed, applied=DUE, due_by=later, terms=DEFAULT_TERMS) == case_due(later, DEFAULT_TERMS)
    assert moved_due(sooner, applied=DUE, due_by=later, terms=DEFAULT_TERMS) == sooner
    assert moved_due(later, applied=None, due_by=DUE, terms=DEFAULT_TERMS) == followed


def test_the_configuration_says_as_shipped_what_the_desk_does_without_one() -> None:
    terms = DisputesSection().terms()
    assert set(terms.remind_before) == set(DEFAULT_TERMS.remind_before)
    assert (terms.margin, terms.escalate_before) == (DEFAULT_TERMS.margin, DEFAULT_TERMS.escalate_before)
    assert terms.cancel_subscription is DEFAULT_TERMS.cancel_subscription
