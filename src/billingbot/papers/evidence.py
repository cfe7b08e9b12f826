"""The papers of an answer to a bank: a field's text under its title, with the payment that it is about."""

from billingbot.core.disputes.evidence_fields import TITLES, Field
from billingbot.papers.paper import Paper


def printed_field(field: Field, text: str, *, dispute_id: str, charge_id: str) -> Paper:
    """The paper of one field; the same text gives the same bytes."""
    from billingbot.papers.pdf import printed  # loads fpdf and fonttools, which took a quarter of a process's start

    return printed(TITLES[field], (f"Payment {charge_id}, dispute {dispute_id}",), text)
