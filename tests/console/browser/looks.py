"""What every page is held against in a real browser: accessibility by axe-core, in light and dark; a picture kept."""

from pathlib import Path
from typing import Final

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

# Kept below pytest's cache, so that whoever ran the tests can look at every page.
PICTURES: Final = Path(".pytest_cache/pages")


def assert_accessible(page: Page) -> None:
    """Axe finds nothing on the page as it stands."""
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()


def keep_picture(page: Page, name: str) -> None:
    """A screenshot of the whole page, as test output."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=PICTURES / f"{name}.png", full_page=True)
