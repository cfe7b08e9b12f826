"""The pages, one module per noun; each has a `router`, and these are the lists of them."""

from typing import Final

from fastapi import APIRouter

from billingbot.web.console import pulse
from billingbot.web.console.pages import overview, search, sign_in

public: Final[tuple[APIRouter, ...]] = (sign_in.public,)
"""Pages for people who are not signed in."""

routers: Final[tuple[APIRouter, ...]] = (
    pulse.router,
    overview.router,
    search.router,
    sign_in.router,
)
"""Pages for people who are."""
