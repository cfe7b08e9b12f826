"""Many processes on one terminal: whole lines, each behind the name of the process that said it."""

import os
import selectors
from typing import Final, TextIO

_CHUNK_BYTES: Final = 65_536  # what a pipe holds on Linux
_LINE_BYTES: Final = 65_536  # a line beyond this is broken, so that a process without newlines cannot fill memory


class Output:
    """Reads the pipes of children and writes their lines to one stream."""

    def __init__(self, stream: TextIO, *, names: list[str]) -> None:
        self._stream: TextIO | None = stream
        self._width = max(map(len, names))
        self._selector = selectors.DefaultSelector()
        self._partial: dict[int, tuple[str, bytes]] = {}

    def pipe_for(self, name: str) -> int:
        """The end to give to a process as its stdout; close it once the process has it."""
        ours, theirs = os.pipe()
        os.set_blocking(ours, False)
        self._selector.register(ours, selectors.EVENT_READ)
        self._partial[ours] = (name, b"")
        return theirs

    def wake_on(self, descriptor: int) -> None:
        """Ends `pump` early when something is written there; what was written is thrown away."""
        os.set_blocking(descriptor, False)
        self._selector.register(descriptor, selectors.EVENT_READ)

    def pump(self, seconds: float) -> None:
        """Waits at most so long for something to read, and passes on what there is."""
        for key, _ in self._selector.select(seconds):
            self._read(key.fd)

    def say(self, name: str, line: str) -> None:
        """Writes one line; a stream that nobody reads any more ends the writing, not the process."""
        if self._stream is None:
            return
        try:
            self._stream.write(f"{name:<{self._width}} | {line}\n")
            self._stream.flush()
        except (OSError, ValueError):  # the pipe is broken, or the stream was closed
            self._stream = None

    def close(self) -> None:
        """Passes on what is left, and forgets the pipes."""
        self.pump(0)
        for descriptor in list(self._partial):
            self._drop(descriptor)
        self._selector.close()

    def _read(self, descriptor: int) -> None:
        try:
            chunk = os.read(descriptor, _CHUNK_BYTES)
        except BlockingIOError:
            return
        if descriptor not in self._partial:
            return
        if not chunk:
            self._drop(descriptor)
            return
        name, before = self._partial[descriptor]
        *lines, rest = (before + chunk).split(b"\n")
        if len(rest) > _LINE_BYTES:
            lines, rest = [*lines, rest], b""
        self._partial[descriptor] = (name, rest)
        for line in lines:
            self.say(name, line.decode("utf-8", "replace").rstrip("\r"))

    def _drop(self, descriptor: int) -> None:
        name, rest = self._partial.pop(descriptor)
        self._selector.unregister(descriptor)
        os.close(descriptor)
        if rest:
            self.say(name, rest.decode("utf-8", "replace"))
