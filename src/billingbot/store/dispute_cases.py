"""Cases that wait for nothing but a bank, and whether it has had its answer."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import Connection

from billingbot.core.case import CaseState
from billingbot.core.disputes.life import DisputeOutcome
from billingbot.core.refund import RefundState
from billingbot.core.request import Channel
from billingbot.store.schema import cases, decisions, disputes, refunds, requests

_BANK: Final = (Channel.INQUIRY, Channel.DISPUTE, Channel.FRAUD_WARNING)
# A refund that may still leave or arrive keeps its case with whoever has it.
_UNDER_WAY: Final = (
    RefundState.INTENDED,
    RefundState.SUBMITTING,
    RefundState.UNKNOWN,
    RefundState.PENDING,
    RefundState.REQUIRES_ACTION,
)


def answered(connection: Connection, *, limit: int) -> Sequence[str]:
    """Cases in review that only banks had asked for, and all disputes of whose charge have ended; oldest first."""
    query = _answered().with_only_columns(cases.c.id).order_by(cases.c.opened_at).limit(limit)
    return connection.execute(query).scalars().all()


def outcome_if_answered(connection: Connection, case_id: str) -> DisputeOutcome | None:
    """How the newest dispute of such a case ended; None where the case is not, or no longer, one of them."""
    newest = (
        sa.select(disputes.c.outcome)
        .where(disputes.c.account == cases.c.account, disputes.c.charge_id == cases.c.charge_id)
        .order_by(disputes.c.closed_at.desc(), disputes.c.dispute_id.desc())
        .limit(1)
        .scalar_subquery()
    )
    query = _answered().with_only_columns(newest).where(cases.c.id == case_id)
    found = connection.execute(query).scalar_one_or_none()
    return DisputeOutcome(found) if found else None


def only_banks_ask(connection: Connection, case_id: str) -> bool:
    """Whether nobody but banks has asked for this case: while one of them decides, nobody waits."""
    of_case = sa.exists().where(requests.c.case_id == case_id)
    query = sa.select(of_case, of_case.where(requests.c.channel.not_in(_BANK)))
    asked, by_others = connection.execute(query).one()
    return bool(asked) and not by_others


def others_asked_since(connection: Connection, case_id: str, since: datetime) -> bool:
    """Whether somebody other than a bank has asked for this case since then."""
    asked = requests.c.case_id == case_id, requests.c.channel.not_in(_BANK), requests.c.asked_at > since
    return bool(connection.execute(sa.select(sa.exists().where(*asked))).scalar_one())


def _answered() -> sa.Select[Any]:
    of_charge = sa.exists().where(disputes.c.account == cases.c.account, disputes.c.charge_id == cases.c.charge_id)
    asked = sa.exists().where(requests.c.case_id == cases.c.id)
    under_way = sa.exists().where(
        refunds.c.account == cases.c.account,
        refunds.c.charge_id == cases.c.charge_id,
        refunds.c.state.in_(_UNDER_WAY),
    )
    # By the policy's word, or put off while the machine was switched off; what other flows showed to a person has a
    # reason of its own.
    by_policy = sa.exists().where(decisions.c.id == cases.c.decision_id, decisions.c.reason == cases.c.reason)
    return (
        sa.select(cases)
        .where(cases.c.state == CaseState.REVIEW, cases.c.charge_id.is_not(None))
        .where(asked, ~asked.where(requests.c.channel.not_in(_BANK)))
        .where(of_charge, ~of_charge.where(disputes.c.outcome.is_(None)))
        .where(sa.or_(by_policy, sa.and_(cases.c.decision_id.is_(None), cases.c.reason == "mode-off")), ~under_way)
    )
