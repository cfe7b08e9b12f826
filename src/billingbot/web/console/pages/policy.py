"""Policy: versions and what they say, what changes from one to another, trying a candidate, and publishing it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import groupby, zip_longest
from typing import Annotated, Any, Final
from urllib.parse import quote, urlencode

from fastapi import APIRouter, File, Form, Query, UploadFile
from pydantic import Field
from starlette.responses import Response

from billingbot.core.access.powers import Power
from billingbot.core.errors import InputError
from billingbot.core.ids import Kind
from billingbot.core.mode import Mode
from billingbot.core.policy import Policy, PolicyError, load_policy
from billingbot.core.policy.checks import Flaw, Severity, check_policy
from billingbot.core.policy.differences import differences
from billingbot.core.policy.editions import BEGINNING, Edition
from billingbot.core.policy.examples import Tried, in_words, try_examples
from billingbot.core.policy.file import SOURCE_BYTES_MAX
from billingbot.flows.policy.publish import Wish, count_in_words, publish, published, read_version
from billingbot.flows.policy.shadow import start_shadow, stop_shadow
from billingbot.store import backtests, shadows, views
from billingbot.web.api.fields import Instant, Word, id_of
from billingbot.web.console.asked import Asked
from billingbot.web.console.door import ConsoleRoute
from billingbot.web.console.visit import Here, Visit

router = APIRouter(route_class=ConsoleRoute)

NOW: Final = "now"
"""Names the policy that judges a charge made now, published or not."""
_FILENAME: Final = "policy.toml"
# How people decide now, and enough of it: a quarter.
_PEOPLE: Final = timedelta(days=90)
_PATH_OF_CANDIDATES: Final = "/policy/publish"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Candidate:
    """A policy that loads, with all that can be said of it before it counts."""

    policy: Policy
    flaws: Sequence[Flaw]
    tried: Sequence[Tried]
    changes: Sequence[tuple[str, Sequence[str]]]

    @property
    def can_be_published(self) -> bool:
        """Whether its own checks allow it."""
        return all(flaw.severity is not Severity.ERROR for flaw in self.flaws)


class Compared(Asked):
    """Two versions, by name; `now` is the one in force."""

    before: Word
    after: Word = NOW


class Wanted(Asked):
    """A text to be published: from which charge on, and why."""

    text: Annotated[str, Field(min_length=1, max_length=SOURCE_BYTES_MAX)]
    why: Annotated[str, Field(max_length=5000)]
    effective_from: Instant | None = None
    retroactive: bool = False


class Shadowed(Asked):
    """A text that decides beside the live policy, and why."""

    text: Annotated[str, Field(min_length=1, max_length=SOURCE_BYTES_MAX)]
    why: Annotated[str, Field(max_length=5000)]


@router.get("/policy")
def versions(here: Here) -> Response:
    """Every published version, and the one in force."""
    editions = list(reversed(published(here.desk)))
    current = here.desk.policy_for(None)
    pairs = [
        (edition, f"/policy/diff?{urlencode({'before': older.version, 'after': edition.version})}" if older else None)
        for edition, older in zip_longest(editions, editions[1:])
    ]
    return here.show("policy/versions.html", editions=pairs, current=current, beginning=BEGINNING)


@router.get("/policy/diff")
def compare(here: Here, asked: Annotated[Compared, Query()]) -> Response:
    """What changes from one version to another, rule by rule and in words."""
    before, after = _named(here, asked.before)[1], _named(here, asked.after)[1]
    names = [NOW, *(edition.version for edition in reversed(published(here.desk)))]
    return here.show(
        "policy/diff.html", before=before, after=after, changes=_changes(before, after), names=names, asked=asked
    )


class Tested(Asked):
    """The backtest whose text is the candidate."""

    backtest: Word | None = None


@router.get(_PATH_OF_CANDIDATES)
def candidate(here: Here, asked: Annotated[Tested, Query()]) -> Response:
    """Where a text is pasted or uploaded; that of a backtest is there already, and checked."""
    here.desk.require(Power.PUBLISH)
    if asked.backtest is not None:
        backtest_id = id_of(Kind.BACKTEST, asked.backtest)
        here.read(backtests.get, backtest_id)
        return _checked(here, here.read(backtests.texts, backtest_id).new)
    current = here.desk.policy_for(None)
    return here.show("policy/publish.html", text=current.source, problems=(), found=None, **_words(here, current))


@router.post(_PATH_OF_CANDIDATES)
def check(
    here: Here,
    text: Annotated[str, Form(max_length=SOURCE_BYTES_MAX)] = "",
    file: Annotated[UploadFile | None, File()] = None,
) -> Response:
    """All that can be said of a text before it counts: problems, changes, checks, examples. Publishes nothing."""
    here.desk.require(Power.PUBLISH)
    content = file.file.read(SOURCE_BYTES_MAX + 1) if file is not None and file.filename else text.encode()
    if not content.strip():
        raise InputError("text", "expected a policy, pasted or uploaded")
    return _checked(here, content.decode("utf-8", "replace").replace("\r\n", "\n"))


@router.post("/policy/published")
def publish_it(here: Here, wanted: Annotated[Wanted, Form()]) -> Response:
    """Publishes a version for all processes at once. ConflictError, and the text's own problems, as a page."""
    wish = Wish(
        text=wanted.text.replace("\r\n", "\n"),
        filename=_FILENAME,
        by=here.name,
        why=wanted.why,
        effective_from=wanted.effective_from,
        retroactive=wanted.retroactive,
    )
    try:
        told = publish(here.desk, wish)
    except PolicyError as fault:
        raise InputError("text", "; ".join(fault.problems)) from None
    edition = told.edition
    if told.again:
        said = f"Version {edition.version} was published before, with these very bytes."
    else:
        said = f"Version {edition.version} is published."
        said += f" {count_in_words(told.decided)} decided under another version." if told.decided else ""
    return here.go(f"/policy/{quote(edition.version, safe='')}", said=said)


@router.get("/policy/shadow")
def shadow(here: Here) -> Response:
    """A candidate beside the live policy on real traffic, and whether `auto` is earned."""
    return here.show("policy/shadow.html", shadow=here.read(shadows.last))


@router.get("/policy/shadow/report")
def report(here: Here) -> Response:
    """How it compares; it follows the page, since all that it said is read with what the live policy said."""
    return here.show("policy/shadow_report.html", report=here.read(views.shadow_report), days=_PEOPLE.days)


@router.get("/policy/shadow/people")
def people(here: Here) -> Response:
    """How often people decided as the live policy advised, lately. Seconds, where there are very many cases."""
    found = here.read(views.live_against_people, here.reader.now - _PEOPLE)
    return here.show("policy/people.html", people=found, days=_PEOPLE.days)


@router.post("/policy/shadow")
def begin_shadow(here: Here, wanted: Annotated[Shadowed, Form()]) -> Response:
    """Lets a text decide beside the live policy; nothing it says is carried out."""
    try:
        policy = load_policy(wanted.text.replace("\r\n", "\n"), filename=_FILENAME)
    except PolicyError as fault:
        raise InputError("text", "; ".join(fault.problems)) from None
    started = start_shadow(here.desk, policy, by=here.name, why=wanted.why)
    return here.go("/policy/shadow", said=f"{started.version} decides beside the live policy from now on.")


@router.post("/policy/shadow/stop")
def end_shadow(here: Here) -> Response:
    """Ends the shadow; what it said stays."""
    stopped = stop_shadow(here.desk, by=here.name)
    return here.go("/policy/shadow", said=f"{stopped.version} decides beside the live policy no more.")


class Shown(Asked):
    """Which part of a version."""

    part: Annotated[str, Field(pattern="^(rules|clauses|limits|replies|examples|text)$")] = "rules"


@router.get("/policy/{version}")
def version(here: Here, version: str, asked: Annotated[Shown, Query()]) -> Response:
    """One version in words: rules, clauses, limits, replies, its examples decided, and its text."""
    edition, policy = _named(here, version)
    path = f"/policy/{quote(version, safe='')}"
    parts = ("rules", "clauses", "limits", "replies", "examples", "text")
    counts = {"rules": len(policy.rules), "clauses": len(policy.clauses), "examples": len(policy.examples)}
    return here.show(
        "policy/version.html",
        edition=edition,
        policy=policy,
        part=asked.part,
        tabs=[(f"{path}?part={one}", one.capitalize(), counts.get(one), one == asked.part) for one in parts],
        tried=_tried(try_examples(policy)) if asked.part == "examples" else [],
        beginning=BEGINNING,
        is_current=policy.digest == here.desk.policy_for(None).digest,
    )


def _named(here: Visit, version: str) -> tuple[Edition | None, Policy]:
    """The version of that name; NotFoundError."""
    if version == NOW:
        return None, here.desk.policy_for(None)
    return read_version(here.desk, version)


def _checked(here: Visit, text: str) -> Response:
    current = here.desk.policy_for(None)
    words = _words(here, current)
    try:
        found = _candidate(load_policy(text, filename=_FILENAME), current)
    except PolicyError as fault:
        return here.show("policy/publish.html", text=text, problems=fault.problems, found=None, **words)
    return here.show("policy/publish.html", text=text, problems=(), found=found, **words)


def _candidate(policy: Policy, current: Policy) -> _Candidate:
    return _Candidate(
        policy=policy,
        flaws=check_policy(policy),
        tried=try_examples(policy),
        changes=_changes(current, policy),
    )


def _changes(before: Policy, after: Policy) -> list[tuple[str, list[str]]]:
    found = differences(before, after)
    return [(part.value, [one.what for one in run]) for part, run in groupby(found, key=lambda one: one.part)]


def _tried(tried: Sequence[Tried]) -> list[tuple[Tried, str]]:
    return [(one, in_words(one.example)) for one in tried]


def _words(here: Visit, current: Policy) -> dict[str, Any]:
    return {
        "current": current,
        "modes": [mode.value for mode in Mode],
        "accounts": sorted(here.desk.accounts),
        "failed": _failed,
    }


def _failed(found: _Candidate) -> list[tuple[Tried, str]]:
    return [(one, in_words(one.example)) for one in found.tried if not one.passed]
