"""Casework: a case in words, with the buttons that make sense and what stands in their way; values in, words out."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any, Final

from billingbot.core.access.person import person_key
from billingbot.core.access.powers import Power, roles_with
from billingbot.core.case import Case, CaseState
from billingbot.core.decision import Blocker, ConditionTrace, Decision, Recommendation, RuleTrace, Truth
from billingbot.core.disputes.life import DisputeKind
from billingbot.core.facts import CATALOGUE, Fact, Facts, FactValue, Known, Unknown
from billingbot.core.letter import LetterState
from billingbot.core.policy import Policy, approval_blockers
from billingbot.core.refund import RefundState
from billingbot.core.refund_terms import CancelWhen, RefundTerms
from billingbot.store.views.case_story import CaseStory
from billingbot.web.console.case_words import (
    ADVICE,
    BECAUSE,
    BLOCKED,
    CHANNELS,
    HELD,
    LABELS,
    ON_ITS_WAY,
    REFUSED,
    STOPPED,
    UNDECIDED,
)
from billingbot.web.console.wording import Reader, words

GROUPS: Final[tuple[tuple[str, tuple[str, ...]], ...]] = (
    ("Trial", ("trial",)),
    ("Charge", ("charge",)),
    ("Usage", ("usage",)),
    ("Cancellation", ("cancellation",)),
    ("History", ("history", "abuse")),
    ("Disputes", ("dispute", "warning")),
    ("Request and desk", ("request", "desk")),
)
_FACT_NAME: Final = re.compile(r"\b[a-z]+\.[a-z_]+\b")
# What nothing can be known of where something else is not so: no first use without use.
_MOOT: Final[Mapping[str, str]] = {
    "usage.first_at": "usage.used",
    "usage.last_at": "usage.used",
    "warning.fraud_type": "warning.actionable",
}
UNDER_WAY: Final = frozenset(
    {
        RefundState.INTENDED,
        RefundState.SUBMITTING,
        RefundState.UNKNOWN,
        RefundState.PENDING,
        RefundState.REQUIRES_ACTION,
    }
)
_CANCELS: Final = {
    CancelWhen.NOW: " and cancel the subscription",
    CancelWhen.PERIOD_END: " and end the plan with its period",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Advice:
    """What the policy advises, in words, and whose sentence it is."""

    headline: str
    why: str
    clause: str | None
    prefilled: str
    """A reason to approve or deny by, where that follows the advice; empty where a person goes their own way."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Paying:
    """What approving would do: the words on the button, and all that stands in its way."""

    label: str
    told: str | None
    """What else is wanted, said before it is needed: a second person."""
    obstacles: tuple[str, ...]

    @property
    def is_open(self) -> bool:
        """Whether anything speaks for pressing it."""
        return not self.obstacles


@dataclass(frozen=True, slots=True, kw_only=True)
class FactLine:
    """One fact as it is shown."""

    name: str
    label: str
    meaning: str
    fact: Fact
    is_moot: bool
    """Not known, for there is nothing to know."""

    @property
    def is_known(self) -> bool:
        """Whether it was established."""
        return isinstance(self.fact, Known)


@dataclass(frozen=True, slots=True, kw_only=True)
class FactGroup:
    """Facts about one thing. `source` and `as_of` are those of most of them; where one differs, it says so."""

    title: str
    lines: tuple[FactLine, ...]
    has_gap: bool
    source: str
    as_of: datetime
    blank: str | None
    """Why nothing of it is known, where one reason stands for all of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleLine:
    """One rule that was looked at."""

    trace: RuleTrace
    summary: str
    is_deciding: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleRun:
    """Rules one after the other of which the same was observed, told in one state, to be folded where they are many."""

    told: str
    tone: str
    lines: tuple[RuleLine, ...]


def because(reason: str | None) -> str:
    """Why a case waits, in a few words for a row of a list."""
    return BECAUSE.get(reason or "") or words(reason)


def sentence(case: Case, facts: Facts | None, channel: str | None, reader: Reader) -> str:
    """What is asked, in one sentence."""
    amount = reader.money_text(case.amount_minor, case.currency)
    if case.amount_minor is None:
        return "Asks for money back; which charge is meant is not known yet."
    opening = CHANNELS.get(channel or "")
    start = f"{opening} {amount}" if opening else f"Asks for {amount} back"
    charged = facts.known("charge.created_at") if facts else None
    when = f", charged on {reader.day(charged)}" if isinstance(charged, datetime) else ""
    at_end = " at the end of the trial" if facts and facts.known("trial.charged_at_end") is True else ""
    return f"{start}{when}{at_end}."


def advice(case: Case, decision: Decision | None, policy: Policy | None, reader: Reader) -> Advice:
    """The recommendation with its reason and its clause."""
    recommended = case.recommendation or Recommendation.NONE
    rule = policy.rule(decision.rule) if decision and policy else None
    reason = case.reason or ""
    why = HELD.get(reason) or UNDECIDED.get(reason) or STOPPED.get(reason)
    if reason.startswith(REFUSED):
        why = f"Stripe refused the refund: {words(reason.removeprefix(REFUSED))}. Nothing was paid."
    # Once it came back for another reason, the rule that decided then says nothing of it.
    decided = rule if rule and (reason in HELD or reason == rule.id) else None
    told = [part for part in (why, decided.summary if decided else None) if part]
    clause = policy.clauses.get(case.clause) if policy and case.clause and decided else None
    headline = ADVICE[recommended]
    if recommended is Recommendation.REFUND:
        headline += f" {reader.money_text(case.amount_minor, case.currency)}"
    follows = recommended in {Recommendation.REFUND, Recommendation.DECLINE}
    return Advice(
        headline=headline,
        why=" ".join(told) or words(case.reason),
        clause=f"{clause.title}. {clause.meaning}" if clause else None,
        prefilled=f"As advised: {words(decision.rule) if decision else words(case.reason)}" if follows else "",
    )


def paying(
    story: CaseStory, terms: RefundTerms, *, wants_two: bool, me: str, powers: frozenset[Power], reader: Reader
) -> Paying:
    """What approving would do for this person, and what is in the way, with what to do about it."""
    page, case, facts = story.page, story.page.case, story.page.facts
    amount = facts.known("charge.refundable_minor") if facts else None
    minor = amount if isinstance(amount, int) else case.amount_minor
    shown = reader.money_text(minor, case.currency) if minor is not None else "it"
    cancels = _CANCELS.get(terms.cancel_subscription, "") if case.subscription_id else ""
    label, told = f"Refund {shown}{cancels}", None
    first = page.first_approval
    if wants_two and first is None:
        label, told = (
            f"Approve {shown}, as the first of two",
            "It is large: a second person approves before money leaves.",
        )
    elif first is not None:
        told = f"{first.maker} has approved it: yours is the second approval, and the money leaves."
    return Paying(label=label, told=told, obstacles=tuple(_obstacles(story, me, powers)))


def under_way(story: CaseStory) -> str:
    """Who decided the refund that is on its way, and how far it is."""
    refund = next((line.refund for line in reversed(story.page.refunds) if line.refund.state in UNDER_WAY), None)
    if refund is None:
        return "It is read at Stripe how it ended."
    by = "the policy" if refund.decided_by.startswith("policy:") else refund.decided_by
    return f"Decided by {by}. {ON_ITS_WAY[refund.state]}"


def _obstacles(story: CaseStory, me: str, powers: frozenset[Power]) -> Iterator[str]:
    page, case = story.page, story.page.case
    first = page.first_approval
    if not story.mode.lets_money_move:
        roles = " or ".join(roles_with(Power.SWITCH))
        yield (
            f"The desk's mode is {story.mode}: no refund leaves, whoever approves."
            f" Whoever is {roles} sets it to assist or auto."
        )
    if case.charge_id is None:
        yield "No single charge is meant: choose the one below."
    elif page.facts is None:
        yield "Nothing was established yet: ask for the facts."
    else:
        yield from (BLOCKED[blocker] for blocker in _blockers(story, page.facts))
    if case.state is CaseState.REVIEW and any(line.refund.state in UNDER_WAY for line in page.refunds):
        yield "A refund of it is under way already: wait until Stripe says how it ends."
    if first is not None and first.maker_key == person_key(me):
        yield "You have approved it; the second approval is a colleague's."
    elif first is not None and Power.CHECK not in powers:
        roles = " or ".join(roles_with(Power.CHECK))
        yield f"{first.maker} has approved it; the second approval takes the role {roles}."


def _blockers(story: CaseStory, facts: Facts) -> Iterator[Blocker]:
    """By the facts, and by what has become known of disputes since; a chargeback says the rest."""
    met = dict.fromkeys(approval_blockers(facts))
    open_ones = [one for one in story.disputes if one.outcome is None]
    if any(one.kind is DisputeKind.CHARGEBACK for one in open_ones):
        met[Blocker.OPEN_CHARGEBACK] = None
    if any(not one.dispute.is_charge_refundable for one in open_ones):
        met[Blocker.DISPUTE_FORBIDS] = None
    if Blocker.OPEN_CHARGEBACK in met:
        met.pop(Blocker.DISPUTE_FORBIDS, None)
    yield from met


def gaps(case: Case, decision: Decision | None, facts: Facts | None) -> list[str]:
    """Why facts that a decision needs are unknown: each reason once."""
    if decision is None or facts is None or case.charge_id is None:
        return []
    unknown = [fact for name in _wanted(decision.missing) if isinstance(fact := facts[name], Unknown)]
    return list(dict.fromkeys(fact.why for fact in unknown))


def _wanted(missing: Sequence[str]) -> list[str]:
    """What left rules undecided; and whether it was used, which each refund turns on."""
    return [name for name in CATALOGUE if name in missing or name == "usage.used"]


def _label(name: str) -> str:
    """A fact by itself, without the heading that it stands under."""
    return LABELS.get(name) or words(name.removesuffix("_minor").replace(".", " "))


def fact_groups(facts: Facts, missing: Sequence[str]) -> list[FactGroup]:
    """The facts by what they are about; what stood in the way is a gap, and the source that most share is told once."""
    found = []
    for title, families in GROUPS:
        lines = [
            FactLine(
                name=name,
                label=LABELS.get(name) or words(name.partition(".")[2].removesuffix("_minor")),
                meaning=spec.meaning,
                fact=facts[name],
                is_moot=name in _MOOT and facts.known(_MOOT[name]) is False,
            )
            for name, spec in CATALOGUE.items()
            if name.partition(".")[0] in families
        ]
        [((source, as_of), _)] = Counter((line.fact.source, line.fact.as_of) for line in lines).most_common(1)
        gap = any(line.name in _wanted(missing) for line in lines if not line.is_known)
        whys = {line.fact.why if isinstance(line.fact, Unknown) else None for line in lines}
        blank = whys.pop() if len(whys) == 1 else None
        group = FactGroup(title=title, lines=tuple(lines), has_gap=gap, source=source, as_of=as_of, blank=blank)
        found.append(group)
    return found


def fact_value(name: str, value: FactValue | None, currency: str | None, reader: Reader) -> Any:
    """A fact's value as people read it."""
    match value:
        case None:
            return "unknown"
        case bool():
            return "yes" if value else "no"
        case datetime():
            return reader.when(value)
        case int() if name.endswith("_minor"):
            return reader.money(value, currency)
        case int() if name == "charge.percent_of_dispute_fee":
            return f"{reader.number(value)} %"
        case int():
            return reader.number(value)
        case _:
            return value.upper() if name == "charge.currency" else words(str(value))


def in_labels(sentence: str) -> str:
    """A sentence about facts with their labels for their names."""
    return _FACT_NAME.sub(lambda met: f"“{_label(met[0])}”" if met[0] in CATALOGUE else met[0], sentence)


def read_facts(condition: ConditionTrace, currency: str | None, reader: Reader) -> list[tuple[str, Any]]:
    """The facts that a condition reads, by their labels, as they were."""
    return [
        (
            _label(name),
            fact_value(name, value, currency, reader),
        )
        for name, value in condition.facts.items()
    ]


_OBSERVED: Final = {
    Truth.TRUE: ("applies", "apply", "done"),
    Truth.FALSE: ("does not apply", "do not apply", "none"),
    Truth.UNKNOWN: ("cannot be told", "cannot be told", "unknown"),
}


def rule_runs(decision: Decision, policy: Policy | None) -> list[RuleRun]:
    """The rules in order, the last of which decided. Those of which the same was observed one after the other stand
    together, and the deciding one alone.
    """
    lines = []
    for trace in decision.trace:
        rule = policy.rule(trace.rule) if policy else None
        summary = rule.summary if rule else ""
        lines.append(RuleLine(trace=trace, summary=summary, is_deciding=trace.rule == decision.rule))
    runs = []
    for (observed, _), run in groupby(lines, key=lambda line: (line.trace.observed, line.is_deciding)):
        together = tuple(run)
        one, many, tone = _OBSERVED[observed]
        runs.append(RuleRun(told=many if len(together) > 1 else one, tone=tone, lines=together))
    return runs


def snoozes(case: Case, latest: datetime | None, reader: Reader) -> list[tuple[str, datetime]]:
    """Until when the case may be put off, in words: none of them past its deadline."""
    if case.state is not CaseState.REVIEW:
        return []
    now = reader.now
    local = now.astimezone(reader.zone)
    tomorrow = (local + timedelta(days=1)).replace(hour=9, minute=0, second=0, microsecond=0)
    offers = [
        ("for 1 hour", now + timedelta(hours=1)),
        ("for 4 hours", now + timedelta(hours=4)),
        ("until tomorrow, 9:00", tomorrow),
        ("for 2 days", now + timedelta(days=2)),
    ]
    fitting = [(name, at) for name, at in offers if latest is None or at <= latest]
    if case.due_at and latest and latest > now + timedelta(minutes=5):
        fitting.append(("until it is due", latest))
    return fitting


def reply_state(story: CaseStory) -> tuple[bool, str | None]:
    """Whether a reply may still be written, and what became of the one that was sent."""
    for letter in reversed(story.page.letters):
        match letter.state:
            case LetterState.SENT:
                return False, "Sent"
            case LetterState.WAITING | LetterState.SENDING:
                return False, "On its way"
            case LetterState.UNKNOWN:
                return False, f"May have been sent: {letter.why}"
            case LetterState.FAILED:
                return True, f"Did not arrive: {letter.why}"
    return story.page.case.state is not CaseState.ASSESSING, None


def candidates(facts: Facts | None) -> Sequence[Mapping[str, Any]]:
    """The charges that the request may have meant."""
    return facts.exhibits.get("candidates", ()) if facts else ()
