"""Decodes a verified webhook body just far enough to store it: the envelope, never the object inside."""

import math
import re
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final, TypeVar

import msgspec

from billingbot.core.errors import InputError
from billingbot.core.signals import SIGNALS, Envelope, base_type

_EVENT_ID: Final = re.compile(r"evt_[A-Za-z0-9_]{1,250}")
# The longest type that stripe 16.1 knows is shorter than this by a third.
_EVENT_TYPE: Final = re.compile(r"[a-z0-9_.\[\]]{1,128}")
# Stripe promises ids of at most 255 characters. https://docs.stripe.com/upgrades
_OBJECT_ID: Final = re.compile(r"[!-~]{1,255}")
_API_VERSION: Final = re.compile(r"[!-~]{1,64}")
# 2010, before Stripe had its first event, and 2100: test clocks run ahead, but not that far.
_EARLIEST: Final = 1_262_304_000
_LATEST: Final = 4_102_444_800

_T = TypeVar("_T")
_Members = dict[str, msgspec.Raw]
_members_decoder: Final = msgspec.json.Decoder(_Members)
_encoder: Final = msgspec.json.Encoder()
_NULL: Final = msgspec.Raw(b"null")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class EnvelopeReason(StrEnum):
    """Why a body was not accepted as an event."""

    BAD_JSON = "bad_json"
    NOT_AN_EVENT = "not_an_event"
    BAD_FIELD = "bad_field"
    MISSING_OBJECT_ID = "missing_object_id"
    WRONG_MODE = "wrong_mode"
    WRONG_ACCOUNT = "wrong_account"


class EnvelopeError(InputError):
    """The body is not an event for this endpoint; `reason` and `field` say why."""

    def __init__(self, reason: EnvelopeReason, field: str, expected: str) -> None:
        super().__init__(field, expected)
        self.reason = reason


def decode(body: bytes, *, account: str, livemode: bool, stripe_account: str | None) -> Envelope:
    """The envelope of a snapshot event or a thin one (`v2.core.event`).

    `account` is our name for the Stripe account; `stripe_account` the connected account this endpoint serves, if
    any. Raises EnvelopeError, and nothing else, for any bytes whatever.
    """
    try:
        return _decode(body, account=account, livemode=livemode, stripe_account=stripe_account)
    except RecursionError:
        raise EnvelopeError(EnvelopeReason.BAD_JSON, "body", "expected JSON nested less deeply") from None
    except msgspec.DecodeError as error:
        raise EnvelopeError(EnvelopeReason.BAD_JSON, "body", f"expected JSON: {error}") from None
    except UnicodeError:
        raise EnvelopeError(EnvelopeReason.BAD_JSON, "body", "expected UTF-8") from None


def _decode(body: bytes, *, account: str, livemode: bool, stripe_account: str | None) -> Envelope:
    body.decode()  # the parser skips over text it is not asked for; what we store must be readable later
    top = _members(msgspec.json.format(body, indent=-1), "body")
    thin = _is_thin(top)
    event_type = _text(top, "type", _EVENT_TYPE, "a short event type such as invoice.paid")
    _check_mode(top, livemode=livemode)
    _check_account(top, "context" if thin else "account", stripe_account)
    needed = base_type(event_type) in SIGNALS
    about = (_related(top) if thin else _snapshot(top)) if needed else (None, None)
    return Envelope(
        account=account,
        event_id=_text(top, "id", _EVENT_ID, "an event id (evt_...)"),
        type=event_type,
        thin=thin,
        livemode=livemode,
        api_version=None if thin else _optional_text(top, "api_version", _API_VERSION, "an API version"),
        created=_thin_created(top) if thin else _created(top),
        object_id=about[0],
        trial_end_before=about[1],
        body=body,
    )


def _members(compact: bytes | msgspec.Raw, where: str) -> _Members:
    """The members of a JSON object; a name that appears twice is refused, since readers differ on which counts."""
    try:
        members = _members_decoder.decode(compact)
    except msgspec.ValidationError:
        reason = EnvelopeReason.NOT_AN_EVENT if where == "body" else EnvelopeReason.BAD_FIELD
        raise EnvelopeError(reason, where, "expected a JSON object") from None
    # Written out again from what was read, the text must be the same: a dropped duplicate makes it shorter.
    if _encoder.encode(members) != bytes(compact):
        raise EnvelopeError(EnvelopeReason.BAD_JSON, where, "expected each name once, without escapes")
    return members


def _is_thin(top: _Members) -> bool:
    kind = _maybe(top, "object", str, "a string")
    if kind not in ("event", "v2.core.event"):
        raise EnvelopeError(EnvelopeReason.NOT_AN_EVENT, "object", "expected event or v2.core.event")
    return kind == "v2.core.event"


def _check_mode(top: _Members, *, livemode: bool) -> None:
    if _value(top, "livemode", bool, "true or false") is not livemode:
        expected = "expected a live-mode event" if livemode else "expected a test-mode event"
        raise EnvelopeError(EnvelopeReason.WRONG_MODE, "livemode", expected)


def _check_account(top: _Members, field: str, stripe_account: str | None) -> None:
    named = _maybe(top, field, str, "an account id or null")
    if named is not None and named != stripe_account:
        raise EnvelopeError(EnvelopeReason.WRONG_ACCOUNT, field, "expected an event of this endpoint's own account")


def _snapshot(top: _Members) -> tuple[str, int | None]:
    """Id of the object a snapshot event is about, and what its trial's end was before, where it says so."""
    inside = _members(_required(top, "data"), "data")
    about = _members(_required(inside, "object", "data.object"), "data.object")
    object_id = _object_id(about, "data.object.id")
    before = inside.get("previous_attributes", _NULL)
    if before == _NULL:
        return object_id, None
    return object_id, _trial_end(_members(before, "data.previous_attributes"))


def _trial_end(before: _Members) -> int | None:
    field = "data.previous_attributes.trial_end"
    moment = _maybe(before, "trial_end", int, "Unix seconds or null", field)
    return None if moment is None else _in_range(moment, field)


def _related(top: _Members) -> tuple[str, int | None]:
    about = _members(_required(top, "related_object"), "related_object")
    return _object_id(about, "related_object.id"), None


def _object_id(about: _Members, field: str) -> str:
    if "id" not in about:
        raise EnvelopeError(EnvelopeReason.MISSING_OBJECT_ID, field, "expected the id of the object")
    return _text(about, "id", _OBJECT_ID, "an id of at most 255 characters", field)


def _created(top: _Members) -> int:
    return _in_range(_value(top, "created", int, "Unix seconds"), "created")


def _thin_created(top: _Members) -> int:
    expected = "an ISO 8601 time with its zone"
    try:
        moment = datetime.fromisoformat(_value(top, "created", str, expected))
    except ValueError:
        raise _bad("created", expected) from None
    if moment.tzinfo is None:
        raise _bad("created", expected)
    return _in_range(math.floor((moment - _EPOCH).total_seconds()), "created")


def _in_range(moment: int, field: str) -> int:
    if not _EARLIEST <= moment < _LATEST:
        raise _bad(field, "Unix seconds between 2010 and 2100")
    return moment


def _required(members: _Members, name: str, field: str | None = None) -> msgspec.Raw:
    if name not in members:
        raise EnvelopeError(EnvelopeReason.MISSING_OBJECT_ID, field or name, "expected the object of the event")
    return members[name]


def _maybe(members: _Members, name: str, kind: type[_T], expected: str, field: str | None = None) -> _T | None:
    """A member, or None where it is missing or null."""
    raw = members.get(name, _NULL)
    try:
        return None if raw == _NULL else msgspec.json.decode(raw, type=kind)
    except msgspec.ValidationError:
        raise _bad(field or name, expected) from None


def _value(members: _Members, name: str, kind: type[_T], expected: str, field: str | None = None) -> _T:
    """A member that has to be there."""
    value = _maybe(members, name, kind, expected, field)
    if value is None:
        raise _bad(field or name, expected)
    return value


def _text(members: _Members, name: str, shape: re.Pattern[str], expected: str, field: str | None = None) -> str:
    value = _value(members, name, str, expected, field)
    if not shape.fullmatch(value):
        raise _bad(field or name, expected)
    return value


def _optional_text(members: _Members, name: str, shape: re.Pattern[str], expected: str) -> str | None:
    value = _maybe(members, name, str, expected)
    if value is not None and not shape.fullmatch(value):
        raise _bad(name, expected)
    return value


def _bad(field: str, expected: str) -> EnvelopeError:
    return EnvelopeError(EnvelopeReason.BAD_FIELD, field, f"expected {expected}")
