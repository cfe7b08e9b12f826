"""Drawings of one case: when a product was watched and used, and whose trials are linked with whose."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from markupsafe import Markup

from billingbot.core.evidence.links import Link, Neighbourhood, Strength
from billingbot.web.console.wording import Reader

_WIDTH: Final = 720
_ROW: Final = 48
# A bar below its name: so the strip needs no column for names, and fits a phone.
_BAR: Final = 22
_TOP: Final = 28
_EDGE: Final = 4
_PEOPLE_SHOWN: Final = 8
_PERSON_ROW: Final = 40
# Where the root stands, its neighbours, and those behind them.
_COLUMNS: Final = (90, 330, 540)
_HATCH: Final = Markup(
    '<defs><pattern id="gap" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">'
    '<rect class="hatch-ground" width="6" height="6"/><line class="hatch-line" x1="0" y1="0" x2="0" y2="6"/>'
    "</pattern></defs>"
)
_TICKS: Final = {
    "first_at": "first use",
    "last_at": "last use",
    "tag_installed_at": "tag installed",
    "api_connected_at": "API connected",
}


def usage_strip(
    sources: Sequence[Mapping[str, Any]],
    *,
    since: datetime,
    until: datetime,
    marks: Sequence[tuple[str, datetime]],
    reader: Reader,
) -> Markup:
    """Time from `since` to `until`, a row for each source: covered solid, gaps hatched, what was seen as ticks.

    `marks` are moments with a name that all rows share, such as the charge.
    """
    until = max(until, since + timedelta(seconds=1))
    wide = _WIDTH - 2 * _EDGE

    def x(at: datetime) -> float:
        share = (at - since) / (until - since)
        return _EDGE + min(1.0, max(0.0, share)) * wide

    high = _TOP + _ROW * max(1, len(sources)) + 4
    parts = [_HATCH]
    for name, at in marks:
        if since <= at <= until:
            parts.append(
                Markup(
                    '<g><title>{}</title><line class="mark" x1="{:.1f}" x2="{:.1f}" y1="{}" y2="{}"/>'
                    '<text class="axis" x="{:.1f}" y="16" text-anchor="{}">{}</text></g>'
                ).format(
                    f"{name}: {reader.exact(at)}",
                    x(at),
                    x(at),
                    _TOP - 4,
                    high,
                    x(at),
                    "start" if x(at) < _WIDTH * 3 / 4 else "end",
                    name,
                )
            )
    for index, source in enumerate(sources):
        parts.append(_source(source, _TOP + index * _ROW, x, since, until, reader))
    told = "; ".join(f"{source['source']}: {source['lacks'] or 'covers all of it'}" for source in sources)
    return Markup('<svg class="strip" viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>').format(
        _WIDTH, high, f"Usage from trial start to now. {told}", Markup("").join(parts)
    )


def _source(source: Mapping[str, Any], y: int, x: Any, since: datetime, until: datetime, reader: Reader) -> Markup:
    middle = y + _BAR
    rows = [
        Markup('<text class="source" x="{}" y="{}">{}</text>').format(_EDGE + 6, y + 15, str(source["source"])[:40])
    ]
    rows.append(
        Markup('<rect class="gap" x="{}" y="{}" width="{:.1f}" height="18"><title>{}</title></rect>').format(
            _EDGE,
            middle,
            x(until) - _EDGE,
            f"not covered: {source['lacks'] or source['why'] or 'newer than its pipeline'}",
        )
    )
    for span in source["coverage"]:
        start, end = _at(span["from"]), _at(span["to"])
        if end < since or start > until:
            continue
        told = f"covered {reader.exact(max(start, since))} to {reader.exact(min(end, until))}"
        rows.append(
            Markup(
                '<rect class="covered" x="{:.1f}" y="{}" width="{:.1f}" height="18"><title>{}</title></rect>'
            ).format(x(start), middle, max(0.5, x(end) - x(start)), told)
        )
    for name, words in _TICKS.items():
        if source.get(name):
            at = _at(source[name])
            rows.append(
                Markup(
                    '<g><title>{}</title><line class="tick" x1="{:.1f}" x2="{:.1f}" y1="{}" y2="{}"/>'
                    '<circle class="tick" cx="{:.1f}" cy="{}" r="3"/></g>'
                ).format(f"{words}: {reader.exact(at)}", x(at), x(at), middle - 2, middle + 20, x(at), middle - 2)
            )
    return Markup("<g>{}</g>").format(Markup("").join(rows))


def link_graph(around: Neighbourhood) -> Markup:
    """The case's customer, whom strong links lead to, and why, on each line; a line of weak signs alone is dashed."""
    near = [one for one in around.people if one.distance and one.customer_id != around.root][:_PEOPLE_SHOWN]
    rows = {one.customer_id: index for index, one in enumerate(near)}
    high = max(72, _PERSON_ROW * len(near) + 16)
    spots = {around.root: (_COLUMNS[0], high / 2)} | {
        one.customer_id: (_COLUMNS[min(one.distance or 1, 2)], 24.0 + rows[one.customer_id] * _PERSON_ROW)
        for one in near
    }
    edges: dict[tuple[str, str], list[Link]] = {}
    for link in around.links:
        if link.one in spots and link.other in spots:
            edges.setdefault((link.one, link.other), []).append(link)
    parts = [_edge(spots[one], spots[other], links) for (one, other), links in edges.items()]
    for customer, (x, y) in spots.items():
        here = " here" if customer == around.root else ""
        text = Markup('<text x="{:.0f}" y="{:.1f}" text-anchor="{}">{}</text>').format(
            x if here else x + 14, y + 26 if here else y + 4, "middle" if here else "start", customer
        )
        parts.append(Markup('<circle class="node{}" cx="{:.0f}" cy="{:.1f}" r="7"/>').format(here, x, y) + text)
    told = "; ".join(f"{link.one} and {link.other}: {link.reason}" for links in edges.values() for link in links)
    return Markup('<svg class="links" viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>').format(
        _WIDTH, high, f"Who looks like the same person. {told}", Markup("").join(parts)
    )


def _edge(start: tuple[float, float], end: tuple[float, float], links: Sequence[Link]) -> Markup:
    kinds = ", ".join(dict.fromkeys(link.kind.value for link in links))
    weak = " weak" if all(link.strength is Strength.WEAK for link in links) else ""
    return Markup(
        '<g><title>{}</title><line class="edge{}" x1="{:.0f}" y1="{:.1f}" x2="{:.0f}" y2="{:.1f}"/>'
        '<text class="axis" x="{:.0f}" y="{:.1f}" text-anchor="middle">{}</text></g>'
    ).format(
        "; ".join(link.reason for link in links),
        weak,
        *(start + end),
        (start[0] + end[0]) / 2,
        start[1] + (end[1] - start[1]) * 0.5 - 5,
        f"same {kinds}",
    )


def _at(text: str) -> datetime:
    return datetime.fromisoformat(text)
