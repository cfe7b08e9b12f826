"""Signing in by the company's own sign-in: out to it with a cookie, back with a code, and who that is here."""

import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from billingbot.core.access.errand import Errand
from billingbot.core.access.person import Person, mail_address, person
from billingbot.core.access.powers import Power, Role
from billingbot.core.access.session import STEP_LASTS, SignedInBy, StepPurpose
from billingbot.core.errors import ConflictError, ForbiddenError, InputError, NotFoundError
from billingbot.core.ids import Kind
from billingbot.core.ledger import EntryKind
from billingbot.flows.access.people import is_managed, one_after_another
from billingbot.flows.access.sign_in import Halfway, SignedIn, begin, enter, record
from billingbot.flows.desk import Desk, Step, step
from billingbot.identity.oidc import Identity
from billingbot.store import database, people, sign_in_steps
from billingbot.store.database import transaction

_LAST_ADMIN: Final = (
    "sign-in: your groups make you no admin any more, and you are the last one here; put another one into the admins'"
    " group first, or come in by a link (billingbot users link)"
)
_BEGIN_AGAIN: Final = "sign-in: took too long, or did not begin in this browser; begin again"


@dataclass(frozen=True, slots=True, kw_only=True)
class Departure:
    """Where to send the browser, and the cookie that it has to bring back."""

    url: str
    cookie: str


def set_out(desk: Desk, *, redirect_uri: str, to: str) -> Departure:
    """Begins a sign-in at the company's own; `to` is the page that was wanted.

    Nothing is kept here before somebody has proved who they are: anybody may set out, as often as they like.
    NotFoundError where none is configured; RetryLaterError where it cannot be asked.
    """
    if desk.oidc is None:
        raise NotFoundError("sign-in: no [sign_in.oidc] is configured")
    errand = Errand(secret=secrets.token_urlsafe(32), set_out_at=_now(desk), to=to)
    url = desk.oidc.provider.way(
        redirect_uri=redirect_uri, state=errand.state, nonce=errand.nonce, verifier=errand.verifier
    )
    return Departure(url=url, cookie=errand.cookie)


def come_back(
    desk: Desk, cookie: str, *, redirect_uri: str, state: str, code: str, user_agent: str
) -> tuple[SignedIn | Halfway, str]:
    """Ends a sign-in that began in this browser; the session, and the page that was wanted.

    Who has a second factor here is asked for it, unless the configuration lets the provider's count. `redirect_uri` is
    the one that was set out with.

    ForbiddenError where the answer proves nobody, or nobody who may come in; RetryLaterError.
    """
    if desk.oidc is None:
        raise NotFoundError("sign-in: no [sign_in.oidc] is configured")
    errand = Errand.of_cookie(cookie)
    if errand is None or not hmac.compare_digest(errand.state.encode(), state.encode("utf-8", "replace")):
        raise ForbiddenError(_BEGIN_AGAIN)
    if not 0 <= _now(desk) - errand.set_out_at <= STEP_LASTS.total_seconds():
        raise ForbiddenError(_BEGIN_AGAIN)
    identity = desk.oidc.provider.who(
        code=code, redirect_uri=redirect_uri, nonce=errand.nonce, verifier=errand.verifier
    )
    email = _allowed(identity, desk.oidc.domains)
    with step(desk) as this:
        if not sign_in_steps.spend(this.db, errand.secret, StepPurpose.OIDC, lasts=STEP_LASTS):
            raise ForbiddenError(_BEGIN_AGAIN)
        who = _person(this, identity, email, _roles(identity, desk.oidc.roles))
        if who.disabled_at is not None:
            raise ForbiddenError("sign-in: you are kept out here; ask whoever manages people")
        let_in = begin if desk.oidc.proves_second_factor else enter
        return let_in(this, who, SignedInBy.OIDC, user_agent), errand.to


def _now(desk: Desk) -> int:
    with transaction(desk.db) as connection:
        return int(database.now(connection).timestamp())


def _allowed(identity: Identity, domains: frozenset[str]) -> str:
    try:
        email = mail_address(identity.email or "")
    except InputError:
        raise ForbiddenError("sign-in: the provider confirms no e-mail address of yours") from None
    if email.rpartition("@")[2] not in domains:
        raise ForbiddenError("sign-in: addresses of your domain do not come in here")
    return email


def _roles(identity: Identity, by_group: Mapping[str, Role] | None) -> tuple[Role, ...] | None:
    """The roles that the provider's groups make; None where roles are given here."""
    if by_group is None:
        return None
    given = {by_group[group] for group in identity.groups if group in by_group}
    if not given:
        raise ForbiddenError("sign-in: none of your groups has a role here; ask whoever manages people")
    return tuple(role for role in Role if role in given)


def _person(this: Step, identity: Identity, email: str, roles: tuple[Role, ...] | None) -> Person:
    """The person whom this identity was tied to, or who has its address, or a new one.

    ForbiddenError where the groups would leave nobody to manage people: whoever moves groups may not lock us out.
    """
    one_after_another(this)
    found = people.by_oidc(this.db, identity.issuer, identity.subject)
    if found is None:
        found = people.by_email(this.db, email)
        if found is None:
            found = _new(this, identity, email, roles)
        elif not people.tie_oidc(this.db, found.id, identity.issuer, identity.subject):
            raise ForbiddenError("sign-in: your address belongs to another account of the provider; ask for a link")
    if roles is not None and roles != found.roles:
        people.set_roles(this.db, found.id, roles)
        if Power.MANAGE in found.powers and not is_managed(this):
            raise ForbiddenError(_LAST_ADMIN)
        body = {"was": list(found.roles), "roles": list(roles)}
        record(this, EntryKind.PERSON_ROLES_CHANGED, found.id, "billingbot", **body)
        found = people.get(this.db, found.id)
    return found


def _new(this: Step, identity: Identity, email: str, roles: tuple[Role, ...] | None) -> Person:
    if roles is None:
        raise ForbiddenError("sign-in: nobody has added you here; ask whoever manages people")
    try:
        name = person(" ".join((identity.name or email.partition("@")[0]).split()))
        made = people.add(this.db, this.new_id(Kind.PERSON), name=name, email=email, roles=roles)
    except (InputError, ConflictError):
        raise ForbiddenError("sign-in: your name is somebody's here already; ask whoever manages people") from None
    people.tie_oidc(this.db, made.id, identity.issuer, identity.subject)
    record(this, EntryKind.PERSON_ADDED, made.id, "billingbot", name=made.name, roles=list(made.roles))
    return made
