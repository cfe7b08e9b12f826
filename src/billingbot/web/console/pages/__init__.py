"""The pages, one module per noun; each has a `router`, and these are the lists of them."""

from typing import Final

from fastapi import APIRouter

from billingbot.web.console import pulse
from billingbot.web.console.pages import (
    account,
    backtests,
    cases,
    charges,
    disputes,
    events,
    jobs,
    ledger,
    months,
    notices,
    overview,
    policy,
    privacy,
    queue,
    reconcile,
    refunds,
    replays,
    search,
    settings,
    sign_in,
    sources,
)

public: Final[tuple[APIRouter, ...]] = (sign_in.public,)
"""Pages for people who are not signed in."""

routers: Final[tuple[APIRouter, ...]] = (
    pulse.router,
    # Before jobs, events and policies, whose pages are named by an id or a version.
    cases.router,
    charges.router,
    replays.router,
    backtests.router,
    disputes.router,
    events.router,
    jobs.router,
    ledger.router,
    months.router,
    notices.router,
    overview.router,
    queue.router,
    policy.router,
    reconcile.router,
    refunds.router,
    search.router,
    sign_in.router,
    account.router,
    privacy.router,
    settings.router,
    sources.router,
)
"""Pages for people who are."""
