"""The desk: everything a verb needs to do its work, built once in `bootstrap`."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

from sqlalchemy import Connection, Engine

from billingbot.core.access.powers import ALL, Power, Role, roles_with
from billingbot.core.books.journal import UTC_BOOKS, Books
from billingbot.core.disputes.deadlines import DEFAULT_TERMS, DisputeTerms
from billingbot.core.disputes.house_texts import NO_TEXTS, HouseTexts
from billingbot.core.errors import InputError, PowerMissingError
from billingbot.core.evidence.comments import DEFAULT_WORDS
from billingbot.core.ids import IdSource, Kind
from billingbot.core.job import Actor
from billingbot.core.ledger import Draft
from billingbot.core.policy import Policy
from billingbot.evidence.sources import SupportSource, UsageSource
from billingbot.gateway.client import StripeGateway
from billingbot.identity.oidc import Oidc
from billingbot.identity.seal import NO_SEAL, Seal
from billingbot.store import jobs, ledger, policies
from billingbot.store.database import transaction
from billingbot.telling.mail import Mail
from billingbot.telling.route import Route


class Bell(Protocol):
    """The doorbell: tells workers that jobs are waiting. It may fail silently; the sweeper rings again."""

    def ring(self, job_ids: Sequence[str]) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """One Stripe account in one mode, with the gateway that speaks to it."""

    name: str
    livemode: bool
    stripe: StripeGateway


@dataclass(frozen=True, slots=True, kw_only=True)
class CompanySignIn:
    """The company's own sign-in: who is asked, whose addresses may come in, and which groups make which roles.

    `roles` is None where roles are given here, to people who were added here. `proves_second_factor`: whether it has
    asked for a second factor itself, so that ours is not asked for again.
    """

    name: str
    provider: Oidc
    domains: frozenset[str]
    roles: Mapping[str, Role] | None
    proves_second_factor: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """What the verbs work with. `recheck_after` is the first wait before missing evidence is asked for again.

    `policy` is the file that this process was started with: it counts until a version is published. Verbs ask
    `policy_for`.
    """

    db: Engine
    accounts: Mapping[str, Account]
    usage: tuple[UsageSource, ...]
    support: tuple[SupportSource, ...]
    policy: Callable[[], Policy]
    bell: Bell
    new_id: IdSource
    recheck_after: timedelta
    routes: tuple[Route, ...] = ()
    public_url: str | None = None
    """Where people reach the screens, for links in notices; None for no links."""
    mail: Mail | None = None
    """The way out for replies to customers; None where people copy them by hand."""
    texts: HouseTexts = NO_TEXTS
    """The house's own words for banks, as configured."""
    books: Books = UTC_BOOKS
    """How the books are kept: the zone of their months, the numbers of their accounts."""
    disputes: DisputeTerms = DEFAULT_TERMS
    """How far ahead of the banks' deadlines we want to be."""
    comment_words: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: DEFAULT_WORDS)
    """By which a comment on a cancellation asks for money back, by language."""
    oidc: CompanySignIn | None = None
    """The company's own sign-in; None where people come in by link and password alone."""
    seal: Seal = NO_SEAL
    """How secrets are kept that have to be read again."""
    passwords: bool = True
    """Whether people come in by password; a link always opens, for the day when the company's sign-in is away."""
    powers: frozenset[Power] = ALL
    """What whoever works with this desk may do. A process, and whoever holds the database, may do everything; the web
    doors hand each caller a desk with the caller's own powers."""
    through: str | None = None
    """The API key or the session by which the caller came, such as `key:key_...`; None for a process and the command
    line. One key can name anybody: it never gives both words where two people are wanted."""

    def require(self, power: Power) -> None:
        """The first line of every verb that a person calls. PowerMissingError where this desk lacks the power."""
        if power not in self.powers:
            raise PowerMissingError(power, roles_with(power))

    def account(self, name: str) -> Account:
        """The account of this name. InputError where none is configured."""
        found = self.accounts.get(name)
        if found is None:
            raise InputError("account", f"expected one of {sorted(self.accounts)}, got {name!r}")
        return found

    def policy_for(self, charged_at: datetime | None) -> Policy:
        """The policy in force for a charge of that instant; without a charge, the one for a charge made now.

        Read afresh each time, so that a published version counts at once in every process. RetryLaterError where
        this release cannot read that version: none other may stand in for it.
        """
        with transaction(self.db) as connection:
            found = policies.in_force(connection, charged_at)
            if found is not None:
                return policies.loaded(connection, found.digest)
        return self.policy()


@dataclass(slots=True)
class Step:
    """One transaction of a verb: what it writes, what it tells the ledger, whom it rings afterwards."""

    db: Connection
    new_id: IdSource
    drafts: list[Draft] = field(default_factory=list)
    bells: list[str] = field(default_factory=list)

    def enqueue(self, actor: Actor, subject: str, *, delay: timedelta = timedelta(0)) -> None:
        """Writes a job in this transaction; its bell rings after the commit."""
        job_id = self.new_id(Kind.JOB)
        if jobs.enqueue(self.db, job_id, actor, subject, delay=delay) and not delay:
            self.bells.append(job_id)

    def record(self, draft: Draft) -> None:
        """Adds a ledger entry, written at the very end: the chain is held only while committing."""
        self.drafts.append(draft)


@contextmanager
def step(desk: Desk) -> Iterator[Step]:
    """One transaction with its ledger entries and jobs; rings only once it is committed."""
    with transaction(desk.db) as connection:
        this = Step(db=connection, new_id=desk.new_id)
        yield this
        if this.drafts:
            ledger.append(connection, *this.drafts)
    if this.bells:
        desk.bell.ring(this.bells)
