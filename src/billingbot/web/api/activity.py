"""`/api/v1/activity`: the product pushes tag hits, API calls, the time it can speak for, and where people were seen."""

from typing import Annotated, Final, Literal

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from billingbot.core.errors import InputError
from billingbot.core.evidence.usage import Span
from billingbot.flows.activity import push
from billingbot.flows.sightings import Seen, push_sightings
from billingbot.store.activity import Hits
from billingbot.web.api.fields import Body, Count, Instant, Word
from billingbot.web.auth import SignedInRoute, TheDesk, bearer

# About two seconds of work and two megabytes; more come in several pushes.
MOST_HITS: Final = 10_000
# Spans that touch become one in the books, so a source never has many.
MOST_SPANS: Final = 1_000
# A statement each, about a second of work.
MOST_SIGHTINGS: Final = 1_000

router = APIRouter(prefix="/activity", tags=["activity"], route_class=SignedInRoute, dependencies=[bearer])


class HitsPushed(Body):
    """What one customer did since the last push: so many tag hits or API calls, the first and the last of them."""

    customer_id: Word
    kind: Literal["tag", "api"]
    events: Count
    first_at: Instant | None = None
    last_at: Instant | None = None
    installed_at: Annotated[Instant | None, Field(description="When the tag or the API key was put in place")] = None


class SpanPushed(Body):
    """A span of time for which the source vouches: whoever was active in it was pushed."""

    model_config = ConfigDict(validate_by_name=False, validate_by_alias=True)

    start: Annotated[Instant, Field(alias="from")]
    end: Annotated[Instant, Field(alias="to")]


class ActivityPushed(Body):
    """A push: hits, the time that is covered with them, or both."""

    account: Word = "default"
    source: Annotated[Word, Field(description="The name of a `push` source in billingbot.toml")]
    hits: Annotated[tuple[HitsPushed, ...], Field(max_length=MOST_HITS)] = ()
    coverage: Annotated[tuple[SpanPushed, ...], Field(max_length=MOST_SPANS)] = ()


class PushAnswer(BaseModel):
    """What was taken, all of it committed."""

    hits: int
    coverage: int


@router.post("", summary="Push activity")
def push_activity(pushed: ActivityPushed, desk: TheDesk) -> PushAnswer:
    """Adds to what is known: counts grow, first and last widen, covered spans join. All or nothing.

    Not to be repeated blindly: a push that was answered is counted, and counts again when it is sent again. That can
    only make a customer look more active, never less.
    """
    hits = [_hits(index, one) for index, one in enumerate(pushed.hits)]
    spans = [_span(index, one) for index, one in enumerate(pushed.coverage)]
    push(desk, pushed.account, pushed.source, hits, spans)
    return PushAnswer(hits=len(hits), coverage=len(spans))


class SightingPushed(Body):
    """A customer was seen on a device, at an address, or both; without `at` just now."""

    customer_id: Word
    device: Annotated[Word | None, Field(description="An id of the device that the product keeps")] = None
    ip: Annotated[Word | None, Field(description="The customer's own public address, not a proxy's")] = None
    at: Instant | None = None


class SightingsPushed(Body):
    """Sightings of customers."""

    account: Word = "default"
    seen: Annotated[tuple[SightingPushed, ...], Field(max_length=MOST_SIGHTINGS)]


class SightingsAnswer(BaseModel):
    """What was taken, all of it committed."""

    seen: int


@router.post("/sightings", summary="Push devices and addresses")
def push_seen(pushed: SightingsPushed, desk: TheDesk) -> SightingsAnswer:
    """Kept as keyed digests, for links between customers; the earliest time counts. All or nothing, and repeatable."""
    seen = [Seen(customer_id=one.customer_id, device=one.device, ip=one.ip, at=one.at) for one in pushed.seen]
    push_sightings(desk, pushed.account, seen)
    return SightingsAnswer(seen=len(seen))


def _hits(index: int, one: HitsPushed) -> Hits:
    if one.first_at is not None and one.last_at is not None and one.last_at < one.first_at:
        raise InputError(f"hits[{index}].last_at", "expected a time that is not before first_at")
    return Hits(
        customer_id=one.customer_id,
        kind=one.kind,
        events=one.events,
        first_at=one.first_at,
        last_at=one.last_at,
        in_place_at=one.installed_at,
    )


def _span(index: int, one: SpanPushed) -> Span:
    if one.end < one.start:
        raise InputError(f"coverage[{index}].to", "expected a time that is not before from")
    return Span(start=one.start, end=one.end)
