"""What `billingbot up` says once everything answers: addresses, modes, whether Stripe's key works, what to do next."""

import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING

from billingbot.cli.output import say
from billingbot.core.errors import BillingbotError
from billingbot.core.mode import MEANS

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from billingbot.bootstrap.accounts import AccountSettings
    from billingbot.bootstrap.build import Config
    from billingbot.core.refund_terms import RefundTerms


def welcome(config: "Config", database_url: str, url: str, started: threading.Event) -> None:
    """Waits until everything has started, then says what runs where. Nothing that goes wrong here stops anything."""
    started.wait()
    try:
        say("", *_addresses(config, url), *_desk(config, database_url), *_first_admin(config, database_url, url))
        say(*_keys_work(config.accounts, config.policy.terms), "Ctrl-C stops everything.")
    except BillingbotError as fault:
        say(str(fault))


def _addresses(config: "Config", url: str) -> Iterator[str]:
    from billingbot.bootstrap.accounts import DEFAULT_ACCOUNT

    yield f"billingbot answers at {url}: /api/v1, /healthz, /metrics."
    for account in config.accounts:
        path = "" if account.name == DEFAULT_ACCOUNT else f"/{account.name}"
        yield f"Stripe's webhooks for {account.name} go to {url}/webhooks/stripe{path}, or to what forwards there."
    yield f"Policy {config.policy.id} {config.policy.version}, from {config.policy.filename}."


def _desk(config: "Config", database_url: str) -> Iterator[str]:
    from billingbot.store import keys, modes
    from billingbot.store.database import make_engine, transaction

    def look(connection: "Connection") -> tuple[list[modes.ModeRow], bool]:
        names = [account.name for account in config.accounts]
        return [modes.current(connection, name) for name in names], keys.is_any(connection)

    engine = make_engine(database_url, pool_size=1)
    try:
        with transaction(engine) as connection:
            found, has_key = look(connection)
    finally:
        engine.dispose()
    for row in found:
        yield f"Account {row.account} is in mode {row.mode}: {MEANS[row.mode]}."
    yield "Change a mode with: billingbot mode set MODE --why REASON"
    if not has_key:
        yield "There is no API key yet. Make one: billingbot keys create NAME"


def _first_admin(config: "Config", database_url: str, url: str) -> Iterator[str]:
    from billingbot.bootstrap.by_hand import desk_by_hand
    from billingbot.cli.session import me
    from billingbot.flows.access.sign_in import first_link, link_path

    with desk_by_hand(config.environment, (), database_url=database_url, redis_url=None) as desk:
        secret = first_link(desk, by=me())
    if secret is not None:
        base = (config.file.desk.public_url or url).rstrip("/")
        yield "Nobody can sign in yet. This link makes the first admin, once, within the hour:"
        yield f"  {base}{link_path(secret)}"


def _keys_work(accounts: "tuple[AccountSettings, ...]", terms: "RefundTerms") -> Iterator[str]:
    for settings in accounts:
        gateway = settings.build().stripe
        try:
            lacking = gateway.probe(terms)
        except BillingbotError as fault:
            yield f"Warning: Stripe cannot be asked for {settings.name} now: {fault}"
            continue
        finally:
            gateway.close()
        yield from (f"Warning: {sentence}" for sentence in lacking)
        if not lacking:
            yield f"Stripe's key for {settings.name} works."
