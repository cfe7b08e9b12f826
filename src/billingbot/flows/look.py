"""Look: gather every fact about a charge, from Stripe, activity, support and our own records, and decide."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from billingbot.core.decision import Decision
from billingbot.core.evidence.dossier import Dossier
from billingbot.core.evidence.establish import establish, usage_since
from billingbot.core.evidence.history import HistoryReport, LinkKind
from billingbot.core.evidence.links import Neighbourhood
from billingbot.core.evidence.usage import Subject, SupportReport, UsageReport
from billingbot.core.facts import Facts
from billingbot.core.mode import Mode
from billingbot.core.money_state import Money, money_of, payment_blockers
from billingbot.core.policy import Policy, decide, held_by_breaker, held_by_money
from billingbot.core.refund import Origin
from billingbot.core.request import Candidate, Channel, Claims, RequestFacts
from billingbot.evidence.sources import gather_support, gather_usage
from billingbot.flows.desk import Account, Desk
from billingbot.store import breakers, cases, database, disputes, history, links, modes, refunds, requests, sources
from billingbot.store.database import transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """What was found, what the policy says to it, and whom a refund would go to."""

    facts: Facts
    decision: Decision
    policy: Policy
    dossier: Dossier | None
    money: Money | None
    """Where the charge's money is; None without a charge."""
    payee: refunds.Payee
    usage: tuple[UsageReport, ...] = ()
    support: tuple[SupportReport, ...] = ()


def look(
    desk: Desk,
    account: Account,
    charge_id: str | None,
    asked: Sequence[requests.Request],
    *,
    candidates: Sequence[Candidate] = (),
    nothing_charged: bool = False,
) -> Findings:
    """Reads everything afresh and decides; writes nothing and holds no transaction over the network (law 2).

    Judged by the policy in force when the charge was made; a request without a charge by the one in force now.

    Without a charge id either nothing was ever charged, or the request is ambiguous and `candidates` are what it
    may have meant.
    Raises StripeUnavailableError, StripeForbiddenError or StripeAnswerError where Stripe cannot be read: there
    is no verdict without it. Silent usage or support sources are facts that are unknown.
    """
    with transaction(desk.db) as connection:
        now = database.now(connection)
        mode = modes.current(connection, account.name).mode
        breaker = breakers.find_open(connection, account.name)
    dossier = _dossier(desk, account, charge_id, now) if charge_id else None
    policy = desk.policy_for(dossier.charge.created_at if dossier else None)
    usage, support = reports(desk, account, dossier, now)
    if usage or support:
        with transaction(desk.db) as connection:
            sources.note(connection, account.name, [*usage, *support])
    payee = payee_of(dossier)
    report = _history(desk, account, dossier, payee, policy, now)
    facts = establish(
        at=now,
        dossier=dossier,
        request=replace(
            request_facts(asked),
            candidates=tuple(candidates),
            ambiguous=charge_id is None and not nothing_charged,
            nothing_charged=nothing_charged,
        ),
        usage=usage,
        support=support,
        history=report,
        mode=mode.value,
        dispute_fees=policy.dispute_fees,
        around=_around(desk, account, dossier),
    )
    money = money_of(dossier) if dossier else None
    return Findings(
        facts=facts,
        decision=_judge(facts, policy, breaker, money),
        policy=policy,
        dossier=dossier,
        money=money,
        payee=payee,
        usage=usage,
        support=support,
    )


def _judge(facts: Facts, policy: Policy, breaker: breakers.Breaker | None, money: Money | None) -> Decision:
    """What the policy says; it pays nothing that the breaker, or the state of the charge's money, forbids."""
    decision = decide(facts, policy)
    if breaker is not None:
        decision = held_by_breaker(decision, breaker.said, breaker.allowed)
    if payment_blockers(money, Origin.POLICY):
        # A policy of one's own may have left a dispute out: it grants, and the money has the last word.
        observed = f"{money.state}: {money.why}" if money else "no charge"
        decision = held_by_money(decision, observed, "money that is ours, and that Stripe lets go")
    return decision


def _dossier(desk: Desk, account: Account, charge_id: str, now: datetime) -> Dossier:
    """With every dispute that our books know: one that an event told of forbids a payment, listed yet or not."""
    with transaction(desk.db) as connection:
        heard_of = [known.dispute.id for known in disputes.of_charge(connection, account.name, charge_id)]
    return account.stripe.dossier(charge_id, now=now, heard_of=heard_of)


def mode_of(desk: Desk, account: str) -> Mode:
    """The account's mode right now."""
    with transaction(desk.db) as connection:
        return modes.current(connection, account).mode


def request_facts(asked: Sequence[requests.Request]) -> RequestFacts:
    """All requests of a case as one: claimed is what anybody claimed; the bank's channel comes first."""
    bank = (Channel.DISPUTE, Channel.INQUIRY, Channel.FRAUD_WARNING)
    channels = [request.channel for request in asked]
    channel = next((one for one in bank if one in channels), channels[0] if channels else Channel.API)
    cancelled_at = [request.claims.cancelled_at for request in asked if request.claims.cancelled_at]
    return RequestFacts(
        channel=channel,
        claims=Claims(
            unused=any(request.claims.unused for request in asked),
            cancelled=any(request.claims.cancelled for request in asked),
            cancelled_at=min(cancelled_at, default=None),
        ),
    )


def payee_of(dossier: Dossier | None) -> refunds.Payee:
    """Customer, card and mailbox of a charge, as the limits compare them."""
    if dossier is None:
        return refunds.Payee(customer_id=None, card_digest=None, email_digest=None)
    return refunds.Payee(
        customer_id=dossier.charge.customer_id,
        card_digest=history.card_digest(dossier.charge.fingerprint),
        email_digest=history.email_digest(_email(dossier)),
    )


def _email(dossier: Dossier) -> str | None:
    registered = dossier.customer.email if dossier.customer else None
    return registered or dossier.charge.billing_email


def reports(
    desk: Desk, account: Account, dossier: Dossier | None, now: datetime
) -> tuple[tuple[UsageReport, ...], tuple[SupportReport, ...]]:
    """Asks all sources at the same time. Nobody can be asked about a charge without a customer."""
    if dossier is None or dossier.charge.customer_id is None:
        return (), ()
    subject = Subject(
        account=account.name,
        livemode=account.livemode,
        customer_id=dossier.charge.customer_id,
        email=_email(dossier),
        subscription_id=dossier.subscription.id if dossier.subscription else None,
        metadata=dossier.customer.metadata if dossier.customer else (),
        since=usage_since(dossier),
    )
    with ThreadPoolExecutor(max_workers=2) as pool:
        usage = pool.submit(gather_usage, desk.usage, subject, now)
        support = pool.submit(gather_support, desk.support, subject, now)
        return usage.result(), support.result()


def identities_of(dossier: Dossier) -> tuple[tuple[LinkKind, str], ...]:
    """Digests of what this charge and its customer show today."""
    subscription = dossier.subscription
    fingerprints = (dossier.charge.fingerprint, subscription.fingerprint if subscription else None)
    return history.identities(fingerprints=fingerprints, email=_email(dossier))


def _around(desk: Desk, account: Account, dossier: Dossier | None) -> Neighbourhood | None:
    """Whom links lead to from this customer; a charge without a customer leads to nobody."""
    if dossier is None or dossier.charge.customer_id is None:
        return None
    with transaction(desk.db) as connection:
        return links.around(
            connection,
            account.name,
            dossier.charge.customer_id,
            also=identities_of(dossier),
            at=dossier.charge.created_at,
        )


def _history(
    desk: Desk, account: Account, dossier: Dossier | None, payee: refunds.Payee, policy: Policy, now: datetime
) -> HistoryReport | None:
    if dossier is None:
        return None
    began = usage_since(dossier)
    with transaction(desk.db) as connection:
        progress = history.import_progress(connection, account.name)
        complete = progress is not None and progress.covers(now)
        customer, card, email = refunds.automatic_refunds(
            connection,
            account.name,
            payee,
            within=timedelta(days=policy.limits.one_automatic_refund_per_days),
            other_than=dossier.charge.id,
        )
        return HistoryReport(
            as_of=now,
            complete=complete,
            why=None if complete else "earlier trials are still being read in from Stripe",
            links=history.links(
                connection,
                account.name,
                customer_id=payee.customer_id or "",
                before=began,
                card=payee.card_digest,
                email=payee.email_digest,
            ),
            first_trial_end_at=(
                history.first_trial_end(connection, account.name, dossier.subscription.id)
                if dossier.subscription
                else None
            ),
            refunds_customer=customer,
            refunds_card=card,
            refunds_email=email,
            denied_before=cases.denied_before(connection, account.name, dossier.charge.id),
        )
