"""The four modes: how much of the policy billingbot carries out by itself."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final


class Mode(StrEnum):
    """What billingbot may do for an account."""

    OFF = "off"
    """Assess nothing, pay nothing: every request waits for a person."""
    SHADOW = "shadow"
    """Decide, and never pay, not even what a person approves. The shipped default."""
    ASSIST = "assist"
    """Decide; every refund waits for a person's approval."""
    AUTO = "auto"
    """Decide, and pay what the policy grants inside its limits."""

    @property
    def lets_money_move(self) -> bool:
        """Whether any refund may leave at all."""
        return self in {Mode.ASSIST, Mode.AUTO}


MEANS: Final[Mapping[Mode, str]] = {
    Mode.OFF: "assesses nothing and pays nothing: every request waits for a person",
    Mode.SHADOW: "decides, and never pays, not even what a person approves",
    Mode.ASSIST: "decides, and every refund waits for a person",
    Mode.AUTO: "decides, and pays what the policy grants inside its limits",
}
"""What each mode does, for people."""
