"""Publish: a policy file becomes a version that judges charges from a day on; checked first, kept for good."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from billingbot.core.access.person import person
from billingbot.core.access.powers import Power
from billingbot.core.canonical import timestamp
from billingbot.core.errors import ConflictError
from billingbot.core.ledger import Draft, EntryKind
from billingbot.core.policy import Policy, PolicyError, load_policy
from billingbot.core.policy.checks import Severity, check_policy
from billingbot.core.policy.editions import BEGINNING, Edition, in_force, next_after
from billingbot.core.wording import MOST_WHY, line_of
from billingbot.flows.desk import Desk, Step, step
from billingbot.store import database, decisions, policies
from billingbot.store.database import transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What somebody wants published: the file's text, from which charge on, and why.

    Without `effective_from` the file's own date counts, and without one the moment of publication. `retroactive`
    says that charges which were decided already are meant to be judged anew from now on.
    """

    text: str | bytes
    filename: str
    by: str
    why: str
    effective_from: datetime | None = None
    retroactive: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Publication:
    """What publishing came to. `again` where these very bytes were published before, and nothing was done.

    `replaces` judges the charges before this one; `until` takes over from it, where a later one is published.
    `decided` counts cases that other versions decided and this one would judge from now on.
    """

    edition: Edition
    again: bool
    replaces: str | None
    until: Edition | None
    decided: int
    warnings: tuple[str, ...] = ()
    """What the checks found that forbids nothing."""


def publish(desk: Desk, wish: Wish) -> Publication:
    """Publishes a version for all processes at once. Nothing that was decided changes.

    Raises PolicyError where the file cannot be used, one of its examples fails or a check finds an error;
    ConflictError where its version is taken by another text, or it would judge decided charges and nobody said so.
    """
    desk.require(Power.PUBLISH)
    policy = load_policy(wish.text, filename=wish.filename)
    person(wish.by)
    line_of("why", wish.why, MOST_WHY)
    warnings = _checked(policy)
    with step(desk) as this:
        policies.hold_still(this.db)
        published = policies.editions(this.db)
        same = _same_version(this, policy, published, wish)
        if same is not None:
            return _told(same, published, again=True, decided=0)
        if not published:
            published = _keep_the_first(this, desk.policy(), policy, wish)
        return replace(_append(this, policy, published, wish), warnings=warnings)


def published(desk: Desk) -> Sequence[Edition]:
    """All published versions, in the order of publication."""
    desk.require(Power.SEE)
    with transaction(desk.db) as connection:
        return policies.editions(connection)


def read_version(desk: Desk, version: str) -> tuple[Edition, Policy]:
    """A published version, compiled. Raises NotFoundError."""
    desk.require(Power.SEE)
    with transaction(desk.db) as connection:
        edition = policies.edition(connection, version)
        return edition, policies.loaded(connection, edition.digest)


def _checked(policy: Policy) -> tuple[str, ...]:
    """The warnings about a policy. PolicyError carries its errors, each with file and line."""
    flaws = check_policy(policy)
    errors = [f"{policy.filename}:{flaw.line}: {flaw.what}" for flaw in flaws if flaw.severity is Severity.ERROR]
    if errors:
        raise PolicyError(errors)
    return tuple(flaw.what for flaw in flaws)


def _same_version(this: Step, policy: Policy, published: Sequence[Edition], wish: Wish) -> Edition | None:
    """The edition with this version, if it is this very text. ConflictError where it is another."""
    same = next((one for one in published if one.version == policy.version), None)
    if same is None:
        other = policies.decided_otherwise(this.db, policy)
        if other is not None:
            raise ConflictError(
                f"version {policy.version}: cases were decided under this version by another text ({other});"
                " give the file a new version"
            )
        return None
    if same.digest != policy.digest:
        raise ConflictError(
            f"version {policy.version}: {same.published_by} published it on {same.published_at:%Y-%m-%d} with another"
            f" text ({same.digest}); give the file a new version"
        )
    if wish.effective_from is not None and wish.effective_from != same.effective_from:
        raise ConflictError(
            f"version {policy.version}: is published with effect from {timestamp(same.effective_from)}, which cannot"
            " be changed; give the file a new version"
        )
    return same


def _keep_the_first(this: Step, running: Policy, policy: Policy, wish: Wish) -> Sequence[Edition]:
    """The file that counted so far becomes the version for all charges before: files change, editions do not."""
    if running.digest == policy.digest:
        return []
    if running.version == policy.version:
        raise ConflictError(
            f"version {policy.version}: the policy that is in force has it already, with another text"
            f" ({running.digest}, from {running.filename}); give the file a new version"
        )
    why = "was in force until the first publication"
    return [_write(this, running, BEGINNING, by=wish.by, why=why)]


def _append(this: Step, policy: Policy, published: Sequence[Edition], wish: Wish) -> Publication:
    now = database.now(this.db)
    # Without one before it this is the file that runs already, so it judges every charge there ever was.
    effective_from = (wish.effective_from or policy.effective_from or now) if published else BEGINNING
    until = next_after(published, effective_from)
    decided = 0
    if effective_from < now:
        decided = policies.cases_decided(
            this.db,
            charged_from=effective_from,
            charged_until=until.effective_from if until else None,
            not_by=policy.digest,
        )
        if decided and not wish.retroactive:
            raise ConflictError(_already_decided(policy, effective_from, until, decided))
    edition = _write(this, policy, effective_from, by=wish.by, why=wish.why)
    return _told(edition, published, again=False, decided=decided)


def _already_decided(policy: Policy, effective_from: datetime, until: Edition | None, decided: int) -> str:
    end = f" and before {timestamp(until.effective_from)}" if until else ""
    return (
        f"version {policy.version}: {count_in_words(decided)} decided under another version for a charge since"
        f" {timestamp(effective_from)}{end}. They stay as they were decided, but whatever is not paid yet, asked again"
        " or looked at again would be judged by this one. Publish it with a later date, or say that this is meant"
        " (retroactive)"
    )


def count_in_words(decided: int) -> str:
    """`1 case was`, `12 cases were`, `more than 1000 cases were`."""
    if decided > policies.MOST_COUNTED:
        return f"more than {policies.MOST_COUNTED} cases were"
    return f"{decided} case was" if decided == 1 else f"{decided} cases were"


def _write(this: Step, policy: Policy, effective_from: datetime, *, by: str, why: str) -> Edition:
    decisions.remember_policy(
        this.db, policy_digest=policy.digest, policy_id=policy.id, version=policy.version, source=policy.source
    )
    edition = policies.append(this.db, policy=policy, effective_from=effective_from, by=by, why=why)
    body = {
        "number": edition.number,
        "version": policy.version,
        "policy_digest": policy.digest,
        "effective_from": timestamp(effective_from),
        "why": why,
    }
    this.record(Draft(kind=EntryKind.POLICY_PUBLISHED, account="", subject=edition.name, actor=by, body=body))
    return edition


def _told(edition: Edition, published: Sequence[Edition], *, again: bool, decided: int) -> Publication:
    others = [one for one in published if one.number != edition.number]
    replaced = in_force(others, edition.effective_from)
    return Publication(
        edition=edition,
        again=again,
        replaces=replaced.version if replaced else None,
        until=next_after(others, edition.effective_from),
        decided=decided,
    )
