"""Waiting for what billingbot does by itself, with a word for what never came."""

import time
from collections.abc import Callable
from typing import Final, TypeVar

Found = TypeVar("Found")

# A draft takes some calls to Stripe and every source, an answer some papers; a crowded machine takes its time.
_PATIENCE_SECONDS: Final = 60.0
_GLANCE_SECONDS: Final = 0.2


class DemoError(Exception):
    """The demo cannot go on: billingbot refused what a story needs, or did not do it."""


def until(look: Callable[[], Found | None]) -> Found:
    """What `look` finds at last: anything that counts as true. Raises DemoError where it never does."""
    ends = time.monotonic() + _PATIENCE_SECONDS
    while time.monotonic() < ends:
        found = look()
        if found:
            return found
        time.sleep(_GLANCE_SECONDS)
    raise DemoError(f"waited {_PATIENCE_SECONDS:.0f} s in vain")
