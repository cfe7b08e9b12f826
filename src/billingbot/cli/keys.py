"""`billingbot keys`: API keys, made once, seen once, revoked at once."""

from typing import Annotated

import typer

from billingbot.cli.output import AsJson, say, show_json, show_page, show_table, warn
from billingbot.cli.session import By, desk, me

app = typer.Typer(no_args_is_help=True, add_completion=False)

Name = Annotated[str, typer.Argument(help="What the key is for: it stands in the ledger and on every request.")]


@app.callback()
def _keys() -> None:
    """API keys."""


@app.command()
def create(name: Name, by: By = me(), *, as_json: AsJson = False) -> None:
    """Makes a key and prints its secret, this once."""
    from billingbot.flows.switch import create_key

    with desk() as at:
        secret = create_key(at, name, by=by)
    if as_json:
        show_json({"name": name, "secret": secret})
        return
    warn("The key, for the header `Authorization: Bearer ...`. It is shown this once; we keep only its digest.")
    say(secret)


@app.command("list")
def list_(*, as_json: AsJson = False) -> None:
    """All keys, without their secrets."""
    from billingbot.flows.switch import list_keys

    with desk() as at:
        found = list_keys(at)
    if as_json:
        show_page(found)
        return
    rows = ((key.name, key.id, key.created_at, key.last_used_at, key.revoked_at) for key in found)
    show_table(("name", "id", "created", "last used", "revoked"), rows)


@app.command()
def revoke(name: Name, by: By = me(), *, as_json: AsJson = False) -> None:
    """Revokes a key; it opens nothing from this moment on."""
    from billingbot.flows.switch import revoke_key

    with desk() as at:
        key = revoke_key(at, name, by=by)
    if as_json:
        show_json(key)
        return
    say(f"Revoked {key.name}.")
