"""HTTP calls of the tests to servers on this machine."""

import ssl
from functools import cache
from typing import Any

import httpx


@cache
def tls() -> ssl.SSLContext:
    """What every client of the suite knows of TLS, read once: httpx would read all certificates for each client."""
    return httpx.create_ssl_context()


def visitor(url: str, **how: Any) -> httpx.Client:
    """A client of the server at `url`, patient on a busy machine."""
    return httpx.Client(base_url=url, verify=tls(), **{"timeout": 30, **how})
