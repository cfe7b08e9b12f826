"""`billingbot up`: everything on this machine, on private engines or on yours, supervised."""

import signal
import sys
import threading
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from billingbot.cli.output import say

if TYPE_CHECKING:
    from billingbot.bootstrap.build import Config
    from billingbot.bootstrap.settings import Environment

CHILDREN: Final = "children.json"
"""The supervisor's own record in the data directory."""


def up(
    host: Annotated[
        str | None, typer.Option(help="Where the web listens. Default: BILLINGBOT_HOST, or 127.0.0.1.")
    ] = None,
    port: Annotated[int | None, typer.Option(min=1, max=65535, help="Default: BILLINGBOT_PORT, or 8080.")] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, max=64, help="Worker processes. Default: BILLINGBOT_WORKERS, or 2.")
    ] = None,
    data_dir: Annotated[
        Path | None, typer.Option(help="Where the engines live. Default: BILLINGBOT_DATA_DIR, or data.")
    ] = None,
) -> None:
    """Runs everything on this machine until Ctrl-C or SIGTERM.

    Brings its own PostgreSQL and Valkey, unless BILLINGBOT_DATABASE_URL and BILLINGBOT_REDIS_URL name yours.
    Migrates, then runs the web, the workers and the scheduler, and starts again whatever dies.
    """
    from billingbot.bootstrap.settings import read_environment
    from billingbot.cli.serving import read_settings

    given = {"host": host, "port": port, "workers": workers, "data_dir": data_dir}
    environment = read_environment().model_copy(
        update={name: value for name, value in given.items() if value is not None}
    )
    _run(environment, read_settings(environment))


def _run(environment: "Environment", config: "Config") -> None:
    """Holds the data directory while everything runs; ends by typer.Exit with the supervisor's code."""
    from billingbot.bootstrap.telemetry import set_up
    from billingbot.cli import connection
    from billingbot.cli.crew import crew, open_engines, web_url
    from billingbot.cli.serving import check_free
    from billingbot.cli.welcome import welcome
    from billingbot.engines.lock import DirectoryLock
    from billingbot.engines.places import open_data_dir
    from billingbot.engines.register import end_leftovers
    from billingbot.engines.supervisor import Supervisor

    set_up(environment.log_format, environment.log_level)
    for number in (signal.SIGTERM, signal.SIGINT):  # until the supervisor takes them: what is open is closed
        signal.signal(number, lambda *_: sys.exit(0))
    data_dir, url = open_data_dir(environment.data_dir), web_url(environment)
    with ExitStack() as stack:
        stack.enter_context(DirectoryLock(data_dir / "up.lock", whose="billingbot up"))
        for left in end_leftovers(data_dir / CHILDREN):  # one of them may still hold our port
            say(f"Ended {left}, left over from an earlier run.")
        check_free(environment.host, environment.port)
        say(f"Starting on {data_dir} ...")
        engines = stack.enter_context(open_engines(environment, data_dir))
        connection.leave(
            data_dir,
            database_url=engines.database_url,
            redis_url=engines.redis_url,
            web_url=url,
            accounts={account.name: account.livemode for account in config.accounts},
        )
        stack.callback(connection.take_away, data_dir)
        started = threading.Event()
        arguments = (config, engines.database_url, url, started)
        threading.Thread(target=welcome, args=arguments, name="welcome", daemon=True).start()
        children = crew(environment, engines, started, pretty=sys.stdout.isatty())
        raise typer.Exit(Supervisor(children, state_dir=data_dir).run())
