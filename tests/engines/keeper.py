"""Runs the suite's one PostgreSQL and one Valkey, for as long as any pytest process holds the users' lock.

A script with the run's directory as its argument. The lock is the kernel's: it falls with its holder, so the engines
end after a finished run, after Ctrl-C and after a killed one alike.
"""

import fcntl
import json
import os
import shutil
import sys
import time
from pathlib import Path

from billingbot.engines.postgres import start_postgres
from billingbot.engines.valkey import start_valkey

VALKEY_DATABASES = 64  # one for each worker of the widest machine we know


def main(run_dir: Path) -> None:
    with (run_dir / "users.lock").open("rb") as users:
        try:
            # Speed before safety: these databases are gone after the run anyway.
            with (
                start_postgres(run_dir, fsync=False) as postgres,
                start_valkey(run_dir, databases=VALKEY_DATABASES) as valkey,
            ):
                engines = {
                    "owner_url": postgres.owner_url,
                    "app_url": postgres.app_url,
                    "superuser_url": postgres.superuser_url,
                    "valkey_url": valkey.url,
                    "pids": [os.getpid(), postgres.process.pid, valkey.process.pid],
                }
                part = run_dir / "engines.part"
                part.write_text(json.dumps(engines))
                part.replace(run_dir / "engines.json")
                _wait_for_the_last(users.fileno())
        finally:
            _wait_for_the_last(users.fileno())  # after a failed start its log is still to be read
            shutil.rmtree(run_dir, ignore_errors=True)


def _wait_for_the_last(descriptor: int) -> None:
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(0.1)
        else:
            return


if __name__ == "__main__":
    main(Path(sys.argv[1]))
