"""`/api/v1/mode`: how much billingbot may do by itself, per account."""

from datetime import datetime

from fastapi import APIRouter
from pydantic import BaseModel

from billingbot.core.mode import Mode
from billingbot.flows.switch import current_modes, set_mode
from billingbot.store.modes import ModeRow
from billingbot.web.api.fields import Body, Person, Prose, Word
from billingbot.web.auth import SignedInRoute, TheDesk, bearer

router = APIRouter(prefix="/mode", tags=["mode"], route_class=SignedInRoute, dependencies=[bearer])


class ModeShown(BaseModel):
    """An account's mode; `changed_by` is null where it is still the shipped one.

    `breaker_open_since` is set while the breaker keeps the account from paying by itself.
    """

    account: str
    mode: Mode
    changed_by: str | None
    why: str | None
    changed_at: datetime | None
    breaker_open_since: datetime | None


class ModesShown(BaseModel):
    """The mode of every account."""

    modes: list[ModeShown]


class ModeWanted(Body):
    """A mode for an account, and who wants it."""

    account: Word = "default"
    mode: Mode
    by: Person
    why: Prose | None = None


@router.get("", summary="Every account's mode")
def show_modes(desk: TheDesk) -> ModesShown:
    """Shadow until somebody says otherwise."""
    return ModesShown(modes=[_shown(row) for row in current_modes(desk)])


@router.put("", summary="Set an account's mode")
def change_mode(wanted: ModeWanted, desk: TheDesk) -> ModeShown:
    """Counts at once, for every refund that has not left yet; the ledger keeps who and why."""
    return _shown(set_mode(desk, wanted.account, wanted.mode, by=wanted.by, why=wanted.why))


def _shown(row: ModeRow) -> ModeShown:
    return ModeShown(**{name: getattr(row, name) for name in ModeShown.model_fields})
