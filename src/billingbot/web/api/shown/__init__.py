"""How things look from outside: amounts in minor units with a text for people, times in UTC."""

from billingbot.web.api.shown.amounts import AmountShown
from billingbot.web.api.shown.cases import CasePageShown, CaseShown, LetterShown
from billingbot.web.api.shown.disputes import DisputeShown
from billingbot.web.api.shown.lists import Listed
from billingbot.web.api.shown.refunds import RefundShown

__all__ = ["AmountShown", "CasePageShown", "CaseShown", "DisputeShown", "LetterShown", "Listed", "RefundShown"]
