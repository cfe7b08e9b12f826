"""`/api/v1/shadow`: a candidate policy beside the live one, and how often people decide as either would have."""

from datetime import datetime
from http import HTTPStatus
from typing import Annotated, Self

from fastapi import APIRouter, Query
from pydantic import AwareDatetime, BaseModel, Field

from billingbot.core.money import Money
from billingbot.core.shadow import Agreement, Shadow
from billingbot.flows.policy.publish import read_version
from billingbot.flows.policy.shadow import start_shadow, stop_shadow
from billingbot.store import views
from billingbot.web.api.fields import Body, Person, Prose, Word
from billingbot.web.api.shown import AmountShown
from billingbot.web.auth import SignedInRoute, TheDesk, bearer
from billingbot.web.reading import read

router = APIRouter(prefix="/shadow", tags=["policies"], route_class=SignedInRoute, dependencies=[bearer])


class ShadowShown(BaseModel):
    """A candidate, from when until when; it pays nothing."""

    id: str
    policy_id: str
    version: str
    digest: str
    why: str
    started_by: str
    started_at: datetime
    stopped_by: str | None
    stopped_at: datetime | None

    @classmethod
    def of(cls, shadow: Shadow) -> Self:
        """The candidate as stored."""
        return cls(**{name: getattr(shadow, name) for name in cls.model_fields})


class AgreementShown(BaseModel):
    """`same` of `of`, as a share from 0 to 1 (null where nothing was compared), and where the true share lies."""

    same: int
    of: int
    share: float | None
    interval_95: Annotated[tuple[float, float], Field(description="Wilson's score interval")]

    @classmethod
    def told(cls, agreement: Agreement) -> Self:
        """With the interval that so many comparisons allow."""
        return cls(same=agreement.same, of=agreement.of, share=agreement.share, interval_95=agreement.interval)


class RuleShown(BaseModel):
    """One rule: how often people decided as it would have; `pays` where it would pay by itself in mode auto."""

    rule: str
    pays: bool
    agreement: AgreementShown
    without_advice: int


class MovedShown(BaseModel):
    """Verdicts that go another way, with the money of their charges."""

    live: str
    live_rule: str
    shadow: str
    shadow_rule: str
    cases: int
    money: list[AmountShown]


class FlipShown(BaseModel):
    """One case of which the candidate says something else."""

    case_id: str
    decided_at: datetime
    live: str
    shadow: str
    amount: AmountShown | None


class ShadowReportShown(BaseModel):
    """The running candidate, or the last one; null where none ever ran. `people` is about the live policy."""

    shadow: ShadowShown | None
    agreement: AgreementShown | None
    waiting: int
    unreadable: int
    moved: list[MovedShown]
    newest: list[FlipShown]
    people_and_shadow: list[RuleShown]
    people: list[RuleShown]


class ShadowWanted(Body):
    """Which published version is to run beside the live one."""

    version: Word
    by: Person
    why: Prose


class ShadowEnd(Body):
    """Who ends it."""

    by: Person


@router.get("", summary="How a candidate compares so far")
def show_shadow(
    desk: TheDesk,
    since: Annotated[AwareDatetime | None, Query(description="Count people's decisions from then on")] = None,
) -> ShadowReportShown:
    """Agreement, money and flips; and with or without a candidate, how often people decided as the policy advised."""
    people = _rules(read(desk, views.live_against_people, since))
    report = read(desk, views.shadow_report)
    if report is None:
        return ShadowReportShown(
            shadow=None,
            agreement=None,
            waiting=0,
            unreadable=0,
            moved=[],
            newest=[],
            people_and_shadow=[],
            people=people,
        )
    return ShadowReportShown(
        shadow=ShadowShown.of(report.shadow),
        agreement=AgreementShown.told(report.agreement),
        waiting=report.waiting,
        unreadable=report.unreadable,
        moved=[
            MovedShown(
                live=one.live,
                live_rule=one.live_rule,
                shadow=one.shadow,
                shadow_rule=one.shadow_rule,
                cases=one.cases,
                money=[_amount(money) for money in one.money],
            )
            for one in report.moved
        ],
        newest=[
            FlipShown(
                case_id=one.case_id,
                decided_at=one.decided_at,
                live=one.live,
                shadow=one.shadow,
                amount=_amount(one.amount) if one.amount else None,
            )
            for one in report.flips
        ],
        people_and_shadow=_rules(report.people),
        people=people,
    )


@router.post("", summary="Let a published version run beside the live one", status_code=HTTPStatus.CREATED)
def start(wanted: ShadowWanted, desk: TheDesk) -> ShadowShown:
    """Nothing it says is carried out. 404 where no such version was published, 409 where another candidate runs."""
    _, candidate = read_version(desk, wanted.version)
    return ShadowShown.of(start_shadow(desk, candidate, by=wanted.by, why=wanted.why))


@router.post("/stop", summary="End the candidate")
def stop(end: ShadowEnd, desk: TheDesk) -> ShadowShown:
    """What it said stays. 409 where none runs."""
    return ShadowShown.of(stop_shadow(desk, by=end.by))


def _rules(found: tuple[views.RuleWord, ...]) -> list[RuleShown]:
    return [
        RuleShown(rule=one.rule, pays=one.pays, agreement=AgreementShown.told(one.agreement), without_advice=one.silent)
        for one in found
    ]


def _amount(money: Money) -> AmountShown:
    return AmountShown.of(money.amount_minor, money.currency)
