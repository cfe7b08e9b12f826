"""The pages, one module per noun; each has a `router`, and this is the list of them."""

from typing import Final

from fastapi import APIRouter

from billingbot.web.console.pages import overview, search

public: Final[tuple[APIRouter, ...]] = ()
"""Pages for people who are not signed in."""

routers: Final[tuple[APIRouter, ...]] = (overview.router, search.router)
"""Pages for people who are."""
