"""The command line as a person has it: words in, an exit code and two streams out."""

import contextlib
import io
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import structlog

from billingbot.cli import main

ROOT: Final = Path(__file__).resolve().parents[2]
KEYS: Final = {"BILLINGBOT_STRIPE_API_KEY": "rk_test_cli", "BILLINGBOT_STRIPE_WEBHOOK_SECRET": "whsec_cli"}


@dataclass(frozen=True, slots=True)
class Said:
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """What `--json` printed."""
        return json.loads(self.out)

    @property
    def lines(self) -> list[str]:
        """The lines of the result."""
        return self.out.splitlines()


def bare() -> dict[str, str]:
    """This environment without any setting of billingbot's."""
    return bare_of(os.environ)


def typed(settings: Mapping[str, str], *words: str) -> Said:
    """Runs the entry point itself, in this process: a command without the second that an interpreter needs."""
    out, err = io.StringIO(), io.StringIO()
    before, argv, stdin, place = dict(os.environ), sys.argv, sys.stdin, Path.cwd()
    logs = structlog.get_config()
    os.environ.clear()
    os.environ.update({**bare_of(before), **settings})
    sys.argv, sys.stdin = ["billingbot", *words], io.StringIO()
    os.chdir(ROOT)
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = _code()
    finally:
        os.chdir(place)
        sys.argv, sys.stdin = argv, stdin
        structlog.configure(**logs)
        os.environ.clear()
        os.environ.update(before)
    return Said(code, out.getvalue(), err.getvalue())


def bare_of(environ: Mapping[str, str]) -> dict[str, str]:
    """An environment without billingbot's settings."""
    return {name: value for name, value in environ.items() if not name.startswith("BILLINGBOT_")}


def run(settings: Mapping[str, str], *words: str, timeout: float = 60) -> Said:
    """Runs a command in a process of its own, to its end."""
    done = subprocess.run(
        [sys.executable, "-m", "billingbot", *words],
        env={**bare(), **settings},
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    return Said(done.returncode, done.stdout, done.stderr)


def _code() -> int:
    try:
        main()
    except SystemExit as end:
        return int(end.code or 0)
    return 0
