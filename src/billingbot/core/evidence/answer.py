"""A yes, a no, or the reason why neither can be said: what the readings of Stripe's objects give."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """Yes, no, or unknown (None), then with the reason for people."""

    holds: bool | None
    why: str = ""


def yes_or_no(*, holds: bool) -> Answer:
    """An answer that is known."""
    return Answer(holds=holds)


def unknown(why: str) -> Answer:
    """No answer, and why."""
    return Answer(holds=None, why=why)
