"""Failed jobs: what a replay would do, doing it once under a name, and putting jobs away."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from billingbot.core.case import CaseState
from billingbot.core.errors import InputError, NotFoundError
from billingbot.core.ids import Kind
from billingbot.core.job import MOST_ATTEMPTS, Actor
from billingbot.core.mode import Mode
from billingbot.core.money import Money
from billingbot.core.replay import ItemState
from billingbot.flows.casework import review
from billingbot.flows.desk import step
from billingbot.flows.reconcile import start_due
from billingbot.flows.replay.foretell import Effect, Preview
from billingbot.flows.replay.replay import dismiss, survey
from billingbot.flows.replay.replay_runs import drive, start
from billingbot.store.jobs import FailedFilter
from tests.flows.shop import Shop, in_days

EVERY = FailedFilter()


def fail(shop: Shop, actor: Actor, *, error_class: str = "StripeUnavailableError") -> str:
    """Ends the newest job of this kind as failed, whatever became of it, and says which it was."""
    [row] = shop.rows(
        "UPDATE jobs SET state = 'failed', attempts = :most, finished_at = now(), last_error = 'away', token = NULL,"
        " lease_until = NULL WHERE id = (SELECT max(id) FROM jobs WHERE actor = :actor) RETURNING id",
        most=MOST_ATTEMPTS,
        actor=actor,
    )
    shop.rows(
        "INSERT INTO job_failures (job_id, attempt, error_class, error, traceback)"
        " VALUES (:id, :most, :error_class, 'away', 'frames') RETURNING job_id",
        id=row.id,
        most=MOST_ATTEMPTS,
        error_class=error_class,
    )
    return str(row.id)


def told(shop: Shop) -> dict[str, Preview]:
    """The preview of every failed job, by job."""
    return {one.job.id: one for one in survey(shop.desk, EVERY).previews}


def again(shop: Shop, name: str = "incident", **wanted: Any) -> tuple[int, int, int]:
    """Replays, and says how many of the run were made ready, had been seen to, were left."""
    start(shop.desk, FailedFilter(**wanted), name=name, by="kim", why="Stripe is back", rate=1000)
    run = drive(shop.desk, name, pause=lambda _: False)
    return run.count(ItemState.REPLAYED), run.count(ItemState.GONE), run.count(ItemState.LEFT)


def entries(shop: Shop, kind: str) -> list[Any]:
    return shop.rows("SELECT * FROM ledger_entries WHERE kind = :kind ORDER BY seq", kind=kind)


def test_a_failed_payment_is_foretold_with_its_amount_and_replayed_into_one_refund(shop: Shop) -> None:
    _, charge = shop.charged_trial()
    shop.ask(charge, unused=True)
    shop.work(only=Actor.ASSESS)
    job = fail(shop, Actor.SUBMIT)

    seen = told(shop)[job]
    assert (seen.effect, seen.amount_minor, seen.currency, seen.account) == (Effect.MAY_PAY, 4900, "usd", "default")
    assert shop.refunds_at_stripe(charge) == [], "a preview pays nothing"
    assert again(shop) == (1, 0, 0)
    assert again(shop) == (1, 0, 0)
    shop.work()

    assert len(entries(shop, "job.replayed")) == 1, "under one name once"
    shop.assert_paid_once(charge)


def test_replaying_the_payment_of_a_paid_refund_pays_nothing_more(shop: Shop) -> None:
    _, charge = shop.charged_trial()
    shop.ask(charge, unused=True)
    shop.work()
    job = fail(shop, Actor.SUBMIT)

    assert told(shop)[job].effect is Effect.NOTHING
    assert again(shop) == (1, 0, 0)
    shop.work()

    shop.assert_paid_once(charge)


def give_up(shop: Shop, actor: Actor) -> None:
    """The jobs of this kind run for the last time, against a Stripe whose key was revoked."""
    shop.stripe.fault("forbidden", method="GET", times=None)
    shop.rows(
        "UPDATE jobs SET attempts = :n, run_at = now() WHERE actor = :actor AND state = 'ready' RETURNING id",
        n=MOST_ATTEMPTS - 1,
        actor=actor,
    )
    shop.work(only=actor)
    shop.stripe.clear_faults()


@pytest.mark.parametrize("actor", [Actor.ASSESS, Actor.SUBMIT])
def test_a_case_that_a_person_has_only_because_its_job_gave_up_is_taken_back_and_paid(shop: Shop, actor: Actor) -> None:
    _, charge = shop.charged_trial()
    shop.ask(charge, unused=True)
    if actor is Actor.SUBMIT:
        shop.work(only=Actor.ASSESS)
    give_up(shop, actor)
    [seen] = survey(shop.desk, FailedFilter(actor=actor)).previews

    assert [case.state for case in shop.cases_of(charge)] == [CaseState.REVIEW]
    assert seen.effect is Effect.MAY_PAY
    assert "nobody has taken it" in seen.why
    assert again(shop) == (1, 0, 0)
    shop.work()
    shop.assert_paid_once(charge)


def test_a_case_that_somebody_has_taken_stays_with_them(shop: Shop) -> None:
    _, charge = shop.charged_trial()
    shop.ask(charge, unused=True)
    give_up(shop, Actor.ASSESS)
    [case] = shop.cases_of(charge)
    review.claim(shop.desk, shop.person(case.id))

    [seen] = survey(shop.desk, EVERY).previews
    assert (seen.effect, "cases reassess" in seen.why) == (Effect.NOTHING, True)
    again(shop)
    shop.work()
    assert shop.case(case.id).assignee == "kim"
    shop.assert_not_paid(charge)


def test_the_preview_says_what_the_last_facts_come_to_under_the_policy_of_now(shop: Shop) -> None:
    _, charge = shop.charged_trial()
    shop.ask(charge, unused=True)
    shop.work(only=Actor.ASSESS)
    job = fail(shop, Actor.SUBMIT)

    assert "come to refund, rule unused-trial of" in told(shop)[job].why


@pytest.mark.parametrize(
    ("mode", "effect"),
    [
        (Mode.AUTO, Effect.MAY_PAY),
        (Mode.ASSIST, Effect.DECIDES),
        (Mode.SHADOW, Effect.DECIDES),
        (Mode.OFF, Effect.DECIDES),
    ],
)
def test_an_assessment_may_pay_in_auto_only(shop: Shop, mode: Mode, effect: Effect) -> None:
    _, charge = shop.charged_trial()
    shop.ask(charge, unused=True)
    job = fail(shop, Actor.ASSESS)
    shop.set_mode(mode)

    seen = told(shop)[job]

    assert seen.effect is effect
    assert str(mode) in seen.why
    assert (f"{shop.policy.id}@{shop.policy.version}" in seen.why) is (mode is not Mode.OFF)


@pytest.mark.parametrize(
    ("origin", "mode", "effect"),
    [
        ("policy", Mode.ASSIST, Effect.DECIDES),
        ("person", Mode.ASSIST, Effect.MAY_PAY),
        ("person", Mode.SHADOW, Effect.DECIDES),
    ],
)
def test_a_payment_is_foretold_by_who_wanted_it_and_the_mode(
    shop: Shop, origin: str, mode: Mode, effect: Effect
) -> None:
    _, charge = shop.charged_trial()
    shop.ask(charge, unused=True)
    if origin == "person":
        shop.set_mode(Mode.ASSIST)
        shop.work()
        [case] = shop.cases_of(charge)
        review.approve(shop.desk, shop.person(case.id), reason="fair")
    else:
        shop.work(only=Actor.ASSESS)
    job = fail(shop, Actor.SUBMIT)
    shop.set_mode(mode)

    assert told(shop)[job].effect is effect
    again(shop)
    shop.work()
    paid = len(shop.refunds_at_stripe(charge))
    assert paid == (1 if effect is Effect.MAY_PAY else 0), "what is not foretold must not happen"


def test_an_event_that_another_job_acted_on_needs_no_replay(shop: Shop) -> None:
    shop.charged_trial()
    shop.deliver()
    job = fail(shop, Actor.INTERPRET)
    before = told(shop)[job].effect
    [row] = shop.rows("SELECT subject FROM jobs WHERE id = :id", id=job)
    with step(shop.desk) as this:
        this.enqueue(Actor.INTERPRET, row.subject)
    shop.work()

    assert before is not Effect.NOTHING
    assert told(shop)[job].effect is Effect.NOTHING


@pytest.mark.parametrize(("mode", "effect"), [(Mode.AUTO, Effect.MAY_PAY), (Mode.ASSIST, Effect.DECIDES)])
def test_whatever_reads_a_dispute_may_pay_the_inquiry_that_it_finds(shop: Shop, mode: Mode, effect: Effect) -> None:
    _, charge = shop.charged_trial()
    shop.skip_events()
    inquiry = shop.stripe.dispute(charge, status="warning_needs_response", due_by=in_days(5))["id"]
    with step(shop.desk) as this:
        this.enqueue(Actor.WATCH_DISPUTE, f"default/{inquiry}")
    start_due(shop.desk)
    watch, _ = fail(shop, Actor.WATCH_DISPUTE), fail(shop, Actor.RECONCILE)
    shop.set_mode(mode)
    assert [one.effect for one in told(shop).values()] == [effect, effect]

    again(shop, ids=(watch,))
    shop.work()
    assert [row["amount"] for row in shop.refunds_at_stripe(charge)] == ([4900] if mode is Mode.AUTO else [])


def test_money_is_counted_once_per_refund_and_by_currency(shop: Shop) -> None:
    customers = [shop.start_trial(currency=currency) for currency in ("usd", "eur")]
    shop.end_trials()
    for customer in customers:
        shop.ask(shop.last_charge(customer), unused=True)
        shop.work(only=Actor.ASSESS)
        job = fail(shop, Actor.SUBMIT)
    with step(shop.desk) as this:
        this.enqueue(Actor.SUBMIT, shop.rows("SELECT subject FROM jobs WHERE id = :id", id=job)[0].subject)
    fail(shop, Actor.SUBMIT)
    shop.ask(shop.charged_trial()[1], unused=True)
    fail(shop, Actor.ASSESS)

    seen = survey(shop.desk, EVERY)

    assert [one.effect for one in seen.previews] == [Effect.MAY_PAY] * 4
    sums = seen.totals
    assert sums.amounts == (Money(amount_minor=4900, currency="eur"), Money(amount_minor=4900, currency="usd"))
    assert sums.unknown == 1, "nobody knows the amount of a case that was never looked at"


def test_one_name_replays_a_job_once_even_where_it_fails_again(shop: Shop) -> None:
    shop.ask(shop.charged_trial()[1], unused=True)
    job = fail(shop, Actor.ASSESS)

    assert again(shop) == (1, 0, 0)
    shop.rows("UPDATE jobs SET state = 'failed', finished_at = now() WHERE id = :id RETURNING id", id=job)
    assert again(shop) == (1, 0, 0)
    assert list(told(shop)) == [job], "and it stays failed"
    assert again(shop, "a second night") == (1, 0, 0)
    [first, second] = entries(shop, "job.replayed")
    assert (first.subject, first.actor, first.account) == (job, "kim", "default")
    assert b'"name":"incident"' in bytes(first.body)
    assert b"sha256:" in bytes(first.body)
    assert b"Stripe is back" not in bytes(first.body)
    assert second.subject == job
    assert shop.ledger_flaws() == []


def test_a_replayed_job_counts_anew_and_keeps_the_failures_of_both_runs(shop: Shop) -> None:
    shop.ask(shop.charged_trial()[1], unused=True)
    job = fail(shop, Actor.ASSESS)
    again(shop)
    [row] = shop.rows("SELECT * FROM jobs WHERE id = :id", id=job)
    assert (row.state, row.attempts, row.last_error, row.finished_at) == ("ready", 0, "away", None)
    assert job in shop.desk.bell.rung  # type: ignore[attr-defined] # the shop's bell notes who was rung for

    shop.stripe.fault("forbidden", method="GET", times=None)
    for _ in range(2):
        shop.hurry()
        shop.work(only=Actor.ASSESS)

    kept = shop.rows("SELECT attempt FROM job_failures WHERE job_id = :id ORDER BY attempt", id=job)
    assert [failure.attempt for failure in kept] == [MOST_ATTEMPTS, MOST_ATTEMPTS + 1, MOST_ATTEMPTS + 2]


def test_a_job_about_nothing_or_nobodys_account_is_left_for_a_person(shop: Shop) -> None:
    with step(shop.desk) as this:
        this.enqueue(Actor.ASSESS, this.new_id(Kind.CASE))
    about_nothing = fail(shop, Actor.ASSESS)
    with step(shop.desk) as this:
        this.enqueue(Actor.IMPORT_HISTORY, "elsewhere")
    elsewhere = fail(shop, Actor.IMPORT_HISTORY)

    seen = told(shop)

    assert {seen[about_nothing].effect, seen[elsewhere].effect} == {Effect.NEEDS_PERSON}
    assert again(shop) == (0, 0, 2)
    assert set(told(shop)) == {about_nothing, elsewhere}
    assert entries(shop, "job.replayed") == []


def test_filters_choose_and_all_must_hold(shop: Shop) -> None:
    shop.ask(shop.charged_trial()[1], unused=True)
    job = fail(shop, Actor.ASSESS)
    [row] = shop.rows("SELECT finished_at FROM jobs WHERE id = :id", id=job)
    soon = row.finished_at + timedelta(seconds=1)

    def found(**wanted: Any) -> bool:
        return bool(survey(shop.desk, FailedFilter(**wanted)).count)

    case = shop.rows("SELECT subject FROM jobs WHERE id = :id", id=job)[0].subject
    assert found(ids=(job,), actor=Actor.ASSESS, error_class="StripeUnavailableError", account="default", case=case)
    assert found(since=row.finished_at, until=soon)
    for other in (
        {"actor": Actor.SUBMIT}, {"error_class": "ValueError"}, {"account": "second"}, {"since": soon},
        {"case": shop.desk.new_id(Kind.CASE)},
        {"until": row.finished_at}, {"after": job}, {"ids": ()}, {"through": "job_0"},
    ):  # fmt: skip
        assert not found(**other), other
    with pytest.raises(NotFoundError, match="there is none"):
        found(ids=(job, shop.desk.new_id(Kind.JOB)))


def test_a_dismissed_job_stays_readable_is_in_the_ledger_and_comes_back_no_more(shop: Shop) -> None:
    shop.ask(shop.charged_trial()[1], unused=True)
    job = fail(shop, Actor.ASSESS)

    assert dismiss(shop.desk, FailedFilter(ids=(job,)), by="kim", why="a test of ours") == 1
    assert dismiss(shop.desk, FailedFilter(ids=(job,)), by="kim", why="a test of ours") == 0
    assert again(shop) == (0, 0, 0)

    [row] = shop.rows("SELECT state, last_error FROM jobs WHERE id = :id", id=job)
    assert (row.state, row.last_error) == ("dismissed", "away")
    [entry] = entries(shop, "job.dismissed")
    assert (entry.subject, entry.actor, entry.account) == (job, "kim", "default")


def test_figures_are_over_all_jobs_where_only_the_oldest_are_told_one_by_one(shop: Shop) -> None:
    shop.ask(shop.charged_trial()[1], unused=True)
    shop.work(only=Actor.ASSESS)
    job = fail(shop, Actor.SUBMIT)
    shop.write(
        "INSERT INTO jobs (id, actor, subject, state, attempts, run_at, finished_at)"
        " SELECT 'job_' || lpad(n::text, 26, '0'), actor, subject, state, attempts, run_at, finished_at"
        " FROM jobs, generate_series(1, 611) AS n WHERE id = :id",
        id=job,
    )

    seen = survey(shop.desk, EVERY, told=3)
    part = survey(shop.desk, EVERY, told=3, most=600)
    assert (seen.count, len(seen.previews), seen.through, seen.is_cut) == (612, 3, job, False)
    assert seen.totals.amounts == (Money(amount_minor=4900, currency="usd"),), "one refund, however many jobs"
    assert (part.count, part.through, part.is_cut) == (600, f"job_{600:026}", True)

    shop.write("UPDATE jobs SET finished_at = now() WHERE id = :id", id=f"job_{7:026}")  # replayed, and failed again
    moved = list[int]()
    away = dismiss(shop.desk, part.of(EVERY), by="kim", why="a test of ours", moved=moved.append)
    assert (away, sum(moved)) == (599, 599)
    assert list(told(shop)) == [f"job_{7:026}", *(f"job_{n:026}" for n in range(601, 612)), job]
    assert len(entries(shop, "job.dismissed")) == 599
    assert shop.ledger_flaws() == []


@pytest.mark.parametrize(
    ("field", "act"),
    [
        ("name", lambda desk: start(desk, EVERY, name=" ", by="kim", why="x")),
        ("name", lambda desk: start(desk, EVERY, name="a/b", by="kim", why="x")),
        ("by", lambda desk: start(desk, EVERY, name="n", by="billingbot", why="x")),
        ("why", lambda desk: start(desk, EVERY, name="n", by="kim", why="")),
        ("rate", lambda desk: start(desk, EVERY, name="n", by="kim", why="x", rate=0)),
        ("by", lambda desk: dismiss(desk, EVERY, by="stripe", why="x")),
        ("why", lambda desk: dismiss(desk, EVERY, by="kim", why="\x00")),
    ],
)
def test_an_act_that_cannot_stand_in_the_ledger_is_refused(
    shop: Shop, field: str, act: Callable[[Any], object]
) -> None:
    shop.ask(shop.charged_trial()[1], unused=True)
    job = fail(shop, Actor.ASSESS)

    with pytest.raises(InputError) as refused:
        act(shop.desk)

    assert refused.value.field == field
    assert list(told(shop)) == [job]


def _statements(shop: Shop) -> int:
    """How many statements a look at every failed job takes."""
    asked: list[str] = []

    def note(_conn: Any, _cursor: Any, statement: str, *_: Any) -> None:
        asked.append(statement)

    sa.event.listen(shop.desk.db, "before_cursor_execute", note)
    try:
        survey(shop.desk, EVERY, told=0)
    finally:
        sa.event.remove(shop.desk.db, "before_cursor_execute", note)
    return len(asked)


def test_a_look_at_many_jobs_asks_no_more_often_than_a_look_at_one_of_each_kind(shop: Shop) -> None:
    """Somebody waits for the figures of ten thousand."""
    _, charge = shop.charged_trial()
    shop.ask(charge, unused=True)
    shop.work(only=Actor.ASSESS)
    shop.deliver()
    kinds = (Actor.SUBMIT, Actor.ASSESS, Actor.INTERPRET)
    for actor in kinds:
        fail(shop, actor)
    few, said = _statements(shop), {(one.effect, one.why) for one in told(shop).values()}
    shop.rows(
        "INSERT INTO jobs (id, actor, subject, state, created_at, finished_at)"
        " SELECT 'job_' || lpad(n || actor, 26, '0'), actor, subject, state, created_at, finished_at"
        " FROM jobs, generate_series(10, 39) AS n WHERE state = 'failed' RETURNING id"
    )

    assert len(told(shop)) == 31 * len(kinds)
    assert {(one.effect, one.why) for one in told(shop).values()} == said
    assert _statements(shop) == few
