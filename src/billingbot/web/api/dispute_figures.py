"""`/api/v1/disputes/figures`: what disputes cost, how they end, and which evidence goes with a win."""

from typing import Annotated, Self

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from billingbot.core.disputes.life import DisputeKind
from billingbot.store.views import dispute_figures as figures
from billingbot.web.api.fields import Body, Instant, Word
from billingbot.web.api.shown import AmountShown
from billingbot.web.auth import SignedInRoute, TheDesk, bearer
from billingbot.web.reading import read

router = APIRouter(prefix="/disputes", tags=["disputes"], route_class=SignedInRoute, dependencies=[bearer])
Rate = Annotated[float | None, Field(description="Won of won and lost, 0 to 1; null where neither happened")]


class ReasonShown(BaseModel):
    """Disputes for one reason in one currency. `lost_amount` is all that customers have through them."""

    kind: DisputeKind
    reason: str
    currency: str
    count: int
    open: int
    won: int
    lost: int
    resolved: int
    prevented: int
    inquiry_closed: int
    missed: int
    win_rate: Rate
    amount: AmountShown
    won_amount: AmountShown
    lost_amount: AmountShown
    fees: list[AmountShown]

    @classmethod
    def of(cls, one: figures.ReasonFigure) -> Self:
        """The figure from outside."""
        same = {name: getattr(one, name) for name in cls.model_fields if hasattr(one, name)}
        return cls(
            **same,
            amount=AmountShown.of(one.amount_minor, one.currency),
            won_amount=AmountShown.of(one.won_minor, one.currency),
            lost_amount=AmountShown.of(one.lost_minor, one.currency),
            fees=[AmountShown.of(minor, currency) for currency, minor in one.fees_minor.items()],
        )


class EvidenceShown(BaseModel):
    """Chargebacks whose answer held this field of Stripe's. It goes with the outcome, and does not prove a cause."""

    evidence: str
    count: int
    open: int
    won: int
    lost: int
    win_rate: Rate


class FiguresShown(BaseModel):
    """By reason, the most frequent first, and by kind of evidence."""

    by_reason: list[ReasonShown]
    by_evidence: list[EvidenceShown]

    @classmethod
    def of(cls, found: figures.DisputeFigures) -> Self:
        """The figures from outside."""
        evidence = [
            EvidenceShown(**{name: getattr(one, name) for name in EvidenceShown.model_fields})
            for one in found.by_evidence
        ]
        return cls(by_reason=[ReasonShown.of(one) for one in found.by_reason], by_evidence=evidence)


class FigureQuery(Body):
    """Which disputes are counted."""

    account: Word | None = None
    since: Annotated[Instant | None, Field(description="Opened at or after")] = None
    until: Annotated[Instant | None, Field(description="Opened before")] = None


@router.get("/figures", summary="What disputes cost, and how they end")
def show_figures(query: Annotated[FigureQuery, Query()], desk: TheDesk) -> FiguresShown:
    """By reason and by kind of evidence."""
    wanted = figures.FigureFilter(account=query.account, since=query.since, until=query.until)
    return FiguresShown.of(read(desk, figures.dispute_figures, wanted))
