"""The read models over a shop that has worked: what they show is what happened."""

from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from billingbot.core.case import CaseState
from billingbot.core.decision import Priority
from billingbot.core.errors import InputError, NotFoundError
from billingbot.core.job import Actor, JobState
from billingbot.core.mode import Mode
from billingbot.core.policy import load_policy
from billingbot.core.refund import AttemptOutcome, RefundState
from billingbot.flows.casework import review
from billingbot.store import database, decisions, views
from tests.flows.shop import Shop


def test_the_page_of_a_refunded_case_tells_the_whole_story_in_order(shop: Shop) -> None:
    trial, charge = shop.charged_trial()
    case_id = shop.ask(charge, unused=True, text="never used it").case.id
    shop.work()

    with shop.desk.db.begin() as connection:
        page = views.case_page(connection, case_id)

    assert page.case.outcome == "refunded"
    assert page.case.customer_id == trial.customer
    assert [request.claims.text for request in page.requests] == ["never used it"]
    assert page.decision is not None
    assert page.facts is not None
    assert page.facts.known("usage.used") is False
    assert [line.purpose for line in page.decisions] == ["assess"]
    [line] = page.refunds
    assert line.refund.state is RefundState.SUCCEEDED
    assert line.customer_id == trial.customer
    assert [(attempt.number, attempt.outcome) for attempt in line.attempts] == [(1, AttemptOutcome.ACCEPTED)]
    kinds = [entry.kind for entry in page.timeline]
    assert kinds[:3] == ["case.opened", "case.decided", "refund.intended"]
    assert kinds[-4:] == ["refund.changed", "cancellation.intended", "cancellation.attempted", "cancellation.changed"]
    assert [entry.seq for entry in page.timeline] == sorted(entry.seq for entry in page.timeline)


def test_the_queue_is_sorted_by_due_time_then_priority_and_its_pages_neither_skip_nor_repeat(shop: Shop) -> None:
    same = datetime(2027, 1, 1, tzinfo=UTC)
    due = {"urgent": same, "normal": same, "high": same - timedelta(hours=1)}
    ids = {}
    for priority, at in [("normal", due["normal"]), ("urgent", due["urgent"]), ("high", due["high"])]:
        case_id = shop.ask(f"ch_{priority}").case.id
        ids[priority] = case_id
        _put_into_review(shop, case_id, priority=priority, due_at=at)
    forgotten = shop.ask("ch_forgotten").case.id
    _put_into_review(shop, forgotten, priority="normal", due_at=None)
    shop.ask("ch_other")  # still being assessed: not in the queue

    seen, after = [], None
    for _ in range(10):
        with shop.desk.db.begin() as connection:
            page = views.queue(connection, after=after, limit=1)
        seen += [case.id for case in page.items]
        after = page.next
        if after is None:
            break

    assert seen == [ids["high"], ids["urgent"], ids["normal"], forgotten]


def test_cases_are_found_by_each_of_their_properties(shop: Shop) -> None:
    one, two = (shop.ask(f"ch_{n}").case.id for n in "12")
    _put_into_review(shop, one, priority="high", due_at=datetime.now(UTC), reason="used", customer_id="cus_1")
    review.claim(shop.desk, review.Act(case_id=one, by="ada"))
    wanted = {
        views.CaseFilter(state=CaseState.ASSESSING): [two],
        views.CaseFilter(account="default"): [two, one],
        views.CaseFilter(account="other"): [],
        views.CaseFilter(assignee="ada"): [one],
        views.CaseFilter(unassigned=True): [two],
        views.CaseFilter(charge_id="ch_2"): [two],
        views.CaseFilter(customer_id="cus_1"): [one],
        views.CaseFilter(reason="used"): [one],
        views.CaseFilter(priority=Priority.HIGH): [one],
        views.CaseFilter(state=CaseState.REVIEW, unassigned=True): [],
    }

    for filters, ids in wanted.items():
        with shop.desk.db.begin() as connection:
            assert [case.id for case in views.queue(connection, filters).items] == ids, filters


def test_lists_newest_first_page_by_the_last_id(shop: Shop) -> None:
    made = [shop.ask(f"ch_{n}").case.id for n in range(5)]

    with shop.desk.db.begin() as connection:
        first = views.queue(connection, views.CaseFilter(), limit=3)
        second = views.queue(connection, views.CaseFilter(), after=first.next, limit=3)

    assert [case.id for case in (*first.items, *second.items)] == made[::-1]
    assert second.next is None


@pytest.mark.parametrize(
    "cursor", ["", "x", "case_1", "case_" + "U" * 26, "\x00", "W10", "é", "WyJ4IiwgMCwgIngiXQ", "="]
)
def test_a_cursor_that_is_none_of_ours_is_refused_by_name(shop: Shop, cursor: str) -> None:
    for filters in (views.CaseFilter(), views.WAITING):
        with shop.desk.db.begin() as connection, pytest.raises(InputError) as fault:
            views.queue(connection, filters, after=cursor)
        assert fault.value.field == "after"


def test_the_refund_log_shows_refunds_with_their_attempts_and_filters_them(shop: Shop) -> None:
    _, charge = shop.charged_trial()
    _, elsewhere = shop.charged_trial()
    shop.ask(charge)
    shop.work()
    shop.stripe.post("/refunds", charge=elsewhere)
    shop.deliver()
    shop.work()

    with shop.desk.db.begin() as connection:
        log = views.refund_log(connection)
        ours = views.refund_log(connection, views.RefundFilter(charge_id=charge, currency="usd"))
        none = views.refund_log(connection, views.RefundFilter(until=datetime(2020, 1, 1, tzinfo=UTC)))

    assert {line.refund.charge_id: len(line.attempts) for line in log.items} == {charge: 1, elsewhere: 0}
    assert [line.refund.charge_id for line in ours.items] == [charge]
    assert none.items == ()


def test_conversions_are_listed(shop: Shop) -> None:
    trial, charge = shop.charged_trial()
    shop.deliver()
    shop.work()

    with shop.desk.db.begin() as connection:
        [found] = views.conversion_list(connection, views.ConversionFilter(customer_id=trial.customer)).items
        other = views.conversion_list(connection, views.ConversionFilter(customer_id="cus_other")).items

    assert (found.charge_id, found.amount_minor, found.currency) == (charge, 4900, "usd")
    assert other == ()


def test_a_failed_job_shows_each_failure_and_what_it_was_about(shop: Shop) -> None:
    case_id = shop.ask("ch_gone").case.id
    [row] = shop.rows("SELECT id FROM jobs WHERE subject = :case", case=case_id)
    with shop.owner.begin() as connection:
        connection.execute(
            sa.text(
                "INSERT INTO job_failures (job_id, attempt, error_class, error, traceback)"
                " VALUES (:job, 1, 'StripeUnavailableError', 'timed out', 'Traceback ...')"
            ),
            {"job": row.id},
        )
        connection.execute(sa.text("UPDATE jobs SET state = 'failed' WHERE id = :job"), {"job": row.id})

    with shop.desk.db.begin() as connection:
        [line] = views.job_list(connection, views.JobFilter(state=JobState.FAILED)).items
        page = views.job_page(connection, line.id)

    assert (line.actor, line.subject) == (Actor.ASSESS, case_id)
    assert [(failure.attempt, failure.error) for failure in page.failures] == [(1, "timed out")]
    assert page.case_id == case_id
    assert page.event is None


def test_the_job_of_an_event_names_the_event_and_never_its_body(shop: Shop) -> None:
    shop.charged_trial()
    shop.deliver()

    with shop.desk.db.begin() as connection:
        line = views.job_list(connection, views.JobFilter(actor=Actor.INTERPRET), limit=1).items[0]
        page = views.job_page(connection, line.id)

    assert page.event is not None
    assert page.event.event_id.startswith("evt_")
    assert not hasattr(page.event, "body")


def test_a_job_or_a_case_that_does_not_exist_is_not_found(shop: Shop) -> None:
    with shop.desk.db.begin() as connection:
        with pytest.raises(NotFoundError):
            views.job_page(connection, "job_none")
        with pytest.raises(NotFoundError):
            views.case_page(connection, "case_none")
        with pytest.raises(NotFoundError):
            views.explanation(connection, "case_none")


def test_counts_are_those_of_what_happened(shop: Shop) -> None:
    _, charge = shop.charged_trial()
    trial, used = shop.charged_trial()
    shop.usage.used_by.add(trial.customer)
    shop.ask(charge)
    shop.ask(used)
    shop.work()
    shop.ask("ch_later")

    with shop.desk.db.begin() as connection:
        found = views.counts(connection)

    assert found.cases == {"closed": 1, "review": 1, "assessing": 1}
    assert found.refunds == {"succeeded": 1}
    assert found.jobs_due == 1
    assert found.oldest_due_job_seconds is not None
    assert found.oldest_unknown_seconds is None
    assert found.modes == {"default": Mode.AUTO}
    assert found.ledger_seq == len(shop.rows("SELECT 1 FROM ledger_entries"))


def test_the_ledger_is_proven_whole_and_a_touched_entry_is_named(shop: Shop) -> None:
    _, charge = shop.charged_trial()
    shop.ask(charge)
    shop.work()
    with shop.desk.db.begin() as connection:
        whole = views.verify_ledger(connection)
        first = views.ledger_page(connection, limit=2)
        rest = views.ledger_page(connection, after=int(first.next or 0), limit=100)

    with shop.owner.begin() as connection:  # a superuser who forges: the database would refuse anybody else
        connection.execute(sa.text("SET session_replication_role = replica"))
        connection.execute(sa.text("UPDATE ledger_entries SET actor = 'nobody' WHERE seq = 2"))
    with shop.desk.db.begin() as connection:
        touched = views.verify_ledger(connection)

    assert whole.holds
    assert whole.head_seq == whole.entries == len(first.items) + len(rest.items)
    assert whole.head_hash == rest.items[-1].hash
    assert not touched.holds
    assert [flaw.seq for flaw in touched.flaws] == [2]
    assert touched.head_hash == whole.head_hash


def test_a_stored_verdict_is_explained_and_reproduced_until_a_byte_of_its_facts_is_touched(shop: Shop) -> None:
    _, charge = shop.charged_trial()
    case_id = shop.ask(charge).case.id
    shop.work()
    with shop.desk.db.begin() as connection:
        told = views.explanation(connection, case_id)

    with shop.owner.begin() as connection:
        connection.execute(
            sa.text("UPDATE decisions SET facts = replace(convert_from(facts, 'UTF8'), '4900', '4901')::bytea")
        )
    with shop.desk.db.begin() as connection:
        touched = views.explanation(connection, case_id)

    assert told.reproduces
    assert told.lines[0].startswith("Refund at once")
    assert not touched.reproduces


def test_a_case_is_explained_as_it_stood_then_and_under_another_policy(shop: Shop) -> None:
    _, charge = shop.charged_trial()
    case_id = shop.ask(charge).case.id
    shop.work()
    strict = shop.policy.source.replace("usd = 20000", "usd = 4899").replace('version = "', 'version = "strict-')
    with shop.desk.db.begin() as connection:
        before = database.now(connection) - timedelta(days=1)
        policy = load_policy(strict, filename="policy.toml")
        decisions.remember_policy(
            connection, policy_digest=policy.digest, policy_id=policy.id, version=policy.version, source=strict
        )
        told = views.explanation(connection, case_id, at=database.now(connection), under=policy.version)
        by_digest = views.explanation(connection, case_id, under=policy.digest[:20])
        with pytest.raises(NotFoundError, match="had no decision yet at"):
            views.explanation(connection, case_id, at=before)
        with pytest.raises(NotFoundError, match="policy 1999: no version"):
            views.explanation(connection, case_id, under="1999")

    assert told.reproduces
    assert any("had usage.used been true" in flip for flip in told.nearest_flips)
    assert told.under is not None
    assert (told.under.outcome, told.under.reason, told.under.same) == ("review", "limit-amount", False)
    assert any("been USD 48.99, not USD 49.00" in line for line in told.under.lines)
    assert by_digest.under == told.under


def test_a_verdict_held_back_by_the_days_budget_is_reproduced_too(shop: Shop) -> None:
    tight = shop.policy.source.replace("daily_count_max = 50", "daily_count_max = 1")
    shop.policy = load_policy(tight, filename="policy.toml")
    first, second = (shop.charged_trial()[1] for _ in range(2))
    for charge in (first, second):
        case_id = shop.ask(charge).case.id
        shop.work()

    with shop.desk.db.begin() as connection:
        told = views.explanation(connection, case_id)

    assert shop.case(case_id).reason == "limit-daily-count"
    assert told.reproduces
    assert "Nearest flip: nothing about the case; the day's count held it back." in told.lines


def test_a_case_without_a_verdict_has_nothing_to_explain(shop: Shop) -> None:
    case_id = shop.ask("ch_new").case.id

    with shop.desk.db.begin() as connection, pytest.raises(NotFoundError, match="no decision yet"):
        views.explanation(connection, case_id)


def _put_into_review(shop: Shop, case_id: str, **values: object) -> None:
    sets = ", ".join(f"{name} = :{name}" for name in values)
    with shop.owner.begin() as connection:
        connection.execute(
            sa.text(f"UPDATE cases SET state = 'review', {sets} WHERE id = :id"),  # noqa: S608  # names of this file
            {"id": case_id, **values},
        )
