"""The command line: one file per noun, each read only when its command is asked for."""

import os
import sys
from typing import Final

# 128 + SIGINT, as every shell tells it.
_INTERRUPTED: Final = 130


def main() -> None:
    """The entry point `billingbot`. Exit codes: 0 done, 1 refused or failed, 2 bad usage or configuration."""
    from billingbot.cli.entry import program
    from billingbot.core.errors import BillingbotError, ConfigError, InputError

    try:
        program()
    except ConfigError as fault:
        _complain(*fault.problems)
        sys.exit(2)
    except InputError as fault:
        _complain(str(fault))
        sys.exit(2)
    except BillingbotError as fault:
        _complain(str(fault))
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(_INTERRUPTED)
    except BrokenPipeError:
        # Whoever read us (head, less) has seen enough. Nothing more may be flushed into that pipe at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)


def _complain(*problems: str) -> None:
    for problem in problems:
        sys.stderr.write(f"{problem}\n")
