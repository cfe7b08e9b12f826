"""A whole call to Stripe has one deadline, however slowly the answer drips."""

import contextlib
import itertools
import socket
import threading
import time
from collections.abc import Iterator

import pytest
from tests.gateway.peer import answered

from billingbot.core.errors import StripeUnavailableError
from billingbot.gateway import payment
from billingbot.gateway.answers import UnknownOutcome
from billingbot.gateway.deadline import DEADLINE_SECONDS
from billingbot.gateway.transport import TIMEOUT_SECONDS, Transport

API_KEY = "rk_test_drip"
WHOLE = answered({"id": "ch_1", "object": "charge", "filler": "x" * 4000})
HEADERS = WHOLE.index(b"\r\n\r\n") + 4


@contextlib.contextmanager
def dripping(*, after: int) -> Iterator[str]:
    """A peer that sends so many bytes at once, and the rest one by one, each well within the read timeout."""
    server = socket.create_server(("127.0.0.1", 0))
    done = threading.Event()

    def drip() -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = server.accept()
                with connection:
                    connection.recv(65536)
                    connection.sendall(WHOLE[:after])
                    for place in itertools.count(after):
                        if done.wait(0.02):
                            return
                        connection.sendall(WHOLE[place : place + 1])

    thread = threading.Thread(target=drip, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
    finally:
        done.set()
        server.shutdown(socket.SHUT_RDWR)
        server.close()
        thread.join(timeout=5)


def hasty(url: str) -> Transport:
    return Transport(API_KEY, livemode=False, api_base=url, timeout_seconds=(1, 1), deadline_seconds=0.3)


@pytest.mark.parametrize("after", [0, 5, HEADERS, HEADERS + 100], ids=["nothing", "status", "headers", "body"])
def test_a_payment_whose_answer_drips_ends_at_its_deadline_with_an_unknown_outcome(after: int) -> None:
    ask = payment.Ask(
        charge_id="ch_1",
        amount_minor=100,
        currency="usd",
        reason="requested_by_customer",
        metadata={"billingbot_refund": "rfd_1", "billingbot_key": "key-1"},
        key="key-1",
    )
    with dripping(after=after) as url:
        began = time.monotonic()
        answer = payment.pay(hasty(url), ask)
        took = time.monotonic() - began
    assert answer == UnknownOutcome(why="no answer (DeadlineError)")
    assert took < 2


def test_a_read_whose_answer_drips_comes_back_later_and_is_not_repeated_on_the_spot() -> None:
    with dripping(after=HEADERS) as url:
        began = time.monotonic()
        with pytest.raises(StripeUnavailableError, match="DeadlineError"):
            hasty(url).get("charges", "ch_1")
        assert time.monotonic() - began < 2  # three attempts and their waits would take longer


def test_a_call_has_time_for_its_connection_and_its_answer() -> None:
    assert sum(TIMEOUT_SECONDS) < DEADLINE_SECONDS == 25
