"""Makes a PostgreSQL cluster with billingbot's roles and database in it: as a whole, or not at all."""

import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from billingbot.engines.account import give
from billingbot.engines.credentials import passwords, sync_directory, write_private
from billingbot.engines.errors import EngineError
from billingbot.engines.places import Home
from billingbot.engines.programs import postgres_bin

SUPERUSER: Final = "postgres"
OWNER: Final = "billingbot_owner"
APPLICATION: Final = "billingbot"
LEAST_ROLE: Final = "billingbot_app"
DATABASE: Final = "billingbot"
ENVIRONMENT: Final = {"LC_ALL": "C", "TZ": "UTC", "PATH": "/usr/bin:/bin"}
"""What PostgreSQL's programs see: messages in English, and nothing of our own settings and secrets."""

_BUILTIN_LOCALE_MAJOR: Final = 17  # from here on PostgreSQL brings Unicode rules that no system update changes


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """A cluster on disk, and the programs that fit it. `passwords` are by role."""

    path: Path
    bin_directory: Path
    major: int
    passwords: dict[str, str]


def open_cluster(home: Home, *, fsync: bool) -> Cluster:
    """The cluster in this home, made now if there is none, and on the disk before this returns if `fsync`.

    EngineError where that fails; WrongMajorError.
    """
    path, credentials = home.path / "cluster", home.path / "credentials.json"
    if path.exists() and not credentials.exists():
        raise EngineError(f"{credentials}: missing, and the cluster beside it opens to its passwords alone; restore it")
    secrets = passwords(credentials, (SUPERUSER, OWNER, APPLICATION))
    recorded = int((path / "PG_VERSION").read_text("ascii")) if path.exists() else None
    directory, major = postgres_bin(home, major=recorded)
    cluster = Cluster(path=path, bin_directory=directory, major=major, passwords=secrets)
    if recorded is None:
        _make(cluster, home, fsync=fsync)
    return cluster


def _make(cluster: Cluster, home: Home, *, fsync: bool) -> None:
    """Makes it beside its place and renames it, so that a crash on the way leaves nothing half."""
    shutil.rmtree(cluster.path.with_name("cluster.part"), ignore_errors=True)
    part = home.private_directory("cluster.part")
    password_file = home.path / "superuser.part"
    write_private(password_file, cluster.passwords[SUPERUSER] + "\n")
    give(password_file, home.account, mode=0o600)
    locale = ["--locale=C"]
    if cluster.major >= _BUILTIN_LOCALE_MAJOR:
        locale += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    try:
        _run(
            home,
            [
                *(str(cluster.bin_directory / "initdb"), "--pgdata", str(part), "--username", SUPERUSER),
                *("--auth=scram-sha-256", "--pwfile", str(password_file), "--encoding=UTF8", *locale),
                *(() if fsync else ("--no-sync",)),
            ],
        )
    finally:
        password_file.unlink()
    _run_sql(cluster, home, part)
    part.replace(cluster.path)
    sync_directory(home.path)


def _run_sql(cluster: Cluster, home: Home, part: Path) -> None:
    """Without a server: a single backend takes one statement per line, and the first error ends it."""
    statements = [
        f"CREATE ROLE {LEAST_ROLE} NOLOGIN",  # the rights on tables; migrations grant them
        f"CREATE ROLE {OWNER} LOGIN PASSWORD '{cluster.passwords[OWNER]}' IN ROLE {LEAST_ROLE}",
        f"CREATE ROLE {APPLICATION} LOGIN PASSWORD '{cluster.passwords[APPLICATION]}' IN ROLE {LEAST_ROLE}",
        f"CREATE DATABASE {DATABASE} OWNER {OWNER}",
        f"REVOKE ALL ON DATABASE {DATABASE} FROM PUBLIC",
        f"GRANT CONNECT ON DATABASE {DATABASE} TO {LEAST_ROLE}, {APPLICATION}",
    ]
    argv = [str(cluster.bin_directory / "postgres"), "--single", "-D", str(part), "-c", "exit_on_error=on"]
    # Statements hold passwords, so none may be quoted in what PostgreSQL says about an error.
    _run(home, [*argv, "-c", "log_min_error_statement=panic", "postgres"], told="\n".join(statements) + "\n")


def _run(home: Home, argv: Sequence[str], *, told: str = "") -> None:
    who = home.account
    done = subprocess.run(  # noqa: S603  # our own argv, no shell
        argv,
        input=told,
        text=True,
        capture_output=True,
        check=False,
        cwd=home.path,
        env=ENVIRONMENT,
        user=None if who is None else who.uid,
        group=None if who is None else who.gid,
        extra_groups=None if who is None else [],
        umask=0o077,
    )
    if done.returncode != 0:
        raise EngineError(f"{Path(argv[0]).name} failed (exit code {done.returncode}): {done.stderr.strip()}")
