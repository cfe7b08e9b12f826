"""Rendering: templates that escape everything, fail on a missing name, and speak the viewer's language of numbers."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from billingbot.web.console import charts
from billingbot.web.console.assets import asset
from billingbot.web.console.wording import browser, copy_mark, does, ident, reason, seconds_words, span_words, words

_TEMPLATES: Final = Path(__file__).parent / "templates"


@cache
def environment() -> Environment:
    """The one environment of all templates; they may neither leave a name undefined nor write unescaped text."""
    made = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.globals.update(asset=asset, charts=charts)
    made.filters.update(copy_mark=copy_mark, ident=ident, words=words, span=span_words, seconds=seconds_words)
    made.filters.update(browser=browser, does=does, reason=reason)
    return made


def render(template: str, context: Mapping[str, Any]) -> str:
    """The page or the part of one. `jinja2.UndefinedError` for a name that the context lacks."""
    return environment().get_template(template).render(context)
