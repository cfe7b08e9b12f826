"""Bad days on demand: rules that make the next requests fail, hang, or lose their answers."""

import random
import re
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from billingbot.sandbox.errors import StripeError, api_error, declined, rate_limited


class Kind(StrEnum):
    """What goes wrong."""

    RATE_LIMIT = "rate_limit"  # 429, nothing happens, nothing is stored
    LOCK_TIMEOUT = "lock_timeout"  # 429
    DECLINED = "declined"  # 402
    FORBIDDEN = "forbidden"  # 403, as a restricted key without the permission sees it
    ERROR_BEFORE = "error_before"  # 500 without effect, stored under the key
    ERROR_AFTER = "error_after"  # 500 with effect, stored under the key
    BAD_GATEWAY = "bad_gateway"  # 502 in HTML, nothing happens
    LOST_ANSWER = "lost_answer"  # the effect happens, the connection closes without a byte
    CUT_ANSWER = "cut_answer"  # the effect happens, the connection closes in mid-body
    LOST_REQUEST = "lost_request"  # the connection closes, nothing happened
    SLOW = "slow"  # the effect happens after `seconds`; the key is in use meanwhile


BEFORE: Final = frozenset((Kind.RATE_LIMIT, Kind.LOCK_TIMEOUT, Kind.DECLINED, Kind.FORBIDDEN))


@dataclass(slots=True, kw_only=True)
class Rule:
    """Applies to requests of this method (any: None) whose path matches the pattern from its start; `times` and
    `probability` say how often. `should_retry` sends the header `Stripe-Should-Retry`."""

    kind: Kind
    method: str | None = None
    path: str = "/v1/"
    times: int | None = 1
    probability: float = 1
    seconds: float = 0
    should_retry: bool | None = None
    permission: str = "rak_charge_write"
    hits: int = field(default=0)

    def __post_init__(self) -> None:
        """Check the fields. Raises ValueError that names the wrong one."""
        self.kind = Kind(self.kind)
        re.compile(self.path)
        if not 0 <= self.probability <= 1:
            raise ValueError(f"probability: expected 0 to 1, got {self.probability}")
        if self.times is not None and self.times < 1:
            raise ValueError(f"times: expected 1 or more, or null for always, got {self.times}")

    def fits(self, method: str, path: str) -> bool:
        """True where the rule is about this request and is not used up."""
        left = self.times is None or self.hits < self.times
        return left and self.method in (None, method) and re.match(self.path, path) is not None


class FaultBook:
    """The rules, in order; the first that fits and whose dice fall decides."""

    def __init__(self, seed: int | None) -> None:
        self._dice = random.Random(seed)  # noqa: S311 - chance that repeats with the seed, not a secret
        self.rules: list[Rule] = []

    def draw(self, method: str, path: str) -> Rule | None:
        """What goes wrong with this request, if anything."""
        for rule in self.rules:
            if rule.fits(method, path) and (rule.probability == 1 or self._dice.random() < rule.probability):
                rule.hits += 1
                return rule
        return None


def refusal(rule: Rule) -> StripeError:
    """The error that a rule answers with, before or after the effect."""
    match rule.kind:
        case Kind.RATE_LIMIT | Kind.LOCK_TIMEOUT:
            error = rate_limited(rule.kind.value)
        case Kind.DECLINED:
            error = declined()
        case Kind.FORBIDDEN:
            message = (
                "The provided key does not have the required permissions for this endpoint. Having the"
                f" '{rule.permission}' permission would allow this request to continue."
            )
            error = StripeError(403, message, stored=False)
        case _:
            error = api_error()
    return error
