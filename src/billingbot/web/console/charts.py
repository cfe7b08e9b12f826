"""Charts: one question each, drawn as SVG here, so that they load with the page, print, and need no script."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from markupsafe import Markup

_WIDTH, _HEIGHT = 640, 160
_SPARK_WIDTH, _SPARK_HEIGHT = 144, 30
_LEFT, _RIGHT, _TOP, _BOTTOM = 4, 4, 18, 20
# A bar says how much by its height alone: one that fills the room says nothing.
_WIDEST = 72.0
# As wide as a letter of a label is, nearly (console.css).
_LETTER = 7.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """One bar: what it stands for, how much, what is said of it on hover, and the rows behind it."""

    label: str
    value: float
    told: str
    href: str | None = None
    rest: float = 0
    """A second part on top of the first, drawn hatched."""


def bars(title: str, values: Sequence[Bar], *, empty: str = "Nothing yet.") -> Markup:
    """Upright bars with direct labels; `title` is the answer, not the question. Zero is where the axis stands."""
    if not values or not any(bar.value or bar.rest for bar in values):
        return _figure(title, Markup('<p class="none">{}</p>').format(empty))
    most = max(bar.value + bar.rest for bar in values)
    # Labels must not run into each other.
    needs = max(len(bar.label) for bar in values) * _LETTER + 8
    wide = min(max(_WIDEST, needs), (_WIDTH - _LEFT - _RIGHT) / len(values))
    high = _HEIGHT - _TOP - _BOTTOM
    shown, labels = [], Markup("")
    every = math.ceil(needs / wide)
    for index, bar in enumerate(values):
        x = _LEFT + index * wide
        tall, rest = bar.value / most * high, bar.rest / most * high
        parts = _column("bar", x, wide, _TOP + high - tall, tall)
        if rest:
            parts += _column("bar rest", x, wide, _TOP + high - tall - rest, rest)
        parts += Markup('<rect class="hit" x="{:.1f}" y="0" width="{:.1f}" height="{}"/>').format(x, wide, _HEIGHT)
        if index % every == 0:
            anchor, at = ("start", x + 1) if x + needs <= _WIDTH else ("end", x + wide - 1)
            labels += Markup('<text class="{}" x="{:.1f}" y="{}" text-anchor="{}">{}</text>').format(
                "axis between" if index // every % 2 else "axis", at, _HEIGHT - 6, anchor, bar.label
            )
        parts = Markup("<g><title>{}</title>{}</g>").format(bar.told, parts)
        if bar.href:
            parts = Markup('<a href="{}" aria-label="{}">{}</a>').format(bar.href, bar.told, parts)
        shown.append(parts)
    peak = max(values, key=lambda bar: bar.value + bar.rest)
    base = Markup('<line class="base" x1="0" x2="{}" y1="{}" y2="{}"/>').format(_WIDTH, _TOP + high, _TOP + high)
    told = Markup('<text class="peak" x="{}" y="14">{}</text>').format(_LEFT, f"highest: {peak.told}")
    linked = any(bar.href for bar in values)
    return _figure(title, _svg(title, base + told + Markup("").join(shown) + labels, role="group" if linked else "img"))


def line(title: str, points: Sequence[tuple[str, float, str]], *, empty: str = "Nothing yet.") -> Markup:
    """A line through (label, value, what is said on hover); the last value stands at its end."""
    if not points:
        return _figure(title, Markup('<p class="none">{}</p>').format(empty))
    most = max(value for _, value, _ in points) or 1
    high, wide = _HEIGHT - _TOP - _BOTTOM, _WIDTH - 120
    step = wide / max(1, len(points) - 1)
    spots = [(_LEFT + i * step, _TOP + high - value / most * high) for i, (_, value, _) in enumerate(points)]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in spots)
    marks = Markup("").join(
        Markup('<g><title>{}</title><circle class="dot" cx="{:.1f}" cy="{:.1f}" r="2.5"/></g>').format(told, x, y)
        for (x, y), (_, _, told) in zip(spots, points, strict=True)
    )
    x, y = spots[-1]
    ends = Markup('<text class="peak" x="{:.1f}" y="{:.1f}">{}</text>').format(x + 8, y + 4, points[-1][2])
    axis = Markup('<text class="axis" x="{}" y="{}">{}</text>').format(_LEFT, _HEIGHT - 6, points[0][0])
    if len(points) > 1:
        axis += Markup('<text class="axis" x="{:.1f}" y="{}" text-anchor="end">{}</text>').format(
            x, _HEIGHT - 6, points[-1][0]
        )
    base = Markup('<line class="base" x1="0" x2="{}" y1="{}" y2="{}"/>').format(_WIDTH, _TOP + high, _TOP + high)
    drawn = Markup('<polyline class="line" points="{}"/>').format(path)
    return _figure(title, _svg(title, base + drawn + marks + ends + axis))


def spark(values: Sequence[float], told: str) -> Markup:
    """A few bars in the height of a line, for a cell of a table; `told` says what they are and which way time runs."""
    most = max(values, default=0) or 1
    wide = _SPARK_WIDTH / max(1, len(values))
    drawn = Markup("").join(
        _column("bar", i * wide, wide, _SPARK_HEIGHT - value / most * _SPARK_HEIGHT, value / most * _SPARK_HEIGHT)
        for i, value in enumerate(values)
        if value
    )
    base = Markup('<line class="base" x1="0" x2="{}" y1="{}" y2="{}"/>').format(
        _SPARK_WIDTH, _SPARK_HEIGHT, _SPARK_HEIGHT
    )
    return Markup(
        '<svg class="spark" viewBox="0 0 {} {}" role="img" aria-label="{}"><title>{}</title>{}{}</svg>'
    ).format(_SPARK_WIDTH, _SPARK_HEIGHT + 1, told, told, base, drawn)


def strip(covered: Sequence[tuple[datetime, datetime]], *, since: datetime, until: datetime) -> Markup:
    """Time from left to right: what a source can speak for is solid, what it cannot is hatched."""
    whole = max(1.0, (until - since).total_seconds())
    spans = [(max(begin, since), min(end, until)) for begin, end in covered if begin < until and end > since]
    drawn = Markup('<rect class="gap" x="0" y="1" width="{}" height="16"/>').format(_WIDTH)
    for begin, end in spans:
        x, wide = (begin - since).total_seconds() / whole * _WIDTH, (end - begin).total_seconds() / whole * _WIDTH
        drawn += Markup('<rect class="covered" x="{:.1f}" y="1" width="{:.1f}" height="16"/>').format(x, max(wide, 1))
    share = round(sum((end - begin).total_seconds() for begin, end in spans) / whole * 100)
    told = f"Covered: {min(share, 100)} % of {since:%Y-%m-%d} to {until:%Y-%m-%d} (UTC)"
    return Markup(
        '<svg class="strip" viewBox="0 0 {} 18" preserveAspectRatio="none" role="img" aria-label="{}">'
        "<title>{}</title>{}{}</svg>"
    ).format(_WIDTH, told, told, _HATCH, drawn)


def _column(kind: str, x: float, wide: float, y: float, tall: float) -> Markup:
    gap = min(4.0, wide * 0.2)
    return Markup('<rect class="{}" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}"/>').format(
        kind, x + gap / 2, y, max(wide - gap, 0.5), tall
    )


def _svg(title: str, inner: Markup, *, role: str = "img") -> Markup:
    """A picture; a group where parts of it are links, which a picture cannot hold."""
    return Markup('<svg class="chart" viewBox="0 0 {} {}" role="{}" aria-label="{}">{}{}</svg>').format(
        _WIDTH, _HEIGHT, role, title, _HATCH, inner
    )


def _figure(title: str, inner: Markup) -> Markup:
    return Markup('<figure class="chart-box"><figcaption>{}</figcaption>{}</figure>').format(title, inner)


_HATCH = Markup(
    '<defs><pattern id="hatch" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">'
    '<rect class="hatch-ground" width="6" height="6"/><line class="hatch-line" x1="0" y1="0" x2="0" y2="6"/>'
    "</pattern></defs>"
)
