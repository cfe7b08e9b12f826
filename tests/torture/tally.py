"""Tally: how often each kind of fault really happened; what was only planned does not count."""

import threading
from collections import Counter
from typing import Final


class Tally:
    """Counts by kind, from any thread."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._lock = threading.Lock()

    def add(self, kind: str, times: int = 1) -> None:
        """So many faults of this kind have happened."""
        with self._lock:
            self._counts[kind] += times

    def counts(self) -> dict[str, int]:
        """All kinds with their counts, by name."""
        with self._lock:
            return dict(sorted((kind, count) for kind, count in self._counts.items() if count))

    def total(self) -> int:
        """All faults together."""
        with self._lock:
            return sum(self._counts.values())


GROUPS: Final = ("process", "postgres", "redis", "stripe", "usage", "web", "webhook", "clock", "rogue")
"""What stands before the dot of a fault's kind: whom it hit."""
