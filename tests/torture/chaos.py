"""Chaos: what goes wrong next, drawn from the seed; every fault that really happened is counted."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

import psycopg

from tests.torture.crew import Crew
from tests.torture.links import Weather
from tests.torture.stage import WEBHOOK_SECRET, Stage, subscribed_events

# A bad day on every line, all the time: chances per piece of data. A case costs some 25 calls to Stripe, 200
# statements and a handful of questions to the source, so each meets one or two of these.
EVERYDAY: Final[dict[str, Weather]] = {
    "postgres": Weather(refuse=0.01, cut=0.0003, half=0.0001, lose_answer=0.0004, delay=0.002, delay_seconds=0.2),
    "redis": Weather(refuse=0.02, cut=0.002, lose_answer=0.002, delay=0.01, delay_seconds=0.3, blackhole=0.0002),
    "stripe": Weather(
        refuse=0.01, cut=0.006, half=0.003, lose_answer=0.01, cut_answer=0.006, delay=0.02, blackhole=0.0005
    ),
    "usage": Weather(refuse=0.02, cut=0.01, lose_answer=0.02, cut_answer=0.01, delay=0.03, blackhole=0.003),
    "web": Weather(refuse=0.02, cut=0.01, half=0.01, lose_answer=0.02, cut_answer=0.01, delay=0.02),
}
# And on Stripe's side: what it does to the call that pays, and to all reads.
_PAYING: Final[dict[str, tuple[float, dict[str, Any]]]] = {
    "lost_answer": (0.05, {}),
    "cut_answer": (0.03, {}),
    "error_after": (0.05, {}),
    "error_before": (0.04, {}),
    "lost_request": (0.03, {}),
    "bad_gateway": (0.02, {}),
    "rate_limit": (0.04, {}),
    "lock_timeout": (0.03, {}),
    "slow": (0.05, {"seconds": 1.5}),
    "declined": (0.005, {}),
}
# The calls that answer a bank, and those that bring it its papers: fewer, and as bad.
_ANSWERING: Final[dict[str, tuple[float, dict[str, Any]]]] = {
    "lost_answer": (0.1, {}),
    "cut_answer": (0.05, {}),
    "error_after": (0.05, {}),
    "lost_request": (0.05, {}),
    "rate_limit": (0.05, {}),
    "slow": (0.05, {"seconds": 1.5}),
}
_READING: Final[dict[str, tuple[float, dict[str, Any]]]] = {
    "rate_limit": (0.008, {}),
    "lost_request": (0.01, {}),
    "bad_gateway": (0.005, {}),
    "cut_answer": (0.005, {}),
    "error_before": (0.005, {}),
    "slow": (0.003, {"seconds": 0.5}),
}
PAYING_PATH: Final = "/v1/(refunds|credit_notes)$"
_LONG_PAUSES: Final = 0.05
# Earlier trials are read in anew after each of these nights only: while that lasts nobody is paid, and what is to be
# shown is what happens while people are paid.
_FORGETFUL_NIGHTS: Final = 4
# Longer than the slowest answer of the local Stripe: after this no call is under way.
CALLS_END_SECONDS: Final = 2.5
NIGHT_HOURS: Final = 25
"""A key lives 24 hours at Stripe: after a night every key is forgotten."""


@dataclass(slots=True)
class Chaos:
    """Draws one fault after the other. All methods are for the one thread that owns the crew."""

    stage: Stage
    crew: Crew
    dice: random.Random
    pace: float = 1.0
    """Faults by command per second and a half, so to speak: 2 is twice as many."""
    endpoint: str = ""
    nights: int = 0
    accepted_by_database: list[str] = field(default_factory=list)
    """What the database should have refused."""
    _later: list[tuple[float, Callable[[], None]]] = field(default_factory=list)
    _next_at: float = 0.0

    def begin(self) -> None:
        """An everyday of faults begins."""
        for link in self.stage.links.all:
            link.weather = EVERYDAY[link.name].times(self.pace)
        self.rules()
        self.stage.stripe.weather(duplicate=0.15, disorder_seconds=1.5, twins=0.1, v0=True)

    def rules(self) -> None:
        """The faults on Stripe's side."""
        for kind, (chance, how) in _PAYING.items():
            self._rule(kind, min(0.2, chance * self.pace), method="POST", path=PAYING_PATH, **how)
        for kind, (chance, how) in _ANSWERING.items():
            self._rule(kind, min(0.2, chance * self.pace), method="POST", path="/v1/(disputes|files)", **how)
        for kind, (chance, how) in _READING.items():
            self._rule(kind, min(0.1, chance * self.pace), method="GET", path="/v1/", **how)

    def _rule(self, kind: str, chance: float, **how: Any) -> None:
        self.stage.stripe.fault(kind, times=None, probability=chance, **how)

    def count_stripe(self) -> None:
        """Moves the hits of Stripe's rules into the tally, and begins to count anew."""
        for rule in self.stage.stripe.faults():
            self.stage.tally.add(f"stripe.{rule['kind']}", rule["hits"])
        self.stage.stripe.clear_faults()

    def add_endpoint(self) -> None:
        """Stripe tells billingbot what happens, from now on."""
        url = f"{self.stage.url}/webhooks/stripe"
        made = self.stage.stripe.add_endpoint(url, subscribed_events(), secrets=[WEBHOOK_SECRET])
        self.endpoint = str(made["id"])

    def step(self) -> None:
        """What is due: the end of an earlier fault, or a new one."""
        now = time.monotonic()
        due = [one for one in self._later if one[0] <= now]
        self._later = [one for one in self._later if one[0] > now]
        for _, end in due:
            end()
        self.crew.tend()
        if now >= self._next_at:
            self._next_at = now + self.dice.expovariate(1.5 * self.pace)
            names = list(ACTIONS)
            ACTIONS[self.dice.choices(names, [weight for weight, _ in ACTIONS.values()])[0]][1](self)  # type: ignore[index] # names are its keys

    def end(self) -> None:
        """Everything that was begun ends now."""
        self.stage.links.calm()
        for _, end in self._later:
            end()
        self._later = []
        self.stage.links.calm()
        self.count_stripe()
        self.stage.stripe.weather(duplicate=0, disorder_seconds=0, delay_seconds=0, twins=0, held=False)
        self.stage.product.down = False

    def _in(self, seconds: float, end: Callable[[], None]) -> None:
        self._later.append((time.monotonic() + seconds, end))

    # ------------------------------------------------------------ processes

    def kill_worker(self) -> None:
        self._kill(self.dice.choice(self.crew.workers()).name)

    def kill_web(self) -> None:
        self._kill("web")

    def kill_scheduler(self) -> None:
        self._kill("scheduler")

    def _kill(self, name: str) -> None:
        if self.crew.kill(self.crew.named(name)):
            self.stage.tally.add(f"process.kill_{name.partition('-')[0]}")

    def pause(self) -> None:
        """A process stands still for a while, and for all that the others can tell for longer than its lease."""
        member = self.dice.choice(self.crew.members)
        # Now and then beyond a whole lease, and beyond the half minute within which a committed call has to leave.
        seconds = self.dice.uniform(35, 70) if self.dice.random() < _LONG_PAUSES else self.dice.uniform(0.5, 4)
        if not self.crew.pause(member, seconds):
            return
        self.stage.tally.add(f"process.pause_{member.words[0]}")
        if member.words[0] == "worker":
            self.expire_leases()

    def expire_leases(self) -> None:
        """Leases run out under workers that are still at it."""
        ended = self.stage.rows(
            "UPDATE jobs SET lease_until = now() - interval '4 seconds' WHERE state = 'ready' AND token IS NOT NULL"
            " AND lease_until > now() RETURNING 1"
        )
        self.stage.tally.add("process.lease_over", len(ended))

    def skew(self) -> None:
        """A worker or the scheduler starts again with a clock that is hours wrong."""
        member = self.dice.choice([*self.crew.workers(), self.crew.named("scheduler")])
        if member.runs and self.crew.skew(member):
            self.stage.tally.add("clock.skew")

    # ------------------------------------------------------------ lines

    def storm(self) -> None:
        """One line is far worse than usual for a while."""
        link = self.dice.choice(self.stage.links.all)
        usual = EVERYDAY[link.name].times(self.pace)
        link.weather = usual.times(self.dice.choice((5, 10, 20)))
        self._in(self.dice.uniform(0.5, 3), lambda: setattr(link, "weather", usual))

    def cut_line(self) -> None:
        """All connections of one line end at once."""
        self.stage.links.cut_all(self.dice.choice(self.stage.links.all))

    def line_away(self) -> None:
        """Nobody can connect over one line for a while."""
        link = self.dice.choice(self.stage.links.all)
        usual = EVERYDAY[link.name].times(self.pace)
        link.weather = Weather(refuse=1)
        self.stage.links.cut_all(link)
        self._in(self.dice.uniform(0.5, 2.5), lambda: setattr(link, "weather", usual))

    # ------------------------------------------------------------ engines

    def flush(self) -> None:
        self.stage.flush_redis()
        self.stage.tally.add("redis.flushall")

    def restart_valkey(self) -> None:
        self.stage.restart_valkey()
        self.stage.tally.add("redis.kill")

    def restart_postgres(self) -> None:
        self.stage.restart_postgres()
        self.stage.tally.add("postgres.immediate_restart")

    def throw_out(self) -> None:
        """Postgres ends some of billingbot's sessions, wherever they are."""
        ended = self.stage.rows(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'billingbot'"
            " ORDER BY random() LIMIT 5"
        )
        self.stage.tally.add("postgres.session_ended", len(ended))

    # ------------------------------------------------------------ the world

    def stripe_burst(self) -> None:
        """The next calls that pay all go wrong in the same way."""
        kind = self.dice.choice(("lost_answer", "error_after", "error_before", "rate_limit", "slow", "cut_answer"))
        how = {"seconds": 2.0} if kind == "slow" else {}
        self.stage.stripe.fault(kind, method="POST", path=PAYING_PATH, times=self.dice.randint(1, 5), **how)

    def stripe_away(self) -> None:
        """Nothing at Stripe answers for a while."""
        self.count_stripe()
        self.stage.stripe.fault("lost_request", path="/v1/", times=self.dice.randint(10, 60))
        self.rules()

    def product_down(self) -> None:
        self.stage.product.down = True
        self._in(self.dice.uniform(0.5, 2), lambda: setattr(self.stage.product, "down", False))

    def endpoint_away(self) -> None:
        """What happens at Stripe meanwhile is never delivered."""
        if not self.endpoint:
            return  # it is away already
        self.stage.stripe.remove_endpoint(self.endpoint)
        self.endpoint = ""
        self._in(self.dice.uniform(0.3, 1.5), self.add_endpoint)

    def hold_webhooks(self) -> None:
        """Webhooks wait, and then come all at once."""
        self.stage.stripe.weather(held=True)
        self._in(self.dice.uniform(1, 3), lambda: self.stage.stripe.weather(held=False))

    # ------------------------------------------------------------ time

    def hurry(self) -> None:
        """Minutes pass: jobs that wait for their next try are due."""
        self.stage.rows("UPDATE jobs SET run_at = now() WHERE state = 'ready' AND token IS NULL AND run_at > now()")

    def night(self) -> None:
        """All workers die, a day and an hour pass at Stripe and here, and everybody comes back.

        The workers are gone first: whatever was under way has ended long ago when the night is over.
        """
        for member in [*self.crew.workers(), self.crew.named("scheduler")]:
            self.crew.kill_and_bury(member)
        time.sleep(CALLS_END_SECONDS)
        self.nights += 1
        age(self.stage, hours=NIGHT_HOURS)
        if self.nights % _FORGETFUL_NIGHTS == 0:
            age_history(self.stage, hours=NIGHT_HOURS)
        self.stage.night_passes(NIGHT_HOURS)
        self.stage.tally.add("clock.night")
        self.crew.tend()

    # ------------------------------------------------------------ rogues

    def rogue(self) -> None:
        """A release with a bug, or a person with the application's password, tries what must never be."""
        for name, statement in ROGUE.items():
            try:
                with self.stage.app() as connection:
                    written = connection.execute(statement.encode())
                    if written.rowcount:
                        self.accepted_by_database.append(name)
                    connection.rollback()
                    continue
            except (psycopg.errors.IntegrityError, psycopg.errors.InsufficientPrivilege, psycopg.errors.RaiseException):
                self.stage.tally.add("rogue.refused")
            except psycopg.Error:
                pass  # Postgres is just away


_COLUMNS: Final = "account, livemode, charge_id, amount_minor, currency, origin, decided_by"
# The row is held as it was found: what ends between the search and the insertion would rightly make room.
_STILL: Final = "LIMIT 1 FOR UPDATE SKIP LOCKED"
ROGUE: Final = {
    "a second live refund of one charge": (
        f"INSERT INTO refunds (id, state, {_COLUMNS}) SELECT 're_rogue', 'intended', {_COLUMNS} FROM refunds"
        " WHERE origin <> 'external' AND state IN ('intended', 'submitting', 'unknown', 'pending', 'succeeded') "
        + _STILL
    ),
    "a second attempt while one is open": (
        "INSERT INTO refund_attempts (id, refund_id, number, key, params, outcome)"
        " SELECT 'att_rogue', refund_id, number + 100, key || 'rogue', params, 'open' FROM refund_attempts"
        " WHERE outcome IN ('open', 'unknown') " + _STILL
    ),
    "a second open case of one charge": (
        "INSERT INTO cases (id, account, livemode, state, charge_id) SELECT 'case_rogue', account, livemode, 'review',"
        " charge_id FROM cases WHERE charge_id IS NOT NULL AND state <> 'closed' " + _STILL
    ),
    "an event twice": (
        "INSERT INTO inbox (id, account, event_id, type, thin, livemode, created, object_id, body)"
        " SELECT 'ibx_rogue', account, event_id, type, thin, livemode, created, object_id, body FROM inbox LIMIT 1"
    ),
    "a changed ledger entry": "UPDATE ledger_entries SET actor = 'rogue' WHERE seq = 1",
    "a deleted ledger entry": "DELETE FROM ledger_entries WHERE seq = 1",
}
"""What the application's role may try and the database refuses. Each is rolled back where it is not."""


def age(stage: Stage, *, hours: int) -> None:
    """As if everything that billingbot remembers had happened so much earlier.

    Not the ledger, whose times are sealed, and not the day that a refund's budget belongs to.
    """
    columns = {
        "refund_attempts": ("first_sent_at", "last_sent_at", "answered_at"),
        "jobs": ("run_at", "lease_until", "created_at"),
        "cases": ("opened_at", "recheck_at"),
        "dispute_answers": ("intended_at", "last_sent_at", "confirm_by_at"),
        "ticks": ("last_run_at",),
    }
    for table, names in columns.items():
        changes = ", ".join(f"{name} = {name} - interval '{hours} hours'" for name in names)
        stage.rows(f"UPDATE {table} SET {changes}")
    stage.rows(
        "UPDATE refunds SET intended_at = greatest(intended_at - interval '1 hour',"
        " date_trunc('day', intended_at, 'UTC')) WHERE state IN"
        " ('intended', 'submitting', 'unknown', 'pending', 'requires_action')"
    )


def age_history(stage: Stage, *, hours: int) -> None:
    """As if earlier trials had been read in so much earlier: until that is done again, nobody is paid."""
    columns = ("began_at", "finished_at", "caught_up_at")
    changes = ", ".join(f"{name} = {name} - interval '{hours} hours'" for name in columns)
    stage.rows(f"UPDATE history_imports SET {changes}")


ACTIONS: Final[dict[str, tuple[float, Callable[[Chaos], None]]]] = {
    "kill_worker": (3, Chaos.kill_worker),
    "kill_web": (1.5, Chaos.kill_web),
    "kill_scheduler": (1, Chaos.kill_scheduler),
    "pause": (3, Chaos.pause),
    "expire_leases": (2, Chaos.expire_leases),
    "skew": (1, Chaos.skew),
    "storm": (10, Chaos.storm),
    "cut_line": (4, Chaos.cut_line),
    "line_away": (3, Chaos.line_away),
    "flush": (3, Chaos.flush),
    "restart_valkey": (1, Chaos.restart_valkey),
    "restart_postgres": (1, Chaos.restart_postgres),
    "throw_out": (3, Chaos.throw_out),
    "stripe_burst": (5, Chaos.stripe_burst),
    "stripe_away": (1, Chaos.stripe_away),
    "product_down": (2, Chaos.product_down),
    "endpoint_away": (1, Chaos.endpoint_away),
    "hold_webhooks": (1, Chaos.hold_webhooks),
    "hurry": (6, Chaos.hurry),
    "rogue": (3, Chaos.rogue),
}
"""What can go wrong by command: how often in relation to the others, and how."""
