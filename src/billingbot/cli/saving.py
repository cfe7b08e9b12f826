"""Saving what a command exports: to a file that is renamed into its place once it is whole, or to stdout."""

import sys
from collections.abc import Iterable
from pathlib import Path

from billingbot.cli.output import progress, say


def save(pieces: Iterable[bytes], output: Path | None, what: str) -> None:
    """Writes the pieces, with progress on a terminal."""
    if output is None:
        for piece in pieces:
            sys.stdout.buffer.write(piece)
        return
    part = output.with_name(f"{output.name}.part")
    try:
        with progress(what) as steps, part.open("wb") as sink:
            for piece in pieces:
                sink.write(piece)
                steps.forward()
        part.replace(output)
    finally:
        part.unlink(missing_ok=True)
    say(f"Saved as {output}")
