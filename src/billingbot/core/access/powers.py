"""Powers: who may do what, as one table that every verb asks; screens only show what it says."""

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Final


class Power(StrEnum):
    """One kind of act. A person has those of their roles, an API key those it was made with."""

    SEE = "see"
    """Read everything but secrets."""
    ASK = "ask"
    """Put a request for a refund before the desk."""
    PUSH = "push"
    """Tell what customers used: it can forbid a refund, and with coverage allow one."""
    DECIDE = "decide"
    """Work the queue: claim, note, approve, deny, send replies, draft and send answers to disputes."""
    CHECK = "check"
    """Give the second approval of a large refund; send an answer about as large an amount; give a dispute up."""
    RUN = "run"
    """Replay, dismiss, backfill, reconcile: have the machine do its work again."""
    SWITCH = "switch"
    """Set the mode, close the breaker."""
    SIGN = "sign"
    """Close a month and sign its statement."""
    PUBLISH = "publish"
    """Publish a policy, start and stop a shadow."""
    MANAGE = "manage"
    """People, roles, API keys, and the erasure of personal data."""


class Role(StrEnum):
    """What a person is here; one person may be several."""

    SUPPORT = "support"
    APPROVER = "approver"
    OPS = "ops"
    FINANCE = "finance"
    ADMIN = "admin"


ALL: Final = frozenset(Power)

_POWERS: Final[Mapping[Role, frozenset[Power]]] = {
    Role.SUPPORT: frozenset({Power.SEE, Power.ASK, Power.DECIDE}),
    Role.APPROVER: frozenset({Power.SEE, Power.ASK, Power.DECIDE, Power.CHECK}),
    Role.OPS: frozenset({Power.SEE, Power.RUN, Power.SWITCH}),
    # Reads, and signs what was read; no money moves by it.
    Role.FINANCE: frozenset({Power.SEE, Power.SIGN}),
    Role.ADMIN: ALL,
}


def powers_of(roles: Iterable[Role]) -> frozenset[Power]:
    """All that these roles allow together."""
    return frozenset().union(*(_POWERS[role] for role in roles))


def roles_with(power: Power) -> tuple[Role, ...]:
    """The roles that allow it, for a message that says whom to ask."""
    return tuple(role for role in Role if power in _POWERS[role])
