"""The pulse: server-sent events that say of what there is news; pages then read it the ordinary way.

One look at the database a second serves everybody who listens to this process, and nobody holds a connection while
nothing happens. A stream ends with the server, and with the session of whoever listens.
"""

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Final

import anyio.to_thread
import structlog
from fastapi import APIRouter, Query
from sqlalchemy import Connection
from sse_starlette import EventSourceResponse, ServerSentEvent
from starlette.responses import Response

from billingbot.core.access.session import IDLE
from billingbot.core.errors import InputError, RetryLaterError
from billingbot.flows.desk import Desk
from billingbot.store import sessions
from billingbot.store.views.pulse import FAMILIES, ONE_OF, Heard, hear_on, versions
from billingbot.web import reading
from billingbot.web.console.door import ConsoleRoute
from billingbot.web.console.visit import Here
from billingbot.web.serve import STREAM

# Soon enough that two people on one case see each other; a page that asks by itself would ask as often.
LOOK_EVERY_SECONDS: Final = 1.0
# Proxies close what is silent for a minute, and a client that is gone shows only when something is sent.
PING_EVERY_SECONDS: Final = 15
MOST_TOPICS: Final = 20
# More tabs than anybody looks at; without a bound one session could take every connection that the server has.
MOST_STREAMS: Final = 50
# What a browser waits before it comes back.
_COME_BACK_AFTER_MS: Final = 2_000

log = structlog.get_logger(__name__)


@dataclass(slots=True, eq=False)
class Stream:
    """One page that listens. `told` holds the versions that it has heard, `news` those that it has not."""

    topics: frozenset[str]
    session_id: str
    told: dict[str, str] = field(default_factory=dict)
    news: dict[str, str] = field(default_factory=dict)
    is_over: bool = False
    stirred: asyncio.Event = field(default_factory=asyncio.Event)

    def hear(self, found: Mapping[str, str]) -> None:
        """Keeps what is new to this page."""
        for topic in self.topics & found.keys():
            if self.told.get(topic) != found[topic]:
                self.told[topic] = self.news[topic] = found[topic]
                self.stirred.set()

    def end(self) -> None:
        """Ends the stream once it has told what it has."""
        self.is_over = True
        self.stirred.set()


class Pulse:
    """One look at the database for all streams of this process, for as long as there are any."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._streams: dict[Stream, None] = {}  # the oldest first
        self._looking: asyncio.Task[None] | None = None
        self._heard: Heard | None = None

    @property
    def listening(self) -> int:
        """How many pages listen."""
        return len(self._streams)

    async def follow(self, stream: Stream) -> AsyncIterator[ServerSentEvent]:
        """Tells the stream's topics at once, so that nobody who came back has missed anything, and then the news."""
        own = [one for one in self._streams if one.session_id == stream.session_id]
        for one in own[: max(0, len(own) + 1 - MOST_STREAMS)]:
            one.end()
        self._streams[stream] = None
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look_on(), name="pulse")
        try:
            yield ServerSentEvent(comment="listening", retry=_COME_BACK_AFTER_MS)
            while True:
                await stream.stirred.wait()
                stream.stirred.clear()
                news, stream.news = stream.news, {}
                for topic, version in news.items():
                    yield ServerSentEvent(event=topic.partition(":")[0], data=f"{topic} {version}")
                if stream.is_over:
                    return
        finally:
            self._streams.pop(stream, None)

    async def _look_on(self) -> None:
        while self._streams:
            streams = list(self._streams)
            topics = frozenset().union(*(stream.topics for stream in streams))
            try:
                found, live = await anyio.to_thread.run_sync(self._look, topics, {one.session_id for one in streams})
            except RetryLaterError as fault:
                log.warning("pulse.silent", why=str(fault))  # pages say themselves how old they are
            else:
                for stream in streams:
                    stream.hear(found)
                    if stream.session_id not in live:
                        stream.end()
            await asyncio.sleep(LOOK_EVERY_SECONDS)

    def _look(self, topics: Collection[str], session_ids: Collection[str]) -> tuple[Mapping[str, str], frozenset[str]]:
        heard, found, live = reading.read(self._desk, _news, self._heard, topics, session_ids)
        self._heard = heard
        return found, live


def _news(
    connection: Connection, heard: Heard | None, topics: Collection[str], session_ids: Collection[str]
) -> tuple[Heard, Mapping[str, str], frozenset[str]]:
    heard = hear_on(connection, heard)
    return heard, versions(connection, topics, heard), sessions.still_live(connection, session_ids, idle=IDLE)


router = APIRouter(route_class=ConsoleRoute)


@router.get("/pulse")
async def pulse(here: Here, topics: Annotated[str, Query(max_length=2_000)]) -> Response:
    """News of these topics, with commas between: `queue,case:case_...`. An event is named as its topic begins."""
    wanted = frozenset(filter(None, topics.split(",")))
    if not 0 < len(wanted) <= MOST_TOPICS or not all(_is_topic(topic) for topic in wanted):
        known = ", ".join([*sorted(FAMILIES), *(f"{kind}:ID" for kind in sorted(ONE_OF))])
        raise InputError("topics", f"expected 1 to {MOST_TOPICS} of {known}")
    stream = Stream(topics=wanted, session_id=here.session.id)
    here.request.scope[STREAM] = stream
    beat: Pulse = here.request.app.state.pulse
    return EventSourceResponse(beat.follow(stream), ping=PING_EVERY_SECONDS)


def _is_topic(topic: str) -> bool:
    kind, _, name = topic.partition(":")
    return kind in ONE_OF if name else topic in FAMILIES
