"""Contest: the evidence packet of a dispute, drafted from a fresh look at Stripe, all sources and our own records."""

from collections.abc import Mapping

from billingbot.core.access.powers import Power
from billingbot.core.disputes.packet import Packet, draft
from billingbot.core.disputes.purchase_facts import PurchaseFact, Told
from billingbot.core.disputes.statements import Counted, Grounds
from billingbot.core.evidence.dossier import Dispute
from billingbot.core.policy.undisputed import opinion
from billingbot.flows.desk import Account, Desk
from billingbot.flows.look import look
from billingbot.store import activity, cases, correspondence, database, purchase_facts, requests
from billingbot.store.database import transaction

# The bank's word for "I had cancelled": the cardholder's claim, made through it.
CLAIMS_CANCELLATION = "subscription_canceled"


def draft_packet(desk: Desk, account: str, dispute_id: str) -> Packet:
    """What our facts say to this dispute. Reads Stripe and all sources, and changes nothing anywhere.

    Raises StripeNotFoundError where there is no such dispute, and the other faults of a read of Stripe; sources
    that are silent leave their fields out.
    """
    desk.require(Power.SEE)
    chosen = desk.account(account)
    return packet_of(desk, chosen, chosen.stripe.dispute(dispute_id))


def packet_of(desk: Desk, account: Account, dispute: Dispute) -> Packet:
    """As `draft_packet`, of a dispute that was just read."""
    with transaction(desk.db) as connection:
        now = database.now(connection)
        case = cases.newest_of_charge(connection, account.name, dispute.charge_id)
        asked = requests.of_case(connection, case.id) if case is not None else ()
        said = correspondence.of_charge(connection, account.name, dispute.charge_id)
    purchase = account.stripe.purchase(dispute.charge_id, now=now)
    found = look(desk, account, dispute.charge_id, asked)
    if found.dossier is None:
        raise AssertionError(f"dispute {dispute.id}: a charge was looked at, and no dossier came of it")
    counted: list[Counted] = []
    told: Mapping[PurchaseFact, Told] = {}
    customer_id = found.dossier.charge.customer_id
    if customer_id is not None:
        with transaction(desk.db) as connection:
            pushed = activity.counted(connection, account.name, customer_id)
            told = purchase_facts.of_customer(connection, account.name, customer_id)
        counted = [
            Counted(source=source, kind=hit.kind, events=hit.events, first_at=hit.first_at, last_at=hit.last_at)
            for source, hits in pushed.items()
            for hit in hits
        ]
    claims = dispute.reason == CLAIMS_CANCELLATION
    return draft(
        Grounds(
            dossier=found.dossier,
            dispute=dispute,
            usage=found.usage,
            support=found.support,
            opinion=opinion(found.facts, found.policy, claims_cancellation=claims),
            purchase=purchase,
            counted=counted,
            said=said,
            told=told,
            texts=desk.texts,
        )
    )
