"""`billingbot policy publish` and `list`: which version judges which charges, since when and by whose word."""

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from billingbot.cli.output import AsJson, cell, say, show_json, show_page, show_table, warn
from billingbot.cli.reading import instant
from billingbot.cli.session import By, desk, me

if TYPE_CHECKING:
    from billingbot.core.policy.editions import Edition
    from billingbot.flows.policy.publish import Publication

TheFile = Annotated[Path, typer.Argument(help="The policy file to publish.")]
Why = Annotated[str, typer.Option(help="Why it changes; it stands in the ledger.")]
From = Annotated[
    str | None,
    typer.Option(
        help="The first charge it judges, as a time with a zone. Default: what the file says, else charges from now on."
    ),
]
Retroactive = Annotated[
    bool, typer.Option("--retroactive", help="Also where charges since then were decided under another version.")
]


def publish(
    file: TheFile,
    why: Why,
    effective_from: From = None,
    by: By = me(),
    *,
    retroactive: Retroactive = False,
    as_json: AsJson = False,
) -> None:
    """Publishes a version: from its date on, charges are judged by it, in every process and without a restart.

    It is checked and its examples are decided first, and it can never be changed or taken back, only followed by
    another version. Whoever was charged before its date is judged by the version of then.
    """
    from billingbot.flows.policy.publish import Wish
    from billingbot.flows.policy.publish import publish as publish_it

    wish = Wish(
        text=_content(file),
        filename=str(file),
        by=by,
        why=why,
        effective_from=instant("--effective-from", effective_from) if effective_from else None,
        retroactive=retroactive,
    )
    with desk() as at:
        told = publish_it(at, wish)
    for warning in told.warnings:
        warn(f"{file}: {warning}")
    if as_json:
        show_json(told)
        return
    say(*_in_words(told))


def list_(
    *,
    as_json: AsJson = False,
) -> None:
    """Every published version: from which charge on it counts, who published it, when and why."""
    from billingbot.flows.policy.publish import published

    with desk() as at:
        editions, current = published(at), at.policy_for(None)
    if as_json:
        show_page(editions)
        return
    if not editions:
        say(f"Nothing was published yet: {current.filename} counts, version {current.version}.")
        return
    columns = ("version", "judges charges from", "in force", "published by", "at", "why", "digest")
    rows = ((*_row(one, current.digest), one.published_at, one.why, one.digest) for one in editions)
    show_table(columns, rows)


def _row(edition: "Edition", current: str) -> tuple[object, ...]:
    return edition.version, since(edition.effective_from), edition.digest == current, edition.published_by


def since(at: datetime) -> str:
    """From which charge on, for people."""
    from billingbot.core.policy.editions import BEGINNING

    return "the first" if at == BEGINNING else cell(at)


def _content(file: Path) -> bytes:
    from billingbot.core.errors import ConfigError

    try:
        return file.read_bytes()
    except FileNotFoundError:
        raise ConfigError([f"{file}: there is no such file"]) from None
    except OSError as fault:
        raise ConfigError([f"{file}: cannot be read: {fault.strerror}"]) from None


def _in_words(told: "Publication") -> list[str]:
    from billingbot.core.policy.editions import BEGINNING
    from billingbot.flows.policy.publish import count_in_words

    version, begins = told.edition.version, told.edition.effective_from
    if told.again:
        return [f"Version {version} is published already, with these very bytes, by {told.edition.published_by}."]
    if begins == BEGINNING:
        return [f"Version {version} is published: it is what was in force, and judges every charge so far."]
    lines = [
        f"Version {version} is published: it judges charges made from {cell(begins)} on{_end(told.until)}.",
        f"Charges before that are judged as before, by version {told.replaces}.",
    ]
    if told.decided:
        decided = count_in_words(told.decided)
        lines.append(f"{decided} decided under another version: they stay, and are judged by this one if asked again.")
    return lines


def _end(until: "Edition | None") -> str:
    return f", until version {until.version} takes over on {cell(until.effective_from)}" if until else ""
