"""Sealing: authenticators' secrets under the key that counts now, after one was set or changed."""

from collections.abc import Iterable
from dataclasses import dataclass

from billingbot.core.access.person import person
from billingbot.core.access.powers import Power
from billingbot.core.ledger import EntryKind
from billingbot.flows.access.sign_in import record
from billingbot.flows.desk import Desk, step
from billingbot.identity.seal import Seal, SealedError
from billingbot.store import people
from billingbot.store.database import transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class Sealed:
    """How many authenticators' secrets there are, how many are not kept as they should be, how many nobody can read."""

    secrets: int = 0
    to_seal: int = 0
    lost: int = 0


def how_sealed(seal: Seal, kept: Iterable[str]) -> Sealed:
    """How these are kept."""
    secrets = to_seal = lost = 0
    for one in kept:
        secrets += 1
        try:
            seal.open(one)
        except SealedError:
            lost += 1
        else:
            to_seal += not seal.is_as_wanted(one)
    return Sealed(secrets=secrets, to_seal=to_seal, lost=lost)


def seal_again(desk: Desk, *, by: str) -> Sealed:
    """Keeps every secret under the first key, one after another; what was found. Doing so twice is doing so once."""
    desk.require(Power.MANAGE)
    with transaction(desk.db) as connection:
        found = people.second_factors(connection)
    told = how_sealed(desk.seal, found.values())
    with step(desk) as this:
        for person_id, kept in found.items():
            try:
                secret = desk.seal.open(kept)
            except SealedError:
                continue  # their recovery codes still work, and a reset
            if not desk.seal.is_as_wanted(kept):
                people.reseal(this.db, person_id, was=kept, now=desk.seal.close(secret))
                record(this, EntryKind.SECOND_FACTOR_SEALED, person_id, person(by))
    return told
