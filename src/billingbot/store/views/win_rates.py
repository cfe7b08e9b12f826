"""How often chargebacks that somebody answered were won, by the bank's reason."""

from collections.abc import Mapping

import sqlalchemy as sa
from sqlalchemy import Connection

from billingbot.core.disputes.contest_value import WinRate
from billingbot.core.disputes.life import DisputeKind, DisputeOutcome
from billingbot.store.schema import disputes


def win_rates(connection: Connection, account: str) -> Mapping[str, WinRate]:
    """Of this account's decided chargebacks that an answer had been sent for, by whomever; reasons without any lack."""
    won = sa.func.count().filter(disputes.c.outcome == DisputeOutcome.WON)
    rows = connection.execute(
        sa.select(disputes.c.reason, won.label("won"), sa.func.count().label("cases"))
        .where(
            disputes.c.account == account,
            disputes.c.kind == DisputeKind.CHARGEBACK,
            disputes.c.outcome.in_((DisputeOutcome.WON, DisputeOutcome.LOST)),
            disputes.c.submission_count > sa.func.coalesce(disputes.c.inquiry_submissions, 0),
        )
        .group_by(disputes.c.reason)
    )
    return {row.reason: WinRate(won=row.won, cases=row.cases) for row in rows}


def win_rate(connection: Connection, account: str, reason: str) -> WinRate:
    """For one reason; nothing won of nothing where none was decided yet."""
    return win_rates(connection, account).get(reason, WinRate(won=0, cases=0))
