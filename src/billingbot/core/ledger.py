"""The ledger: entries in canonical JSON, each chained to the one before by its hash."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from billingbot.core.canonical import canonical_bytes

GENESIS: Final = "0" * 64
"""What the first entry is chained to."""


class EntryKind(StrEnum):
    """What an entry records, past tense."""

    CASE_OPENED = "case.opened"
    CASE_DECIDED = "case.decided"
    CASE_JOINED = "case.joined"
    CASE_CLAIMED = "case.claimed"
    CASE_RELEASED = "case.released"
    CASE_NOTED = "case.noted"
    CASE_FIRST_APPROVED = "case.first_approved"
    CASE_APPROVED = "case.approved"
    CASE_DENIED = "case.denied"
    CASE_REASSESSED = "case.reassessed"
    CASE_SNOOZED = "case.snoozed"
    CASE_WOKEN = "case.woken"
    CASE_REASSIGNED = "case.reassigned"
    CASE_CHARGE_NAMED = "case.charge_named"
    CASE_REPLY_WRITTEN = "case.reply_written"
    CASE_GIVEN_UP = "case.given_up"
    CASE_COMMENTED = "case.commented"
    LINK_MARKED_WRONG = "link.marked_wrong"
    LINK_MARK_TAKEN_BACK = "link.mark_taken_back"
    REFUND_INTENDED = "refund.intended"
    REFUND_ATTEMPTED = "refund.attempted"
    REFUND_UNKNOWN = "refund.unknown"
    REFUND_CHANGED = "refund.changed"
    REFUND_CROSSED = "refund.crossed"
    REFUND_ADOPTED = "refund.adopted"
    CANCELLATION_INTENDED = "cancellation.intended"
    CANCELLATION_ATTEMPTED = "cancellation.attempted"
    CANCELLATION_UNKNOWN = "cancellation.unknown"
    CANCELLATION_CHANGED = "cancellation.changed"
    CANCELLATION_SHOWN = "cancellation.shown"
    NOTE_MARKED = "note.marked"
    ANSWER_DRAFTED = "answer.drafted"
    ANSWER_EDITED = "answer.edited"
    ANSWER_ASKED = "answer.asked"
    ANSWER_INTENDED = "answer.intended"
    ANSWER_ATTEMPTED = "answer.attempted"
    ANSWER_UNKNOWN = "answer.unknown"
    ANSWER_CHANGED = "answer.changed"
    LETTER_WRITTEN = "letter.written"
    LETTER_ENDED = "letter.ended"
    MODE_CHANGED = "mode.changed"
    BREAKER_OPENED = "breaker.opened"
    BREAKER_CLOSED = "breaker.closed"
    KEY_CREATED = "key.created"
    KEY_REVOKED = "key.revoked"
    PERSON_ADDED = "person.added"
    PERSON_ROLES_CHANGED = "person.roles_changed"
    PERSON_DISABLED = "person.disabled"
    PERSON_ENABLED = "person.enabled"
    PERSON_RESET = "person.reset"
    SIGN_IN_LINK_MADE = "sign_in.link_made"
    SESSION_BEGAN = "session.began"
    PASSWORD_SET = "person.password_set"  # noqa: S105 # an act, not a secret
    SECOND_FACTOR_SET = "person.second_factor_set"
    SECOND_FACTOR_DROPPED = "person.second_factor_dropped"
    SECOND_FACTOR_SEALED = "person.second_factor_sealed"
    RECOVERY_CODE_USED = "person.recovery_code_used"
    SESSION_REVOKED = "session.revoked"
    PERSONAL_DATA_SHOWN = "personal_data.shown"
    PERSONAL_DATA_ERASED = "personal_data.erased"
    JOB_REPLAYED = "job.replayed"
    JOB_DISMISSED = "job.dismissed"
    POLICY_PUBLISHED = "policy.published"
    SHADOW_STARTED = "shadow.started"
    SHADOW_STOPPED = "shadow.stopped"
    REPLAY_STARTED = "replay.started"
    REPLAY_RESUMED = "replay.resumed"
    REPLAY_STOPPED = "replay.stopped"
    REPLAY_ENDED = "replay.ended"
    BACKTEST_ASKED = "backtest.asked"
    BACKTEST_STOPPED = "backtest.stopped"
    EVENTS_BACKFILLED = "events.backfilled"
    MONTH_CLOSED = "month.closed"
    MONTH_SIGNED = "month.signed"
    CASE_DUE_MOVED = "case.due_moved"
    CASE_BANK_ANSWERED = "case.bank_answered"
    """Closed: only the bank had asked, and its dispute has ended."""
    DISPUTE_CHANGED = "dispute.changed"
    DISPUTE_MISSED = "dispute.missed"
    BREAK_SETTLED = "break.settled"
    BREAK_HANDED_OVER = "break.handed_over"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One entry. `subject` is the id it is about, `actor` who did it (a person, a policy, or `billingbot`).

    `body` holds ids, amounts in minor units, digests and words of ours: never personal data, which must be
    erasable while the chain is not.
    """

    seq: int
    at: datetime
    kind: str
    account: str
    subject: str
    actor: str
    body: Mapping[str, Any]
    previous_hash: str
    hash: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """An entry to be: everything but its place in the chain."""

    kind: EntryKind
    account: str
    subject: str
    actor: str
    body: Mapping[str, Any]


def seal(draft: Draft, *, seq: int, at: datetime, previous_hash: str) -> Entry:
    """The entry that continues the chain at `seq`. TypeError where the body has no canonical form."""
    fields = {
        "seq": seq,
        "at": at,
        "kind": draft.kind.value,
        "account": draft.account,
        "subject": draft.subject,
        "actor": draft.actor,
        "body": draft.body,
        "previous_hash": previous_hash,
    }
    return Entry(**fields, hash=hashlib.sha256(canonical_bytes(fields)).hexdigest())  # type: ignore[arg-type] # one dict feeds both, so that what is hashed is what is stored


@dataclass(frozen=True, slots=True, kw_only=True)
class Flaw:
    """Where the chain breaks, and how."""

    seq: int
    what: str


def flaws(entries: Iterable[Entry], *, after: Entry | None = None) -> Iterator[Flaw]:
    """Every flaw of a chain given from its first entry on, or from the one behind `after`: a gap, a changed entry, a
    broken link."""
    expected_seq, previous = (after.seq + 1, after.hash) if after else (1, GENESIS)
    for entry in entries:
        if entry.seq != expected_seq:
            yield Flaw(seq=entry.seq, what=f"expected entry {expected_seq}, found {entry.seq}")
        if entry.previous_hash != previous:
            yield Flaw(seq=entry.seq, what="is not chained to the entry before it")
        if entry.hash != _hash(entry):
            yield Flaw(seq=entry.seq, what="was changed after it was written")
        expected_seq, previous = entry.seq + 1, entry.hash


def _hash(entry: Entry) -> str:
    fields = {name: getattr(entry, name) for name in Entry.__slots__ if name != "hash"}
    return hashlib.sha256(canonical_bytes(fields)).hexdigest()
