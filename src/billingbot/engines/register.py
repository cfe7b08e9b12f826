"""Which processes a supervisor started: on disk, so that the next one ends what a kill -9 left behind."""

import json
import os
import secrets
import signal
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from billingbot.engines.child import Child, Spawned
from billingbot.engines.credentials import write_private
from billingbot.engines.processes import end, marked, started_at

_VARIABLE: Final = "BILLINGBOT_SUPERVISED"
# What outlived its supervisor has had its signal from the kernel already; ten seconds more are for a slow step.
_GRACE_SECONDS: Final = 10


@dataclass(slots=True)
class Register:
    """The live children of one run, by name, and the mark that their environment carries."""

    path: Path
    mark: str = field(default_factory=lambda: secrets.token_hex(16))
    _children: dict[str, dict[str, int | str | None]] = field(default_factory=dict)

    @property
    def marks(self) -> dict[str, str]:
        """What to add to the environment of every child; all its descendants inherit it."""
        return {_VARIABLE: self.mark}

    def add(self, child: Child, process: Spawned) -> None:
        """Writes the child down, with what proves later that its process id still means it."""
        entry = {"pid": process.pid, "began": started_at(process.pid), "stop_signal": int(child.stop_signal)}
        self._children[child.name] = entry
        write_private(self.path, json.dumps({"mark": self.mark, "children": self._children}, indent=2) + "\n")

    def close(self) -> None:
        """After an orderly end: ends what slipped out of its process group, and leaves nothing to repair."""
        end(marked(f"{_VARIABLE}={self.mark}"), signal.SIGTERM, _GRACE_SECONDS)
        self.path.unlink(missing_ok=True)


def end_leftovers(path: Path) -> list[str]:
    """Ends what an earlier run left alive, in reverse order of its start; returns what was ended, for the log.

    A process counts as left over only if it carries the run's random mark (Linux), or began at the recorded second
    under the recorded id (elsewhere): a foreign process under a re-used id is never touched.
    """
    if not path.exists():
        return []
    record = json.loads(path.read_text("utf-8"))
    ended = []
    for name, entry in reversed(record["children"].items()):
        pid = int(entry["pid"])
        if _is_the_same(pid, entry["began"], record["mark"]):
            end([pid], signal.Signals(entry["stop_signal"]), _GRACE_SECONDS)
            ended.append(f"{name} (process {pid})")
    descendants = marked(f"{_VARIABLE}={record['mark']}")
    end(descendants, signal.SIGTERM, _GRACE_SECONDS)
    path.unlink()
    return [*ended, *(f"process {pid}" for pid in descendants)]


def _is_the_same(pid: int, began: str | None, mark: str) -> bool:
    if pid == os.getpid() or began is None or started_at(pid) != began:
        return False
    return sys.platform != "linux" or pid in marked(f"{_VARIABLE}={mark}")
