"""A draft answer as people work on it: what was drafted, what they wrote instead or dropped, version after version."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from billingbot.core.canonical import canonical_bytes, digest
from billingbot.core.decision import Recommendation
from billingbot.core.disputes.evidence_fields import LONGEST_FIELD, LONGEST_IN_ALL, PAPERS, Field, length
from billingbot.core.disputes.packet import Packet
from billingbot.core.disputes.statements import Statement
from billingbot.core.errors import ConflictError, InputError
from billingbot.core.policy.undisputed import Opinion


class DraftChange(StrEnum):
    """What made a version of a draft."""

    DRAFTED = "drafted"
    EDITED = "edited"
    DROPPED = "dropped"
    RESTORED = "restored"


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """One field of a draft. `drafted` is what the facts say, `written` what a person wrote instead of it.

    `outdated` where the facts have come to say something else since the person wrote.
    """

    drafted: Statement | None = None
    written: Statement | None = None
    dropped_by: str | None = None
    outdated: bool = False

    @property
    def says(self) -> Statement | None:
        """What goes to the bank; None where it was dropped."""
        return None if self.dropped_by is not None else self.written or self.drafted

    @property
    def is_touched(self) -> bool:
        """Whether a person wrote or dropped it."""
        return self.written is not None or self.dropped_by is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class DraftContent:
    """Everything on a draft's page that was true when it was drafted, and what people made of it."""

    reason: str
    status: str
    amount_minor: int
    currency: str
    due_by: datetime | None
    brand: str | None
    read_at: datetime
    opinion: Opinion | None
    doubts: tuple[str, ...]
    pieces: Mapping[Field, Piece]
    left_out: Mapping[Field, str]

    @property
    def fields(self) -> Mapping[Field, str]:
        """What would go to the bank, in the order in which people read it."""
        says = {field: piece.says for field in Field if (piece := self.pieces.get(field))}
        return {field: one.text for field, one in says.items() if one is not None}

    @property
    def digest(self) -> str:
        """Of what would go to the bank."""
        return fields_digest(self.fields)


def fields_digest(fields: Mapping[Field, str]) -> str:
    """The digest of an answer's texts, as the ledger cites it."""
    return digest(canonical_bytes({field.value: text for field, text in fields.items()}))


def drafted(packet: Packet, before: DraftContent | None = None, *, keep_edits: bool = True) -> DraftContent:
    """A draft from fresh facts. What people wrote or dropped before stays, unless they say otherwise."""
    held: Mapping[Field, Piece] = before.pieces if before is not None and keep_edits else {}
    pieces = {}
    for field in Field:
        new, old = packet.statements.get(field), held.get(field)
        if old is None and new is None:
            continue
        kept = old or Piece()
        touched = kept.is_touched
        changed = touched and _text(kept.drafted) != _text(new)
        piece = replace(kept, drafted=new, outdated=touched and (kept.outdated or changed))
        if new is not None or touched:
            pieces[field] = piece
    return DraftContent(
        reason=packet.reason,
        status=packet.status,
        amount_minor=packet.amount_minor,
        currency=packet.currency,
        due_by=packet.due_by,
        brand=packet.brand,
        read_at=packet.read_at,
        opinion=packet.opinion,
        doubts=packet.doubts,
        pieces=pieces,
        left_out=packet.left_out,
    )


def edited(content: DraftContent, field: Field, text: str, *, by: str, at: datetime) -> DraftContent:
    """The draft with a person's own words in a field. InputError where they are too long or none."""
    if not text.strip() or length(text) > LONGEST_FIELD or "\0" in text:
        raise InputError(field.value, f"expected 1 to {LONGEST_FIELD} characters; drop the field to say nothing")
    written = Statement(text=text, source=by, as_of=at)
    old = content.pieces.get(field) or Piece()
    return _with(content, field, replace(old, written=written, dropped_by=None, outdated=False))


def dropped(content: DraftContent, field: Field, *, by: str) -> DraftContent:
    """The draft without a field. ConflictError where it says nothing there."""
    old = content.pieces.get(field)
    if old is None or old.says is None:
        raise ConflictError(f"{field.value}: the draft says nothing there")
    return _with(content, field, replace(old, dropped_by=by))


def restored(content: DraftContent, field: Field) -> DraftContent:
    """The draft with a field as the facts say it. ConflictError where nobody wrote or dropped anything there."""
    old = content.pieces.get(field)
    if old is None or not old.is_touched:
        raise ConflictError(f"{field.value}: is as it was drafted")
    if old.drafted is None:
        pieces = {name: piece for name, piece in content.pieces.items() if name is not field}
        return replace(content, pieces=pieces)
    return _with(content, field, Piece(drafted=old.drafted))


def shortcomings(fields: Mapping[Field, str]) -> tuple[str, ...]:
    """What Stripe would refuse about these texts, a sentence each; the pages of papers are counted when printed."""
    texts = {field: length(text) for field, text in fields.items() if field not in PAPERS}
    found = [
        f"{field}: has {units} characters, and {LONGEST_FIELD} are the most"
        for field, units in texts.items()
        if units > LONGEST_FIELD
    ]
    if sum(texts.values()) > LONGEST_IN_ALL:
        found.append(f"all texts together have {sum(texts.values())} characters, and {LONGEST_IN_ALL} are the most")
    if not fields:
        found.append("the answer says nothing at all")
    return tuple(found)


def _with(content: DraftContent, field: Field, piece: Piece) -> DraftContent:
    return replace(content, pieces={**content.pieces, field: piece})


def _text(statement: Statement | None) -> str | None:
    return statement.text if statement is not None else None


# ---------------------------------------------------------------- as it is stored


def stored(content: DraftContent) -> str:
    """The draft as canonical JSON."""
    return canonical_bytes(content).decode()


def restore_content(held: Mapping[str, Any]) -> DraftContent:
    """The draft from its JSON."""
    opinion = held["opinion"]
    return DraftContent(
        reason=held["reason"],
        status=held["status"],
        amount_minor=held["amount_minor"],
        currency=held["currency"],
        due_by=datetime.fromisoformat(held["due_by"]) if held["due_by"] else None,
        brand=held.get("brand"),
        read_at=datetime.fromisoformat(held["read_at"]),
        opinion=Opinion(
            advice=Recommendation(opinion["advice"]),
            rule=opinion["rule"],
            clause=opinion["clause"],
            summary=opinion["summary"],
            missing=tuple(opinion["missing"]),
        )
        if opinion
        else None,
        doubts=tuple(held["doubts"]),
        pieces={Field(name): _piece(piece) for name, piece in held["pieces"].items()},
        left_out={Field(name): why for name, why in held["left_out"].items()},
    )


def _piece(held: Mapping[str, Any]) -> Piece:
    return Piece(
        drafted=_statement(held["drafted"]),
        written=_statement(held["written"]),
        dropped_by=held["dropped_by"],
        outdated=held["outdated"],
    )


def _statement(held: Mapping[str, Any] | None) -> Statement | None:
    if held is None:
        return None
    return Statement(text=held["text"], source=held["source"], as_of=datetime.fromisoformat(held["as_of"]))
