"""Builds the configured sources, and says everything that is wrong with their surroundings at once."""

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Final, TypeAlias, TypeVar, assert_never

import httpx

from billingbot.core.errors import ConfigError, InputError
from billingbot.core.evidence.usage import Subject
from billingbot.evidence.config import (
    EvidenceConfig,
    Kind,
    SupportHttp,
    SupportSection,
    SupportStatic,
    UsageHttp,
    UsagePush,
    UsageSection,
    UsageSql,
    UsageStatic,
)
from billingbot.evidence.http import HttpQuestion, support_over_http, usage_over_http
from billingbot.evidence.push import PushedActivity, usage_pushed
from billingbot.evidence.reading import SupportReading, UsageReading
from billingbot.evidence.sources import GuardedSupport, GuardedUsage, SupportSource, UsageSource
from billingbot.evidence.sql import SqlQuestion, usage_by_sql, usage_engine
from billingbot.evidence.static import support_file, support_in_file, usage_file, usage_in_file
from billingbot.evidence.template import UrlTemplate

# Visible ASCII with spaces and tabs within (RFC 9110): no line break can enter a request.
_HEADER_VALUE: Final = re.compile(r"[\x21-\x7e](?:[\x20\x09\x21-\x7e]*[\x21-\x7e])?")

ReadUsage: TypeAlias = Callable[[Subject, datetime], UsageReading]
ReadSupport: TypeAlias = Callable[[Subject, datetime], SupportReading]
Source = TypeVar("Source")


def build_usage_sources(
    config: EvidenceConfig, environ: Mapping[str, str], base_dir: Path, pushed: PushedActivity
) -> tuple[UsageSource, ...]:
    """The usage sources in the file's order. Nothing is connected or read yet.

    `environ` holds the secrets that the configuration names, `base_dir` is where relative paths start (the
    configuration's directory). ConfigError carries every problem of every source; none repeats a secret.
    """

    def built(section: UsageSection) -> UsageSource:
        return GuardedUsage(
            name=section.name,
            max_age=timedelta(seconds=section.max_age_seconds),
            read=_usage_reader(section, environ, base_dir, pushed),
            pushed=isinstance(section, UsagePush),
        )

    return _all(config, "usage", config.usage, built)


def build_support_sources(
    config: EvidenceConfig, environ: Mapping[str, str], base_dir: Path
) -> tuple[SupportSource, ...]:
    """The support sources in the file's order; as `build_usage_sources`."""

    def built(section: SupportSection) -> SupportSource:
        return GuardedSupport(
            name=section.name,
            max_age=timedelta(seconds=section.max_age_seconds),
            read=_support_reader(section, environ, base_dir),
        )

    return _all(config, "support", config.support, built)


Section = TypeVar("Section")


def _all(
    config: EvidenceConfig, kind: Kind, sections: Sequence[Section], built: Callable[[Section], Source]
) -> tuple[Source, ...]:
    sources: list[Source] = []
    problems: list[str] = []
    for index, section in enumerate(sections):
        try:
            sources.append(built(section))
        except InputError as fault:
            problems.append(config.problem(kind, index, fault.field, fault.expected))
    if problems:
        raise ConfigError(problems)
    return tuple(sources)


def _usage_reader(
    section: UsageSection, environ: Mapping[str, str], base_dir: Path, pushed: PushedActivity
) -> ReadUsage:
    match section:
        case UsageHttp():
            return partial(usage_over_http, section, _http(section, environ))
        case UsageSql():
            return partial(usage_by_sql, section, _sql(section, environ))
        case UsagePush():
            return lambda subject, _now: usage_pushed(pushed, section.name, subject)
        case UsageStatic():
            return partial(usage_in_file, usage_file(base_dir / section.path), unlisted=section.unlisted)
        case _:
            assert_never(section)


def _support_reader(section: SupportSection, environ: Mapping[str, str], base_dir: Path) -> ReadSupport:
    match section:
        case SupportHttp():
            return partial(support_over_http, section, _http(section, environ))
        case SupportStatic():
            return partial(support_in_file, support_file(base_dir / section.path))
        case _:
            assert_never(section)


def _http(section: UsageHttp | SupportHttp, environ: Mapping[str, str]) -> HttpQuestion:
    headers = {}
    if section.auth_header_env is not None:
        secret = _secret(environ, "auth_header_env", section.auth_header_env)
        if not _HEADER_VALUE.fullmatch(secret):
            raise InputError("auth_header_env", f"expected {section.auth_header_env} to hold visible ASCII only")
        headers[section.auth_header] = secret
    return HttpQuestion(
        url=UrlTemplate.parse(section.url),
        headers=headers,
        timeout_seconds=section.timeout_seconds,
        attempts=section.attempts,
        tls=httpx.create_ssl_context(trust_env=False),
    )


def _sql(section: UsageSql, environ: Mapping[str, str]) -> SqlQuestion:
    url = _secret(environ, "database_url_env", section.database_url_env)
    return SqlQuestion(engine=usage_engine(url), query=section.query, timeout_seconds=section.timeout_seconds)


def _secret(environ: Mapping[str, str], field: str, name: str) -> str:
    # Secrets that come from a file often end in a line break that nobody meant.
    value = environ.get(name, "").strip()
    if not value:
        raise InputError(field, f"expected {name} in the environment, but it is missing or empty")
    return value
