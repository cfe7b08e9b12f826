"""Missed events: read from Stripe's own list, taken in once and in order, whatever dies on the way."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from billingbot.core.backfill import Backfill, BackfillReason, BackfillState, next_slice_seconds, regular_span
from billingbot.core.errors import InputError
from billingbot.core.job import MOST_ATTEMPTS, Actor
from billingbot.core.signals import SIGNALS
from billingbot.flows.receive import store
from billingbot.flows.replay import backfill as backfilling
from billingbot.gateway.client import StripeGateway
from billingbot.gateway.envelope import decode
from billingbot.gateway.past_events import TYPE_QUERIES, EventPage
from billingbot.store import backfills
from tests.faults.mortal import Died, die_everywhere, make_mortal
from tests.flows.shop import Shop

MONTH = timedelta(days=28)


def reach_now(shop: Shop) -> None:
    """Stripe's clock, which began 40 days ago, comes within what a backfill may ask for."""
    shop.stripe.advance(days=13)


def read_month(shop: Shop) -> Backfill:
    """A person asks for the last four weeks, and the workers read them."""
    begun = backfilling.ask(shop.desk, "default", datetime.now(UTC) - MONTH, None, by="kim")
    shop.work(only=Actor.BACKFILL)
    return as_it_stands(shop, begun.id)


def as_it_stands(shop: Shop, backfill_id: str) -> Backfill:
    with shop.desk.db.begin() as connection:
        return backfills.get(connection, backfill_id)


def listed(shop: Shop) -> list[dict[str, Any]]:
    """What Stripe has to tell of the last four weeks that somebody here needs."""
    since = (datetime.now(UTC) - MONTH).timestamp()
    return [event for event in shop.stripe.objects("event") if event["type"] in SIGNALS and event["created"] > since]


def stored(shop: Shop) -> list[str]:
    return [row.event_id for row in shop.rows("SELECT event_id FROM inbox ORDER BY event_id")]


def test_all_types_are_asked_for_in_as_few_queries_as_stripe_takes() -> None:
    assert sorted(name for query in TYPE_QUERIES for name in query) == sorted(SIGNALS)
    assert [len(query) <= 20 for query in TYPE_QUERIES] == [True, True]


def test_what_never_arrived_is_taken_in_and_acted_on_and_a_second_pass_finds_nothing(shop: Shop) -> None:
    reach_now(shop)
    trial, charge = shop.charged_trial()
    shop.stripe.dispute(charge, status="warning_needs_response")

    expected = listed(shop)
    first, second = read_month(shop), read_month(shop)
    shop.work()

    assert (first.state, first.missing, first.known, first.unreadable) == (BackfillState.DONE, len(expected), 0, 0)
    assert sum(first.missing_types.values()) == first.missing
    assert (second.missing, second.known) == (0, len(expected))
    assert stored(shop) == sorted(event["id"] for event in expected)
    assert len(shop.rows("SELECT 1 FROM conversions WHERE customer_id = :c", c=trial.customer)) == 1
    assert len(shop.cases_of(charge)) == 1, "the bank's inquiry, heard of from the list alone"


def test_an_event_that_was_acknowledged_and_lost_counts_as_missing_like_any_other(shop: Shop) -> None:
    reach_now(shop)
    shop.charged_trial()
    shop.deliver()
    total = len(listed(shop))
    shop.rows("DELETE FROM jobs WHERE actor = 'interpret' RETURNING id")
    [lost] = shop.rows("DELETE FROM inbox WHERE type = 'invoice.paid' AND id = (SELECT max(id) FROM inbox"
                       " WHERE type = 'invoice.paid') RETURNING event_id")  # fmt: skip

    found = read_month(shop)

    assert (found.missing, found.known) == (1, total - 1)
    assert found.missing_types == {"invoice.paid": 1}
    assert lost.event_id in stored(shop)


def test_an_event_known_by_its_thin_twin_is_not_missing(shop: Shop) -> None:
    reach_now(shop)
    shop.charged_trial()
    thin = [event for event in shop.stripe.objects("thin_event") if event["type"] == "v1.invoice.paid"]
    store(shop.desk, [decode(json.dumps(event).encode(), account="default", livemode=False, stripe_account=None)
                      for event in thin])  # fmt: skip

    found = read_month(shop)

    assert len(thin) > 0
    assert "invoice.paid" not in found.missing_types


def test_what_is_taken_in_is_rung_for_in_the_order_in_which_it_happened(shop: Shop) -> None:
    reach_now(shop)
    shop.charged_trial()
    shop.desk.bell.rung.clear()  # type: ignore[attr-defined] # the shop's bell notes who was rung for

    read_month(shop)

    order = {row.id: (row.created, row.event_id) for row in shop.rows(
        "SELECT j.id, i.created, i.event_id FROM jobs j JOIN inbox i ON i.id = j.subject")}  # fmt: skip
    rung = [order[job] for job in shop.desk.bell.rung if job in order]  # type: ignore[attr-defined] # as above
    assert rung == sorted(rung)
    assert len(rung) == len(order) > 5


class NarrowGateway(StripeGateway):
    """The real gateway, with pages of three events; notes the shortest span that was asked for."""

    shortest = timedelta.max

    def past_events(self, **asked: Any) -> EventPage:
        self.shortest = min(self.shortest, asked["until"] - asked["since"])
        page = super().past_events(**asked)
        if len(page.envelopes) <= 3:
            return page
        kept = page.envelopes[:3]
        return EventPage(envelopes=kept, unreadable=page.unreadable, next=kept[-1].event_id)


def test_a_slice_with_more_than_may_be_held_is_read_in_halves_and_nothing_is_left_out(shop: Shop) -> None:
    reach_now(shop)
    for _ in range(8):
        shop.start_trial()
    shop.end_trials()
    gateway = NarrowGateway("default", "rk_test_shop", False, api_base=shop.stripe.url)
    shop.replace_gateway(gateway)

    read_month(shop)

    assert gateway.shortest < timedelta(hours=1), "what holds more than fifteen of a query is halved"
    assert stored(shop) == sorted(event["id"] for event in listed(shop))


def test_a_pass_that_dies_anywhere_goes_on_and_comes_to_the_same(shop: Shop) -> None:
    reach_now(shop)
    shop.charged_trial()
    happened = listed(shop)
    last = datetime.fromtimestamp(max(event["created"] for event in happened), UTC)
    since, until = last - timedelta(minutes=90), last + timedelta(seconds=1)  # two slices: a death more costs seconds
    expected = sorted(event["id"] for event in happened if event["created"] >= since.timestamp())
    fate = make_mortal(shop)

    def live() -> None:
        shop.rows("DELETE FROM jobs RETURNING id")
        shop.rows("DELETE FROM inbox RETURNING id")
        dies_at, after = fate.dies_at, fate.after
        fate.begin(dies_at=None)
        begun = backfilling.ask(shop.desk, "default", since, until, by="kim")
        fate.begin(dies_at=dies_at, after=after)
        try:
            shop.work(only=Actor.BACKFILL)
        except Died:
            instants = fate.instants
            fate.begin(dies_at=None)
            shop.hurry()
            shop.work(only=Actor.BACKFILL)
            fate.instants = instants
        ended = as_it_stands(shop, begun.id)
        assert (ended.state, ended.missing) == (BackfillState.DONE, len(expected))
        assert stored(shop) == expected
        assert shop.rows("SELECT subject FROM jobs WHERE actor = 'interpret' GROUP BY 1 HAVING count(*) > 1") == []

    assert die_everywhere(fate, live) >= 4
    assert shop.ledger_flaws() == []


def test_a_pass_without_stripe_fails_where_a_person_sees_it_and_a_replay_goes_on(shop: Shop) -> None:
    reach_now(shop)
    shop.charged_trial()
    shop.stripe.fault("forbidden", path="/v1/events", times=None, permission="rak_event_read")
    begun = backfilling.ask(shop.desk, "default", datetime.now(UTC) - MONTH, None, by="kim")
    shop.rows("UPDATE jobs SET attempts = :n WHERE actor = 'backfill' RETURNING id", n=MOST_ATTEMPTS - 1)
    shop.work(only=Actor.BACKFILL)

    assert as_it_stands(shop, begun.id).state is BackfillState.FAILED
    [failed] = shop.rows("SELECT * FROM jobs WHERE actor = 'backfill'")
    assert failed.state == "failed"
    assert "rak_event_read" in failed.last_error

    shop.stripe.clear_faults()
    shop.rows("UPDATE jobs SET state = 'ready', attempts = 0 WHERE id = :id RETURNING id", id=failed.id)
    shop.work(only=Actor.BACKFILL)
    ended = as_it_stands(shop, begun.id)
    assert (ended.state, ended.missing) == (BackfillState.DONE, len(listed(shop)))


# ---------------------------------------------------------------- by itself


def set_back(shop: Shop, *, mark: timedelta | None = None, alive: timedelta | None = None) -> None:
    """As if the last whole pass, or the schedule's last sign of life, were that long ago."""
    with shop.owner.begin() as connection:
        if mark is not None:
            connection.execute(sa.text("UPDATE event_marks SET read_to = now() - :by"), {"by": mark})
        if alive is not None:
            connection.execute(
                sa.text("UPDATE ticks SET last_run_at = now() - :by WHERE name = 'alive'"), {"by": alive}
            )


def begun(shop: Shop) -> list[Backfill]:
    with shop.desk.db.begin() as connection:
        return list(backfills.latest(connection, limit=10))


def test_a_new_desk_has_missed_nothing_and_asks_for_nothing(shop: Shop) -> None:
    assert [shop.do("missed_events") for _ in range(2)] == [0, 0]
    assert begun(shop) == []


@pytest.mark.parametrize(
    ("mark", "alive", "reason"),
    [
        (timedelta(hours=25), timedelta(minutes=1), BackfillReason.DAILY),
        (timedelta(hours=7), timedelta(minutes=1), BackfillReason.QUIET),
        (timedelta(hours=1), timedelta(minutes=6), BackfillReason.DOWNTIME),
        (timedelta(hours=1), timedelta(minutes=4), None),
    ],
)
def test_a_pass_begins_daily_after_a_silence_and_after_a_downtime(
    shop: Shop, mark: timedelta, alive: timedelta, reason: BackfillReason | None
) -> None:
    shop.do("missed_events")
    set_back(shop, mark=mark, alive=alive)

    shop.do("missed_events")
    shop.do("missed_events")
    shop.work()

    assert [one.reason for one in begun(shop)] == ([reason] if reason else [])
    assert all(one.state is BackfillState.DONE for one in begun(shop))
    shop.do("missed_events")
    assert len(begun(shop)) == (1 if reason else 0), "what is read is not read again"


def test_a_pass_reads_from_an_hour_before_the_last_and_never_further_back_than_stripe_keeps() -> None:
    now = datetime(2026, 12, 1, 12, 0, 0, 500, tzinfo=UTC)
    since, until = regular_span(now - timedelta(hours=25), now, BackfillReason.DAILY)
    assert (since, until) == (
        datetime(2026, 11, 30, 10, 0, tzinfo=UTC),
        datetime(2026, 12, 1, 11, 50, tzinfo=UTC),
    )
    assert regular_span(now, now, BackfillReason.DOWNTIME)[1] == now.replace(microsecond=0)
    assert regular_span(now - timedelta(days=90), now, BackfillReason.DOWNTIME)[0] >= now - timedelta(
        days=29, seconds=1
    )


def test_a_span_that_a_person_names_moves_the_mark_only_where_it_leaves_nothing_out(shop: Shop) -> None:
    shop.do("missed_events")
    set_back(shop, mark=timedelta(days=3))
    [before] = shop.rows("SELECT read_to FROM event_marks")

    backfilling.ask(shop.desk, "default", datetime.now(UTC) - timedelta(days=1), None, by="kim")
    shop.work()
    [aside] = shop.rows("SELECT read_to FROM event_marks")
    read_month(shop)
    [over] = shop.rows("SELECT read_to FROM event_marks")

    assert aside.read_to == before.read_to
    assert over.read_to > before.read_to + timedelta(days=2)


@pytest.mark.parametrize(
    ("field", "since", "until"),
    [
        ("since", timedelta(days=30), None),
        ("since", timedelta(hours=1), timedelta(hours=2)),
        ("until", timedelta(hours=1), -timedelta(hours=1)),
    ],
)
def test_a_span_that_cannot_be_read_is_refused(
    shop: Shop, field: str, since: timedelta, until: timedelta | None
) -> None:
    now = datetime.now(UTC)
    with pytest.raises(InputError) as refused:
        backfilling.ask(shop.desk, "default", now - since, now - until if until is not None else None, by="kim")
    assert refused.value.field == field


def test_slices_grow_where_little_happened() -> None:
    assert next_slice_seconds(3600, 10, room=1000) == 7200
    assert next_slice_seconds(3600, 500, room=1000) == 3600
    assert next_slice_seconds(86_400, 0, room=1000) == 86_400


def test_a_pass_needs_no_more_calls_for_an_empty_month_than_slices(shop: Shop) -> None:
    calls: list[object] = []

    class Counting(StripeGateway):
        def past_events(self, **asked: Any) -> EventPage:
            calls.append(asked)
            return super().past_events(**asked)

    shop.replace_gateway(Counting("default", "rk_test_shop", False, api_base=shop.stripe.url))
    assert read_month(shop).state is BackfillState.DONE
    assert len(calls) <= 2 * 35


def test_people_hear_of_events_that_were_missed_unless_a_downtime_explains_them(shop: Shop) -> None:
    reach_now(shop)
    shop.charged_trial()
    shop.do("missed_events")
    set_back(shop, mark=timedelta(days=27), alive=timedelta(hours=1))
    shop.do("missed_events")
    shop.work()
    assert begun(shop)[0].missing > 0
    assert shop.rows("SELECT * FROM notices WHERE kind = 'events_missed'") == []

    shop.rows("DELETE FROM jobs WHERE actor = 'interpret' RETURNING id")
    shop.rows("DELETE FROM inbox RETURNING id")
    set_back(shop, mark=timedelta(days=27))
    shop.do("missed_events")
    shop.work()

    [told] = shop.rows("SELECT * FROM notices WHERE kind = 'events_missed'")
    assert f"{begun(shop)[0].missing} events" in told.headline
    assert "charge.succeeded" in told.body
