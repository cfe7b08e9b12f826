"""As whom an engine runs: PostgreSQL refuses root, and Valkey needs none of root's rights."""

import os
import pwd
import subprocess
from dataclasses import dataclass
from pathlib import Path

from billingbot.engines.errors import EngineError

# An operator may create `billingbot`; every system has `nobody`. Numeric ids will not do: initdb asks for a name.
_CANDIDATES = ("billingbot", "nobody")


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """An unprivileged user that root's engines are dropped to."""

    name: str
    uid: int
    gid: int


def unprivileged_account() -> Account | None:
    """The account that engines drop to; None where we are not root and they simply run as we do.

    EngineError where root has nobody to drop to.
    """
    if os.geteuid() != 0:
        return None
    for name in _CANDIDATES:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        if entry.pw_uid != 0:
            return Account(name=name, uid=entry.pw_uid, gid=entry.pw_gid)
    raise EngineError(
        f"PostgreSQL refuses to run as root and there is no user {' or '.join(_CANDIDATES)} to run it as: "
        "create one (useradd --system billingbot), or run billingbot as an ordinary user"
    )


def can_enter(account: Account | None, directory: Path) -> bool:
    """Whether that account reaches `directory`: asked of the kernel, which alone knows modes, lists and mounts."""
    if account is None:
        return os.access(directory, os.X_OK)
    tried = subprocess.run(  # noqa: S603  # a fixed script, the path is its argument
        ["/bin/sh", "-c", 'cd -- "$1"', "sh", str(directory)],
        user=account.uid,
        group=account.gid,
        extra_groups=[],
        cwd="/",
        env={},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=False,
    )
    return tried.returncode == 0


def give(path: Path, account: Account | None, *, mode: int) -> None:
    """Hands `path` to the account with that mode."""
    path.chmod(mode)
    if account is not None:
        os.chown(path, account.uid, account.gid)
