"""`/api/v1/cases/{id}/links`: who looks like the customer of a case, and by what; a link may be marked as wrong."""

from datetime import datetime
from typing import Annotated, Self

from fastapi import APIRouter
from pydantic import BaseModel, Field

from billingbot.core.evidence.history import LinkKind
from billingbot.core.evidence.links import Strength
from billingbot.core.ids import Kind
from billingbot.flows.casework import unlink as verbs
from billingbot.flows.casework.review import Act
from billingbot.store.views.links import CaseLinks, case_links
from billingbot.web.api.fields import Body, Person, Prose, Word, YesNo, id_of
from billingbot.web.auth import SignedInRoute, TheDesk, bearer
from billingbot.web.reading import read

router = APIRouter(prefix="/cases", tags=["cases"], route_class=SignedInRoute, dependencies=[bearer])


class LinkedPerson(BaseModel):
    """A customer in the picture; `distance` counts the links on the way, null for weak signs alone."""

    customer: str
    distance: int | None
    trials: int
    first_trial_at: datetime | None
    refunds: int


class LinkShown(BaseModel):
    """Two customers share something, since the second was first seen with it."""

    kind: LinkKind
    strength: Strength
    reason: str
    one: str
    other: str
    since: datetime


class MarkShown(BaseModel):
    """What a person said is no link; without customers for everybody."""

    id: str
    kind: LinkKind
    one: str | None
    other: str | None
    for_everybody: bool
    case: str
    marked_by: str
    marked_at: datetime
    why: str


class LinksShown(BaseModel):
    """The picture around the customer of a case, bounded: `left_out` more are linked."""

    case: str
    customer: str | None
    linked_trials: int
    linked_refunds: int
    people: list[LinkedPerson]
    links: list[LinkShown]
    left_out: int
    weakly_left_out: int
    marks: list[MarkShown]

    @classmethod
    def of(cls, found: CaseLinks) -> Self:
        """The picture from outside."""
        around = found.around
        return cls(
            case=found.case_id,
            customer=around.root if around else None,
            linked_trials=around.linked_trials if around else 0,
            linked_refunds=around.linked_refunds if around else 0,
            people=[
                LinkedPerson(
                    customer=one.customer_id,
                    distance=one.distance,
                    trials=one.past.trials,
                    first_trial_at=one.past.first_trial_at,
                    refunds=one.past.refunds,
                )
                for one in (around.people if around else ())
            ],
            links=[
                LinkShown(
                    kind=link.kind,
                    strength=link.strength,
                    reason=link.reason,
                    one=link.one,
                    other=link.other,
                    since=link.since,
                )
                for link in (around.links if around else ())
            ],
            left_out=around.left_out if around else 0,
            weakly_left_out=around.weakly_left_out if around else 0,
            marks=[
                MarkShown(
                    id=mark.id,
                    kind=mark.kind,
                    one=mark.one,
                    other=mark.other,
                    for_everybody=mark.for_everybody,
                    case=mark.case_id,
                    marked_by=mark.marked_by,
                    marked_at=mark.marked_at,
                    why=mark.why,
                )
                for mark in found.marks
            ],
        )


class LinkAct(Body):
    """Who says so, of which link: between the case's customer (or `customer`) and `other`."""

    by: Person
    kind: LinkKind
    other: Word
    customer: Word | None = None
    why: Prose
    version: Annotated[int | None, Field(strict=True, ge=1, le=2**31 - 1)] = None


class Unlinking(LinkAct):
    """A link that is none."""

    for_everybody: Annotated[YesNo, Field(description="What the two share links nobody any more")] = False


@router.get("/{case_id}/links", summary="Who looks like this customer")
def show_links(case_id: str, desk: TheDesk) -> LinksShown:
    """As it is known now; what was known when the case was decided stands in its exhibits."""
    return LinksShown.of(read(desk, case_links, id_of(Kind.CASE, case_id)))


@router.post("/{case_id}/unlink", summary="Mark a link as wrong")
def unlink(case_id: str, act: Unlinking, desk: TheDesk) -> LinksShown:
    """It stays wrong for these two and this kind, in later cases too. 422 where the two share nothing of the kind."""
    verbs.unlink(desk, _act(case_id, act), _between(act), why=act.why, for_everybody=act.for_everybody)
    return show_links(case_id, desk)


@router.post("/{case_id}/relink", summary="Take back that a link is wrong")
def relink(case_id: str, act: LinkAct, desk: TheDesk) -> LinksShown:
    """Of these two, and for everybody of what they share."""
    verbs.relink(desk, _act(case_id, act), _between(act), why=act.why)
    return show_links(case_id, desk)


def _act(case_id: str, act: LinkAct) -> Act:
    return Act(case_id=id_of(Kind.CASE, case_id), by=act.by, version=act.version)


def _between(act: LinkAct) -> verbs.Between:
    return verbs.Between(kind=act.kind, other=act.other, customer=act.customer)
