"""`billingbot web`: the HTTP door, one process of as many as you like."""

from typing import Annotated, Final

import typer

# Ten seconds for what is under way and five for a commit; what still runs then waits for a Stripe that hangs. The
# supervisor, like most, kills after thirty.
_LEAVES_AFTER_SECONDS: Final = 20.0


def web(
    host: Annotated[str | None, typer.Option(help="Where to listen. Default: BILLINGBOT_HOST, or 127.0.0.1.")] = None,
    port: Annotated[int | None, typer.Option(min=1, max=65535, help="Default: BILLINGBOT_PORT, or 8080.")] = None,
) -> None:
    """Takes webhooks and answers the API until SIGTERM."""
    from billingbot.bootstrap.settings import read_environment
    from billingbot.cli.serving import check_free, leave_after, role
    from billingbot.web.app import make_app
    from billingbot.web.serve import serve

    environment = read_environment()
    at = (host or environment.host, port or environment.port)
    with role() as (_, runtime, stop):
        leave_after(stop, _LEAVES_AFTER_SECONDS)
        check_free(*at)
        if not stop.is_set():
            app = make_app(
                runtime.desk,
                runtime.endpoints,
                redis=lambda: bool(runtime.broker.client.ping()),
                dropped_bells=lambda: runtime.bell.dropped,
            )
            proxies = environment.proxies
            serve(app, *at, stop=stop, behind_proxy=proxies is not None, proxies=proxies or "")
