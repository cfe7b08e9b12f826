"""Links: a TCP proxy before Postgres, Redis, Stripe, the usage source and the web, which cuts, delays and swallows."""

import asyncio
import random
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from tests.torture.tally import Tally

Upstream: TypeAlias = str | tuple[str, int]
"""A Unix socket's path, or a host and a port."""

# One read takes whatever a client sends at once: requests and statements of ours are far smaller.
_PIECE: Final = 65_536


@dataclass(frozen=True, slots=True, kw_only=True)
class Weather:
    """Chances of each fault: `refuse` per connection, all others per piece of data that passes.

    `cut`: the request is dropped with its connection. `half`: half of it goes on, then the connection ends.
    `lose_answer`: it goes on, takes effect, and the answer is swallowed. `cut_answer`: half of the answer arrives.
    `delay`: it waits up to `delay_seconds`. `blackhole`: nothing passes for `hole_seconds`, then it ends.
    """

    refuse: float = 0
    cut: float = 0
    half: float = 0
    lose_answer: float = 0
    cut_answer: float = 0
    delay: float = 0
    delay_seconds: float = 0.3
    blackhole: float = 0
    hole_seconds: float = 3.0

    def times(self, factor: float) -> "Weather":
        """The same weather, so many times as bad; no chance above a half, or nothing would ever pass."""
        chances = ("refuse", "cut", "half", "lose_answer", "cut_answer", "delay", "blackhole")
        worse = {name: min(0.5, getattr(self, name) * factor) for name in chances}
        return Weather(**worse, delay_seconds=self.delay_seconds, hole_seconds=self.hole_seconds)


CALM: Final = Weather()


@dataclass(slots=True, eq=False)
class _Passage:
    """One connection through a link. Doomed: the next answer is swallowed with it."""

    client: asyncio.StreamWriter
    server: asyncio.StreamWriter
    doomed: bool = False

    def end(self) -> None:
        """Both sides see a reset, as when a machine between them dies."""
        for side in (self.client, self.server):
            side.transport.abort()


@dataclass(slots=True, eq=False)
class Link:
    """One door that faults come in by. `weather` may be changed at any time, from any thread."""

    name: str
    upstream: Upstream
    tally: Tally
    dice: random.Random
    weather: Weather = CALM
    port: int = 0
    passages: set[_Passage] = field(default_factory=set)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, from its beginning to its end."""
        if self._falls(self.weather.refuse):
            self.tally.add(f"{self.name}.refuse")
            writer.transport.abort()
            return
        try:
            up_reader, up_writer = await self._connect()
        except OSError:
            writer.transport.abort()  # whoever is behind the link is down: not a fault of the link's
            return
        passage = _Passage(writer, up_writer)
        self.passages.add(passage)
        ways = [asyncio.create_task(self._there(reader, passage)), asyncio.create_task(self._back(up_reader, passage))]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            self.passages.discard(passage)
            for side in (writer, up_writer):
                side.close()

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if isinstance(self.upstream, str):
            return await asyncio.open_unix_connection(self.upstream)
        return await asyncio.open_connection(*self.upstream)

    async def _there(self, reader: asyncio.StreamReader, passage: _Passage) -> None:
        with suppress(OSError):
            while piece := await reader.read(_PIECE):
                if not await self._let_through(piece, passage):
                    return

    async def _let_through(self, piece: bytes, passage: _Passage) -> bool:
        """Passes the client's piece on, or does to it what the dice say; False where the connection is over."""
        weather, fault = self.weather, self._draw(("cut", "half", "lose_answer", "delay", "blackhole"))
        if fault == "cut":
            passage.end()
            return False
        if fault == "blackhole":
            await asyncio.sleep(weather.hole_seconds)
            passage.end()
            return False
        if fault == "half":
            passage.server.write(piece[: len(piece) // 2])
            await passage.server.drain()
            passage.end()
            return False
        if fault == "delay":
            await asyncio.sleep(self.dice.random() * weather.delay_seconds)
        passage.doomed = passage.doomed or fault == "lose_answer"
        passage.server.write(piece)
        await passage.server.drain()
        return True

    async def _back(self, reader: asyncio.StreamReader, passage: _Passage) -> None:
        with suppress(OSError):
            while piece := await reader.read(_PIECE):
                if passage.doomed:
                    passage.end()
                    return
                if self._draw(("cut_answer",)) is not None:
                    passage.client.write(piece[: len(piece) // 2])
                    await passage.client.drain()
                    passage.end()
                    return
                passage.client.write(piece)
                await passage.client.drain()

    def _draw(self, kinds: tuple[str, ...]) -> str | None:
        if self.weather is CALM:
            return None
        for kind in kinds:
            if self._falls(getattr(self.weather, kind)):
                self.tally.add(f"{self.name}.{kind}")
                return kind
        return None

    def _falls(self, chance: float) -> bool:
        return chance > 0 and self.dice.random() < chance


class Links:
    """All links, on one event loop in a thread of its own."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._servers: list[asyncio.Server] = []
        self._thread = threading.Thread(target=self._loop.run_forever, name="links", daemon=True)
        self._thread.start()
        self.all: list[Link] = []

    def open(self, name: str, upstream: Upstream, tally: Tally, seed: str) -> Link:
        """A new link on a free port of this machine."""
        link = Link(name=name, upstream=upstream, tally=tally, dice=random.Random(seed))
        asyncio.run_coroutine_threadsafe(self._open(link), self._loop).result(10)
        self.all.append(link)
        return link

    async def _open(self, link: Link) -> None:
        server = await asyncio.start_server(link.serve, "127.0.0.1", 0)
        link.port = int(server.sockets[0].getsockname()[1])
        self._servers.append(server)

    def cut_all(self, link: Link) -> int:
        """Ends every connection of the link at once; returns how many there were."""
        return asyncio.run_coroutine_threadsafe(self._cut_all(link), self._loop).result(10)

    async def _cut_all(self, link: Link) -> int:
        passages = list(link.passages)
        for passage in passages:
            passage.end()
        link.tally.add(f"{link.name}.cut_all", len(passages))
        return len(passages)

    def calm(self) -> None:
        """From now on everything passes."""
        for link in self.all:
            link.weather = CALM

    def close(self) -> None:
        """Ends all connections and the thread."""
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    async def _close(self) -> None:
        for server in self._servers:
            server.close()
        for link in self.all:
            for passage in list(link.passages):
                passage.end()
        others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
