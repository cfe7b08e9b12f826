"""Patience: reading Stripe's lists by hand, page by page, over faults that pass."""

import time
from collections.abc import Callable
from typing import Final

from billingbot.core.errors import RetryLaterError
from billingbot.core.job import backoff

_MOST_FAULTS: Final = 8
"""One after the other, some four minutes of waits; then the command gives up."""


def bear_with(page: Callable[[], object], faults: int) -> int:
    """Reads a page; after a fault it waits. How many faults there are in a row now.

    Raises RetryLaterError, what the page raised, once patience ends.
    """
    try:
        page()
    except RetryLaterError:
        wait = backoff(faults + 1)
        if faults >= _MOST_FAULTS or wait is None:
            raise
        time.sleep(wait.total_seconds())
        return faults + 1
    return 0
