"""Contest: the evidence packet of a dispute, drafted from a fresh look; a person sends it."""

from billingbot.core.packet import Packet, draft
from billingbot.flows.desk import Desk
from billingbot.flows.look import reports
from billingbot.store import database
from billingbot.store.database import transaction


def draft_packet(desk: Desk, account: str, dispute_id: str) -> Packet:
    """What our facts say to this dispute. Reads Stripe and all sources, and changes nothing anywhere.

    Raises StripeNotFoundError where there is no such dispute, and the other faults of a read of Stripe; sources
    that are silent leave their fields out.
    """
    chosen = desk.account(account)
    with transaction(desk.db) as connection:
        now = database.now(connection)
    dispute = chosen.stripe.dispute(dispute_id)
    dossier = chosen.stripe.dossier(dispute.charge_id, now=now)
    usage, support = reports(desk, chosen, dossier, now)
    return draft(dossier, dispute, usage=usage, support=support)
