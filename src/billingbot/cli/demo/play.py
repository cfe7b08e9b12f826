"""Plays the month: customers sign up, trials end, charges happen, people and banks ask, and billingbot answers."""

import hashlib
import hmac
import json
import random
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeVar

import httpx

from billingbot.cli.demo.story import Story
from billingbot.cli.demo.world import Person, World

Item = TypeVar("Item")

# Stripe's clock through the month, in days from its beginning.
EARLY_DAY: Final = 7
CHARGED_DAY: Final = 15
ASK_DAY: Final = 19
LATER_DAY: Final = 23
# A case that is not where it should be after so long is not going there: decisions take well under a second, what comes
# by the clock (deadlines, reminders) is looked at every ten seconds, and a crowded machine is many times slower.
PATIENCE_SECONDS: Final = 100.0
_GLANCE_SECONDS: Final = 0.25
_SETTLED: Final = frozenset({"review", "closed"})
# Coverage that the product pushes for its API source: since long before the month.
_PUSHED_FROM: Final = timedelta(days=90)


@dataclass(slots=True)
class Played:
    """A story with its person, its cases, and what came of it."""

    story: Story
    person: Person
    cases: list[str] = field(default_factory=list)
    case: dict[str, Any] = field(default_factory=dict)
    refunded_minor: int = 0
    refunded_outside_minor: int = 0
    subscription: str | None = None
    dispute: str | None = None
    booked: tuple[int, int, int] | None = None
    ledgered: set[str] = field(default_factory=set)
    told: set[str] = field(default_factory=set)

    @property
    def problems(self) -> list[str]:
        """How what happened differs from what was expected; empty where it does not."""
        expected, case = self.story.expected, self.case
        actual = case.get("outcome") if case.get("state") == "closed" else case.get("reason")
        if actual == expected.or_reason:
            actual = expected.reason
        pairs: list[tuple[str, Any, Any]] = [
            ("state", expected.state, case.get("state")),
            ("reason", expected.reason, actual),
            ("refunded", expected.refunded_minor, self.refunded_minor),
            ("refunded outside", expected.refunded_outside_minor, self.refunded_outside_minor),
        ]
        if expected.subscription is not None:
            pairs.append(("subscription", expected.subscription, self.subscription))
        if expected.dispute is not None:
            pairs.append(("dispute", expected.dispute, self.dispute))
        if expected.booked is not None:
            pairs.append(("withdrawn, returned, fees", expected.booked, self.booked))
        pairs.append(("not in the ledger", set(), expected.ledgered - self.ledgered))
        pairs.append(("not told", set(), expected.told - self.told))
        if expected.recommendation is not None:
            pairs.append(("recommendation", expected.recommendation, case.get("recommendation")))
        return [f"{name}: expected {wanted}, got {got}" for name, wanted, got in pairs if wanted != got]

    @property
    def is_settled(self) -> bool:
        """Whether the case rests: with a person, or closed."""
        return bool(self.case) and self.case["state"] in _SETTLED


class Month:
    """One month at the shop, stage by stage; `say` is told what happens, for the live view."""

    def __init__(
        self,
        world: World,
        billingbot: httpx.Client,
        stories: Sequence[Story],
        *,
        seed: int,
        say: Callable[[str, int, int], None],
    ) -> None:
        self.world = world
        self.billingbot = billingbot
        self.stories = stories
        self.chance = random.Random(seed)  # noqa: S311 - the order of a demo, not a secret
        self.say = say
        self.began = world.now()
        self.played: list[Played] = []

    def play(self) -> list[Played]:
        """The whole month. Raises httpx.HTTPError where billingbot or the local Stripe goes away."""
        self._each("People sign up for trials", self.stories, self._sign_up)
        self._until(1, "Trials begin")
        self._each("Some change their minds", [p for p in self.played if p.story.in_trial], self._live_in_trial)
        self._until(EARLY_DAY, "The first week")
        vouch(self.billingbot)
        early = [p for p in self.played if p.story.early]
        self._ask(early)
        self._settle("The first requests", early)
        self._happen("Somebody tries twice", early)
        self._until(CHARGED_DAY, "Trials end, cards are charged")
        self.world.stripe.weather(duplicate=0.2, twins=0.1, disorder_seconds=0.5)
        self._happen("Banks, mended cards, the Dashboard", [p for p in self.played if not p.story.early])
        self._until(ASK_DAY, "Days go by")
        vouch(self.billingbot)
        self._bad_day()
        self._ask(self.played)
        self._settle("billingbot decides", self.played)
        acting = [played for played in self.played if played.story.people]
        self._each("People at the desk act", acting, self._act, threads=4)
        self._until(LATER_DAY, "Days go by")
        self._later()
        self._settle("Late news is followed", self.played, exactly=True)
        self._count()
        return self.played

    # ------------------------------------------------------------ stages

    def _sign_up(self, story: Story) -> None:
        self.played.append(Played(story=story, person=story.begin(self.world)))

    def _live_in_trial(self, played: Played) -> None:
        if played.story.in_trial:
            played.story.in_trial(self.world, played.person)

    def _happen(self, what: str, all_played: Sequence[Played]) -> None:
        def happen(played: Played) -> None:
            played.person.charge = self.world.newest_charge(played.person)
            if played.story.charged:
                played.story.charged(self.world, played.person)

        self._each(what, all_played, happen)

    def _ask(self, all_played: Sequence[Played]) -> None:
        """Everybody asks at once, in any order, each through the API."""
        wishes: list[tuple[Played, dict[str, Any]]] = []
        for played in all_played:
            played.person.charge = self.world.newest_charge(played.person)
            played.cases, played.case = [], {}
            wishes += [(played, wish) for wish in played.story.asks(self.world, played.person)]
        self.chance.shuffle(wishes)
        self._each("Requests come in", wishes, lambda wish: self._post(*wish), threads=8)

    def _post(self, played: Played, wish: dict[str, Any]) -> None:
        answer = self.billingbot.post("/api/v1/refund-requests", json=wish)
        answer.raise_for_status()
        played.cases.append(answer.json()["case"]["id"])

    def _act(self, played: Played) -> None:
        if played.story.people:
            played.story.people(self.world, self.billingbot, played.person)

    def _later(self) -> None:
        for played in self.played:
            if played.story.later:
                played.story.later(self.world, played.person)

    def _bad_day(self) -> None:
        """Some of the coming calls lose their answers, or meet errors and limits, each of its own kind."""
        for kind in ("lost_answer", "error_after", "cut_answer", "rate_limit", "bad_gateway"):
            self.world.stripe.fault(kind, method="POST", path="/v1/refunds", times=1)
        self.world.stripe.fault("lost_answer", method="DELETE", path="/v1/subscriptions/", times=1)

    def _settle(self, what: str, all_played: Sequence[Played], *, exactly: bool = False) -> None:
        """Waits until every case rests; with `exactly`, until all rest where the stories say, or patience ends."""
        until = time.monotonic() + PATIENCE_SECONDS
        waiting = list(all_played)
        while True:
            whole = len(waiting) == len(all_played)
            moving = [played for played in waiting if not self._rests(played, exactly=exactly)]
            self.say(what, len(all_played) - len(moving), len(all_played))
            over = not moving if exactly else all(played.story.later for played in moving)
            if (over and whole) or time.monotonic() > until:
                return
            # Who rests is looked at once more, with everybody, when nobody moves any more.
            waiting = list(all_played) if over else moving
            if moving:
                time.sleep(_GLANCE_SECONDS)

    def _rests(self, played: Played, *, exactly: bool) -> bool:
        """Whether its case rests, and with `exactly` where the story says."""
        if exactly:
            self._money(played)
        if not played.is_settled or (exactly and played.problems):
            self._look_at(played)
        return played.is_settled and not (exactly and played.problems)

    def _look_at(self, played: Played) -> None:
        """Reads the story's case; one opened by a bank is found by its charge."""
        if not played.cases:
            found = self.billingbot.get("/api/v1/cases", params={"charge": played.person.charge}).json()["items"]
            played.cases += [case["id"] for case in found]
        if not played.cases:
            return
        case = self._case(played.cases[0])
        if case.get("joined_case_id"):
            played.cases[0] = case["joined_case_id"]
            case = self._case(played.cases[0])
        played.case = case

    def _case(self, case_id: str) -> dict[str, Any]:
        answer = self.billingbot.get(f"/api/v1/cases/{case_id}")
        answer.raise_for_status()
        case: dict[str, Any] = answer.json()["case"]
        return case

    def _count(self) -> None:
        for played in self.played:
            self._look_at(played)
            self._money(played)

    def _money(self, played: Played) -> None:
        """What Stripe says was paid back, ours and not ours, and what became of the subscription."""
        if not played.person.charge:
            return
        refunds = self.world.stripe.get("/refunds", charge=played.person.charge)["data"]
        paid = [refund for refund in refunds if refund["status"] == "succeeded"]
        ours = [refund for refund in paid if "billingbot_refund" in refund["metadata"]]
        played.refunded_minor = sum(refund["amount"] for refund in ours)
        played.refunded_outside_minor = sum(refund["amount"] for refund in paid) - played.refunded_minor
        if played.story.expected.subscription is not None:
            path = f"/subscriptions/{played.person.subscription}"
            played.subscription = str(self.world.stripe.get(path)["status"])
        subjects = [played.case["id"]] if played.case else []
        if played.story.expected.dispute is not None or played.story.expected.booked is not None:
            newest = self.world.newest_dispute(played.person)
            played.dispute = str(self.world.stripe.get(f"/disputes/{newest}")["status"])
            subjects.append(newest)
        self._records(played, subjects)

    def _records(self, played: Played, subjects: Sequence[str]) -> None:
        """What ledger and notices say of the story's case and dispute, where the story asks."""
        expected = played.story.expected
        if not (expected.booked or expected.ledgered or expected.told):
            return
        for subject in subjects:
            entries = self.billingbot.get("/api/v1/ledger", params={"subject": subject, "limit": 100}).json()["items"]
            played.ledgered |= {entry["kind"] for entry in entries}
            notices = self.billingbot.get("/api/v1/notices", params={"subject": subject}).json()["items"]
            played.told |= {notice["kind"] for notice in notices}
            for body in (entry["body"] for entry in entries if entry["kind"] == "dispute.changed"):
                played.booked = (body["withdrawn_minor"], body["reinstated_minor"], body["fees_minor"])

    # ------------------------------------------------------------ time and progress

    def _until(self, day: int, what: str) -> None:
        """Stripe's clock moves on; all that falls due happens on the way, and its webhooks arrive."""
        self.say(what, 0, 1)
        target = self.began + timedelta(days=day)
        if target > self.world.now():
            self.world.stripe.advance(to=target)
        self.world.stripe.quiet()
        self.say(what, 1, 1)

    def _each(self, what: str, items: Sequence[Item], act: Callable[[Item], None], *, threads: int = 1) -> None:
        self.say(what, 0, len(items))
        with ThreadPoolExecutor(max_workers=threads) as pool:
            for done, _ in enumerate(pool.map(act, items), start=1):
                self.say(what, done, len(items))


def vouch(billingbot: httpx.Client) -> None:
    """The product's API source pushes that it saw nothing, and for which time it can say so."""
    now = datetime.now(UTC)
    span = {"from": (now - _PUSHED_FROM).isoformat(), "to": now.isoformat()}
    billingbot.post("/api/v1/activity", json={"source": "api-calls", "coverage": [span]}).raise_for_status()


def stranger_is_refused(url: str, secret: str) -> bool:
    """Whether a live-mode event, well signed, is turned away by our test-mode endpoint."""
    now = int(time.time())
    event = {"id": "evt_live", "object": "event", "type": "invoice.paid", "livemode": True, "created": now}
    body = json.dumps({**event, "api_version": None, "data": {"object": {"id": "in_live"}}})
    mac = hmac.new(secret.encode(), f"{now}.{body}".encode(), hashlib.sha256).hexdigest()
    answer = httpx.post(url, content=body, headers={"Stripe-Signature": f"t={now},v1={mac}"})
    return answer.status_code == httpx.codes.BAD_REQUEST
