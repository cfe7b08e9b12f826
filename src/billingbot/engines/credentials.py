"""The passwords of private engines: random, made once, kept in a file that only we can read."""

import json
import os
import secrets
from pathlib import Path

_BYTES = 24  # 192 bits: nobody guesses it, and it needs no escaping in a URL


def passwords(path: Path, names: tuple[str, ...]) -> dict[str, str]:
    """The passwords in the file at `path`, after making those that are missing."""
    known: dict[str, str] = json.loads(path.read_text("utf-8")) if path.exists() else {}
    missing = {name: secrets.token_urlsafe(_BYTES) for name in names if name not in known}
    if missing:
        write_private(path, json.dumps({**known, **missing}, indent=2) + "\n")
    return {**known, **missing}


def write_private(path: Path, text: str) -> None:
    """Writes the file (0600) as a whole or not at all, and on the disk before this returns."""
    part = path.with_name(f"{path.name}.part")
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    part.replace(path)
    sync_directory(path.parent)


def sync_directory(directory: Path) -> None:
    """Makes renames in the directory survive a power loss."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
