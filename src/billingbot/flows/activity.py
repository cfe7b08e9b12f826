"""Activity: the product pushes tag hits, API calls and the time it can speak for."""

from collections.abc import Sequence

from billingbot.core.access.powers import Power
from billingbot.core.errors import InputError
from billingbot.core.evidence.usage import Span
from billingbot.flows.desk import Desk
from billingbot.store import activity, database
from billingbot.store.database import transaction


def push(desk: Desk, account: str, source: str, hits: Sequence[activity.Hits], coverage: Sequence[Span]) -> None:
    """Adds pushed activity and coverage in one commit.

    Raises InputError where the source is not configured as a push source, or a time lies in the future: a source
    that vouches for tomorrow vouches for nothing.
    """
    desk.require(Power.PUSH)
    desk.account(account)
    known = [one.name for one in desk.usage if one.pushed]
    if source not in known:
        raise InputError("source", f"expected one of the configured push sources {known}, got {source!r}")
    with transaction(desk.db) as connection:
        now = database.now(connection)
        for index, span in enumerate(coverage):
            if span.end > now:
                raise InputError(f"coverage[{index}].to", "expected a time that is not in the future")
        for index, hit in enumerate(hits):
            latest = max((at for at in (hit.first_at, hit.last_at, hit.in_place_at) if at), default=None)
            if latest is not None and latest > now:
                raise InputError(f"hits[{index}]", "expected times that are not in the future")
        activity.add(connection, account, source, hits)
        if coverage:
            activity.cover(connection, account, source, coverage)
