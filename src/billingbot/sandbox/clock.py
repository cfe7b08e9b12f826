"""The sandbox's own time, and the agenda of what is due when: moved by command, or running with the wall clock."""

import heapq
import time
from collections.abc import Callable
from typing import TypeAlias

Task: TypeAlias = Callable[[], None]


class Clock:
    """Unix seconds that stand still until they are moved; `running=True` makes them follow the wall clock."""

    def __init__(self, start: int, *, running: bool = False) -> None:
        self._base = start
        self._running = running
        self._since = time.monotonic()
        self._pinned: int | None = None

    def now(self) -> int:
        """The sandbox's present, in Unix seconds."""
        return self._flowing() if self._pinned is None else self._pinned

    def pin(self, at: int | None) -> None:
        """While a task of the agenda runs, the present is the second it was due; None lets go."""
        self._pinned = at

    def move(self, to: int) -> None:
        """Set the present; a running clock runs on from there."""
        self._base = to
        self._since = time.monotonic()

    def run(self, *, running: bool) -> None:
        """Start to follow the wall clock, or stand still from now on."""
        self.move(self._flowing())
        self._running = running

    @property
    def running(self) -> bool:
        """True while the clock follows the wall clock."""
        return self._running

    def _flowing(self) -> int:
        return self._base + (int(time.monotonic() - self._since) if self._running else 0)


class Agenda:
    """What happens by itself, ordered by second and then by the order in which it was planned."""

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, Task]] = []
        self._planned = 0

    def plan(self, at: int, task: Task) -> None:
        """Run `task` when the clock passes `at` (Unix seconds). A task finds out by itself whether it is stale."""
        self._planned += 1
        heapq.heappush(self._heap, (at, self._planned, task))

    def take_due(self, until: int) -> tuple[int, Task] | None:
        """The next task due at or before `until`, with its second; None when there is none."""
        if not self._heap or self._heap[0][0] > until:
            return None
        at, _, task = heapq.heappop(self._heap)
        return at, task
