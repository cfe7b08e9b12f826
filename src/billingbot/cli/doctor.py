"""`billingbot doctor`: what is configured, what of it can be reached, and what to do about the rest."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final, TypeAlias

import typer

from billingbot.cli.output import AsJson, progress, show_page, show_table
from billingbot.core.errors import BillingbotError, ConfigError

if TYPE_CHECKING:
    from billingbot.bootstrap.accounts import AccountSettings
    from billingbot.bootstrap.settings import ConfigFile, Environment
    from billingbot.cli.session import Place
    from billingbot.core.refund_terms import RefundTerms


class State(StrEnum):
    """How something stands."""

    OK = "ok"
    WARNING = "warning"
    BAD = "bad"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One line: what was looked at, how it stands, and what was found."""

    what: str
    state: State
    found: str


Findings: TypeAlias = Iterator[Finding]
_WEB_SECONDS: Final = 3  # readiness takes milliseconds; a web that needs longer is not well


def doctor(*, as_json: AsJson = False) -> None:
    """Looks at everything, changes nothing. Exit code 1 where something is bad."""
    with progress("Looking"):
        found = list(_look())
    if as_json:
        show_page(found)
    else:
        show_table(("what", "state", "found"), ((one.what, one.state, one.found) for one in found))
    if any(one.state is State.BAD for one in found):
        raise typer.Exit(1)


def _look() -> Findings:
    from billingbot.bootstrap.settings import read_environment, read_file

    environment = read_environment()
    try:
        file = read_file(environment.config)
    except ConfigError as fault:
        yield from _bad("configuration", fault)
        return
    told = file.path if file.text else f"{file.path} is not there: accounts from the environment, no sources"
    yield Finding(what="configuration", state=State.OK, found=str(told))
    yield from _policy(environment)
    yield from _sources(file)
    yield from _notifications(file)
    yield from _accounts(environment, file)
    yield from _engines()


def _policy(environment: "Environment") -> Findings:
    from billingbot.bootstrap.build import read_policy

    try:
        policy = read_policy(environment.policy)
    except ConfigError as fault:
        yield from _bad("policy", fault)
    else:
        found = f"{policy.id} {policy.version}, {len(policy.rules)} rules, from {policy.filename}"
        yield Finding(what="policy", state=State.OK, found=found)


def _sources(file: "ConfigFile") -> Findings:
    from billingbot.bootstrap.build import read_sources

    try:
        evidence = read_sources(file)
    except ConfigError as fault:
        yield from _bad("sources", fault)
        return
    usage, support = ([source.name for source in kind] for kind in (evidence.usage, evidence.support))
    if not usage:
        found = "none: whether anything was used stays unknown, and no charge is refunded by itself"
        yield Finding(what="usage sources", state=State.WARNING, found=found)
    else:
        yield Finding(what="usage sources", state=State.OK, found=", ".join(usage))
    yield Finding(what="support sources", state=State.OK, found=", ".join(support) or "none")


def _notifications(file: "ConfigFile") -> Findings:
    from billingbot.bootstrap.notices import read_routes

    try:
        routes = read_routes(file)
    except ConfigError as fault:
        yield from _bad("notifications", fault)
        return
    if routes:
        found = ", ".join(route.name for route in routes)
        yield Finding(what="notifications", state=State.OK, found=f"{found}: try them with billingbot notices test")
    else:
        found = "none: alarms are only kept, see billingbot notices list"
        yield Finding(what="notifications", state=State.WARNING, found=found)


def _accounts(environment: "Environment", file: "ConfigFile") -> Findings:
    from billingbot.bootstrap.accounts import read_accounts

    try:
        accounts = read_accounts(environment, file)
    except ConfigError as fault:
        yield from _bad("accounts", fault)
        return
    terms = _terms(environment)
    for settings in accounts:
        yield from _stripe(settings, terms)


def _terms(environment: "Environment") -> "RefundTerms":
    """Those of the policy file; what is wrong with it is told in a line of its own."""
    from billingbot.bootstrap.build import read_policy
    from billingbot.core.refund_terms import RefundTerms

    try:
        return read_policy(environment.policy).terms
    except ConfigError:
        return RefundTerms()


def _stripe(settings: "AccountSettings", terms: "RefundTerms") -> Findings:
    from billingbot.gateway.permissions import written_by

    what = f"Stripe, {settings.name}"
    gateway = settings.build().stripe
    try:
        lacking = gateway.probe(terms)
    except BillingbotError as fault:
        yield Finding(what=what, state=State.BAD, found=str(fault))
        return
    finally:
        gateway.close()
    for sentence in lacking:
        yield Finding(what=what, state=State.BAD, found=sentence)
    if not lacking:
        found = (
            f"{'live' if settings.livemode else 'test'} mode; the key may read all that is needed"
            f" (by the policy it also writes: {', '.join(written_by(terms))};"
            " to answer banks from here, Disputes and Files)"
        )
        yield Finding(what=what, state=State.OK, found=found)


def _engines() -> Findings:
    from billingbot.cli.session import place

    try:
        here = place()
    except BillingbotError as fault:
        yield Finding(what="Postgres", state=State.BAD, found=str(fault))
        return
    yield _tried("Postgres", lambda: _postgres(here))
    yield _tried("authenticators", lambda: _authenticators(here))
    yield _tried("breaker", lambda: _breaker(here))
    yield _tried("agreement with Stripe", lambda: _agreement(here))
    if here.redis_url is None:
        found = "none named: jobs start within seconds instead of at once"
        yield Finding(what="Redis", state=State.WARNING, found=found)
    else:
        yield _tried("Redis", lambda: _redis(str(here.redis_url)))
    yield _tried("web", lambda: _web(here))


def _tried(what: str, look: Callable[[], Finding]) -> Finding:
    try:
        return look()
    except Exception as fault:  # noqa: BLE001 - whatever a client library throws is what was found
        said = str(fault) if isinstance(fault, BillingbotError) else type(fault).__name__
        return Finding(what=what, state=State.BAD, found=f"does not answer: {said}")


def _postgres(here: "Place") -> Finding:
    from billingbot.store import views
    from billingbot.store.database import make_engine, transaction
    from billingbot.store.migrate import is_current

    engine = make_engine(here.database_url, pool_size=1)
    try:
        with transaction(engine) as connection:
            if not is_current(connection):
                return Finding(what="Postgres", state=State.BAD, found="not migrated: run billingbot db migrate")
            counts = views.counts(connection)
    finally:
        engine.dispose()
    if counts.jobs_failed:
        found = f"{counts.jobs_failed} failed jobs wait for a person: billingbot jobs list --state failed"
        return Finding(what="Postgres", state=State.WARNING, found=found)
    found = f"migrated; {counts.jobs_due} jobs due, {counts.cases.get('review', 0)} cases wait for a person"
    return Finding(what="Postgres", state=State.OK, found=found)


def _authenticators(here: "Place") -> Finding:
    from billingbot.bootstrap.sign_in import read_seal
    from billingbot.flows.access.sealing import how_sealed
    from billingbot.store.database import make_engine, transaction
    from billingbot.store.people import second_factors

    engine = make_engine(here.database_url, pool_size=1)
    try:
        with transaction(engine) as connection:
            kept = second_factors(connection)
    finally:
        engine.dispose()
    what, has_key = "authenticators", here.environment.secrets_key is not None
    told = how_sealed(read_seal(here.environment), kept.values())
    if told.lost:
        found = f"{told.lost} of {told.secrets} are sealed by a key that BILLINGBOT_SECRETS_KEY does not name"
        return Finding(what=what, state=State.BAD, found=found)
    if told.to_seal:
        found = f"{told.to_seal} of {told.secrets} are not sealed by the first key: run billingbot users seal"
        return Finding(what=what, state=State.WARNING, found=found)
    if told.secrets and not has_key:
        found = f"{told.secrets} stand readable in the database: set BILLINGBOT_SECRETS_KEY, then billingbot users seal"
        return Finding(what=what, state=State.WARNING, found=found)
    return Finding(what=what, state=State.OK, found=f"{told.secrets} sealed" if told.secrets else "none yet")


def _breaker(here: "Place") -> Finding:
    from billingbot.store.breakers import all_breakers
    from billingbot.store.database import make_engine, transaction

    engine = make_engine(here.database_url, pool_size=1)
    try:
        with transaction(engine) as connection:
            stopped = [one for one in all_breakers(connection) if one.is_open]
    finally:
        engine.dispose()
    if not stopped:
        return Finding(what="breaker", state=State.OK, found="closed: refunds are neither too many nor too fast")
    found = "; ".join(f"account {one.account} pays nothing by itself: {one.observed}, {one.allowed}" for one in stopped)
    return Finding(what="breaker", state=State.WARNING, found=f"{found}: billingbot breaker close")


def _agreement(here: "Place") -> Finding:
    from billingbot.flows.reconcile import OVERDUE
    from billingbot.store.database import make_engine, transaction
    from billingbot.store.views.reconcile import agreement

    what = "agreement with Stripe"
    engine = make_engine(here.database_url, pool_size=1)
    try:
        with transaction(engine) as connection:
            now = agreement(connection)
    finally:
        engine.dispose()
    ages = now.last_whole_seconds
    if not ages:
        found = "not compared yet: it begins by itself within the hour, or billingbot reconcile"
        return Finding(what=what, state=State.WARNING, found=found)
    oldest = max(ages, key=lambda account: ages[account])
    minutes, unsettled = int(ages[oldest] // 60), sum(now.unsettled.values())
    found = f"{oldest} compared by schedule {minutes} min ago; {unsettled} breaks not settled"
    if ages[oldest] > OVERDUE.total_seconds():
        return Finding(what=what, state=State.WARNING, found=f"{found}: billingbot jobs list --actor reconcile")
    if now.unsettled:
        return Finding(what=what, state=State.WARNING, found=f"{found}: billingbot reconcile report")
    return Finding(what=what, state=State.OK, found=found)


def _redis(url: str) -> Finding:
    from billingbot.worker.doorbell import make_broker

    broker = make_broker(url)
    try:
        broker.client.ping()
    finally:
        broker.close()
    return Finding(what="Redis", state=State.OK, found="answers")


def _web(here: "Place") -> Finding:
    import httpx

    from billingbot.cli.crew import web_url

    url = here.running.web_url if here.running else web_url(here.environment)
    answer = httpx.get(f"{url}/readyz", timeout=_WEB_SECONDS, trust_env=False)
    if answer.is_success:
        return Finding(what="web", state=State.OK, found=f"ready at {url}")
    reasons = ", ".join(answer.json().get("reasons", ())) or answer.reason_phrase
    return Finding(what="web", state=State.BAD, found=f"{url} is not ready: {reasons}")


def _bad(what: str, fault: ConfigError) -> Findings:
    for problem in fault.problems:
        yield Finding(what=what, state=State.BAD, found=problem)
