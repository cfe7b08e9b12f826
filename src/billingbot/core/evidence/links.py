"""Links: which customers look like one person, by what, and how much that says; a graph around one customer."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final, TypeAlias

from billingbot.core.canonical import timestamp
from billingbot.core.evidence.history import LinkKind

# As many as one small picture can show and one person can look through.
MOST_SHOWN: Final = 24
# Those who share a weak sign alone say little, and a company may have hundreds.
MOST_WEAK_SHOWN: Final = 6


class Strength(StrEnum):
    """How much a link says. A weak one never counts, however many there are."""

    STRONG = "strong"
    WEAK = "weak"


# Colleagues share a company's domain; an office, a home or a mobile network shares an address.
_WEAK: Final = frozenset({LinkKind.IP, LinkKind.DOMAIN})
REASONS: Final[Mapping[LinkKind, str]] = {
    LinkKind.CARD: "the same card",
    LinkKind.EMAIL: "the same mailbox, however it is spelled",
    LinkKind.DEVICE: "the same device, as the product tells it",
    LinkKind.IP: "the same network address, which an office or a home shares",
    LinkKind.DOMAIN: "the same company domain, which colleagues share",
}


def strength(kind: LinkKind) -> Strength:
    """How much a link of this kind says."""
    return Strength.WEAK if kind in _WEAK else Strength.STRONG


STRONG_KINDS: Final = tuple(kind for kind in LinkKind if strength(kind) is Strength.STRONG)
WEAK_KINDS: Final = tuple(kind for kind in LinkKind if strength(kind) is Strength.WEAK)

Pair: TypeAlias = tuple[LinkKind, str, str]
"""A kind of link and two customers, the lesser id first."""


def pair(kind: LinkKind, one: str, other: str) -> Pair:
    """The same pair whichever customer is named first."""
    return (kind, one, other) if one < other else (kind, other, one)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """A customer was seen with a card, a mailbox, ...; `digest` stands for it and is never shown."""

    customer_id: str
    kind: LinkKind
    digest: str
    since: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """Two customers share something. `since` is when the second of them was first seen with it."""

    kind: LinkKind
    one: str
    other: str
    since: datetime

    @property
    def strength(self) -> Strength:
        """How much it says."""
        return strength(self.kind)

    @property
    def reason(self) -> str:
        """Why the two are linked, in words."""
        return REASONS[self.kind]


@dataclass(frozen=True, slots=True, kw_only=True)
class Linked:
    """Everybody whom strong links lead to, with the number of links on the way; and who shares weak signs alone."""

    root: str
    distance: Mapping[str, int]
    """Of each linked customer; the root itself stands at 0."""
    weakly: tuple[str, ...]
    links: tuple[Link, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """What a customer did here before: free trials, and refunds that left or are on their way."""

    trials: int
    first_trial_at: datetime | None
    refunds: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """A customer in the picture. `distance` is None for one who shares weak signs alone."""

    customer_id: str
    distance: int | None
    past: Past


@dataclass(frozen=True, slots=True, kw_only=True)
class Neighbourhood:
    """The picture around one customer, bounded: `left_out` says how many more are linked and not shown.

    `linked_trials` and `linked_refunds` count those of all linked customers that were looked at, shown or not, and
    of no other; the root's own do not count.
    """

    root: str
    people: tuple[Person, ...]
    links: tuple[Link, ...]
    left_out: int
    weakly_left_out: int
    linked_trials: int
    linked_refunds: int


_Identity: TypeAlias = tuple[LinkKind, str]


def linked(root: str, sightings: Iterable[Sighting], wrong: Collection[Pair]) -> Linked:
    """The customers around the root. No order of sightings or marks makes a difference.

    `wrong` holds what people marked as no link. Such a pair is not joined by that card (mailbox, device) by way of a
    third who has it too: whoever came in through one card leads on to nobody else by the same.
    """
    holders: dict[_Identity, dict[str, datetime]] = {}
    carried: dict[str, set[_Identity]] = {}
    for seen in sightings:
        known = holders.setdefault((seen.kind, seen.digest), {})
        known[seen.customer_id] = min(seen.since, known.get(seen.customer_id, seen.since))
        carried.setdefault(seen.customer_id, set()).add((seen.kind, seen.digest))
    marks = frozenset(wrong)
    distance = _distances(root, holders, carried, marks)
    strong = [link for identity in holders for link in _strong_links(identity, holders[identity], distance, marks)]
    weak = [
        Link(kind=kind, one=root, other=other, since=max(since, holders[kind, digest][root]))
        for kind, digest in carried.get(root, ())
        if strength(kind) is Strength.WEAK
        for other, since in holders[kind, digest].items()
        if other != root and pair(kind, root, other) not in marks
    ]
    return Linked(
        root=root,
        distance=distance,
        weakly=tuple(sorted({link.other for link in weak} - distance.keys())),
        links=_once([*strong, *weak]),
    )


def _distances(
    root: str,
    holders: Mapping[_Identity, Mapping[str, datetime]],
    carried: Mapping[str, Collection[_Identity]],
    wrong: Collection[Pair],
) -> dict[str, int]:
    distance, came_through = {root: 0}, dict[str, set[_Identity]]()
    frontier = {root}
    while frontier:
        found: dict[str, set[_Identity]] = {}
        for person in frontier:
            for identity in carried.get(person, ()):
                if strength(identity[0]) is Strength.WEAK or came_through.get(person) == {identity}:
                    continue
                for other in holders[identity]:
                    kind = identity[0]
                    if other in distance or pair(kind, person, other) in wrong or pair(kind, root, other) in wrong:
                        continue
                    found.setdefault(other, set()).add(identity)
        came_through |= found
        distance |= dict.fromkeys(found, 1 + max(distance[person] for person in frontier))
        frontier = set(found)
    return distance


def _strong_links(
    identity: _Identity, holders: Mapping[str, datetime], distance: Mapping[str, int], wrong: Collection[Pair]
) -> Iterable[Link]:
    """A star for each shared thing, not a web: everybody is joined to the nearest who has it too."""
    kind, _ = identity
    if strength(kind) is Strength.WEAK:
        return
    near = sorted((one for one in holders if one in distance), key=lambda one: (distance[one], holders[one], one))
    for place, other in enumerate(near):
        joined = next((one for one in near[:place] if pair(kind, one, other) not in wrong), None)
        if joined is not None:
            yield Link(kind=kind, one=joined, other=other, since=max(holders[joined], holders[other]))


def _once(links: Iterable[Link]) -> tuple[Link, ...]:
    """Two who share two cards are linked by card once, since the earlier."""
    first: dict[Pair, Link] = {}
    for link in sorted(links, key=lambda link: (link.since, link.one, link.other)):
        first.setdefault(pair(link.kind, link.one, link.other), link)
    kinds = list(LinkKind)
    return tuple(sorted(first.values(), key=lambda link: (kinds.index(link.kind), link.since, link.one, link.other)))


NO_PAST: Final = Past(trials=0, first_trial_at=None, refunds=0)


def neighbourhood(found: Linked, past: Mapping[str, Past], *, unseen: int = 0, weakly_unseen: int = 0) -> Neighbourhood:
    """The bounded picture. `unseen` are linked customers that were not even read, there are so many of them."""
    others = sorted(found.distance.keys() - {found.root}, key=lambda one: _nearest(one, found, past))
    shown = [found.root, *others[: MOST_SHOWN - 1]]
    weakly = sorted(found.weakly, key=lambda one: (_began(one, past), one))
    beside = weakly[:MOST_WEAK_SHOWN]
    visible = {*shown, *beside}
    return Neighbourhood(
        root=found.root,
        people=tuple(
            Person(customer_id=one, distance=found.distance.get(one), past=past.get(one, NO_PAST))
            for one in (*shown, *beside)
        ),
        links=tuple(link for link in found.links if link.one in visible and link.other in visible),
        left_out=len(others) - len(shown) + 1 + unseen,
        weakly_left_out=len(weakly) - len(beside) + weakly_unseen,
        linked_trials=sum(past.get(one, NO_PAST).trials for one in others),
        linked_refunds=sum(past.get(one, NO_PAST).refunds for one in others),
    )


def _nearest(one: str, found: Linked, past: Mapping[str, Past]) -> tuple[int, str, str]:
    return found.distance[one], _began(one, past), one


def _began(one: str, past: Mapping[str, Past]) -> str:
    began = past.get(one, NO_PAST).first_trial_at
    return timestamp(began) if began is not None else "~"  # after every time


def shown(around: Neighbourhood) -> dict[str, Any]:
    """The picture as plain JSON values: ids, kinds and times, and nothing that a digest was made of."""
    return {
        "customer": around.root,
        "people": [
            {
                "customer": one.customer_id,
                "distance": one.distance,
                "trials": one.past.trials,
                "first_trial_at": timestamp(one.past.first_trial_at) if one.past.first_trial_at else None,
                "refunds": one.past.refunds,
            }
            for one in around.people
        ],
        "links": [
            {
                "kind": link.kind.value,
                "strength": link.strength.value,
                "reason": link.reason,
                "one": link.one,
                "other": link.other,
                "since": timestamp(link.since),
            }
            for link in around.links
        ],
        "left_out": around.left_out,
        "weakly_left_out": around.weakly_left_out,
    }
