"""Build: everything that a process needs, from the settings, in one place."""

import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeVar

from sqlalchemy import Engine

from billingbot.bootstrap.accounts import AccountSettings, NoAccountError, read_accounts
from billingbot.bootstrap.house_texts import read_house_texts
from billingbot.bootstrap.notices import read_mail, read_routes
from billingbot.bootstrap.settings import ConfigFile, Environment, read_file
from billingbot.bootstrap.sign_in import read_company_sign_in, read_seal
from billingbot.core.disputes.house_texts import NO_TEXTS, HouseTexts
from billingbot.core.errors import ConfigError
from billingbot.core.evidence.usage import Subject
from billingbot.core.ids import CHANCE_BYTES, Kind, make_id
from billingbot.core.policy import Policy, load_policy
from billingbot.evidence.build import build_support_sources, build_usage_sources
from billingbot.evidence.config import EvidenceConfig, read_evidence_config
from billingbot.evidence.push import PushedAnswer
from billingbot.evidence.sources import SupportSource, UsageSource
from billingbot.flows.desk import CompanySignIn, Desk
from billingbot.flows.receive import Endpoint
from billingbot.identity.seal import NO_SEAL, Seal
from billingbot.store import activity
from billingbot.store.database import make_engine, transaction
from billingbot.telling.mail import Mail
from billingbot.telling.route import Route
from billingbot.worker.doorbell import Broker, RedisBell, make_broker

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """All that is configured, read and checked as a whole."""

    environment: Environment
    file: ConfigFile
    accounts: tuple[AccountSettings, ...]
    evidence: EvidenceConfig
    policy: Policy
    routes: tuple[Route, ...] = ()
    mail: Mail | None = None
    texts: HouseTexts = NO_TEXTS
    oidc: CompanySignIn | None = None
    seal: Seal = NO_SEAL


@dataclass(frozen=True, slots=True, kw_only=True)
class Runtime:
    """A process's own objects: the desk, the broker behind its bell, and the endpoints of its web door."""

    desk: Desk
    broker: Broker
    bell: RedisBell
    endpoints: dict[str, Endpoint]


def read_config(environment: Environment) -> Config:
    """Reads and checks everything. ConfigError carries all problems of all files at once."""
    try:
        file = read_file(environment.config)
    except ConfigError as fault:  # not even readable: the policy's problems can be told all the same
        problems = [*fault.problems]
        _told(problems, lambda: read_policy(environment.policy))
        raise ConfigError(problems) from None
    problems, accounts = [], None
    try:
        accounts = read_accounts(environment, file)
    except NoAccountError:
        raise  # the newcomer's first run: nothing else matters yet
    except ConfigError as fault:
        problems += fault.problems
    evidence = _told(problems, lambda: read_sources(file))
    policy = _told(problems, lambda: read_policy(environment.policy))
    clauses = policy.clauses if policy is not None else None
    routes = _told(problems, lambda: read_routes(file))
    mail = _told(problems, lambda: read_mail(file))
    texts = _told(problems, lambda: read_house_texts(file, clauses=clauses))
    oidc = _told(problems, lambda: read_company_sign_in(file))
    seal = _told(problems, lambda: read_seal(environment))
    if problems or accounts is None or evidence is None or policy is None:
        raise ConfigError(problems)
    return Config(
        environment=environment,
        file=file,
        accounts=accounts,
        evidence=evidence,
        policy=policy,
        routes=routes or (),
        mail=mail,
        oidc=oidc,
        seal=seal or NO_SEAL,
        texts=texts or NO_TEXTS,
    )


def _told(problems: list[str], read: Callable[[], T]) -> T | None:
    """What was read; None where it could not be, and why is among the problems."""
    try:
        return read()
    except ConfigError as fault:
        problems += fault.problems
        return None


def read_policy(path: Path, *, named_by: str | None = "BILLINGBOT_POLICY") -> Policy:
    """The policy file, compiled and type-checked. ConfigError (PolicyError) carries every problem with its line.

    `named_by` is the setting that a missing file is told with; None where somebody named the file just now.
    """
    try:
        text = path.read_bytes().decode("utf-8")
    except FileNotFoundError:
        why = f"{path}: there is no such file"
        raise ConfigError([why if named_by is None else f"{why} ({named_by})"]) from None
    except UnicodeDecodeError:
        raise ConfigError([f"{path}: expected UTF-8 text"]) from None
    return load_policy(text, filename=str(path))


@contextmanager
def runtime(config: Config, *, database_url: str, redis_url: str, pool_size: int = 10) -> Iterator[Runtime]:
    """Builds a process's objects and closes them at the end."""
    engine = make_engine(database_url, pool_size=pool_size)
    broker = make_broker(redis_url)
    bell = RedisBell(broker)
    accounts = {settings.name: settings.build() for settings in config.accounts}
    usage, support = build_sources(config.evidence, config.file.path.parent, _Records(engine))
    desk = Desk(
        db=engine,
        accounts=accounts,
        usage=usage,
        support=support,
        policy=lambda: config.policy,
        bell=bell,
        new_id=new_id,
        recheck_after=timedelta(seconds=config.file.desk.recheck_after_seconds),
        routes=config.routes,
        mail=config.mail,
        oidc=config.oidc,
        seal=config.seal,
        passwords=config.file.sign_in.passwords,
        texts=config.texts,
        disputes=config.file.disputes.terms(),
        comment_words=config.file.cancellation_comments.lists(),
        public_url=config.file.desk.public_url,
        books=config.file.finance.books(),
    )
    try:
        yield Runtime(
            desk=desk,
            broker=broker,
            bell=bell,
            endpoints={settings.name: settings.endpoint() for settings in config.accounts},
        )
    finally:
        bell.close()
        for account in accounts.values():
            account.stripe.close()
        broker.close()
        engine.dispose()


def read_sources(file: ConfigFile) -> EvidenceConfig:
    """The configured sources, each built once and let go again: nobody is asked anything.

    ConfigError carries the problems of all of them.
    """
    evidence = read_evidence_config(file.text, file=str(file.path))
    build_sources(evidence, file.path.parent, _NoRecords())
    return evidence


def build_sources(
    evidence: EvidenceConfig, base_dir: Path, records: "_Records | _NoRecords"
) -> tuple[tuple[UsageSource, ...], tuple[SupportSource, ...]]:
    """Usage and support sources; ConfigError carries the problems of both."""
    problems: list[str] = []
    usage = _told(problems, lambda: build_usage_sources(evidence, os.environ, base_dir, records))
    support = _told(problems, lambda: build_support_sources(evidence, os.environ, base_dir))
    if problems:
        raise ConfigError(problems)
    return usage or (), support or ()


def new_id(kind: Kind) -> str:
    """A new id: this process's clock for its order, the system's randomness for its uniqueness."""
    return make_id(kind, datetime.now(UTC), secrets.token_bytes(CHANCE_BYTES))


@dataclass(frozen=True, slots=True)
class _Records:
    """Pushed activity, read from our own tables."""

    engine: Engine

    def activity(self, *, account: str, livemode: bool, source: str, subject: Subject) -> PushedAnswer:
        with transaction(self.engine) as connection:
            pushed = activity.of_customer(connection, account, source, subject.customer_id)
        in_place = {hit.kind: hit.in_place_at for hit in pushed.hits}
        return PushedAnswer(
            first_at=min((hit.first_at for hit in pushed.hits if hit.first_at), default=None),
            last_at=max((hit.last_at for hit in pushed.hits if hit.last_at), default=None),
            events=sum(hit.events for hit in pushed.hits),
            tag_installed_at=in_place.get("tag"),
            api_connected_at=in_place.get("api"),
            coverage=pushed.coverage,
        )


class _NoRecords:
    """Stands in while the configuration is only being checked: nobody is asked anything."""

    def activity(self, *, account: str, livemode: bool, source: str, subject: Subject) -> PushedAnswer:
        raise RuntimeError("the configuration is only being checked")
