"""Heal: everything works again, what was lost is delivered again, time passes, until nothing is left to do."""

import time
from contextlib import suppress
from typing import Final

from tests.torture.chaos import CALLS_END_SECONDS, NIGHT_HOURS, Chaos, age
from tests.torture.load import Load
from tests.torture.people import People
from tests.torture.stage import Stage, subscribed_events

_ROUNDS: Final = 8
"""So many times half a day passes at the most: an attempt is tried for 12 hours, three times, and then a person."""
_ROUND_SECONDS: Final = 60.0
_OPEN_JOBS: Final = (
    "SELECT id, actor, subject, state, attempts, run_at, lease_until, last_error FROM jobs WHERE state = 'ready'"
)
# Asking Stripe about earlier trials goes on for ever; it is nobody's request.
_WORK: Final = f"{_OPEN_JOBS} AND actor <> 'import_history'"
_HISTORY_IS_READ: Final = (
    "SELECT 1 FROM history_imports WHERE cursor IS NULL AND caught_up_at > now() - interval '10 min'"
)
_UNDER_WAY: Final = """\
SELECT 1 FROM cases WHERE state = 'assessing'
UNION ALL SELECT 1 FROM refunds WHERE state IN ('intended', 'submitting', 'unknown', 'pending', 'requires_action')
UNION ALL SELECT 1 FROM dispute_answers WHERE state IN ('intended', 'submitting', 'unknown')
"""


def heal(stage: Stage, chaos: Chaos, load: Load, people: People) -> bool:
    """Brings everything to rest; False where it does not come to rest. People go on until the backlog is worked off:
    on a slow machine much of what they have to decide comes up only then."""
    load.rest()
    chaos.end()
    chaos.crew.settle()
    _answer_everybody(chaos, load)
    _count_undelivered(stage)
    # Whoever was killed still holds its jobs for the rest of a minute: it passes.
    stage.rows("UPDATE jobs SET lease_until = now() WHERE state = 'ready' AND lease_until > now()")
    for number in range(_ROUNDS):
        stage.command("events", "backfill", "--since", stage.began.isoformat(), "--as", "kim")
        _read_history(stage, chaos)
        _work_off(stage, chaos)
        if number == 0:
            people.rest()
            _work_off(stage, chaos)
        if stage.rows("SELECT 1 FROM jobs WHERE state = 'failed'"):
            _replay_failed(stage, number)
            _work_off(stage, chaos)
        if not stage.rows(_UNDER_WAY) and not stage.rows(_WORK):
            return stage.stripe.quiet(10)
        _half_a_day(stage, chaos)
    return False


def _replay_failed(stage: Stage, number: int) -> None:
    """A person runs all failed jobs again. What stops a replay half-way is left for the next one to show."""
    words = ("jobs", "replay", "--name", f"torture-{number}", "--why", "everything works again")
    with suppress(RuntimeError):
        stage.command(*words, "--rate", "50", "--yes", "--as", "kim")


def _answer_everybody(chaos: Chaos, load: Load) -> None:
    until = time.monotonic() + _ROUND_SECONDS
    while load.waiting() > len(load.refused) and time.monotonic() < until:
        chaos.crew.tend()
        time.sleep(0.1)


def _count_undelivered(stage: Stage) -> None:
    """Events that Stripe never got rid of: `events backfill` has to find each of them."""
    stage.stripe.quiet(30)
    lost = undelivered(stage)
    stage.tally.add("webhook.never_delivered", len(lost))


def undelivered(stage: Stage) -> list[str]:
    """Events that were never answered with 2xx, and that billingbot does not have from elsewhere either."""
    wanted = set(subscribed_events())
    told = [event["id"] for event in stage.stripe.objects("event") if event["type"] in wanted]
    # Those that are about nothing of ours are answered with 200 and not stored.
    done = {row["event_id"] for row in stage.rows("SELECT event_id FROM inbox")}
    done |= {delivery["event"] for delivery in stage.stripe.deliveries(state="delivered")}
    return [event for event in told if event not in done]


def _read_history(stage: Stage, chaos: Chaos) -> None:
    """Until earlier trials are read in again: without them nothing is decided, and every look was in vain."""
    stage.rows("UPDATE ticks SET last_run_at = last_run_at - interval '2 hours' WHERE name = 'import_history'")
    until = time.monotonic() + _ROUND_SECONDS
    while not stage.rows(_HISTORY_IS_READ) and time.monotonic() < until:
        chaos.crew.tend()
        stage.rows(
            "UPDATE jobs SET run_at = now() WHERE actor = 'import_history' AND state = 'ready' AND token IS NULL"
        )
        time.sleep(0.2)


def _work_off(stage: Stage, chaos: Chaos) -> None:
    """Until no job is due, with all waits made short; what is missing is looked for once more.

    What has failed often waits for time to pass: an answer that Stripe keeps under its key stays what it is.
    """
    stage.rows("UPDATE cases SET recheck_at = now() WHERE recheck_at IS NOT NULL AND state = 'review'")
    stage.rows("UPDATE ticks SET last_run_at = last_run_at - interval '2 hours'")
    stage.rows("UPDATE jobs SET lease_until = now() WHERE state = 'ready' AND lease_until > now() + interval '50 s'")
    until, done = time.monotonic() + _ROUND_SECONDS, 0
    time.sleep(1.5)  # the schedule looks once a second
    while time.monotonic() < until:
        chaos.crew.tend()
        [so_far] = stage.rows("SELECT count(*) FROM jobs WHERE state <> 'ready'")
        if so_far["count"] > done:  # a backlog takes as long as it takes; only standing still is cut short
            until, done = time.monotonic() + _ROUND_SECONDS, so_far["count"]
        stage.rows("UPDATE jobs SET run_at = now() WHERE state = 'ready' AND token IS NULL AND run_at > now()"
                   " AND attempts < 6")  # fmt: skip
        if not stage.rows(f"{_WORK} AND (attempts < 6 OR run_at <= now())"):
            return
        time.sleep(0.3)


def _half_a_day(stage: Stage, chaos: Chaos) -> None:
    """As a night, but for the count of faults: what is unknown becomes old enough to be proven."""
    for member in [*chaos.crew.workers(), chaos.crew.named("scheduler")]:
        chaos.crew.kill_and_bury(member)
    time.sleep(CALLS_END_SECONDS)
    stage.rows("UPDATE jobs SET lease_until = NULL, token = NULL, attempts = 0 WHERE state = 'ready'")
    age(stage, hours=NIGHT_HOURS)
    stage.night_passes(NIGHT_HOURS)
    chaos.crew.settle()
