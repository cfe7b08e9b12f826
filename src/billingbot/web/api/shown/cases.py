"""Cases from outside: a line of a list, and everything about one."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Self

from pydantic import BaseModel

from billingbot.core.aftercare import Cancellation
from billingbot.core.case import Case, CaseState
from billingbot.core.decision import LimitTrace, Outcome, Priority, Recommendation, RuleTrace
from billingbot.core.facts import CATALOGUE, Facts, Known
from billingbot.core.ledger import Entry
from billingbot.core.letter import Letter, LetterState
from billingbot.core.request import Channel, NamedBy
from billingbot.store.approvals import FirstApproval
from billingbot.store.comments import Comment
from billingbot.store.notes import Note
from billingbot.store.requests import Request
from billingbot.store.views import CasePage, DecisionLine
from billingbot.web.api.shown.amounts import AmountShown
from billingbot.web.api.shown.disputes import DisputeShown
from billingbot.web.api.shown.refunds import RefundShown


class CaseShown(BaseModel):
    """One case, as lists show it."""

    id: str
    account: str
    livemode: bool
    state: CaseState
    version: int
    charge: str | None
    customer: str | None
    subscription: str | None
    invoice: str | None
    amount: AmountShown | None
    reason: str | None
    clause: str | None
    recommendation: Recommendation | None
    priority: Priority
    assignee: str | None
    joined_case_id: str | None
    outcome: str | None
    reply: str | None
    reply_subject: str | None
    reply_language: str | None
    opened_at: datetime
    decided_at: datetime | None
    due_at: datetime | None
    snoozed_until: datetime | None
    closed_at: datetime | None

    @classmethod
    def of(cls, case: Case) -> Self:
        """The case from outside."""
        known = case.amount_minor is not None and case.currency is not None
        same = {name: getattr(case, name) for name in cls.model_fields if name in Case.__slots__}
        return cls(
            **same,
            charge=case.charge_id,
            customer=case.customer_id,
            subscription=case.subscription_id,
            invoice=case.invoice_id,
            amount=AmountShown.of(case.amount_minor or 0, case.currency or "") if known else None,
        )


class ClaimsShown(BaseModel):
    """What the customer said."""

    unused: bool
    cancelled: bool
    cancelled_at: datetime | None
    text: str | None


class RequestShown(BaseModel):
    """One request, as it was asked."""

    id: str
    channel: Channel
    named_by: NamedBy
    named: str
    claims: ClaimsShown
    external_ref: str | None
    asked_by: str
    asked_at: datetime

    @classmethod
    def of(cls, request: Request) -> Self:
        """The request from outside."""
        claims = request.claims
        return cls(
            id=request.id,
            channel=request.channel,
            named_by=request.named_by,
            named=request.named,
            claims=ClaimsShown(
                unused=claims.unused,
                cancelled=claims.cancelled,
                cancelled_at=claims.cancelled_at,
                text=claims.text,
            ),
            external_ref=request.external_ref,
            asked_by=request.asked_by,
            asked_at=request.asked_at,
        )


class FactShown(BaseModel):
    """One fact: what is known, or why it is not, by whom, and as of when."""

    name: str
    meaning: str
    known: bool
    value: bool | int | str | datetime | None
    why: str | None
    source: str
    as_of: datetime


class DecisionShown(BaseModel):
    """A verdict with its trace: rule by rule, condition by condition."""

    id: str
    outcome: Outcome
    rule: str
    reason: str
    clause: str | None
    recommendation: Recommendation
    priority: Priority
    amount: AmountShown | None
    missing: tuple[str, ...]
    policy_id: str
    policy_version: str
    policy_digest: str
    facts_digest: str
    decision_digest: str
    trace: tuple[RuleTrace, ...]
    limits: tuple[LimitTrace, ...]


class FirstApprovalShown(BaseModel):
    """A first approval that waits for the second."""

    by: str
    at: datetime
    amount: AmountShown

    @classmethod
    def of(cls, first: FirstApproval) -> Self:
        """The approval from outside."""
        return cls(by=first.maker, at=first.made_at, amount=AmountShown.of(first.amount_minor, first.currency))


class LetterShown(BaseModel):
    """A reply that was sent to a customer, or is on its way."""

    id: str
    case_id: str
    state: LetterState
    language: str | None
    subject: str
    text: str
    written_by: str
    written_at: datetime
    sent_at: datetime | None
    why: str | None

    @classmethod
    def of(cls, letter: Letter) -> Self:
        """The letter from outside."""
        return cls(**{name: getattr(letter, name) for name in cls.model_fields})


class CommentShown(BaseModel):
    """A comment on a cancellation."""

    subscription: str
    feedback: str | None
    comment: str
    matched: list[str]
    noticed_at: datetime

    @classmethod
    def of(cls, comment: Comment) -> Self:
        """The comment from outside."""
        return cls(
            subscription=comment.subscription_id,
            feedback=comment.feedback,
            comment=comment.comment,
            matched=list(comment.matched),
            noticed_at=comment.noticed_at,
        )


class CasePageShown(BaseModel):
    """Everything about one case."""

    case: CaseShown
    recheck_at: datetime | None
    rechecks: int
    blockers: list[str]
    requests: list[RequestShown]
    facts_at: datetime | None
    facts: list[FactShown]
    exhibits: Mapping[str, Any]
    decision: DecisionShown | None
    decisions: list[DecisionLine]
    refunds: list[RefundShown]
    cancellations: list[Cancellation]
    notes: list[Note]
    letters: list[LetterShown]
    joined: list[str]
    disputes: list[DisputeShown]
    timeline: list[Entry]
    comments: list[CommentShown]
    """What the customer wrote when cancelling, and which words of the lists ask for money back."""
    first_approval: FirstApprovalShown | None
    """Who approved a large refund first; one more approval is wanted, from somebody else."""

    @classmethod
    def of(cls, page: CasePage, blockers: tuple[str, ...]) -> Self:
        """The page from outside; `blockers` are what stands against paying, as far as the stored facts tell."""
        return cls(
            case=CaseShown.of(page.case),
            recheck_at=page.recheck_at,
            rechecks=page.rechecks,
            blockers=list(blockers),
            requests=[RequestShown.of(request) for request in page.requests],
            facts_at=page.facts.at if page.facts else None,
            facts=_facts(page.facts) if page.facts else [],
            exhibits=page.facts.exhibits if page.facts else {},
            decision=_decision(page),
            decisions=list(page.decisions),
            refunds=[RefundShown.of(line) for line in page.refunds],
            cancellations=list(page.cancellations),
            notes=list(page.notes),
            letters=[LetterShown.of(letter) for letter in page.letters],
            joined=list(page.joined),
            disputes=[DisputeShown.of(line) for line in page.disputes],
            timeline=list(page.timeline),
            comments=[CommentShown.of(comment) for comment in page.comments],
            first_approval=FirstApprovalShown.of(page.first_approval) if page.first_approval else None,
        )


def _facts(facts: Facts) -> list[FactShown]:
    return [
        FactShown(
            name=name,
            meaning=CATALOGUE[name].meaning if name in CATALOGUE else "no longer a fact",
            known=isinstance(fact, Known),
            value=fact.value if isinstance(fact, Known) else None,
            why=None if isinstance(fact, Known) else fact.why,
            source=fact.source,
            as_of=fact.as_of,
        )
        for name, fact in facts.facts.items()
    ]


def _decision(page: CasePage) -> DecisionShown | None:
    decision = page.decision
    stored = next((line for line in page.decisions if line.id == page.case.decision_id), None)
    if decision is None or stored is None:
        return None
    amount = None
    if decision.amount_minor is not None and decision.currency is not None:
        amount = AmountShown.of(decision.amount_minor, decision.currency)
    same = {name: getattr(decision, name) for name in DecisionShown.model_fields if hasattr(decision, name)}
    return DecisionShown(**same, id=stored.id, amount=amount, decision_digest=stored.decision_digest)
