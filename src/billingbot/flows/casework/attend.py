"""Attend: somebody has a case open, and whoever else has it open sees that."""

from billingbot.core.access.person import person
from billingbot.core.access.powers import Power
from billingbot.core.case import Doing
from billingbot.flows.desk import Desk
from billingbot.store import cases, visits
from billingbot.store.database import transaction


def attend(desk: Desk, case_id: str, *, by: str, doing: Doing) -> None:
    """Notes that this person has the case open; to be said again every few seconds. NotFoundError for no case.

    No entry of the ledger: it is forgotten within the minute, and nothing depends on it.
    """
    desk.require(Power.SEE)
    with transaction(desk.db) as connection:
        cases.get(connection, case_id)
        visits.here(connection, case_id, person(by), doing)
