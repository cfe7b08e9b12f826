"""What a bank may say of a dispute beyond its status and reason."""

from collections.abc import Sequence
from typing import TypedDict


class Claim(TypedDict, total=False):
    """`amount`: minor units, default the charge's; above it the dispute covers other charges too. `due_by`: Unix
    seconds, 0 where no answer is possible. `fee`: cents, 0 is how RDR looks; `fee_returned`: whether a win brings it
    back. `smart`: Smart Disputes will answer. `enhanced`: programmes of evidence that it is eligible for."""

    amount: int | None
    fee: int | None
    fee_returned: bool
    case_type: str | None
    due_by: int | None
    smart: bool
    enhanced: Sequence[str]
