"""Request: somebody asks for money back; the answer is the case, at once, whatever Stripe is doing."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy.exc import IntegrityError

from billingbot.core.access.powers import Power
from billingbot.core.canonical import canonical_bytes, digest
from billingbot.core.case import Case, CaseState
from billingbot.core.errors import ConflictError, InputError
from billingbot.core.evidence.comments import REASON as COMMENTED
from billingbot.core.evidence.history import normalise_email
from billingbot.core.ids import Kind
from billingbot.core.job import Actor
from billingbot.core.ledger import Draft, EntryKind
from billingbot.core.request import Channel, Claims, NamedBy
from billingbot.core.wording import MOST_TEXT, is_storable
from billingbot.flows.desk import Account, Desk, Step, step
from billingbot.flows.recheck import look_anew, reassess
from billingbot.store import cases, database, requests

# Stripe's ids are letters, digits and underscores behind a prefix; 255 is the most it allows.
SHAPES: Final = {
    NamedBy.CHARGE: (re.compile(r"(ch|py)_\w{1,250}", re.ASCII), "a charge id such as ch_..."),
    NamedBy.INVOICE: (re.compile(r"in_\w{1,250}", re.ASCII), "an invoice id such as in_..."),
    NamedBy.SUBSCRIPTION: (re.compile(r"sub_\w{1,250}", re.ASCII), "a subscription id such as sub_..."),
    NamedBy.CUSTOMER: (re.compile(r"cus_\w{1,250}", re.ASCII), "a customer id such as cus_..."),
}
"""What ids that a request may name look like, and what to say where one does not."""
# Stripe's own bound for idempotency keys; external references are ticket numbers and URLs.
MOST_KEY: Final = 255


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """What somebody asks, as it came through a door. `asked_by` is who stands at the door."""

    account: str
    named_by: NamedBy
    named: str
    claims: Claims
    channel: Channel
    asked_by: str
    external_ref: str | None = None
    idempotency_key: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The case that the request belongs to; `repeated` where this very request was answered before."""

    request_id: str
    case: Case
    joined: bool
    """True where the charge's case was open already."""
    repeated: bool


def ask(desk: Desk, wish: Ask) -> Answer:
    """Stores the request and opens its case, or joins the one that is open for the same charge.

    Asking again under the same idempotency key gives the same answer. Raises InputError for a field that is
    wrong, ConflictError for a key that was used with another input.
    """
    desk.require(Power.ASK)
    account = desk.account(wish.account)
    wish = _checked(wish)
    input_digest = _digest(wish)
    try:
        with step(desk) as this:
            known = _answered_before(this, wish, input_digest)
            return known or _open(this, account, wish, input_digest)
    except IntegrityError:
        # The same key at the same moment through another door: the other one won, and its answer is ours.
        with step(desk) as this:
            known = _answered_before(this, wish, input_digest)
        if known is None:
            raise
        return known


def _open(this: Step, account: Account, wish: Ask, input_digest: str) -> Answer:
    charge_id = wish.named if wish.named_by is NamedBy.CHARGE else None
    if charge_id is not None:
        cases.lock_charge(this.db, account.name, charge_id)
    case, is_new = cases.open_case(
        this.db, this.new_id(Kind.CASE), account=account.name, livemode=account.livemode, charge_id=charge_id
    )
    request = requests.Request(
        id=this.new_id(Kind.REQUEST),
        case_id=case.id,
        account=account.name,
        channel=wish.channel,
        named_by=wish.named_by,
        named=wish.named,
        claims=wish.claims,
        external_ref=wish.external_ref,
        asked_by=wish.asked_by,
        idempotency_key=wish.idempotency_key,
        input_digest=input_digest,
        asked_at=database.now(this.db),
    )
    earlier = requests.of_case(this.db, case.id)
    requests.write(this.db, request)
    this.record(
        Draft(
            kind=EntryKind.CASE_OPENED if is_new else EntryKind.CASE_JOINED,
            account=account.name,
            subject=case.id,
            actor=wish.asked_by,
            body={
                "request": request.id,
                "channel": wish.channel,
                "named_by": wish.named_by,
                "charge": charge_id,
                "claims_unused": wish.claims.unused,
                "claims_cancelled": wish.claims.cancelled,
                "input_digest": input_digest,
            },
        )
    )
    if is_new:
        this.enqueue(Actor.ASSESS, case.id)
    else:
        case = heed(this, case, [wish.claims], earlier)
    return Answer(request_id=request.id, case=case, joined=not is_new, repeated=False)


def heed(this: Step, case: Case, claims: Iterable[Claims], earlier: Sequence[requests.Request]) -> Case:
    """What an open case, locked, makes of requests that join it; `earlier` are those that it had before.

    Whoever put it off had not heard of them. The first claim of a cancellation has it assessed anew, and so has the
    first request where there was a comment alone.
    """
    if case.snoozed_until is not None:
        case = cases.change(this.db, case, snoozed_until=None)
    if any(one.cancelled for one in claims) and not any(other.claims.cancelled for other in earlier):
        look_anew(this, case, why="another request claims a cancellation")
    elif case.reason == COMMENTED and not earlier and case.state is CaseState.REVIEW and case.assignee is None:
        reassess(this, case.id, by="billingbot", why="until now there was a comment, and nobody had asked")
    return case


def _answered_before(this: Step, wish: Ask, input_digest: str) -> Answer | None:
    if wish.idempotency_key is None:
        return None
    earlier = requests.by_idempotency_key(this.db, wish.asked_by, wish.idempotency_key)
    if earlier is None:
        return None
    if earlier.input_digest != input_digest:
        raise ConflictError("Idempotency-Key: was used before with another request; use a new key for a new request")
    case = cases.get(this.db, earlier.case_id)
    return Answer(request_id=earlier.id, case=case, joined=False, repeated=True)


def _checked(wish: Ask) -> Ask:
    """The wish with its fields in shape. InputError names the first that is not."""
    named = wish.named.strip()
    if wish.named_by is NamedBy.EMAIL:
        if normalise_email(named) is None or len(named) > 320 or not named.isprintable():
            raise InputError("email", "expected an e-mail address")
    else:
        shape, expected = SHAPES[wish.named_by]
        if not shape.fullmatch(named):
            raise InputError(wish.named_by, f"expected {expected}")
    _bounded("text", wish.claims.text, MOST_TEXT)
    _bounded("external_ref", wish.external_ref, MOST_KEY)
    _bounded("Idempotency-Key", wish.idempotency_key, MOST_KEY)
    if wish.claims.cancelled_at is not None and not wish.claims.cancelled:
        raise InputError("cancelled_at", "expected only together with cancelled = true")
    if wish.claims.cancelled_at is not None and wish.claims.cancelled_at.tzinfo is None:
        raise InputError("cancelled_at", "expected a time with its zone")
    return Ask(
        account=wish.account,
        named_by=wish.named_by,
        named=named,
        claims=wish.claims,
        channel=wish.channel,
        asked_by=wish.asked_by,
        external_ref=wish.external_ref,
        idempotency_key=wish.idempotency_key,
    )


def _bounded(field: str, text: str | None, most: int) -> None:
    if text is None:
        return
    if not text or len(text) > most or not is_storable(text):
        raise InputError(field, f"expected 1 to {most} characters, without NUL and in whole Unicode")


def _digest(wish: Ask) -> str:
    """What makes two requests the same: all that the asker sent, without the key."""
    sent: dict[str, str | bool | datetime | None] = {
        "account": wish.account,
        "named_by": wish.named_by.value,
        "named": wish.named,
        "unused": wish.claims.unused,
        "cancelled": wish.claims.cancelled,
        "cancelled_at": wish.claims.cancelled_at,
        "text": wish.claims.text,
        "channel": wish.channel.value,
        "external_ref": wish.external_ref,
    }
    return digest(canonical_bytes(sent))
