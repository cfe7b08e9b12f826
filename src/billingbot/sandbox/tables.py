"""Where the sandbox keeps its objects: one table per kind, in order of creation, with the indexes that lists need."""

import bisect
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from typing import Any, TypeAlias

import msgspec

Obj: TypeAlias = dict[str, Any]
Key: TypeAlias = Callable[[Obj], Any]

_ENCODER = msgspec.json.Encoder(decimal_format="number")  # an exchange rate is a JSON number, and never a float here
_DECODER = msgspec.json.Decoder(float_hook=Decimal)


def encode(value: Any) -> bytes:
    """JSON bytes of objects, with decimals as numbers."""
    return _ENCODER.encode(value)


def decode(raw: bytes) -> Any:
    """JSON bytes as plain objects; a number with a point becomes a Decimal."""
    return _DECODER.decode(raw)


def snapshot(value: Any) -> Any:
    """A deep copy that later changes cannot reach."""
    return decode(encode(value))


class Table:
    """Objects of one kind by id, oldest first; `indexes` names what they can be found by."""

    def __init__(self, indexes: Mapping[str, Key] | None = None) -> None:
        self.rows: dict[str, Obj] = {}
        self._indexes = dict(indexes or {})
        self._position: dict[str, int] = {}
        self._by: dict[str, dict[Any, list[str]]] = {name: {} for name in self._indexes}
        self._filed: dict[str, dict[str, Any]] = {}
        self._added = 0

    def add(self, obj: Obj) -> Obj:
        """Keep a new object, newest of all."""
        self.rows[obj["id"]] = obj
        self._added += 1
        self._position[obj["id"]] = self._added
        self._filed[obj["id"]] = {}
        self.refile(obj)
        return obj

    def refile(self, obj: Obj) -> None:
        """Bring the indexes up to date after an indexed field has changed."""
        filed = self._filed[obj["id"]]
        for name, key in self._indexes.items():
            value = key(obj)
            if name in filed and filed[name] == value:
                continue
            if name in filed:
                self._by[name][filed[name]].remove(obj["id"])
            filed[name] = value
            bisect.insort(self._by[name].setdefault(value, []), obj["id"], key=self._position.__getitem__)

    def drop(self, object_id: str) -> None:
        """Forget an object."""
        for name, value in self._filed.pop(object_id).items():
            self._by[name][value].remove(object_id)
        del self.rows[object_id], self._position[object_id]

    def get(self, object_id: str) -> Obj | None:
        """The object itself, not a copy; None where there is none."""
        return self.rows.get(object_id)

    def find(self, index: str, value: Any) -> list[Obj]:
        """All objects whose indexed field has this value, oldest first."""
        return [self.rows[object_id] for object_id in self._by[index].get(value, ())]

    def newest_first(self, index: str | None = None, value: Any = None) -> Iterator[Obj]:
        """Objects from the newest to the oldest, all or those an index names."""
        if index is None:
            return (self.rows[object_id] for object_id in reversed(self.rows))
        return (self.rows[object_id] for object_id in reversed(self._by[index].get(value, [])))

    def has_index(self, name: str) -> bool:
        """True where objects can be found by this name."""
        return name in self._indexes

    def position(self, object_id: str) -> int | None:
        """The rank by creation, for cursors; None for an id that is not here."""
        return self._position.get(object_id)

    def __len__(self) -> int:
        return len(self.rows)
