"""`billingbot keys`: API keys, made once, seen once, revoked at once."""

from typing import TYPE_CHECKING, Annotated

import typer

from billingbot.cli.listing import show_list
from billingbot.cli.output import After, AsJson, Limit, say, show_json, warn
from billingbot.cli.session import By, desk, me
from billingbot.core.access.powers import Power
from billingbot.core.errors import InputError

if TYPE_CHECKING:
    from billingbot.store.views.access import KeyLine

app = typer.Typer(no_args_is_help=True, add_completion=False)

Name = Annotated[str, typer.Argument(help="What the key is for: it stands in the ledger and on every request.")]


@app.callback()
def _keys() -> None:
    """API keys."""


@app.command()
def create(
    name: Name,
    may: Annotated[
        str, typer.Option(help=f"What it may do, with commas between: {', '.join(Power)}, or all.")
    ] = "ask,push,see",
    by: By = me(),
    *,
    as_json: AsJson = False,
) -> None:
    """Makes a key and prints its secret, this once. By default it may do what a product needs, and no more."""
    from billingbot.flows.switch import create_key

    powers = _powers(may)
    with desk() as at:
        secret = create_key(at, name, by=by, may=powers)
    if as_json:
        show_json({"name": name, "may": powers, "secret": secret})
        return
    warn(f"It may {', '.join(powers)}.")
    warn("The key, for the header `Authorization: Bearer ...`. It is shown this once; we keep only its digest.")
    say(secret)


@app.command("list")
def list_(
    *,
    made_by: Annotated[str | None, typer.Option(help="Only made by this person.")] = None,
    in_use: Annotated[bool, typer.Option("--in-use", help="Without those that are revoked.")] = False,
    after: After = None,
    limit: Limit = 50,
    as_json: AsJson = False,
) -> None:
    """Keys, without their secrets, newest first."""
    from billingbot.flows.switch import list_keys

    with desk() as at:
        page = list_keys(at, made_by=made_by, in_use=in_use, after=after, limit=limit)
    columns = ("name", "may", "made by", "created", "last used", "revoked", "id")
    show_list(columns, _row, page.items, following=page.next, as_json=as_json)


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


def _row(key: "KeyLine") -> tuple[object, ...]:
    powers = ", ".join(sorted(key.powers))
    return key.name, powers, key.made_by, key.created_at, key.last_used_at, key.revoked_at, key.id


def _powers(may: str) -> list[Power]:
    wanted = {word.strip() for word in may.split(",")}
    if wanted == {"all"}:
        return list(Power)
    if not wanted <= set(Power):
        raise InputError("--may", f"expected some of {', '.join(Power)}, with commas between, or all")
    return [power for power in Power if power in wanted]
