"""`billingbot sandbox`: a local Stripe to try a policy on, with nobody's money."""

from datetime import datetime
from typing import Annotated, Final

import typer

from billingbot.cli.output import say

# Signs nothing but what this stand-in sends to this machine.
_SECRET: Final = "whsec_sandbox"  # noqa: S105 - of a local stand-in


def sandbox(
    host: Annotated[
        str, typer.Option(help="Where to listen. It takes any key: keep it on this machine.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535)] = 12111,
    start_at: Annotated[
        str | None, typer.Option(help="The first second of its clock, ISO 8601 with a zone. Default: now.")
    ] = None,
    livemode: Annotated[bool, typer.Option("--livemode", help="Plays an account in live mode.")] = False,
    running: Annotated[
        bool | None,
        typer.Option(help="Whether its clock runs by itself. Default: unless --start-at is given."),
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Makes ids and chance repeat.")] = None,
) -> None:
    """Runs a local Stripe until Ctrl-C: trials that turn into charges, refunds, disputes, signed webhooks, faults."""
    from billingbot.cli.serving import check_free
    from billingbot.sandbox.server import serve

    began = _instant(start_at)
    check_free(host, port, by="--port")
    runs = running if running is not None else began is None
    mode = "live" if livemode else "test"
    address = f"http://{host}:{port}"
    say(
        f"A local Stripe in {mode} mode answers at {address}. Point billingbot at it:",
        f"  export BILLINGBOT_STRIPE_API_BASE={address} BILLINGBOT_STRIPE_API_KEY=rk_{mode}_sandbox",
        f"  export BILLINGBOT_STRIPE_WEBHOOK_SECRET={_SECRET}",
        "and it at billingbot:",
        f"  curl {address}/_sandbox/endpoints -d '{{"
        f'"url": "http://127.0.0.1:8080/webhooks/stripe", "secrets": ["{_SECRET}"]'
        "}'",
        f"Its clock {'runs' if runs else 'stands still'}; move it on:",
        f"  curl {address}/_sandbox/clock/advance -d '{{\"days\": 15}}'",
        "Ctrl-C stops it.",
    )
    serve(host, port, start_at=began, livemode=livemode, running=runs, seed=seed)


def _instant(text: str | None) -> datetime | None:
    from billingbot.cli.reading import instant

    return None if text is None else instant("--start-at", text)
