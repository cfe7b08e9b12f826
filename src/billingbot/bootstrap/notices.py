"""Notices: from `[[notifications]]` to routes; a URL that is missing or no destination refuses to start."""

import os
from collections.abc import Iterator
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from billingbot.bootstrap.settings import ConfigFile, NotificationSection
from billingbot.core.errors import ConfigError
from billingbot.telling.by_url import sender
from billingbot.telling.mail import Mail
from billingbot.telling.route import QuietHours, Route


def read_routes(file: ConfigFile) -> tuple[Route, ...]:
    """Every destination for notices, in the file's order. ConfigError carries all problems and no URL."""
    routes: list[Route] = []
    problems = list(_doubles(file))
    for section in file.notifications:
        try:
            routes.append(_route(section))
        except ValueError as fault:
            problems.append(f"{file.path}: notifications {section.name!r}: {fault}")
    if problems:
        raise ConfigError(problems)
    return tuple(routes)


def read_mail(file: ConfigFile) -> Mail | None:
    """The way out for replies to customers, if one is configured. ConfigError names what is wrong, and no URL."""
    section = file.mail
    if section is None:
        return None
    url = os.environ.get(section.url_env, "").strip()
    if not url:
        missing = f"expected {section.url_env} in the environment, but it is missing or empty"
        raise ConfigError([f"{file.path}: mail: url_env: {missing}"])
    try:
        return Mail(url=url, sender=section.sender, reply_to=section.reply_to, automatic=section.automatic)
    except ValueError as fault:
        raise ConfigError([f"{file.path}: mail: {fault}"]) from None


def _route(section: NotificationSection) -> Route:
    url = os.environ.get(section.url_env, "").strip()
    if not url:
        raise ValueError(f"url_env: expected {section.url_env} in the environment, but it is missing or empty")
    kinds = None if section.kinds is None else frozenset(section.kinds)
    return Route(name=section.name, kinds=kinds, quiet=_quiet(section), send=sender(url))


def _quiet(section: NotificationSection) -> QuietHours | None:
    if section.quiet_from is None and section.quiet_until is None:
        return None
    if section.quiet_from is None or section.quiet_until is None or section.quiet_from == section.quiet_until:
        raise ValueError("quiet_from, quiet_until: expected two different times of day, such as 22:00:00 and 07:00:00")
    try:
        zone = ZoneInfo(section.quiet_zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError("quiet_zone: expected a time zone such as Europe/Berlin") from None
    return QuietHours(begin=section.quiet_from, until=section.quiet_until, zone=zone)


def _doubles(file: ConfigFile) -> Iterator[str]:
    names = [section.name for section in file.notifications]
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield f"{file.path}: notifications: the name {name!r} is there twice"
