"""`/api/v1/policies`: published versions of the refund policy, their texts, what differs, and publishing another."""

from datetime import datetime
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field, StringConstraints
from starlette.responses import JSONResponse

from billingbot.core.policy import PolicyError
from billingbot.core.policy.differences import differences
from billingbot.core.policy.editions import Edition
from billingbot.core.policy.file import SOURCE_BYTES_MAX
from billingbot.flows.policy.publish import Wish, publish, published, read_version
from billingbot.web import answers
from billingbot.web.api.fields import Body, Instant, Person, Prose, Word, YesNo
from billingbot.web.auth import SignedInRoute, TheDesk, bearer

router = APIRouter(prefix="/policies", tags=["policies"], route_class=SignedInRoute, dependencies=[bearer])

# How a problem of the text names its place; the sender has a name for the file, the text has none.
_FILENAME = "policy.toml"


class EditionShown(BaseModel):
    """A published version. Charges made from `effective_from` on are judged by it, until the next takes over."""

    number: int
    policy_id: str
    version: str
    digest: str
    effective_from: datetime
    published_at: datetime
    published_by: str
    why: str


class EditionsShown(BaseModel):
    """All versions in the order of publication, and the one that judges a charge made now.

    With no version published yet, that is the file the server was started with.
    """

    policies: list[EditionShown]
    in_force: str


class PolicyShown(EditionShown):
    """A published version with its text, the very bytes behind the digest."""

    source: str


class PolicyWanted(Body):
    """A policy to be published, and who wants it from which charge on."""

    source: Annotated[str, StringConstraints(min_length=1, max_length=SOURCE_BYTES_MAX, strict=True)]
    by: Person
    why: Prose
    effective_from: Annotated[Instant | None, Field(description="Default: what the text says, else from now on")] = None
    retroactive: Annotated[YesNo, Field(description="Also where charges since then were decided already")] = False


class PublicationShown(EditionShown):
    """What publishing came to; `again` where these bytes were published before and nothing was done."""

    again: bool
    replaces: str | None
    decided: Annotated[int, Field(description="Cases that other versions decided for charges it judges now")]
    warnings: list[str]


class ChangeShown(BaseModel):
    """One change in one sentence; `rule` where it is about one."""

    part: str
    rule: str | None
    what: str


class ChangesShown(BaseModel):
    """Every change from one version to another."""

    before: str
    after: str
    differences: list[ChangeShown]


class Compared(Body):
    """Two published versions."""

    before: Word
    after: Word


@router.get("", summary="Every published version")
def list_policies(desk: TheDesk) -> EditionsShown:
    """In the order of publication; they are never changed and never withdrawn."""
    shown = [_shown(edition) for edition in published(desk)]
    return EditionsShown(policies=shown, in_force=desk.policy_for(None).version)


@router.get("/differences", summary="What changed between two versions, in words")
def compare_policies(asked: Annotated[Compared, Query()], desk: TheDesk) -> ChangesShown:
    """Rules added, removed and moved; conditions, limits with their amounts, clauses, replies, examples."""
    (_, before), (_, after) = read_version(desk, asked.before), read_version(desk, asked.after)
    found = [ChangeShown(part=one.part, rule=one.rule, what=one.what) for one in differences(before, after)]
    return ChangesShown(before=before.version, after=after.version, differences=found)


@router.get("/{version}", summary="One published version with its text")
def show_policy(version: str, desk: TheDesk) -> PolicyShown:
    """404 where none of that name was published."""
    edition, policy = read_version(desk, version)
    return PolicyShown(**_fields(edition), source=policy.source)


@router.post("", summary="Publish a version", status_code=HTTPStatus.CREATED, response_model=PublicationShown)
def publish_policy(wanted: PolicyWanted, desk: TheDesk) -> PublicationShown | JSONResponse:
    """Checked and tried on its own examples first. 422 tells every problem of the text with its line, 409 a version
    that is taken by another text, or one that would judge charges which were decided already.
    """
    wish = Wish(
        text=wanted.source,
        filename=_FILENAME,
        by=wanted.by,
        why=wanted.why,
        effective_from=wanted.effective_from,
        retroactive=wanted.retroactive,
    )
    try:
        told = publish(desk, wish)
    except PolicyError as fault:
        return answers.invalid([("source", problem) for problem in fault.problems])
    return PublicationShown(
        **_fields(told.edition),
        again=told.again,
        replaces=told.replaces,
        decided=told.decided,
        warnings=list(told.warnings),
    )


def _shown(edition: Edition) -> EditionShown:
    return EditionShown(**_fields(edition))


def _fields(edition: Edition) -> dict[str, Any]:
    return {name: getattr(edition, name) for name in EditionShown.model_fields}
