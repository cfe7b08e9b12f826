"""Switch: changing an account's mode, and making and revoking API keys; each an act in the ledger."""

import secrets
from collections.abc import Collection, Sequence
from typing import Final

from billingbot.core.access.person import person
from billingbot.core.access.powers import Power
from billingbot.core.errors import ForbiddenError, InputError
from billingbot.core.ids import Kind
from billingbot.core.ledger import Draft, EntryKind
from billingbot.core.mode import Mode
from billingbot.core.wording import line_of
from billingbot.flows.desk import Desk, step
from billingbot.store import breakers, keys, modes
from billingbot.store.database import transaction
from billingbot.store.views.access import KeyLine, key_list
from billingbot.store.views.paging import PAGE_ROWS, Page

LEAST: Final = frozenset({Power.ASK, Power.PUSH, Power.SEE})
"""What a product needs: it asks for refunds, tells what was used, and shows its customers what became of it."""


def set_mode(desk: Desk, account: str, mode: Mode, *, by: str, why: str | None) -> modes.ModeRow:
    """Sets the mode; it counts at once, in every process, for every refund that has not left yet.

    ForbiddenError for auto while the breaker is open: whoever closes it says why, and restores auto with it.
    """
    desk.require(Power.SWITCH)
    desk.account(account)
    person(by)
    with step(desk) as this:
        breakers.hold(this.db, account)
        if mode is Mode.AUTO and (breaker := breakers.find_open(this.db, account)) is not None:
            raise ForbiddenError(
                f"mode: the breaker of account {account} is open ({breaker.observed}, {breaker.allowed}); close it"
                f" first, which restores auto: billingbot breaker close --account {account} --why ..."
            )
        before = modes.current(this.db, account)
        modes.write(this.db, account, mode, by=by, why=why)
        body = {"from": before.mode, "to": mode, "why": why}
        this.record(Draft(kind=EntryKind.MODE_CHANGED, account=account, subject=account, actor=by, body=body))
        return modes.current(this.db, account)


def current_modes(desk: Desk) -> Sequence[modes.ModeRow]:
    """The mode of every configured account."""
    desk.require(Power.SEE)
    with transaction(desk.db) as connection:
        return [modes.current(connection, name) for name in desk.accounts]


def create_key(desk: Desk, name: str, *, by: str, may: Collection[Power] = LEAST) -> str:
    """Makes an API key with these powers and returns its secret, the only time it is ever seen.

    ConflictError for a name in use, InputError for no power at all, ForbiddenError for one that its maker lacks.
    """
    desk.require(Power.MANAGE)
    person(by)
    for power in may:
        desk.require(power)
    if not may:
        raise InputError("may", f"expected at least one of {', '.join(Power)}")
    line_of("name", name, 100)
    secret = f"bbk_{secrets.token_urlsafe(32)}"  # 256 bits: cannot be guessed, so its plain digest is safe to keep
    with step(desk) as this:
        key_id = this.new_id(Kind.API_KEY)
        keys.create(this.db, key_id, name, secret, frozenset(may))
        body = {"name": name, "may": [power for power in Power if power in may]}
        this.record(Draft(kind=EntryKind.KEY_CREATED, account="", subject=key_id, actor=by, body=body))
    return secret


def revoke_key(desk: Desk, name: str, *, by: str) -> keys.ApiKey:
    """Revokes a key at once. NotFoundError where no key in use has this name."""
    desk.require(Power.MANAGE)
    person(by)
    with step(desk) as this:
        key = keys.revoke(this.db, name)
        body = {"name": name}
        this.record(Draft(kind=EntryKind.KEY_REVOKED, account="", subject=key.id, actor=by, body=body))
        return key


def list_keys(
    desk: Desk, *, made_by: str | None = None, in_use: bool = False, after: str | None = None, limit: int = PAGE_ROWS
) -> Page[KeyLine]:
    """Keys without their secrets, newest first: of one maker, or those in use. InputError for a bad cursor."""
    desk.require(Power.MANAGE)
    with transaction(desk.db) as connection:
        return key_list(connection, made_by=made_by, in_use=in_use, after=after, limit=limit)


def who_has(desk: Desk, secret: str) -> keys.ApiKey | None:
    """The key with this secret, if it is in use."""
    with transaction(desk.db) as connection:
        return keys.find(connection, secret)
