"""Where an engine keeps its things, so that the account it runs as reaches them and nobody else does."""

import hashlib
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog

from billingbot.engines.account import Account, can_enter, give, unprivileged_account
from billingbot.engines.errors import EngineError

# A socket's path must fit sun_path: 108 bytes on Linux, 104 on macOS, the ending zero included.
_SOCKET_PATH_BYTES: Final = 103
# Room for the name of the socket itself: `/.s.PGSQL.5432` is the longest.
_SOCKET_NAME_BYTES: Final = 14
# Where root's engines live when the data directory is below a private directory such as /root.
_SYSTEM_ROOT: Final = Path("/var/lib/billingbot")
_TRAVERSE: Final = 0o711  # others may pass through, and see nothing

_log = structlog.get_logger("billingbot.engines")

_WORRIES: Final = {
    "nfs": "a network file system: locks and fsync may not hold, and a crash can damage the database",
    "nfs4": "a network file system: locks and fsync may not hold, and a crash can damage the database",
    "cifs": "a network file system: locks and fsync may not hold, and a crash can damage the database",
    "tmpfs": "kept in memory: everything is gone after a restart of the machine",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Home:
    """The directory of one engine, and the account that the engine runs as (None: ours)."""

    path: Path
    account: Account | None

    def private_directory(self, name: str) -> Path:
        """A directory in here that is the engine's own (0700)."""
        directory = self.path / name
        directory.mkdir(exist_ok=True)
        give(directory, self.account, mode=0o700)
        return directory

    def socket_directory(self) -> Path:
        """Where the engine's socket goes, the same at each start: in here, or in /tmp where the path is too long."""
        if len(os.fsencode(self.path / "run")) + _SOCKET_NAME_BYTES <= _SOCKET_PATH_BYTES:
            return self.private_directory("run")
        directory = Path(tempfile.gettempdir()) / f"billingbot-{_digest(self.path)}"
        directory.mkdir(mode=0o700, exist_ok=True)
        owners = {os.geteuid()} | ({self.account.uid} if self.account else set())
        if directory.is_symlink() or directory.lstat().st_uid not in owners:
            raise EngineError(f"{directory} belongs to somebody else: choose a shorter path for the data directory")
        give(directory, self.account, mode=0o700)
        return directory


def open_data_dir(data_dir: Path) -> Path:
    """Makes the data directory, or takes an empty one over; returns its absolute path.

    Others may pass through it (0711) to reach what belongs to them; its parents are never changed.
    """
    data_dir = data_dir.absolute()
    data_dir.mkdir(parents=True, exist_ok=True)
    if not any(data_dir.iterdir()) and data_dir.stat().st_uid == os.geteuid():
        data_dir.chmod(_TRAVERSE)
    return data_dir


def open_home(data_dir: Path, name: str) -> Home:
    """The home of the engine `name`: `data_dir/name`, or a link there where root's engine could not reach it.

    EngineError where the engine's account reaches neither.
    """
    account = unprivileged_account()
    path = data_dir / name
    if path.is_symlink() and not path.exists():
        raise EngineError(f"{path}: leads to {path.readlink()}, which is gone; bring it back or delete the link")
    path.mkdir(exist_ok=True)
    path = path.resolve()  # of a link only its target need be reachable
    path.chmod(_TRAVERSE)
    if not can_enter(account, path):
        path = _move_out(path, account)
    _warn_about_file_system(path)
    return Home(path=path, account=account)


def remove_data_dir(data_dir: Path) -> None:
    """Deletes a data directory and what its links lead to; nothing of it may be running."""
    if data_dir.exists():
        empty_data_dir(data_dir)
    shutil.rmtree(data_dir, ignore_errors=True)


def empty_data_dir(data_dir: Path, *, but: str | None = None) -> None:
    """Deletes what is in a data directory and what its links lead to, `but` for one name; nothing may be running."""
    for entry in data_dir.iterdir():
        if entry.name == but:
            continue
        if entry.is_symlink() and entry.resolve().parent == _SYSTEM_ROOT:
            shutil.rmtree(entry.resolve(), ignore_errors=True)
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry, ignore_errors=True)
        else:
            entry.unlink(missing_ok=True)


def _move_out(path: Path, account: Account | None) -> Path:
    """Puts an empty link to a reachable directory at `path`, and says so."""
    name = account.name if account else "we"
    advice = (
        f"{path}: user {name}, whom the engine must run as since we are root, may not pass through a directory "
        f"above it; choose a data directory elsewhere, for example {_SYSTEM_ROOT}, or run as an ordinary user"
    )
    if any(path.iterdir()):
        raise EngineError(advice)
    try:
        _SYSTEM_ROOT.mkdir(mode=0o755, exist_ok=True)
        # A new name each time: whoever deleted the link meant the data too, and must not see it come back.
        target = Path(tempfile.mkdtemp(prefix=f"{path.name}-", dir=_SYSTEM_ROOT))
        target.chmod(_TRAVERSE)
    except OSError as fault:
        raise EngineError(f"{advice} ({_SYSTEM_ROOT}: {fault.strerror})") from fault
    if not can_enter(account, target):
        raise EngineError(advice)
    path.rmdir()
    path.symlink_to(target)
    _log.warning("engine.data_moved", link=str(path), target=str(target), reason=f"{name} cannot reach the link")
    return target


def _digest(path: Path) -> str:
    return hashlib.sha256(os.fsencode(path)).hexdigest()[:12]


def _warn_about_file_system(path: Path) -> None:
    kind = _file_system(path)
    if kind in _WORRIES:
        _log.warning("engine.risky_file_system", directory=str(path), kind=kind, reason=_WORRIES[kind])


def _file_system(path: Path) -> str | None:
    """The type of the file system below `path`, where the kernel lists its mounts (Linux)."""
    mounts = Path("/proc/self/mounts")
    if not mounts.exists():
        return None
    found = [line.split()[1:3] for line in mounts.read_text("utf-8", "replace").splitlines()]
    under = [(len(point), kind) for point, kind in found if path.is_relative_to(point.replace("\\040", " "))]
    return max(under)[1] if under else None
