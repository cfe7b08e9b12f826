"""One process at a time in a directory, held by the kernel and so gone with its holder, however that ends."""

import fcntl
import os
from pathlib import Path
from types import TracebackType
from typing import Self

from billingbot.engines.errors import DirectoryBusyError


class DirectoryLock:
    """An exclusive lock on a file; released by `release`, by leaving `with`, or by the death of the process."""

    def __init__(self, path: Path, *, whose: str) -> None:
        """Takes the lock at once. DirectoryBusyError, naming the holder's process id, where another has it.

        `whose` names in the error what the lock protects.
        """
        self._descriptor: int | None = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(self._descriptor, 32, 0).decode("ascii", "replace").strip() or "unknown"
            self.release()
            raise DirectoryBusyError(
                f"{path.parent}: {whose} is in use by another billingbot (process {holder}); "
                "stop that one first, or choose another data directory"
            ) from None
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, f"{os.getpid()}\n".encode("ascii"), 0)

    def release(self) -> None:
        """Gives the lock back; once is enough and twice does no harm."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, fault: BaseException | None, at: TracebackType | None) -> None:
        self.release()
