"""`billingbot version`: which release this is."""

import platform
from importlib.metadata import version as release_of

from billingbot.cli.output import AsJson, say, show_json


def version(*, as_json: AsJson = False) -> None:
    """Prints the release of billingbot, and of what it stands on."""
    releases = {name: release_of(name) for name in ("billingbot", "stripe", "sqlalchemy", "psycopg", "dramatiq")}
    releases["python"] = platform.python_version()
    if as_json:
        show_json(releases)
        return
    say(*(f"{name} {release}" for name, release in releases.items()))
