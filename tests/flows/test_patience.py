"""How long a command that reads Stripe's lists puts up with faults."""

import time

import pytest

from billingbot.core.errors import RetryLaterError
from billingbot.flows.patience import bear_with


def _faulty() -> None:
    raise RetryLaterError("Stripe is away")


def test_eight_faults_in_a_row_are_waited_for_and_no_ninth() -> None:
    began = time.monotonic()
    assert bear_with(_faulty, 0) == 1
    assert time.monotonic() - began >= 1
    assert bear_with(lambda: True, 8) == 0
    with pytest.raises(RetryLaterError):
        bear_with(_faulty, 8)
