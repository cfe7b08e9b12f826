"""Drawings of one case: when a product was watched and used, and whose trials are linked with whose."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from markupsafe import Markup

from billingbot.web.console.wording import Reader

_WIDTH: Final = 720
_LEFT: Final = 128
_ROW: Final = 28
_TOP: Final = 22
_LINKS_SHOWN: Final = 8
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
    wide = _WIDTH - _LEFT - 8

    def x(at: datetime) -> float:
        share = (at - since) / (until - since)
        return _LEFT + min(1.0, max(0.0, share)) * wide

    high = _TOP + _ROW * max(1, len(sources)) + 4
    parts = [_HATCH]
    for name, at in marks:
        if since <= at <= until:
            parts.append(
                Markup(
                    '<g><title>{}</title><line class="mark" x1="{:.1f}" x2="{:.1f}" y1="{}" y2="{}"/>'
                    '<text class="axis" x="{:.1f}" y="12" text-anchor="{}">{}</text></g>'
                ).format(
                    f"{name}: {reader.exact(at)}",
                    x(at),
                    x(at),
                    _TOP - 4,
                    high,
                    x(at),
                    "start" if x(at) < _LEFT + 60 else "end",
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
    middle = y + 4
    rows = [Markup('<text class="source" x="0" y="{}">{}</text>').format(y + 17, str(source["source"])[:18])]
    rows.append(
        Markup('<rect class="gap" x="{}" y="{}" width="{:.1f}" height="18"><title>{}</title></rect>').format(
            _LEFT,
            middle,
            x(until) - _LEFT,
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


def link_graph(customer: str | None, links: Sequence[Mapping[str, Any]], reader: Reader) -> Markup:
    """This customer, and the earlier trials that share a card or a mailbox with them; the reason on each line."""
    shown = links[:_LINKS_SHOWN]
    high = max(64, 40 * len(shown) + 16)
    centre = high / 2
    parts = [
        Markup(
            '<circle class="node here" cx="80" cy="{:.1f}" r="8"/>'
            '<text x="80" y="{:.1f}" text-anchor="middle">{}</text>'
        ).format(centre, centre + 26, customer or "this customer")
    ]
    for index, link in enumerate(shown):
        y = 24 + index * 40
        parts.append(
            Markup(
                '<g><title>{}</title><line class="edge" x1="90" y1="{:.1f}" x2="440" y2="{}"/>'
                '<text class="axis" x="300" y="{:.1f}" text-anchor="middle">{}</text>'
                '<circle class="node" cx="448" cy="{}" r="6"/><text x="464" y="{}">{}</text></g>'
            ).format(
                f"trial {link['subscription']} began {reader.exact(_at(link['trial_started_at']))}",
                centre,
                y,
                centre + (y - centre) * 0.6 - 5,
                reason_of(link),
                y,
                y + 4,
                link["customer"],
            )
        )
    told = "; ".join(f"{link['customer']}: {reason_of(link)}" for link in shown)
    return Markup('<svg class="links" viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>').format(
        _WIDTH, high, f"Linked trials. {told}", Markup("").join(parts)
    )


def reason_of(link: Mapping[str, Any]) -> str:
    """Why two trials look like one person's, in words."""
    return {"card": "same card", "email": "same mailbox"}.get(str(link["kind"]), str(link["kind"]))


def _at(text: str) -> datetime:
    return datetime.fromisoformat(text)
