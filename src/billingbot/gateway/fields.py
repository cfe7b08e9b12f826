"""Reads the fields of one of Stripe's objects, and says which field of which object was not as expected."""

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any, Final, NoReturn

from billingbot.core.errors import StripeFieldError

# Stripe's own ceiling is 99999999 minor units for most currencies, twelve digits for a few; this one keeps any
# amount and any sum of them inside a database's 64 bits.
_LARGEST_AMOUNT: Final = 10**15


class Fields:
    """One object. Each method reads one field; a missing or wrong one raises StripeFieldError naming it."""

    def __init__(self, raw: object, kind: str | None, name: str | None = None) -> None:
        self._name = name or _named(raw, kind)
        if not isinstance(raw, Mapping):
            raise StripeFieldError(f"{self._name}: expected an object, got {type(raw).__name__}")
        self._raw: Mapping[str, Any] = raw
        if kind is not None and raw.get("object") != kind:
            self._refuse("object", f"expected {kind}")

    def has(self, field: str) -> bool:
        """True where the field is there and not null."""
        return self._raw.get(field) is not None

    def text(self, field: str) -> str:
        """A short machine-made text: an id, a status, a type."""
        value = self.optional_text(field)
        return value or self._refuse(field, "expected a text")

    def optional_text(self, field: str) -> str | None:
        """As `text`, or None."""
        value = self._raw.get(field)
        if value is None:
            return None
        if not isinstance(value, str) or not value.isascii() or not (value.isprintable() and len(value) <= 255):
            self._refuse(field, "expected a text of at most 255 printable characters, or null")
        return value

    def free_text(self, field: str) -> str | None:
        """A text that people write; what no database column can hold is left out."""
        value = self._raw.get(field)
        if value is not None and not isinstance(value, str):
            self._refuse(field, "expected a text or null")
        return None if value is None else _storable(value)

    def flag(self, field: str) -> bool:
        """True or false."""
        value = self.optional_flag(field)
        return value if value is not None else self._refuse(field, "expected true or false")

    def optional_flag(self, field: str) -> bool | None:
        """As `flag`, or None."""
        value = self._raw.get(field)
        if value is not None and not isinstance(value, bool):
            self._refuse(field, "expected true or false")
        return value

    def amount(self, field: str) -> int:
        """An amount in minor units, zero or more."""
        value = self.signed_amount(field)
        return value if value >= 0 else self._refuse(field, "expected zero or more minor units")

    def signed_amount(self, field: str) -> int:
        """An amount in minor units, of either sign."""
        value = self.optional_amount(field)
        return value if value is not None else self._refuse(field, "expected an integer of minor units")

    def optional_amount(self, field: str) -> int | None:
        """As `signed_amount`, or None."""
        value = self._raw.get(field)
        if value is None:
            return None
        if type(value) is not int or abs(value) > _LARGEST_AMOUNT:
            self._refuse(field, "expected an integer of minor units")
        return value

    def optional_decimal(self, field: str) -> Decimal | None:
        """A number with decimals, above zero, such as a rate; or None."""
        value = self._raw.get(field)
        if value is None:
            return None
        try:
            found = Decimal(str(value)) if type(value) in {int, float, str, Decimal} else None
        except InvalidOperation:
            found = None
        if found is None or not found.is_finite() or found <= 0:
            self._refuse(field, "expected a number above zero, or null")
        return found

    def currency(self, field: str) -> str:
        """Three lower-case letters."""
        value = self.text(field)
        if len(value) != 3 or not value.isalpha() or not value.islower():
            self._refuse(field, "expected three lower-case letters")
        return value

    def moment(self, field: str) -> datetime:
        """Unix seconds, as a UTC time."""
        value = self.optional_moment(field)
        return value if value is not None else self._refuse(field, "expected Unix seconds")

    def optional_moment(self, field: str, *, zero_is_none: bool = False) -> datetime | None:
        """As `moment`, or None."""
        value = self._raw.get(field)
        if value is None or (zero_is_none and value == 0):
            return None
        # 1 to the year 9999: what a datetime and a database column can hold.
        if type(value) is not int or not 0 < value < 253_402_300_800:
            self._refuse(field, "expected Unix seconds")
        return datetime.fromtimestamp(value, tz=UTC)

    def ref(self, field: str) -> str:
        """The id of another object, which may be expanded."""
        value = self.optional_ref(field)
        return value if value is not None else self._refuse(field, "expected the id of an object")

    def optional_ref(self, field: str) -> str | None:
        """As `ref`, or None."""
        value = self._raw.get(field)
        if isinstance(value, Mapping):
            return self.within(field).text("id")
        return self.optional_text(field) or None

    def expanded(self, field: str) -> "Fields | None":
        """An expanded object; None where it is null or only an id."""
        value = self._raw.get(field)
        return None if isinstance(value, str) else self.inside(field)

    def within(self, field: str) -> "Fields":
        """A nested object that has to be there."""
        return Fields(self._raw.get(field), None, f"{self._name}: {field}")

    def inside(self, field: str) -> "Fields | None":
        """A nested object, or None where it is missing, null or left empty."""
        return self.within(field) if self._raw.get(field) else None

    def embedded(self, field: str) -> "list[Fields]":
        """The objects of an embedded list's first page; none where the list is missing."""
        page = self.first_page(field)
        return [Fields(raw, None, f"{self._name}: {field}") for raw in page[0]] if page else []

    def first_page(self, field: str) -> tuple[list[object], bool] | None:
        """An embedded list's first page and whether there is more; None where it is missing."""
        raw = self._raw.get(field)
        if raw is None:
            return None
        items, more = (raw.get("data"), raw.get("has_more")) if isinstance(raw, Mapping) else (None, None)
        if not isinstance(items, list) or not isinstance(more, bool):
            self._refuse(field, "expected a list with data and has_more")
        return items, more

    def words(self, field: str) -> tuple[str, ...]:
        """A list of short texts; missing or null is an empty one."""
        raw = self._raw.get(field) or []
        if not isinstance(raw, list) or not all(isinstance(word, str) for word in raw):
            self._refuse(field, "expected a list of texts")
        return tuple(_storable(word) for word in raw)

    def objects(self, field: str) -> "list[Fields]":
        """The objects of a plain array; none where it is missing or null."""
        raw = self._raw.get(field)
        if raw is not None and not isinstance(raw, list):
            self._refuse(field, "expected an array")
        return [Fields(entry, None, f"{self._name}: {field}") for entry in raw or ()]

    def metadata(self) -> dict[str, str]:
        """The object's metadata; missing is none."""
        raw = self._raw.get("metadata") or {}
        if not isinstance(raw, Mapping) or not all(isinstance(value, str) for value in raw.values()):
            self._refuse("metadata", "expected texts by name")
        return {_storable(name): _storable(value) for name, value in raw.items()}

    def texts(self) -> dict[str, str]:
        """Every field that holds a text, as people wrote it; nested objects and nulls are left out."""
        return {name: _storable(value) for name, value in self._raw.items() if isinstance(value, str) and value}

    def _refuse(self, field: str, expected: str) -> NoReturn:
        raise StripeFieldError(f"{self._name}: {field}: {expected}, got {type(self._raw.get(field)).__name__}")


def _named(raw: object, kind: str | None) -> str:
    """What to call an object in an error: its kind and its id, never its content."""
    found = raw.get("id") if isinstance(raw, Mapping) else None
    shown = f" {found}" if isinstance(found, str) and found.isascii() and len(found) <= 255 else ""
    return f"{kind or 'object'}{shown}"


def _storable(value: str) -> str:
    """Without NUL and lone surrogates, which JSON can carry and PostgreSQL cannot."""
    return value.replace("\0", "").encode("utf-8", "replace").decode("utf-8")
