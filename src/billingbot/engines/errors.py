"""What can go wrong with private engines, each said in a sentence that tells what to do about it."""

from billingbot.core.errors import BillingbotError


class EngineError(BillingbotError):
    """A private engine cannot be prepared, started or stopped."""


class EngineMissingError(EngineError):
    """No usable program for this engine on this machine."""


class DirectoryBusyError(EngineError):
    """Another process works in this directory."""


class WrongMajorError(EngineError):
    """The cluster was made by another major version of PostgreSQL."""
