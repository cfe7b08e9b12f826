"""`billingbot users`: who may sign in, in which roles, by which links."""

from typing import TYPE_CHECKING, Annotated

import typer

from billingbot.cli.listing import show_list
from billingbot.cli.output import After, AsJson, Limit, say, show_json, warn
from billingbot.cli.session import By, desk, link_url, me
from billingbot.core.access.powers import Role

if TYPE_CHECKING:
    from billingbot.core.access.person import Person
    from billingbot.store.views.access import SessionLine

app = typer.Typer(no_args_is_help=True, add_completion=False)

Who = Annotated[str, typer.Argument(help="Their name or e-mail address.")]
Roles = Annotated[list[Role], typer.Option("--role", help="What they are here; say it again for each role.")]


@app.callback()
def _users() -> None:
    """People who may sign in."""


@app.command()
def add(
    name: Annotated[str, typer.Argument(help="Their name, as the ledger writes it. It never changes.")],
    role: Roles,
    email: Annotated[str | None, typer.Option(help="Their address: it is what they sign in with.")] = None,
    by: By = me(),
    *,
    as_json: AsJson = False,
) -> None:
    """Adds a person and prints a one-time link for them."""
    from billingbot.flows.access.people import add as add_person
    from billingbot.flows.access.sign_in import make_link

    with desk() as at:
        made = add_person(at, name=name, email=email, roles=role, by=by)
        url = link_url(make_link(at, made.name, by=by))
    _tell(made.name, url, as_json=as_json)


@app.command()
def link(who: Who, by: By = me(), *, as_json: AsJson = False) -> None:
    """Prints a one-time link that signs a person in; an earlier one works no more."""
    from billingbot.flows.access.sign_in import make_link

    with desk() as at:
        url = link_url(make_link(at, who, by=by))
    _tell(who, url, as_json=as_json)


@app.command("list")
def list_(*, as_json: AsJson = False) -> None:
    """Everybody, with their roles."""
    from billingbot.flows.access.people import everybody

    with desk() as at:
        found = everybody(at)
    columns = ("name", "e-mail", "roles", "second factor", "last seen", "disabled")
    show_list(columns, _row, found, as_json=as_json)
    if not found and not as_json:
        say("There is nobody yet. Add yourself: billingbot users add NAME --role admin --email ADDRESS")


@app.command()
def roles(who: Who, role: Roles, by: By = me(), *, as_json: AsJson = False) -> None:
    """Gives a person these roles and no others."""
    from billingbot.flows.access.people import set_roles

    with desk() as at:
        found = set_roles(at, who, role, by=by)
    if as_json:
        show_json(found)
        return
    say(f"{found.name} is {' and '.join(found.roles)}.")


@app.command()
def disable(who: Who, by: By = me(), *, as_json: AsJson = False) -> None:
    """Keeps a person out at once; their acts stay in the ledger."""
    from billingbot.flows.access.people import disable as disable_person

    with desk() as at:
        found = disable_person(at, who, by=by)
    if as_json:
        show_json(found)
        return
    say(f"{found.name} is kept out, and every session of theirs has ended.")


@app.command()
def enable(who: Who, by: By = me(), *, as_json: AsJson = False) -> None:
    """Lets a person sign in again."""
    from billingbot.flows.access.people import enable as enable_person

    with desk() as at:
        found = enable_person(at, who, by=by)
    if as_json:
        show_json(found)
        return
    say(f"{found.name} may sign in again.")


@app.command()
def reset(who: Who, by: By = me(), *, as_json: AsJson = False) -> None:
    """Takes password and second factor away, ends all sessions, and prints a link to begin anew."""
    from billingbot.flows.access.people import reset as reset_person
    from billingbot.flows.access.sign_in import make_link

    with desk() as at:
        found = reset_person(at, who, by=by)
        url = link_url(make_link(at, found.name, by=by))
    _tell(found.name, url, as_json=as_json)


@app.command()
def seal(by: By = me(), *, as_json: AsJson = False) -> None:
    """Encrypts authenticators' secrets by the (first) key of BILLINGBOT_SECRETS_KEY. Safe to run again."""
    from billingbot.flows.access.sealing import seal_again

    with desk() as at:
        done = seal_again(at, by=by)
    if as_json:
        show_json(done)
        return
    say(f"Sealed {done.to_seal} of {done.secrets} authenticators' secrets.")
    if done.lost:
        warn(f"{done.lost} were sealed by a key that is not named: name it, or users reset whoever cannot come in.")


@app.command()
def sessions(
    who: Annotated[str | None, typer.Argument(help="Only theirs: a name or an e-mail address.")] = None,
    *,
    every: Annotated[bool, typer.Option("--all", help="Those that have ended too.")] = False,
    after: After = None,
    limit: Limit = 50,
    as_json: AsJson = False,
) -> None:
    """The browsers in which people are signed in, newest first."""
    from billingbot.flows.access.people import list_sessions

    with desk() as at:
        page = list_sessions(at, who=who, live=not every, after=after, limit=limit)
    columns = ("session", "person", "live", "signed in by", "since", "last seen", "browser")
    show_list(columns, _session_row, page.items, following=page.next, as_json=as_json)


@app.command()
def revoke(
    who: Who,
    session: Annotated[str | None, typer.Option(help="This one alone. Default: all of them.")] = None,
    by: By = me(),
    *,
    as_json: AsJson = False,
) -> None:
    """Ends a person's sessions at once."""
    from billingbot.flows.access.people import revoke as revoke_sessions

    with desk() as at:
        ended = revoke_sessions(at, who, by=by, session_id=session)
    if as_json:
        show_json({"ended": ended})
        return
    say(f"Ended {ended} {'session' if ended == 1 else 'sessions'}.")


def _tell(name: str, url: str, *, as_json: bool) -> None:
    if as_json:
        show_json({"name": name, "link": url})
        return
    warn(f"The link for {name}: it works once, within a day, for whoever has it.")
    say(url)


def _row(one: "Person") -> tuple[object, ...]:
    return one.name, one.email, ", ".join(one.roles), one.has_second_factor, one.last_seen_at, one.disabled_at


def _session_row(one: "SessionLine") -> tuple[object, ...]:
    return one.id, one.person, one.is_live, one.signed_in_by, one.created_at, one.last_seen_at, one.user_agent
