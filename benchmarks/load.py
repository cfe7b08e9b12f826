"""The load, a process of its own: so many connections, each with one delivery under way, for so many seconds."""

import argparse
import asyncio
import json
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from benchmarks.events import make_requests
from benchmarks.figures import percentile

_HEAD_END: Final = b"\r\n\r\n"
_LENGTH: Final = b"content-length:"
# Answers under way when the time is over are waited for, so that every event is accounted for.
_LAST_ANSWERS_SECONDS: Final = 30.0


@dataclass(slots=True)
class Tally:
    """What came back."""

    statuses: Counter[int] = field(default_factory=Counter)
    done: list[tuple[float, float]] = field(default_factory=list)
    """When each delivery was sent and when its answer was whole, on the monotonic clock."""


class Source:
    """Deliveries, each handed out once, until the time is over."""

    def __init__(self, requests: Sequence[bytes], until: float) -> None:
        self._left = iter(requests)
        self._until = until

    def next(self) -> bytes | None:
        """Another delivery, or None when time or deliveries are over."""
        return next(self._left, None) if time.perf_counter() < self._until else None


class Connection(asyncio.Protocol):
    """One connection that is kept alive: sends, waits for the whole answer, sends again."""

    def __init__(self, source: Source, tally: Tally) -> None:
        self._source = source
        self._tally = tally
        self._received = bytearray()
        self._sent_at = 0.0
        self._transport: asyncio.Transport | None = None
        self.over: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begins."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._send()

    def data_received(self, data: bytes) -> None:
        """Counts an answer as soon as it is whole."""
        self._received += data
        end = self._received.find(_HEAD_END)
        if end < 0 or len(self._received) < end + len(_HEAD_END) + self._length(end):
            return
        self._tally.done.append((self._sent_at, time.perf_counter()))
        self._tally.statuses[int(self._received[9:12])] += 1
        self._received.clear()
        self._send()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing comes after the end; a cut connection is a failed run."""
        if not self.over.done():
            self.over.set_exception(exc or ConnectionError("the server closed a connection"))

    def _send(self) -> None:
        request = self._source.next()
        assert self._transport is not None
        if request is None:
            if not self.over.done():
                self.over.set_result(None)
            self._transport.close()
            return
        self._sent_at = time.perf_counter()
        self._transport.write(request)

    def _length(self, end: int) -> int:
        head = bytes(self._received[:end]).lower()
        return int(head[head.index(_LENGTH) + len(_LENGTH) :].split(b"\r\n", 1)[0])


async def press(host: str, port: int, requests: Sequence[bytes], *, connections: int, until: float) -> Tally:
    """Delivers until `until` (monotonic seconds) or until nothing is left, and waits for the last answers."""
    source, tally, loop = Source(requests, until), Tally(), asyncio.get_running_loop()
    opened = [await loop.create_connection(lambda: Connection(source, tally), host, port) for _ in range(connections)]
    await asyncio.wait_for(
        asyncio.gather(*(connection.over for _, connection in opened)),
        timeout=max(0.0, until - time.perf_counter()) + _LAST_ANSWERS_SECONDS,
    )
    return tally


def main() -> None:
    """Prints one JSON object: what was answered, and how fast, between the end of the warm-up and the end."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--path", required=True)
    parser.add_argument("--secret", required=True)
    parser.add_argument("--connections", type=int, required=True)
    parser.add_argument("--warm-up", type=float, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--most-per-second", type=int, required=True)
    given = parser.parse_args()
    count = int(given.most_per_second * (given.warm_up + given.seconds))
    requests = make_requests(given.path, given.secret, count)
    begin = time.perf_counter() + given.warm_up
    until = begin + given.seconds
    cpu = time.process_time()
    tally = asyncio.run(press(given.host, given.port, requests, connections=given.connections, until=until))
    cpu = time.process_time() - cpu
    last = max(finished for _, finished in tally.done)
    window = min(until, last) - begin
    measured = [finished - sent for sent, finished in tally.done if begin <= sent and finished <= until]
    print(
        json.dumps(
            {
                "statuses": dict(tally.statuses),
                "answered": sum(tally.statuses.values()),
                "used_up": len(tally.done) == count,
                "per_second": sum(1 for _, finished in tally.done if begin <= finished <= until) / window,
                "p50_ms": percentile(measured, 0.50) * 1000,
                "p95_ms": percentile(measured, 0.95) * 1000,
                "p99_ms": percentile(measured, 0.99) * 1000,
                "load_cpu_ms_per_event": cpu / len(tally.done) * 1000,
            }
        )
    )


if __name__ == "__main__":
    main()
