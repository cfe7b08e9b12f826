"""A house in which nothing has happened yet, and pages that refuse: each says what it is for, or what to do."""

from dataclasses import replace

import sqlalchemy as sa

from billingbot.core.access.powers import Role
from billingbot.web.app import make_app
from tests.console.browser.looks import look, see
from tests.console.conftest import BrowserPage, Console
from tests.web.street import endpoints, served

LISTS = (
    "/",
    "/queue",
    "/queue?show=snoozed",
    "/queue?show=closed",
    "/mentions",
    "/cases/new",
    "/refunds",
    "/refunds/plots",
    "/months",
    "/disputes",
    "/jobs",
    "/jobs?tab=failed",
    "/jobs/load",
    "/replays",
    "/reconcile",
    "/notices",
    "/events",
    "/events/backfills",
    "/policy",
    "/policy/backtests",
    "/policy/shadow",
    "/sources",
    "/ledger",
    "/settings/keys",
    "/settings/privacy",
    "/search",
    "/search?q=nobody",
)


def test_every_list_says_what_will_be_there(browser_page: BrowserPage) -> None:
    page = browser_page(Role.ADMIN, name="Ada")
    for path in LISTS:
        name = "-".join(part for part in path.replace("?", "/").replace("=", "-").split("/") if part) or "overview"
        see(page, f"empty-{name}", path)


def test_a_refusal_says_what_happened_and_what_to_do(console: Console, browser_page: BrowserPage) -> None:
    page = browser_page(Role.FINANCE, name="Finn")
    look(page, "fault-not-here", "/cases/case_nobody")
    see(page, "fault-no-page", "/nowhere")
    see(page, "fault-not-allowed", "/settings/people")
    see(page, "fault-not-usable", "/jobs?tab=lost")
    away = sa.create_engine("postgresql+psycopg://nobody@127.0.0.1:9/nothing", connect_args={"connect_timeout": 2})
    with served(make_app(replace(console.shop.desk, db=away), endpoints())) as url:
        look(page, "fault-database-away", f"{url}/queue")
    away.dispose()
