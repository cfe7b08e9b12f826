"""Casework: a case in words, with the buttons that make sense and what stands in their way; values in, words out."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any, Final

from billingbot.core.access.person import person_key
from billingbot.core.access.powers import Power, roles_with
from billingbot.core.case import Case, CaseState
from billingbot.core.decision import UNDECIDED_RULE, Blocker, Decision, Limit, Recommendation, RuleTrace, Truth
from billingbot.core.facts import CATALOGUE, Fact, Facts, Known
from billingbot.core.letter import LetterState
from billingbot.core.mode import Mode
from billingbot.core.policy import Policy, approval_blockers
from billingbot.core.refund_terms import CancelWhen, RefundTerms
from billingbot.store.views.case_story import CaseStory
from billingbot.web.console.wording import Reader, words

GROUPS: Final[tuple[tuple[str, tuple[str, ...]], ...]] = (
    ("Trial", ("trial",)),
    ("Charge", ("charge",)),
    ("Usage", ("usage",)),
    ("Cancellation", ("cancellation",)),
    ("History", ("history",)),
    ("Disputes", ("dispute", "warning")),
    ("Request and desk", ("request", "desk")),
)
_CANCELS: Final = {
    CancelWhen.NOW: " and cancel the subscription",
    CancelWhen.PERIOD_END: " and end the plan with its period",
}
_BLOCKED: Final[Mapping[Blocker, str]] = {
    Blocker.NOT_SUCCEEDED: "The charge did not succeed: no money was taken.",
    Blocker.NOT_CAPTURED: "The charge was only reserved: no money was taken.",
    Blocker.NOTHING_REFUNDABLE: "Nothing of the charge is left to refund.",
    Blocker.MONEY_RETURNED: "The customer has the money already, through a dispute.",
    Blocker.OPEN_CHARGEBACK: "A chargeback is open: a refund would pay it twice. Answer the dispute instead.",
    Blocker.DISPUTE_FORBIDS: "A dispute of this charge forbids a refund at Stripe.",
    Blocker.DISPUTE_WON: "A dispute about it was won.",
    Blocker.PAID_TWICE: "It was refunded, and taken by the bank as well.",
    Blocker.MONEY_UNCLEAR: "Where the money is cannot be told: there are several disputes, or one in a strange state.",
}
_HELD: Final[Mapping[str, str]] = {
    Limit.MODE: "The policy grants this refund; the desk's mode leaves it to a person.",
    Limit.AMOUNT: "The policy grants this refund; it is larger than the machine may pay.",
    Limit.CURRENCY: "The policy grants this refund; nobody has set a limit in its currency.",
    Limit.EARLIER_REFUND: "The policy grants this refund; the same customer, card or mailbox had one lately.",
    Limit.DENIED_BEFORE: "The policy grants this refund; a person denied one of this charge before.",
    Limit.DAILY_AMOUNT: "The policy grants this refund; the day's budget is spent.",
    Limit.DAILY_COUNT: "The policy grants this refund; the day's count is reached.",
    Limit.BREAKER: "The policy grants this refund; the breaker is open.",
    Limit.MONEY: "The policy grants this refund; where the money is forbids it.",
}
_BECAUSE: Final[Mapping[str, str]] = {
    Limit.MODE: "granted, the mode leaves it to you",
    Limit.AMOUNT: "granted, above the machine's limit",
    Limit.CURRENCY: "granted, no limit in its currency",
    Limit.EARLIER_REFUND: "granted, had a refund lately",
    Limit.DENIED_BEFORE: "granted, denied before",
    Limit.DAILY_AMOUNT: "granted, the day's budget is spent",
    Limit.DAILY_COUNT: "granted, the day's count is reached",
    Limit.BREAKER: "granted, the breaker is open",
    Limit.MONEY: "granted, the money forbids it",
}
_UNDECIDED: Final[Mapping[str, str]] = {
    "mode-off": "The desk is off: nothing was looked at.",
    "nobody-asked": "Nobody asked: comparing with Stripe opened this case.",
    "refund-under-way": "A refund of this charge is under way already.",
    UNDECIDED_RULE: "A rule could not be told, and it might forbid the refund.",
}
_ADVICE: Final[Mapping[Recommendation, str]] = {
    Recommendation.REFUND: "Refund",
    Recommendation.DECLINE: "Decline",
    Recommendation.ACCEPT_DISPUTE: "Accept the dispute",
    Recommendation.CONTEST_DISPUTE: "Contest the dispute",
    Recommendation.NONE: "No advice",
}
_CHANNELS: Final = {
    "inquiry": "A bank asks about",
    "early_fraud_warning": "A card network warns of fraud on",
    "dispute": "A bank has taken back",
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


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleLine:
    """One rule that was looked at."""

    trace: RuleTrace
    summary: str
    is_deciding: bool
    told: str
    tone: str


def because(reason: str | None) -> str:
    """Why a case waits, in a few words for a row of a list."""
    return _BECAUSE.get(reason or "") or words(reason)


def sentence(case: Case, facts: Facts | None, channel: str | None, reader: Reader) -> str:
    """What is asked, in one sentence."""
    amount = reader.money_text(case.amount_minor, case.currency)
    if case.amount_minor is None:
        return "Asks for money back; which charge is meant is not known yet."
    opening = _CHANNELS.get(channel or "")
    start = f"{opening} {amount}" if opening else f"Asks for {amount} back"
    charged = facts.known("charge.created_at") if facts else None
    when = f", charged on {reader.day(charged)}" if isinstance(charged, datetime) else ""
    at_end = " at the end of the trial" if facts and facts.known("trial.charged_at_end") is True else ""
    return f"{start}{when}{at_end}."


def advice(case: Case, decision: Decision | None, policy: Policy | None, reader: Reader) -> Advice:
    """The recommendation with its reason and its clause."""
    recommended = case.recommendation or Recommendation.NONE
    rule = policy.rule(decision.rule) if decision and policy else None
    why = _HELD.get(case.reason or "") or _UNDECIDED.get(case.reason or "")
    told = [part for part in (why, rule.summary if rule and case.reason != UNDECIDED_RULE else None) if part]
    clause = policy.clauses.get(case.clause) if policy and case.clause else None
    headline = _ADVICE[recommended]
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
    shown = reader.money_text(amount if isinstance(amount, int) else case.amount_minor, case.currency)
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


def _obstacles(story: CaseStory, me: str, powers: frozenset[Power]) -> Iterator[str]:
    page, case = story.page, story.page.case
    first = page.first_approval
    if not story.mode.lets_money_move:
        how = (
            "Whoever is ops or admin sets it to assist or auto."
            if story.mode is Mode.SHADOW
            else "It assesses and pays nothing."
        )
        yield f"The desk's mode is {story.mode}: no refund leaves, whoever approves. {how}"
    if case.charge_id is None:
        yield "No single charge is meant: choose the one below."
    elif page.facts is None:
        yield "Nothing was established yet: ask for the facts."
    else:
        yield from (_BLOCKED[blocker] for blocker in approval_blockers(page.facts))
    if first is not None and first.maker_key == person_key(me):
        yield "You have approved it; the second approval is a colleague's."
    elif first is not None and Power.CHECK not in powers:
        roles = " or ".join(roles_with(Power.CHECK))
        yield f"{first.maker} has approved it; the second approval takes the role {roles}."


def fact_groups(facts: Facts, missing: Sequence[str]) -> list[FactGroup]:
    """The facts by what they are about; what stood in the way is a gap, and the source that most share is told once."""
    found = []
    for title, families in GROUPS:
        lines = [
            FactLine(name=name, label=_label(name), meaning=spec.meaning, fact=facts[name])
            for name, spec in CATALOGUE.items()
            if name.partition(".")[0] in families
        ]
        [((source, as_of), _)] = Counter((line.fact.source, line.fact.as_of) for line in lines).most_common(1)
        gap = any(line.name in missing for line in lines if not line.is_known)
        found.append(FactGroup(title=title, lines=tuple(lines), has_gap=gap, source=source, as_of=as_of))
    return found


def _label(name: str) -> str:
    return words(name.partition(".")[2].removesuffix("_minor"))


def fact_value(line: FactLine, currency: str | None, reader: Reader) -> Any:
    """A known fact's value as people read it."""
    value = line.fact.value if isinstance(line.fact, Known) else None
    match value:
        case bool():
            return "yes" if value else "no"
        case datetime():
            return reader.when(value)
        case int() if line.name.endswith("_minor"):
            return reader.money(value, currency)
        case int():
            return reader.number(value)
        case _:
            return words(str(value))


def rule_lines(decision: Decision, policy: Policy | None) -> list[tuple[bool, list[RuleLine]]]:
    """The rules in order: passed, failed, unknown; the last is the one that decided. Those that failed one after the
    other stand together, to be folded.
    """
    shown = {
        Truth.TRUE: ("applies", "done"),
        Truth.FALSE: ("does not apply", "none"),
        Truth.UNKNOWN: ("cannot be told", "unknown"),
    }
    lines = []
    for trace in decision.trace:
        rule = policy.rule(trace.rule) if policy else None
        told, tone = shown[trace.observed]
        lines.append(
            RuleLine(
                trace=trace,
                summary=rule.summary if rule else "",
                is_deciding=trace.rule == decision.rule,
                told=told,
                tone=tone,
            )
        )
    failed = groupby(lines, key=lambda line: line.trace.observed is Truth.FALSE)
    return [(folded, list(together)) for folded, together in failed]


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
