"""The story of a case: its page with all that stands around it, and a charge with all that was ever made of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from billingbot.core.case import Case
from billingbot.core.errors import NotFoundError
from billingbot.core.explain import flips_in_words
from billingbot.core.facts import Facts
from billingbot.core.ledger import Entry
from billingbot.core.mode import Mode
from billingbot.core.policy import Policy
from billingbot.core.restore import restore_facts
from billingbot.store import cases as case_rows
from billingbot.store import decisions as decision_rows
from billingbot.store import modes, policies, visits
from billingbot.store.schema import cases, inbox
from billingbot.store.views.cases import CasePage, case_page, timeline
from billingbot.store.views.disputes import DisputeLine, disputes_of_charge
from billingbot.store.views.refunds import (
    ConversionFilter,
    ConversionLine,
    RefundFilter,
    RefundLine,
    conversion_list,
    refund_log,
)
from billingbot.store.visits import Visitor

# Stripe tells a dozen things of one payment; more than this is a subscription's long life.
MOST_EVENTS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Webhook:
    """An event of Stripe's about something of the case."""

    event_id: str
    type: str
    object_id: str
    received_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseStory:
    """A case's page, and what stands around it. `policy` is the one that its decision was made by."""

    page: CasePage
    policy: Policy | None
    mode: Mode
    disputes: tuple[DisputeLine, ...]
    webhooks: tuple[Webhook, ...]
    visitors: tuple[Visitor, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ChargeStory:
    """One charge of one account, and all cases, refunds and disputes that were made of it."""

    account: str
    charge_id: str
    cases: tuple[Case, ...]
    refunds: tuple[RefundLine, ...]
    disputes: tuple[DisputeLine, ...]
    conversions: tuple[ConversionLine, ...]
    webhooks: tuple[Webhook, ...]
    money: Mapping[str, Any] | None
    """Where the money was when a case of it was last decided: `state` and `why`; None before any was."""
    money_at: datetime | None


def case_story(connection: Connection, case_id: str) -> CaseStory:
    """Everything that the case's page shows. Raises NotFoundError."""
    page = case_page(connection, case_id)
    case, charge = page.case, page.case.charge_id
    refunds = [line.refund.stripe_refund_id for line in page.refunds]
    disputes = disputes_of_charge(connection, case.account, charge) if charge else ()
    objects = [charge, case.invoice_id, case.subscription_id, *refunds, *(one.dispute.id for one in disputes)]
    return CaseStory(
        page=page,
        policy=policies.loaded(connection, page.decision.policy_digest) if page.decision else None,
        mode=modes.current(connection, case.account).mode,
        disputes=disputes,
        webhooks=_webhooks(connection, case.account, [one for one in objects if one]),
        visitors=visits.at_cases(connection, [case_id]).get(case_id, ()),
    )


def changes_since(connection: Connection, case_id: str, seq: int) -> tuple[Case, Sequence[Entry], Sequence[Visitor]]:
    """The case as it is, what the ledger tells of it behind that entry, and who has it open."""
    case = case_rows.get(connection, case_id)
    entries = [entry for entry in timeline(connection, case_id) if entry.seq > seq]
    return case, entries, visits.at_cases(connection, [case_id]).get(case_id, ())


def charge_story(connection: Connection, charge_id: str, accounts: Sequence[str]) -> ChargeStory:
    """All that we know of a charge. NotFoundError where nothing of these accounts is about it."""
    found = connection.execute(
        sa.select(cases)
        .where(cases.c.account.in_(accounts), cases.c.charge_id == charge_id)
        .order_by(cases.c.opened_at.desc())
    ).all()
    decided = next((row for row in found if row.decision_id), None)
    facts = restore_facts(decision_rows.get(connection, decided.decision_id).facts) if decided else None
    for account in [row.account for row in found] or accounts:
        story = ChargeStory(
            account=account,
            charge_id=charge_id,
            cases=tuple(case_rows.case_of(row) for row in found if row.account == account),
            refunds=refund_log(connection, RefundFilter(account=account, charge_id=charge_id)).items,
            disputes=disputes_of_charge(connection, account, charge_id),
            conversions=conversion_list(connection, ConversionFilter(account=account, charge_id=charge_id)).items,
            webhooks=_webhooks(connection, account, [charge_id]),
            money=facts.exhibits.get("money") if facts else None,
            money_at=facts.at if facts else None,
        )
        if story.cases or story.refunds or story.disputes or story.conversions or story.webhooks:
            return story
    raise NotFoundError(f"charge {charge_id}: nothing here is about it; it may be known to Stripe alone")


@lru_cache(maxsize=256)  # looking for flips may take most of a second, and the same facts give the same
def _flips(facts_digest: str, policy_digest: str, held: "_Held") -> tuple[str, ...]:
    return flips_in_words(held.facts, held.policy)


class _Held:
    """Facts and policy on their way past the cache, which knows them by their digests."""

    def __init__(self, facts: Facts, policy: Policy) -> None:
        self.facts, self.policy = facts, policy

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Held)

    def __hash__(self) -> int:
        return 0


def flips_of(connection: Connection, case_id: str) -> tuple[str, ...]:
    """What would have changed the outcome of the case's decision, a sentence for each. NotFoundError."""
    page = case_page(connection, case_id)
    if page.decision is None or page.facts is None:
        return ()
    policy = policies.loaded(connection, page.decision.policy_digest)
    return _flips(page.decision.facts_digest, policy.digest, _Held(page.facts, policy))


def _webhooks(connection: Connection, account: str, object_ids: Sequence[str]) -> tuple[Webhook, ...]:
    if not object_ids:
        return ()
    query = (
        sa.select(inbox.c.event_id, inbox.c.type, inbox.c.object_id, inbox.c.received_at)
        .where(inbox.c.object_id.in_(object_ids), inbox.c.account == account)
        .order_by(inbox.c.received_at.desc())
        .limit(MOST_EVENTS)
    )
    return tuple(Webhook(**row._mapping) for row in connection.execute(query))
