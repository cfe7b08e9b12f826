"""The people at the desk: they decide cases, answer banks, give disputes up and close the breaker.

All of it goes through the API, over a line that fails like every other, each with a key of their own. What one of them
has begun and another has to finish (a second approval, the confirmation of an acceptance) is told among them.
"""

import random
import threading
from collections import Counter, deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final

import httpx

from tests.torture.stage import Stage

NAMES: Final = ("kim", "robin", "sascha")
_EACH_SECONDS: Final = 0.3
_TIMEOUT_SECONDS: Final = 10.0
# They decide about so many of the cases that they see; the others stay in the queue, which is an end as well.
_DECIDED_SHARE: Final = 0.5
# Banks and breakers are looked at on every so many turns.
_OTHER_TURNS: Final = 4


@dataclass(slots=True)
class People:
    """Threads of people, until `stop`."""

    stage: Stage
    keys: Mapping[str, str]
    """The API key of each."""
    seed: int
    did: Counter[str] = field(default_factory=Counter)
    """What was taken from them, by kind; what came of it, the checks tell."""
    _half_approved: "deque[tuple[str, str, str]]" = field(default_factory=deque)
    """Cases that wait for the approval of somebody else than this person."""
    _asked: "deque[tuple[str, str, str]]" = field(default_factory=deque)
    """Acceptances that wait to be confirmed, with who asked."""
    _banks: set[tuple[str, str]] = field(default_factory=set)
    """Disputes that somebody has in hand, by what they are."""
    _stop: threading.Event = field(default_factory=threading.Event)
    _resting: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)

    def start(self) -> None:
        """Everybody comes to work."""
        for name in NAMES:
            thread = threading.Thread(target=self._work, args=(name,), name=name, daemon=True)
            self._threads.append(thread)
            thread.start()

    def rest(self) -> None:
        """No new acts, but that the machine may pay."""
        self._resting.set()

    def stop(self) -> None:
        """Everybody goes home."""
        self._stop.set()
        for thread in self._threads:
            thread.join(_TIMEOUT_SECONDS * 2)

    def _work(self, name: str) -> None:
        dice, turns = random.Random(f"{self.seed}:{name}"), 0
        seen: set[str] = set()
        headers = {"Authorization": f"Bearer {self.keys[name]}"}
        at_desk = httpx.Client(base_url=self.stage.url, headers=headers, timeout=_TIMEOUT_SECONDS, trust_env=False)
        with at_desk as api:
            while not self._stop.wait(_EACH_SECONDS):
                turns += 1
                person = Person(people=self, name=name, api=api, dice=dice, seen=seen)
                acts: list[Callable[[], None]] = []
                if turns % _OTHER_TURNS == 0:
                    acts += [person.close_breaker, person.answer_banks]
                acts += [person.decide_some, person.approve_second, person.confirm]
                if self._resting.is_set():
                    acts = acts[:1] if turns % _OTHER_TURNS == 0 else []
                for act in acts:
                    with suppress(httpx.HTTPError, ValueError, KeyError):  # cut, delayed, or nobody there
                        act()


@dataclass(slots=True, kw_only=True)
class Person:
    """One of them at work; each act may be cut off anywhere."""

    people: People
    name: str
    api: httpx.Client
    dice: random.Random
    seen: set[str]

    def decide_some(self) -> None:
        """Looks at some cases of the queue that are new to this person, and decides about half of them."""
        listed = self.api.get("/api/v1/cases", params={"state": "review", "limit": 100}).json()["items"]
        fresh = [case for case in listed if case["id"] not in self.seen]
        for case in self.dice.sample(fresh, min(3, len(fresh))):
            self.seen.add(case["id"])
            if self.dice.random() < _DECIDED_SHARE:
                self._decide(case)

    def _decide(self, case: dict[str, Any]) -> None:
        """Approves or denies, twice over now and then, as an impatient finger on a button."""
        how = self.dice.choice(("approve", "approve", "deny", "reassess"))
        for _ in range(self._fingers()):
            taken = self._post(f"/cases/{case['id']}/{how}", version=case["version"], reason="torture")
            if how == "approve" and taken and taken["case"]["state"] == "review":
                self.people._half_approved.append((case["id"], self.name))
        self.people.did["decisions"] += 1

    def approve_second(self) -> None:
        """Gives the second approval of what somebody else approved; asked for one's own, one tries that as well."""
        with suppress(IndexError):
            case_id, first = self.people._half_approved.popleft()
            case = self.api.get(f"/api/v1/cases/{case_id}").json()["case"]
            taken = self._post(f"/cases/{case_id}/approve", version=case["version"], reason="torture, as well")
            if first == self.name:
                self.people._half_approved.append((case_id, first))
            self.people.did["second approvals"] += bool(taken)

    def answer_banks(self) -> None:
        """Sends the drafted answer of some disputes, gives some up, and leaves the others to the queue."""
        waiting = self.api.get("/api/v1/disputes", params={"open": "true", "limit": 100}).json()["items"]
        for dispute in waiting:
            name, asked = dispute["id"], (dispute["id"], dispute["kind"])  # an inquiry may become a chargeback
            if dispute["answering"] != "awaited" or asked in self.people._banks or name[-1] > "s":
                continue
            done = self._send(name) if name[-1] < "a" else self._ask_to_accept(name)
            if done:
                self.people._banks.add(asked)

    def _send(self, dispute: str) -> bool:
        page = self.api.get(f"/api/v1/disputes/{dispute}/answer").json()
        if not page["version"]:
            return False
        sent = [
            self._post(f"/disputes/{dispute}/answer/send", version=page["version"], with_theirs=True)
            for _ in range(self._fingers())
        ]
        self.people.did["answers sent"] += any(sent)
        return any(sent)

    def _ask_to_accept(self, dispute: str) -> bool:
        asked = self._post(f"/disputes/{dispute}/accept")
        if not asked:
            return False
        self.people._asked.append((dispute, asked["answer"]["id"], self.name))
        self.people.did["acceptances asked"] += 1
        return True

    def confirm(self) -> None:
        """Confirms that a dispute is given up, or takes that back; the one who asked tries it as well."""
        with suppress(IndexError):
            dispute, answer, first = self.people._asked.popleft()
            how = self.dice.choice(("confirm", "confirm", "confirm", "take-back"))
            taken = [self._post(f"/disputes/{dispute}/accept/{how}", answer=answer) for _ in range(self._fingers())]
            if first == self.name and not any(taken):
                self.people._asked.append((dispute, answer, first))
            self.people.did[f"acceptances {'confirmed' if how == 'confirm' else 'taken back'}"] += any(taken)

    def close_breaker(self) -> None:
        """Lets the machine pay again, once the breaker has stopped it."""
        for breaker in self.api.get("/api/v1/breakers").json()["breakers"]:
            if breaker["open"] and self._post(f"/breakers/{breaker['account']}/close", why="seen: a busy hour"):
                self.people.did["breakers closed"] += 1

    def _post(self, path: str, **body: Any) -> Any:
        """What is answered; None where it was refused, or nobody knows whether it was taken."""
        with suppress(httpx.HTTPError, ValueError):
            answer = self.api.post(f"/api/v1{path}", json={"by": self.name, **body})
            return answer.json() if answer.is_success else None
        return None

    def _fingers(self) -> int:
        return self.dice.choice((1, 1, 2))
