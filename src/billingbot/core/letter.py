"""A letter: a reply that is sent to a customer by e-mail, once, and what became of it."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class LetterState(StrEnum):
    """Where a letter stands. `unknown` may have arrived: it is never sent again by itself."""

    WAITING = "waiting"
    SENDING = "sending"
    SENT = "sent"
    FAILED = "failed"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """One letter as stored. Its address is looked up when it is sent, and only its digest is kept."""

    id: str
    case_id: str
    account: str
    language: str | None
    subject: str
    text: str
    text_digest: str
    state: LetterState
    written_by: str
    recipient_digest: str | None
    why: str | None
    """Why it did not arrive, or is not known to have."""
    written_at: datetime
    sent_at: datetime | None
