"""Telemetry: logs as events, in JSON or for a terminal, with ids bound and personal data and secrets struck out."""

import logging
import os
import re
import sys
from typing import Any, Final, Literal

import structlog
from structlog.typing import EventDict, WrappedLogger

# Whatever slips into a log text and looks like one of these is struck out: keys and webhook secrets, e-mail
# addresses, and card numbers of 13 to 19 digits (ISO/IEC 7812).
_STRUCK: Final = (
    (re.compile(r"\b(?:sk|rk|pk)_(?:test|live)_\w+"), "[key]"),
    (re.compile(r"\bwhsec_\w+"), "[secret]"),
    (re.compile(r"\bbbk_[\w-]+"), "[key]"),
    (re.compile(r"[\w.+%-]+@[\w-]+\.[\w.-]+"), "[e-mail]"),
    (re.compile(r"\b(?:\d[ -]?){12,18}\d\b"), "[digits]"),
    (re.compile(r"(?<=://)[^/\s:@]+:[^/\s@]+(?=@)"), "[login]"),
)
_PRIVATE_NAMES: Final = frozenset(
    {"email", "e_mail", "password", "secret", "token", "authorization", "api_key", "card"}
)


def set_up(log_format: Literal["auto", "json", "pretty"], level: str) -> None:
    """Sets up logging for this process: structlog's events and everything that other libraries log."""
    pretty = log_format == "pretty" or (log_format == "auto" and sys.stderr.isatty())
    colors = "NO_COLOR" not in os.environ  # https://no-color.org
    renderer: Any = structlog.dev.ConsoleRenderer(colors=colors) if pretty else structlog.processors.JSONRenderer()
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        strike_out,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level.upper())
    for noisy in (
        "stripe",
        "httpx",
        "httpcore",
        "python_multipart",
        "urllib3",
        "dramatiq",
        "alembic",
        "uvicorn.access",
    ):
        logging.getLogger(noisy).setLevel(logging.WARNING)  # their info lines carry URLs and bodies


def strike_out(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Replaces what must not stand in a log: values under private names, and patterns in every text."""
    for name, value in event.items():
        if not name.startswith("_"):  # what structlog needs of its own, and takes out again
            event[name] = "[struck out]" if name in _PRIVATE_NAMES else _clean(value)
    return event


def _clean(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: "[struck out]" if name in _PRIVATE_NAMES else _clean(one) for name, one in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_clean(one) for one in value]
    if value is None or isinstance(value, bool | int | float):
        return value
    text = str(value)
    for pattern, instead in _STRUCK:
        text = pattern.sub(instead, text)
    return text
