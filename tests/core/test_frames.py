"""Tracebacks read back: what broke in our own code is found, and what is not ours can be folded."""

import traceback

from billingbot.core.errors import RetryLaterError
from billingbot.core.frames import chain, own_frame
from billingbot.core.money import Money


def text_of(fault: BaseException) -> str:
    return "".join(traceback.format_exception(fault))


def ours() -> str:
    """The traceback of a fault that our own code raises, below a frame of a test."""
    try:
        _ = Money(amount_minor=1, currency="usd") + Money(amount_minor=1, currency="eur")
    except Exception as fault:  # noqa: BLE001 - whichever it is
        return text_of(fault)
    raise AssertionError("nothing was raised")


def test_the_deepest_call_of_our_own_names_the_place() -> None:
    told = ours()
    assert own_frame(told) == "core/money.py in _same_currency"
    [raised] = chain(told)
    assert [frame.is_own for frame in raised.frames] == [False, True, True]
    assert raised.frames[0].code.startswith("_ = Money(")
    assert "eur" in raised.said.lower()


def test_of_a_chain_the_last_exception_counts_and_all_are_told_in_order() -> None:
    try:
        try:
            _ = {}["charge"]
        except KeyError as fault:
            raise RetryLaterError("Stripe is away:\n  it said nothing") from fault
    except RetryLaterError as fault:
        told = text_of(fault)
    first, second = chain(told)
    assert first.said == "KeyError: 'charge'"
    assert second.said.endswith("Stripe is away:\n  it said nothing")
    assert own_frame(told) == "", "neither was raised in our code"


def test_what_lies_in_an_environment_is_not_ours_even_below_a_folder_of_our_name() -> None:
    told = (
        "Traceback (most recent call last):\n"
        '  File "/srv/billingbot/.venv/lib/python3.11/site-packages/httpx/_client.py", line 3, in send\n'
        "    raise exc\n"
        "    ^^^^^^^^^\n"
        "httpx.ReadTimeout: timed out\n"
    )
    [raised] = chain(told)
    assert [(frame.path, frame.code, frame.is_own) for frame in raised.frames] == [
        ("httpx/_client.py", "raise exc", False)
    ]
    assert own_frame(told) == ""


def test_what_is_no_traceback_is_only_said() -> None:
    assert [(raised.frames, raised.said) for raised in chain("MemoryError\n")] == [((), "MemoryError")]
    assert chain("") == ()
