"""Where the engines of a data directory answer: left by `billingbot up`, found by every other command."""

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from billingbot.core.errors import BillingbotError

_FILE: Final = "connection.json"


class NothingRunsError(BillingbotError):
    """Nothing runs on this data directory, and no database is configured."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """What `up` runs, for as long as it does. `accounts` is each account's name with its mode: live or not."""

    pid: int
    began: str | None
    database_url: str
    redis_url: str
    web_url: str
    accounts: dict[str, bool]


def leave(data_dir: Path, *, database_url: str, redis_url: str, web_url: str, accounts: dict[str, bool]) -> None:
    """Leaves the connection for other commands of the same user (0600)."""
    from billingbot.engines.credentials import write_private
    from billingbot.engines.processes import started_at

    own = Connection(
        pid=os.getpid(),
        began=started_at(os.getpid()),
        database_url=database_url,
        redis_url=redis_url,
        web_url=web_url,
        accounts=accounts,
    )
    write_private(data_dir / _FILE, json.dumps(asdict(own), indent=2) + "\n")


def take_away(data_dir: Path) -> None:
    """After an orderly end."""
    (data_dir / _FILE).unlink(missing_ok=True)


def find(data_dir: Path) -> Connection:
    """The connection of the `up` that runs on this data directory. NothingRunsError where none does."""
    from billingbot.engines.processes import started_at

    try:
        found = Connection(**json.loads((data_dir / _FILE).read_text("utf-8")))
    except FileNotFoundError:
        raise NothingRunsError(_nothing(data_dir)) from None
    except PermissionError:
        raise NothingRunsError(
            f"{data_dir / _FILE}: belongs to another user; run this as the one who runs up"
        ) from None
    except (ValueError, TypeError):
        raise NothingRunsError(f"{data_dir / _FILE}: cannot be read; start billingbot up again") from None
    began = started_at(found.pid)
    if began is None or began != found.began:  # killed; its id may be somebody else's by now
        raise NothingRunsError(_nothing(data_dir))
    return found


def _nothing(data_dir: Path) -> str:
    return (
        f"Nothing runs on {data_dir}: start it with billingbot up, name its directory with BILLINGBOT_DATA_DIR, "
        "or name your own database with BILLINGBOT_DATABASE_URL."
    )
