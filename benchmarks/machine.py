"""The machine of a run: figures mean nothing without it."""

import os
import platform
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

_COMPONENTS = ("uvicorn", "fastapi", "stripe", "dramatiq", "sqlalchemy", "psycopg", "redis")


def describe() -> dict[str, object]:
    """Date, cores, Python, the versions that matter, how busy the machine was at the start, and the command."""
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "cores": os.cpu_count(),
        "processor": _processor(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": platform.python_version(),
        "versions": {name: version(name) for name in _COMPONENTS},
        "load_before": round(os.getloadavg()[0], 2),
        "command": " ".join(["python -m benchmarks", *sys.argv[1:]]),
    }


def cpu_seconds(pid: int) -> float | None:
    """Processor time of a process with all its threads so far; None where the system does not tell (not Linux)."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text("ascii")
    except OSError:
        return None
    user, system = stat.rpartition(")")[2].split()[11:13]  # fields 14 and 15; the name before may hold spaces
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        return platform.processor() or "unknown"
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")
