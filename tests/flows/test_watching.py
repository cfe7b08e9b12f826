"""Watching: failures grouped by what broke, the queue by the minute, sources as they answered."""

from datetime import UTC, datetime, timedelta

from billingbot.core.job import Actor
from billingbot.gateway.client import StripeGateway
from billingbot.store import samples, sources
from billingbot.store.views.failing import HOURS, failing, job_counts
from billingbot.store.views.jobs import JobFilter, JobTab, job_list
from billingbot.worker.run import run
from tests.desks import NOWHERE
from tests.flows.shop import Shop


def test_jobs_that_fail_alike_are_one_group_with_their_cases_and_hours(shop: Shop) -> None:
    charges = [shop.charged_trial()[1] for _ in range(2)]
    shop.replace_gateway(StripeGateway("default", "rk_test_nowhere", False, api_base=NOWHERE))
    cases = [shop.ask(charge).case.id for charge in charges]
    for job in shop.rows("SELECT id FROM jobs WHERE actor = 'assess'"):
        run(shop.desk, job.id)
    shop.rows("UPDATE jobs SET state = 'failed', finished_at = now() WHERE subject = :case RETURNING id", case=cases[0])

    with shop.desk.db.begin() as connection:
        (group,) = failing(connection)
        counts = job_counts(connection)
        failed = job_list(connection, JobFilter(tab=JobTab.FAILED, error_class=group.error_class, frame=group.frame))
        retrying = job_list(connection, JobFilter(tab=JobTab.RETRYING, frame=group.frame))
        elsewhere = job_list(connection, JobFilter(frame="flows/elsewhere.py in nowhere"))
    assert (group.error_class, group.failed, group.retrying, group.cases) == ("StripeUnavailableError", 1, 1, 2)
    assert group.frame.startswith("flows/look.py in "), "whoever asked Stripe, not the asking itself"
    assert group.actors == (Actor.ASSESS,)
    assert (len(group.by_hour), sum(group.by_hour)) == (HOURS, 2)
    assert group.first_at <= group.last_at
    assert (counts.failed, counts.retrying, counts.running) == (1, 1, 0)
    assert [job.subject for job in failed.items] == cases[:1]
    assert [job.subject for job in retrying.items] == cases[1:]
    assert elsewhere.items == ()


def test_the_queue_is_sampled_and_old_samples_go(shop: Shop) -> None:
    shop.rows(
        "INSERT INTO queue_samples VALUES (now() - interval '9 days', 1, 1, 1, 1, 1, 1),"
        " (now() - interval '2 minutes', 7, 3, 1, 0, 0, 0) RETURNING at"
    )
    shop.charged_trial()
    shop.deliver()
    received = len(shop.rows("SELECT id FROM inbox"))
    due = len(shop.rows("SELECT id FROM jobs WHERE state = 'ready'"))
    shop.do("watch")
    with shop.desk.db.begin() as connection:
        found = samples.series(connection, since=datetime.now(UTC) - timedelta(days=30), step=timedelta(days=7))
    assert sum(one.received for one in found) == received > 0
    assert max(one.due for one in found) == max(due, 7)
    assert len(shop.rows("SELECT at FROM queue_samples")) == 2, "that of nine days ago is gone"


def test_a_source_is_silent_since_its_first_failure_in_a_row(shop: Shop) -> None:
    def look(charge: str) -> tuple[sources.SourceState, sources.SourceState]:
        shop.ask(charge)
        shop.work(only=Actor.ASSESS)
        with shop.desk.db.begin() as connection:
            first, second = sources.states(connection)
        return first, second

    charges = [shop.charged_trial()[1] for _ in range(4)]
    support, usage = look(charges[0])
    assert (usage.source, usage.kind, usage.silent_since, usage.max_age_seconds) == ("tag-hits", "usage", None, 900)
    assert (support.source, support.kind) == ("support-desk", "support")
    shop.usage.down = True
    _, down = look(charges[1])
    _, still = look(charges[2])
    assert down.silent_since is not None
    assert (still.silent_since, still.why, still.answered_at) == (down.silent_since, "timed out", usage.answered_at)
    assert still.covered_to == usage.covered_to, "what it covered when it last spoke"
    shop.usage.down = False
    _, back = look(charges[3])
    assert (back.silent_since, back.why) == (None, None)
    with shop.desk.db.begin() as connection:
        hours = sources.hours(connection, since=datetime.now(UTC) - timedelta(days=1))
    counted = {one.source: (one.asked, one.answered) for one in hours}
    assert counted == {"tag-hits": (4, 2), "support-desk": (4, 4)}
