"""Every page that can be read is timed by the benchmark of the console, or stands among those that are not."""

from benchmarks import pages
from fastapi import FastAPI
from fastapi.routing import APIRoute
from starlette.routing import compile_path

from billingbot.web.console import assets
from billingbot.web.console.pages import public, routers


def _read(app: FastAPI) -> set[str]:
    """The path of everything that answers GET."""
    of_console = (route for router in (*public, *routers, assets.router) for route in router.routes)
    paths = {route.path for route in of_console if isinstance(route, APIRoute) and "GET" in route.methods}
    return paths | {path for path, methods in app.openapi()["paths"].items() if "get" in methods}


def _meant(paths: set[str], address: str) -> str | None:
    """The path that an address leads to: one that names it outright goes before one with an id in it."""
    asked = address.partition("?")[0].translate({ord(mark): None for mark in "{}"})
    found = [path for path in paths if compile_path(path)[0].match(asked)]
    return min(found, key=lambda path: path.count("{"), default=None)


def test_no_page_is_forgotten(app: FastAPI) -> None:
    paths = _read(app)
    timed = {address: _meant(paths, address) for address in pages.ALL}
    assert [address for address, path in timed.items() if path is None] == []
    assert paths - set(timed.values()) == set(pages.UNTIMED)
    assert all(pages.UNTIMED.values()), "each with its reason"
