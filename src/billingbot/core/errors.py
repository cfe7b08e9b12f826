"""The error tree: a refusal is a value, an exception is a fault, and its class says what to do about it."""

from collections.abc import Sequence


class BillingbotError(Exception):
    """Anything billingbot raises on purpose."""


class InputError(BillingbotError):
    """Somebody gave us something wrong: names the field and says what was expected. Never retried."""

    def __init__(self, field: str, expected: str) -> None:
        super().__init__(f"{field}: {expected}")
        self.field = field
        self.expected = expected


class NotFoundError(BillingbotError):
    """What was named does not exist here."""


class ConflictError(BillingbotError):
    """Somebody else acted first, or the thing is not in a state that allows this."""


class ForbiddenError(BillingbotError):
    """Known, well-formed and not allowed: the mode or a rule of the house says no."""


class PowerMissingError(ForbiddenError):
    """The caller lacks a power; `roles` are those that have it."""

    def __init__(self, power: str, roles: Sequence[str]) -> None:
        self.roles = " or ".join(roles)
        super().__init__(f"{power}: not allowed; it takes the role {self.roles}, or an API key that may {power}")


class RetryLaterError(BillingbotError):
    """A fault that time may heal (network, database, Stripe overloaded): the job runs again."""


class LeaseLostError(BillingbotError):
    """Another worker holds this job now: whatever we did is rolled back and forgotten."""


class ConfigError(BillingbotError):
    """The configuration cannot be used; carries every problem at once, each with file and line."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class StripeFaultError(BillingbotError):
    """Stripe could not be asked, or gave an answer that cannot be read."""


class StripeUnavailableError(StripeFaultError, RetryLaterError):
    """No usable answer: network, timeout, 5xx, 429, lock. The read may be repeated."""


class StripeNotFoundError(StripeFaultError, NotFoundError):
    """Stripe knows no such object (or not in this account and mode)."""


class StripeForbiddenError(StripeFaultError):
    """The key is wrong, expired or lacks a permission: nothing works until a person mends it."""


class StripeAnswerError(StripeFaultError):
    """Stripe answered something we cannot read: names the object and field. Never guessed at."""


class StripeFieldError(StripeAnswerError):
    """An object of Stripe's has a field that is missing or of another kind than we know: waiting changes nothing."""
