"""Verdict: writing a decision down, and putting a case where its decision sends it."""

from collections.abc import Mapping
from datetime import datetime, timedelta

from billingbot.core.case import Case, CaseMove
from billingbot.core.decision import Outcome
from billingbot.core.disputes.deadlines import BANK_DECIDES_WITHIN, case_due
from billingbot.core.disputes.life import awaited_by, is_with_bank
from billingbot.core.ids import Kind
from billingbot.core.ledger import Draft, EntryKind
from billingbot.core.money import Money
from billingbot.core.policy.replies import Rendered, Told, render
from billingbot.flows.aftercare import follow_disputes
from billingbot.flows.desk import Desk, Step
from billingbot.flows.look import Findings, identities_of
from billingbot.store import cases, database, decisions, dispute_cases, history


def write_down(this: Step, case: Case, found: Findings, *, purpose: str) -> str:
    """Stores facts, policy and verdict with their digests, and the ledger entry; returns the decision's id."""
    decision, policy = found.decision, found.policy
    dossier = found.dossier
    if dossier is not None and dossier.charge.customer_id is not None:  # what was seen now links later cases
        seen = identities_of(dossier)
        history.see(this.db, case.account, dossier.charge.customer_id, seen, at=dossier.charge.created_at)
    decisions.remember_policy(
        this.db, policy_digest=policy.digest, policy_id=policy.id, version=policy.version, source=policy.source
    )
    decision_id = this.new_id(Kind.DECISION)
    body_digest = decisions.write(this.db, decision_id, case.id, purpose, decision, found.facts)
    this.record(
        Draft(
            kind=EntryKind.CASE_DECIDED,
            account=case.account,
            subject=case.id,
            actor=f"policy:{policy.id}@{policy.version}",
            body={
                "decision": decision_id,
                "purpose": purpose,
                "outcome": decision.outcome,
                "rule": decision.rule,
                "reason": decision.reason,
                "clause": decision.clause,
                "recommendation": decision.recommendation,
                "facts_digest": decision.facts_digest,
                "policy_digest": decision.policy_digest,
                "decision_digest": body_digest,
            },
        )
    )
    return decision_id


def hand_over(this: Step, desk: Desk | None, case: Case, found: Findings, decision_id: str, *, how: CaseMove) -> Case:
    """Moves the case by its verdict, with all that a person wants to see on it.

    With a desk, a case whose evidence was incomplete is looked at again by itself later on.
    """
    decision, dossier = found.decision, found.dossier
    now = database.now(this.db)
    due = _due(this, desk, case, found, now)
    # A refund that a limit holds back has a text that promises money: approving it brings that text back.
    held_back = how is CaseMove.DECIDED_REVIEW and decision.reason != decision.rule
    values: dict[str, object] = {
        "decision_id": decision_id,
        "reason": decision.reason,
        "clause": decision.clause,
        "recommendation": decision.recommendation.value,
        "priority": decision.priority.value,
        **letter(None if held_back else _rendered(decision.reply, case.id, found)),
        "decided_at": now,
        "due_at": due if how is CaseMove.DECIDED_REVIEW else None,
        "closed_at": now if how is CaseMove.DECIDED_CLOSE else None,
        "outcome": decision.reason if how is CaseMove.DECIDED_CLOSE else None,
        "recheck_at": None,
    }
    if dossier is not None:
        values |= {
            "customer_id": dossier.charge.customer_id,
            "subscription_id": dossier.subscription.id if dossier.subscription else None,
            "invoice_id": dossier.invoice.id if dossier.invoice else None,
            "amount_minor": dossier.charge.amount_captured_minor,
            "currency": dossier.charge.currency,
        }
    moved = cases.move(this.db, case, how, **values)
    if desk is not None:
        follow_disputes(this, desk, moved, found)
    if desk is not None and how is CaseMove.DECIDED_REVIEW and decision.awaited:
        cases.recheck_in(this.db, case.id, desk.recheck_after)
    return moved


def _due(this: Step, desk: Desk | None, case: Case, found: Findings, now: datetime) -> datetime:
    """When a person should have looked: by the policy, unless a bank's time counts, which leaves more of it.

    While a bank decides over an answer, and nobody else has asked, nobody waits at all.
    """
    disputes = found.dossier.disputes if found.dossier else ()
    if desk is not None and (awaited := awaited_by(disputes, now)):
        return case_due(awaited[0], desk.disputes)
    if is_with_bank(disputes, now) and dispute_cases.only_banks_ask(this.db, case.id):
        return now + BANK_DECIDES_WITHIN
    return now + timedelta(hours=found.policy.due_hours[found.decision.priority])


def refunded_reply(found: Findings, case_id: str) -> Rendered | None:
    """The text for a customer whose refund a person approved: that of the policy's own refund; None without one."""
    by_itself = (rule.reply for rule in found.policy.rules if rule.outcome is Outcome.REFUND)
    return _rendered(next(by_itself, None), case_id, found)


def letter(rendered: Rendered | None) -> Mapping[str, str | None]:
    """What a case keeps of a reply to its customer; nothing where there is none."""
    if rendered is None:
        return {"reply": None, "reply_subject": None, "reply_language": None}
    return {"reply": rendered.text, "reply_subject": rendered.subject, "reply_language": rendered.language}


def _rendered(name: str | None, case_id: str, found: Findings) -> Rendered | None:
    """The text for the customer, in the customer's language; None where the rule has none."""
    dossier = found.dossier
    if name is None:
        return None
    told, preferred = Told(case=case_id), tuple[str, ...]()
    if dossier is not None:
        charge, subscription = dossier.charge, dossier.subscription
        told = Told(
            case=case_id,
            money=Money(amount_minor=charge.amount_captured_minor, currency=charge.currency),
            charged_at=charge.created_at,
            trial_started_at=subscription.trial_start_at if subscription else None,
            trial_ended_at=subscription.trial_end_at if subscription else None,
        )
        preferred = dossier.customer.preferred_locales if dossier.customer else ()
    return render(found.policy.replies[name], told, preferred=preferred)
