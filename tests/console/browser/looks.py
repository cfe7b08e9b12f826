"""What every page is held against in a real browser: it stands still, axe-core finds nothing, it fits a phone; pictures
of it are kept."""

import os
from pathlib import Path
from typing import Final

from axe_playwright_python.base import AXE_SCRIPT, AxeResults
from playwright.sync_api import Page, ViewportSize

# Kept below pytest's cache, so that whoever ran the tests can look at every page.
PICTURES: Final = Path(".pytest_cache/pages")
# In the dark and on a phone only where somebody wants to look at them: they take as long again.
_WANTS_ALL: Final = os.environ.get("BILLINGBOT_TEST_PICTURES") == "all"
DESK: Final[ViewportSize] = {"width": 1280, "height": 900}
PHONE: Final[ViewportSize] = {"width": 390, "height": 844}
# A4 within the margins of console.css, in CSS pixels.
PAPER: Final[ViewportSize] = {"width": 703, "height": 1017}
# Below it nobody sees that anything moved; 0.1 is what the Web Vitals call good. https://web.dev/articles/cls
_STILL: Final = 0.01
WATCH: Final = """
window.moved = 0;
new PerformanceObserver((list) => {
  for (const one of list.getEntries()) if (!one.hadRecentInput) window.moved += one.value;
}).observe({ type: "layout-shift", buffered: true });
"""
"""Adds up how much of a page moves while it comes, without anybody having touched it."""
_SETTLED: Final = "() => !document.querySelector('.htmx-request, .htmx-settling, .htmx-swapping')"
_WIDE: Final = """() => document.documentElement.scrollWidth > innerWidth
  ? [...document.querySelectorAll("body *")].filter((one) => one.getBoundingClientRect().right > innerWidth + 1)
      .map((one) => one.outerHTML.slice(0, 120))
  : []"""
_VIOLATIONS: Final = {"resultTypes": ["violations"]}
_COLOURS: Final = {"runOnly": ["color-contrast"], **_VIOLATIONS}
# Only what is wrong comes back: all that is right would be megabytes.
_RUN_AXE: Final = "(options) => axe.run(options).then((found) => ({ violations: found.violations }))"


def look(page: Page, name: str, path: str | None = None) -> None:
    """The page at `path`, or as it stands, is held against everything; axe looks at it in light and in dark."""
    _go(page, name, path)
    _judge(page, name, _VIOLATIONS)
    page.emulate_media(color_scheme="dark")
    _judge(page, f"{name} in the dark", _COLOURS)
    page.emulate_media(color_scheme="light")
    see(page, name)


def see(page: Page, name: str, path: str | None = None) -> None:
    """The page at `path`, or as it stands, keeps still and fits a phone; a picture of all of it is kept.

    For a state of a page that axe has looked at in another. `NAME.png`; in the dark and on a phone too on request.
    """
    _go(page, name, path)
    _keep(page, name)
    if _WANTS_ALL:
        page.emulate_media(color_scheme="dark")
        _keep(page, f"{name}-dark")
        page.emulate_media(color_scheme="light")
    page.set_viewport_size(PHONE)
    wide = page.evaluate(_WIDE)
    if wide or _WANTS_ALL:
        _keep(page, f"{name}-phone")
    assert not wide, f"{name}: wider than a phone: {wide}"
    page.set_viewport_size(DESK)


def see_printed(page: Page, name: str, path: str) -> None:
    """What is printed of the page at `path` has nothing beyond the paper's edge; a picture is kept as `NAME-paper`."""
    _go(page, name, path)
    page.emulate_media(media="print")
    page.set_viewport_size(PAPER)
    wide = page.evaluate(_WIDE)
    _keep(page, f"{name}-paper")
    assert not wide, f"{name}: wider than paper: {wide}"
    page.emulate_media(media="screen")
    page.set_viewport_size(DESK)


def _go(page: Page, name: str, path: str | None) -> None:
    if path is None:
        return
    page.goto(path)
    page.wait_for_function(_SETTLED)
    moved = page.evaluate("moved")
    assert moved <= _STILL, f"{name}: {moved} of it moved while it came"


def _judge(page: Page, name: str, options: dict[str, list[str]]) -> None:
    if not page.evaluate("'axe' in window"):
        page.evaluate(AXE_SCRIPT)
    found = AxeResults(page.evaluate(_RUN_AXE, options))
    assert found.violations_count == 0, f"{name}: {found.generate_report()}"


def _keep(page: Page, name: str) -> None:
    PICTURES.mkdir(parents=True, exist_ok=True)
    is_asking = page.evaluate("!!document.querySelector('dialog[open]')")  # what lies behind it is another picture
    page.screenshot(path=PICTURES / f"{name}.png", full_page=not is_asking)
