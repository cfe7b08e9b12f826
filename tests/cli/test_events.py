"""Events at the command line: shown with their bytes, interpreted again, read afterwards while somebody waits."""

from collections.abc import Iterator
from threading import Thread

import pytest

from billingbot.core.job import Actor
from billingbot.sandbox.server import RunningSandbox
from tests.cli.terminal import run, typed
from tests.engines.shared import Database
from tests.flows.shop import Shop, open_shop
from tests.worker.bench import eventually

Settings = dict[str, str]


@pytest.fixture
def shop(database: Database, stripe_here: RunningSandbox) -> Iterator[Shop]:
    """A shop on the database that the command line is set to."""
    with open_shop(database, stripe_here) as opened:
        yield opened


def test_a_month_is_read_while_somebody_waits_and_its_events_are_shown_and_replayed(
    shop: Shop, settings: Settings
) -> None:
    shop.stripe.advance(days=13)
    _, charge = shop.charged_trial()
    worker = Thread(target=lambda: eventually(lambda: shop.work(only=Actor.BACKFILL)))
    worker.start()
    done = typed(settings, "events", "backfill", "--since", "28d")
    worker.join()

    total = len(shop.rows("SELECT 1 FROM inbox"))
    assert done.code == 0, done.err
    assert f"read whole; {total} were missing, 0 known, 0 unreadable." in done.out
    assert "charge.succeeded\t1" in done.lines
    assert typed(settings, "events", "backfills", "--json").json["items"][0]["missing"] == total

    [event] = typed(settings, "events", "list", "--type", "charge.succeeded", "--json").json["items"]
    assert event["job_state"] == "ready"
    shop.work()
    shown = typed(settings, "events", "show", event["event_id"])
    assert f"ChargeChanged: charge_id {charge}" in shown.out
    assert '"object": "event"' in shown.out
    assert typed(settings, "events", "show", event["event_id"], "--json").json["body"]["id"] == event["event_id"]

    [stored] = shop.rows("SELECT body FROM inbox WHERE event_id = :id", id=event["event_id"])
    assert run(settings, "events", "show", event["id"], "--raw").out.encode() == bytes(stored.body)

    act = ("events", "replay", "--type", "charge.succeeded", "--name", "once more", "--why", "x", "-y")
    dry = typed(settings, *act[:4], "--dry-run")
    assert [line.split("\t")[1:3] for line in dry.lines[1:]] == [["interpret", "may_pay"]]
    assert typed(settings, *act).lines[-1].startswith("'once more' is done: 1 job ready again")
    assert [one["job_state"] for one in typed(settings, "events", "list", "--type", "charge.succeeded", "--json").json[
        "items"]] == ["ready"]  # fmt: skip


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("backfill", "--since", "yesterday"), "--since: expected a time with a zone"),
        (("backfill", "--since", "40d"), "since: expected at most 29 days ago"),
        (("replay", "--name", "x"), "why: "),
        (("list", "--since", "2026-01-01"), "--since: "),
        # Before the first id that there can be, an empty list would have been the answer.
        (("list", "--since", "1969-12-31T00:00:00Z"), "--since: expected a time between 2000 and 2100"),
        (("list", "--until", "0001-01-01T00:00:00+01:00"), "--until: expected a time between 2000 and 2100"),
    ],
)
def test_what_cannot_be_read_is_refused(settings: Settings, words: tuple[str, ...], says: str) -> None:
    refused = typed(settings, "events", *words)
    assert (refused.code, refused.err.startswith(says)) == (2, True), refused.err
