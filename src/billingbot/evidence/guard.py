"""Keeps a dead or hanging source from holding every worker: a short circuit and a bound on open questions."""

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

from billingbot.evidence.reading import UnansweredError, UnreachableError

Answer = TypeVar("Answer")

# Five in a row is no coincidence; ten seconds is short enough that a restart of the source is noticed at once.
_FAILURES: Final = 5
_REST_SECONDS: Final = 10.0
# More than the threads of one worker process (8), so it only bites where questions hang and pile up.
_OPEN_QUESTIONS: Final = 32


class Guard:
    """One source's circuit. Safe to use from many threads.

    After `failures` unreachable answers in a row nothing is asked for `rest_seconds`; then one question goes
    through, and its outcome closes the circuit or starts another rest. `open_questions` bounds how many may be
    under way at once, hanging ones included.
    """

    def __init__(
        self,
        *,
        failures: int = _FAILURES,
        rest_seconds: float = _REST_SECONDS,
        open_questions: int = _OPEN_QUESTIONS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._failures_allowed = failures
        self._rest_seconds = rest_seconds
        self._limit = open_questions
        self._clock = clock
        self._lock = threading.Lock()
        self._failures = 0
        self._open = 0
        self._resting_until: float | None = None

    def ask(self, question: Callable[[], Answer]) -> Answer:
        """The question's answer. UnansweredError where it has none, is not asked, or fails in any way."""
        self._enter()
        try:
            answer = question()
        except UnreachableError:
            self._leave(reached=False)
            raise
        except UnansweredError:
            self._leave(reached=True)
            raise
        except Exception as fault:
            self._leave(reached=False)
            # The message of an unknown exception may hold an address or a secret; its class and place cannot.
            raise UnreachableError(f"failed unexpectedly ({_place(fault)})") from fault
        self._leave(reached=True)
        return answer

    def _enter(self) -> None:
        with self._lock:
            if self._open >= self._limit:
                raise UnansweredError(f"not asked: {self._open} earlier questions are still open")
            now = self._clock()
            if self._resting_until is not None:
                if now < self._resting_until:
                    raise UnansweredError(f"not asked: failed {self._failures} times in a row, asked again soon")
                # Half-open: this question goes through, the others wait for its outcome or for another rest.
                self._resting_until = now + self._rest_seconds
            self._open += 1

    def _leave(self, *, reached: bool) -> None:
        with self._lock:
            self._open -= 1
            self._failures = 0 if reached else self._failures + 1
            if reached:
                self._resting_until = None
            elif self._failures >= self._failures_allowed:
                self._resting_until = self._clock() + self._rest_seconds


def _place(fault: BaseException) -> str:
    frame = fault.__traceback__
    while frame is not None and frame.tb_next is not None:
        frame = frame.tb_next
    where = f" at {Path(frame.tb_frame.f_code.co_filename).name}:{frame.tb_lineno}" if frame else ""
    return f"{type(fault).__name__}{where}"
