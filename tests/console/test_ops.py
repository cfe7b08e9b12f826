"""Ops at the door: what fails is told by its error, a replay does what its preview told, and nobody else may."""

import re
from datetime import UTC, datetime, timedelta
from html import unescape

import httpx
import pytest

from billingbot.core.access.powers import Role
from tests.console.conftest import Client, Console, SignedIn
from tests.console.failing import failed_payments


def text(answer: httpx.Response) -> str:
    assert answer.status_code == 200, answer.text
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", answer.text)).split())


def hidden(answer: httpx.Response, action: str = "/replays") -> dict[str, str]:
    """The hidden fields of the dialog that confirms."""
    form = answer.text.partition(f'action="{action}"')[2].partition("</form>")[0]
    return dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', unescape(form)))


def test_what_fails_is_grouped_and_a_group_opens_its_jobs(console: Console, signed_in: SignedIn) -> None:
    jobs = failed_payments(console.shop, 2)
    ops = signed_in(Role.OPS)
    told = text(ops.get("/jobs"))
    error = "StripeUnavailableError flows/submit.py in submit no answer (ReadTimeout)"
    assert f"{error} pay a refund · What a replay would do" in told
    [group] = re.findall(r'data-href="(/jobs\?tab=failed&amp;error_class=[^"]+)"', ops.get("/jobs").text)
    page = ops.get(unescape(group))
    assert all(f"/jobs/{job}" in page.text for job in jobs)
    assert "No job is here." in text(ops.get("/jobs?tab=failed&error_class=KeyError"))
    past = (datetime.now(UTC) - timedelta(hours=1)).isoformat()
    assert jobs[0] in ops.get("/jobs", params={"tab": "failed", "since": past}).text
    assert "No job is here." in text(ops.get("/jobs", params={"tab": "failed", "until": past}))
    assert ops.get("/jobs?tab=failed&since=noon").status_code == 422
    assert "Dismissed 0" in text(ops.get("/jobs/tabs", headers={"HX-Request": "true"}))
    assert ops.get("/jobs?tab=lost").status_code == 422
    assert ops.get("/jobs/job_nobody").status_code == 404


def test_a_replay_does_what_was_confirmed_and_its_name_only_once(console: Console, signed_in: SignedIn) -> None:
    shop = console.shop
    jobs = failed_payments(shop, 2)
    ops = signed_in(Role.OPS)
    preview = ops.get("/jobs/replay", params={"error_class": "StripeUnavailableError", "now": "true"})
    assert "Replay and pay up to 98.00 USD" in text(preview)
    fields = hidden(preview)
    assert (fields["asked"], fields["through"]) == ("error_class=StripeUnavailableError", jobs[-1])
    assert (fields["confirmed"], fields["unknown"]) == ("usd:9800", "0")

    act = {**fields, "name": "incident / 1", "why": "Stripe is back", "rate": "50"}
    assert ops.act("/replays", **act).status_code == 422, "nobody agreed to the sum"
    assert ops.act("/replays", **{**act, "agreed": "true"}).status_code == 422, "no slash in a name"
    act |= {"agreed": "true", "name": "incident 1"}
    begun = ops.act("/replays", **act)
    assert (begun.url.path, "The replay has begun." in begun.text) == ("/replays/incident 1", True)
    shop.work()
    assert "2 of 2" in text(ops.get("/replays/incident 1", headers={"HX-Request": "true"}))
    again = ops.act("/replays", **act)
    assert "nothing was done twice" in again.text
    shop.work()
    assert len(shop.stripe.get("/refunds", limit=100)["data"]) == 2
    assert "incident 1" in text(ops.get("/replays"))
    actors = {row.actor for row in shop.rows("SELECT actor FROM ledger_entries WHERE kind = 'replay.started'")}
    assert actors == {"ops"}


def test_more_than_was_seen_is_never_paid(console: Console, signed_in: SignedIn) -> None:
    failed_payments(console.shop, 2)
    ops = signed_in(Role.OPS)
    fields = hidden(ops.get("/jobs/replay?now=true")) | {"name": "less", "why": "w", "agreed": "true"}
    assert ops.act("/replays", **{**fields, "confirmed": "usd:4900"}).status_code == 409
    for wrong in ({"confirmed": "many"}, {"through": "x"}, {"asked": "lost=1"}, {"as_of": "noon"}):
        assert ops.act("/replays", **{**fields, **wrong}).status_code == 422, wrong
    assert console.shop.rows("SELECT name FROM replay_runs") == []


def test_a_run_stops_and_goes_on_within_what_the_rest_may_pay(console: Console, signed_in: SignedIn) -> None:
    shop = console.shop
    failed_payments(shop, 2)
    ops = signed_in(Role.OPS)
    fields = hidden(ops.get("/jobs/replay?now=true")) | {"name": "halt", "why": "w", "agreed": "true"}
    ops.act("/replays", **fields)
    assert "Stopped by ops" in text(ops.act("/replays/halt/stop"))
    shop.work()
    assert shop.stripe.get("/refunds", limit=100)["data"] == []
    rest = ops.get("/replays/halt/resume?now=true")
    assert "98.00 USD" in text(rest)
    assert "98.00 USD" in text(ops.get("/replays/halt/resume", headers={"HX-Request": "true"}))
    assert ops.act("/replays/halt/resume", confirmed="usd:100", unknown="0", agreed="true").status_code == 409
    assert "goes on" in text(ops.act("/replays/halt/resume", confirmed="usd:9800", unknown="0", agreed="true"))
    shop.work()
    assert len(shop.stripe.get("/refunds", limit=100)["data"]) == 2


def test_failed_jobs_are_put_away_with_a_reason(console: Console, signed_in: SignedIn) -> None:
    failed_payments(console.shop, 2)
    ops = signed_in(Role.OPS)
    preview = ops.get("/jobs/replay", params={"error_class": "StripeUnavailableError", "now": "true"})
    assert "Put 2 failed jobs away for good" in text(preview)
    assert "nothing of 98.00 USD is paid by them" in text(preview)
    fields = hidden(preview, "/jobs/dismiss")
    assert ops.act("/jobs/dismiss", **fields).status_code == 422
    answer = ops.act("/jobs/dismiss", **fields, why="a test of ours")
    assert "2 jobs were put away." in answer.text
    assert "Dismissed 2" in text(ops.get("/jobs"))


def test_an_event_is_told_from_its_bytes_to_what_came_of_it(console: Console, signed_in: SignedIn) -> None:
    shop = console.shop
    shop.charged_trial()
    shop.deliver()
    shop.work()
    ops = signed_in(Role.OPS)
    found = shop.rows("SELECT id, event_id FROM inbox WHERE type = 'invoice.paid' ORDER BY id DESC LIMIT 1")[0]
    assert f"/events/{found.id}" in ops.get("/events?type=invoice.paid&object_id=&since=").text
    assert "No event is like that." in text(ops.get("/events?type=nothing.like.it"))
    told = text(ops.get(f"/events/{found.event_id}"))
    assert "InvoicePaid" in told
    assert '"type": "invoice.paid"' in told
    raw = ops.get(f"/events/{found.id}/raw")
    assert raw.json()["id"] == found.event_id
    assert raw.headers["content-disposition"] == f'attachment; filename="{found.event_id}.json"'
    preview = ops.get(f"/events/replay?ids={found.id}&now=true")
    assert "Does nothing" in text(preview)


def test_a_span_of_stripes_list_is_read_on_request(console: Console, signed_in: SignedIn) -> None:
    shop = console.shop
    shop.charged_trial()
    ops = signed_in(Role.OPS)
    since = (datetime.now(UTC) - timedelta(days=25)).isoformat()
    begun = ops.act("/events/backfills", account="default", since=since)
    assert begun.url.path.startswith("/events/backfills/bkf_")
    shop.work()
    assert "Were missing" in text(ops.get(begun.url.path, headers={"HX-Request": "true"}))
    assert ops.act("/events/backfills", account="default", since="yesterday").status_code == 422


def test_sources_say_since_when_one_is_silent_and_answer_on_request(console: Console, signed_in: SignedIn) -> None:
    shop = console.shop
    trial, charge = shop.charged_trial()
    ops = signed_in(Role.OPS)
    assert "Nobody has been asked yet." in text(ops.get("/sources"))
    shop.usage.down = True
    shop.ask(charge)
    shop.work()
    assert "No answer from tag-hits since" in text(ops.get("/sources"))
    shop.usage.down = False
    part = {"HX-Request": "true"}
    told = text(ops.get(f"/sources/ask?account=default&customer={trial.customer}", headers=part))
    assert "tag-hits unused" in told
    assert "Everything answers." in text(ops.get("/sources"))
    assert ops.get("/sources/ask?account=nobody").status_code == 422


def test_books_are_compared_on_request(console: Console, signed_in: SignedIn) -> None:
    ops = signed_in(Role.OPS)
    assert "Nobody has compared our books with Stripe yet." in text(ops.get("/reconcile"))
    assert "A pass has begun" in text(ops.act("/reconcile", account="default", since="", until=""))
    console.shop.work()
    assert "whole" in text(ops.get("/reconcile"))


def test_the_load_is_drawn(console: Console, signed_in: SignedIn) -> None:
    console.shop.do("watch")
    told = text(signed_in(Role.OPS).get("/jobs/load?span=week"))
    assert "jobs ended well in the last 7 days" in told


@pytest.mark.parametrize("role", [Role.SUPPORT, Role.FINANCE])
def test_who_may_not_run_sees_everything_and_changes_nothing(console: Console, signed_in: SignedIn, role: Role) -> None:
    jobs = failed_payments(console.shop, 1)
    somebody: Client = signed_in(role)
    assert "put away" not in somebody.get("/jobs?tab=failed").text
    assert "Replay…" not in somebody.get(f"/jobs/{jobs[0]}").text
    seen = {"asked": f"ids={jobs[0]}", "through": jobs[0], "as_of": datetime.now(UTC).isoformat()}
    acts = [
        ("/replays", {**seen, "name": "n", "why": "w", "agreed": "true", "confirmed": "usd:4900"}),
        ("/jobs/dismiss", {**seen, "why": "w"}),
        ("/events/backfills", {"account": "default", "since": datetime.now(UTC).isoformat()}),
        ("/reconcile", {"account": "default"}),
    ]
    for path, fields in acts:
        assert somebody.act(path, **fields).status_code == 403, path
    assert console.shop.rows("SELECT id FROM jobs WHERE state = 'failed'") != []
