"""Where a customer's personal data is: found by their address, shown, and written over for good."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from billingbot.core.evidence.history import LinkKind
from billingbot.core.letter import LetterState
from billingbot.core.privacy import BARE, ERASED, Held, bare_event, spellings
from billingbot.store import answers
from billingbot.store.history import email_digest
from billingbot.store.schema import (
    activity,
    cancellation_comments,
    cases,
    customer_identities,
    decisions,
    dispute_answers,
    dispute_draft_versions,
    dispute_drafts,
    disputes,
    inbox,
    letters,
    link_marks,
    notes,
    purchase_facts,
    requests,
    trials,
)

_NOW = sa.func.clock_timestamp()
Customer = tuple[str, str]
"""Account and Stripe's id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OneCase:
    """A case of theirs; `is_open` where it, or a letter of it, is still under way."""

    id: str
    account: str
    charge_id: str | None
    is_open: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class OneDispute:
    """A dispute about a charge of theirs that we drafted or sent an answer to."""

    account: str
    id: str
    is_open: bool


def customers_of(connection: Connection, email: str) -> set[Customer]:
    """The customers who are known to have this address: by their mailbox, by requests and by letters."""
    by_mailbox = sa.select(customer_identities.c.account, customer_identities.c.customer_id).where(
        customer_identities.c.kind == LinkKind.EMAIL.value, customer_identities.c.digest == email_digest(email)
    )
    by_case = sa.select(cases.c.account, cases.c.customer_id).where(cases.c.id.in_(_named(email)))
    rows = connection.execute(by_mailbox.union(by_case))
    return {(row.account, row.customer_id) for row in rows if row.customer_id}


def cases_of(connection: Connection, email: str, customers: Iterable[Customer]) -> Sequence[OneCase]:
    """Their cases, oldest first."""
    waiting = sa.exists().where(
        letters.c.case_id == cases.c.id, letters.c.state.in_((LetterState.WAITING, LetterState.SENDING))
    )
    rows = connection.execute(
        sa.select(
            cases.c.id, cases.c.account, cases.c.charge_id, sa.or_(cases.c.state != "closed", waiting).label("is_open")
        )
        .where(sa.or_(_whose(cases.c.account, cases.c.customer_id, customers), cases.c.id.in_(_named(email))))
        .order_by(cases.c.id)
    )
    return [OneCase(**row._mapping) for row in rows]


def disputes_of(connection: Connection, found: Iterable[OneCase]) -> Sequence[OneDispute]:
    """Disputes about the charges of these cases, where texts of ours are left."""
    charges = {(case.account, case.charge_id) for case in found if case.charge_id}
    if not charges:
        return []
    texts = sa.or_(
        sa.exists().where(
            dispute_answers.c.account == disputes.c.account,
            dispute_answers.c.dispute_id == disputes.c.dispute_id,
            dispute_answers.c.fields.is_not(None),
        ),
        sa.exists().where(
            dispute_drafts.c.account == disputes.c.account,
            dispute_drafts.c.dispute_id == disputes.c.dispute_id,
            dispute_draft_versions.c.draft_id == dispute_drafts.c.id,
            dispute_draft_versions.c.content.is_not(None),
        ),
    )
    rows = connection.execute(
        sa.select(disputes.c.account, disputes.c.dispute_id, disputes.c.outcome)
        .where(sa.tuple_(disputes.c.account, disputes.c.charge_id).in_(sorted(charges)), texts)
        .order_by(disputes.c.dispute_id)
    )
    return [OneDispute(account=row.account, id=row.dispute_id, is_open=row.outcome is None) for row in rows]


def held_by(connection: Connection, case: OneCase) -> Held:
    """How many texts of a case are left."""

    def count(*wanted: sa.ColumnElement[bool]) -> int:
        return int(connection.execute(sa.select(sa.func.count()).where(*wanted)).scalar_one())

    asked = count(requests.c.case_id == case.id, _request_is_left())
    noted = count(notes.c.case_id == case.id, notes.c.text != ERASED)
    written = count(letters.c.case_id == case.id, letters.c.text != ERASED)
    reply = count(cases.c.id == case.id, cases.c.reply.is_not(None))
    said = count(*_comment_is_left(case))
    marked = count(*_mark_is_left(case))
    return Held(
        cases=int(bool(asked or noted or written or reply or said or marked)),
        requests=asked,
        notes=noted,
        letters=written,
        comments=said,
        marks=marked,
    )


def erase_case(connection: Connection, case: OneCase) -> Held:
    """Writes over what people wrote on a case. The digests of notes and letters stay, here and in the ledger.

    Nothing goes where the case was reopened since it was found, as by a refund that failed late: it counts as open.
    """
    state = connection.execute(sa.select(cases.c.state).where(cases.c.id == case.id).with_for_update()).scalar_one()
    if state != "closed":
        return Held(open_cases=1)
    held = held_by(connection, case)
    if held.is_nothing:
        return held
    connection.execute(
        requests.update()
        .where(requests.c.case_id == case.id, _request_is_left())
        .values(
            named=sa.case((requests.c.named_by == "email", ERASED), else_=requests.c.named),
            text=sa.case((requests.c.text.is_not(None), ERASED)),
            external_ref=None,
        )
    )
    connection.execute(notes.update().where(notes.c.case_id == case.id).values(text=ERASED))
    connection.execute(
        letters.update().where(letters.c.case_id == case.id).values(subject=ERASED, text=ERASED, recipient_digest=None)
    )
    connection.execute(cancellation_comments.update().where(*_comment_is_left(case)).values(comment=ERASED, matched=[]))
    connection.execute(link_marks.update().where(*_mark_is_left(case)).values(why=ERASED))
    # No text at all where a reply was: the marker must never be sent to anybody.
    connection.execute(
        cases.update().where(cases.c.id == case.id).values(reply=None, reply_subject=None, erased_at=_NOW)
    )
    return held


def erase_dispute(connection: Connection, one: OneDispute) -> None:
    """Takes the texts of answers and drafts away."""
    answers.erase(connection, one.account, one.id)


def purchases(connection: Connection, customers: Iterable[Customer]) -> int:
    """How much the product told of what these customers bought."""
    query = sa.select(sa.func.count()).where(*_told(customers))
    return int(connection.execute(query).scalar_one())


def erase_purchases(connection: Connection, customers: Iterable[Customer]) -> int:
    """Forgets what the product told of what these customers bought; how much there was."""
    return connection.execute(purchase_facts.update().where(*_told(customers)).values(value=None)).rowcount


def comments(connection: Connection, customers: Iterable[Customer]) -> int:
    """How many comments of their cancellations are left that belong to no case."""
    query = sa.select(sa.func.count()).where(*_loose_comments(customers))
    return int(connection.execute(query).scalar_one())


def erase_comments(connection: Connection, customers: Iterable[Customer]) -> int:
    """Writes over those; how many there were."""
    gone = cancellation_comments.update().where(*_loose_comments(customers)).values(comment=ERASED, matched=[])
    return connection.execute(gone).rowcount


def digests(connection: Connection, customers: Iterable[Customer]) -> int:
    """By how many digests these customers are known: mailboxes, devices, addresses, domains."""
    query = sa.select(sa.func.count()).where(*_known(customers))
    return int(connection.execute(query).scalar_one())


def erase_digests(connection: Connection, customers: Iterable[Customer]) -> int:
    """Forgets by what these customers are known, but for their cards; how many digests there were."""
    return connection.execute(customer_identities.delete().where(*_known(customers))).rowcount


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """Some of the inbox: up to which row it was looked through, and which rows hold what was looked for."""

    up_to: str | None
    rows: tuple[tuple[str, str, bytes], ...]
    """Id, account and body."""


def events_holding(
    connection: Connection, email: str, customers: Iterable[Customer], *, after: str, limit: int
) -> Slice:
    """Looks through the next rows of the inbox for the address and for events about these customers.

    Byte by byte, since an event may name them anywhere; a few thousand rows at a time stay below the time limit of
    a statement. Latin-1 reads any bytes, and small letters of ASCII are what addresses are compared in.
    """
    some = sa.select(inbox.c.id).where(inbox.c.id > after).order_by(inbox.c.id).limit(limit).subquery()
    up_to: str | None = connection.execute(sa.select(sa.func.max(some.c.id))).scalar_one()
    if up_to is None:
        return Slice(up_to=None, rows=())
    text = sa.func.lower(sa.func.convert_from(inbox.c.body, "LATIN1"))
    named = [sa.func.strpos(text, one.encode().decode("latin-1")) > 0 for one in spellings(email)]
    about = [
        sa.and_(inbox.c.account == account, sa.func.strpos(text, f'"{customer.lower()}"') > 0)
        for account, customer in sorted(customers)
    ]
    is_bare = sa.func.right(text, len(BARE)) == BARE
    rows = connection.execute(
        sa.select(inbox.c.id, inbox.c.account, inbox.c.body)
        .where(inbox.c.id > after, inbox.c.id <= up_to, ~inbox.c.thin, ~is_bare, sa.or_(*named, *about))
        .order_by(inbox.c.id)
    )
    return Slice(up_to=up_to, rows=tuple((row.id, row.account, bytes(row.body)) for row in rows))


def rows_of_inbox(connection: Connection) -> int:
    """How many events are stored."""
    return int(connection.execute(sa.select(sa.func.count()).select_from(inbox)).scalar_one())


def events_of(connection: Connection, ids: Collection[str]) -> Sequence[tuple[str, str, bytes]]:
    """These events: id, account and body."""
    query = sa.select(inbox.c.id, inbox.c.account, inbox.c.body).where(inbox.c.id.in_(ids)).order_by(inbox.c.id)
    return [(row.id, row.account, bytes(row.body)) for row in connection.execute(query)]


def erase_events(connection: Connection, found: Slice) -> int:
    """Leaves of these events what they are and what they are about."""
    for inbox_id, _, body in found.rows:
        connection.execute(inbox.update().where(inbox.c.id == inbox_id).values(body=bare_event(body)))
    return len(found.rows)


def erased_at(connection: Connection, case_id: str) -> datetime | None:
    """When the texts of this case were erased, if they were."""
    found: datetime | None = connection.execute(
        sa.select(cases.c.erased_at).where(cases.c.id == case_id)
    ).scalar_one_or_none()
    return found


def shown(
    connection: Connection, found: Sequence[OneCase], customers: Iterable[Customer]
) -> dict[str, list[dict[str, Any]]]:
    """Everything that is kept of these customers and cases, table by table."""
    ids = [case.id for case in found]
    wanted: dict[str, tuple[sa.Table, sa.ColumnElement[bool]]] = {
        "cases": (cases, cases.c.id.in_(ids)),
        "requests": (requests, requests.c.case_id.in_(ids)),
        "notes": (notes, notes.c.case_id.in_(ids)),
        "letters": (letters, letters.c.case_id.in_(ids)),
        "cancellation_comments": (cancellation_comments, cancellation_comments.c.case_id.in_(ids)),
        "link_marks": (link_marks, link_marks.c.case_id.in_(ids)),
        "purchases": (
            purchase_facts,
            _whose(purchase_facts.c.account, purchase_facts.c.customer_id, customers),
        ),
        "decisions": (decisions, decisions.c.case_id.in_(ids)),
        "trials": (trials, _whose(trials.c.account, trials.c.customer_id, customers)),
        "activity": (activity, _whose(activity.c.account, activity.c.customer_id, customers)),
    }
    return {
        name: [
            {key: value.decode() if isinstance(value, bytes) else value for key, value in row._mapping.items()}
            for row in connection.execute(sa.select(table).where(condition))
        ]
        for name, (table, condition) in wanted.items()
    }


def texts_of(connection: Connection, one: OneDispute) -> dict[str, Any]:
    """What we drafted and sent to a bank."""
    sent = connection.execute(
        sa.select(dispute_answers.c.fields).where(
            dispute_answers.c.account == one.account,
            dispute_answers.c.dispute_id == one.id,
            dispute_answers.c.fields.is_not(None),
        )
    ).scalars()
    drafted = connection.execute(
        sa.select(dispute_draft_versions.c.content)
        .join(dispute_drafts, dispute_drafts.c.id == dispute_draft_versions.c.draft_id)
        .where(
            dispute_drafts.c.account == one.account,
            dispute_drafts.c.dispute_id == one.id,
            dispute_draft_versions.c.content.is_not(None),
        )
    ).scalars()
    return {"dispute": one.id, "answers": list(sent), "drafts": list(drafted)}


def _named(email: str) -> sa.Select[str]:
    """Ids of cases that a request by this address, or a letter to it, belongs to."""
    asked = sa.select(requests.c.case_id).where(
        requests.c.named_by == "email", sa.func.lower(requests.c.named) == email.lower()
    )
    written = sa.select(letters.c.case_id).where(letters.c.recipient_digest == email_digest(email))
    return sa.select(asked.union(written).subquery().c.case_id)


def _whose(account: sa.Column[Any], customer: sa.Column[Any], customers: Iterable[Customer]) -> sa.ColumnElement[bool]:
    return sa.tuple_(account, customer).in_(sorted(customers))


def _known(customers: Iterable[Customer]) -> tuple[sa.ColumnElement[bool], ...]:
    whose = _whose(customer_identities.c.account, customer_identities.c.customer_id, customers)
    return customer_identities.c.kind != LinkKind.CARD.value, whose


def _told(customers: Iterable[Customer]) -> tuple[sa.ColumnElement[bool], ...]:
    whose = _whose(purchase_facts.c.account, purchase_facts.c.customer_id, customers)
    return purchase_facts.c.value.is_not(None), whose


def _loose_comments(customers: Iterable[Customer]) -> tuple[sa.ColumnElement[bool], ...]:
    c = cancellation_comments.c
    theirs = sa.select(trials.c.account, trials.c.subscription_id).where(
        _whose(trials.c.account, trials.c.customer_id, customers)
    )
    return c.case_id.is_(None), c.comment != ERASED, sa.tuple_(c.account, c.subscription_id).in_(theirs)


def _comment_is_left(case: OneCase) -> tuple[sa.ColumnElement[bool], ...]:
    return cancellation_comments.c.case_id == case.id, cancellation_comments.c.comment != ERASED


def _mark_is_left(case: OneCase) -> tuple[sa.ColumnElement[bool], ...]:
    return link_marks.c.case_id == case.id, link_marks.c.why != ERASED


def _request_is_left() -> sa.ColumnElement[bool]:
    return sa.or_(
        sa.and_(requests.c.named_by == "email", requests.c.named != ERASED),
        requests.c.text != ERASED,
        requests.c.external_ref.is_not(None),
    )
