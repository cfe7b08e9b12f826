"""The [[usage]] and [[support]] sections of config/billingbot.toml: which sources there are, how to read them."""

import re
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Annotated, Any, Final, Literal, Self, TypeAlias

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    model_validator,
)
from pydantic_core import ErrorDetails
from sqlalchemy import TextClause
from sqlalchemy import text as sql_text

from billingbot.core.errors import ConfigError
from billingbot.core.toml_lines import toml_lines
from billingbot.evidence.reading import COVERAGE_FIELDS, USAGE_FIELDS
from billingbot.evidence.template import UrlTemplate, is_subject_name

STATIC_SUFFIXES: Final = (".json", ".toml", ".csv")
# Binds of a query that tell one customer from another; without any of them every customer has the same answer.
_WHO: Final = frozenset({"customer_id", "email", "subscription_id"})
_BINDS: Final = _WHO | {"account", "livemode", "since"}
_METADATA_BIND: Final = "metadata_"


def _url(text: str) -> str:
    UrlTemplate.parse(text)
    return text


def _answer_path(text: str) -> str:
    parts = text[1:].split("/") if text.startswith("/") else text.split(".")
    if not all(parts):
        raise ValueError("expected a dotted path (activity.last) or a JSON pointer (/activity/last)")
    return text


def _static_path(text: str) -> str:
    if PurePath(text).suffix.lower() not in STATIC_SUFFIXES:
        raise ValueError(f"expected a file that ends in {', '.join(STATIC_SUFFIXES)}")
    return text


def _query(text: str) -> str:
    binds = query_binds(text)
    metadata = {bind for bind in binds if bind.startswith(_METADATA_BIND) and is_subject_name(metadata_name(bind))}
    if unknown := binds - _BINDS - metadata:
        known = ", ".join(f":{bind}" for bind in sorted(_BINDS))
        raise ValueError(f"unknown parameter :{min(unknown)}; known are {known}, :metadata_KEY")
    if not (binds & _WHO or metadata):
        raise ValueError("expected a parameter that names the customer, such as :customer_id")
    return text


def query_text(text: str) -> TextClause:
    """The query as SQLAlchemy runs it. A cast right behind a parameter (:id::uuid) needs a space for it to see."""
    return sql_text(re.sub(r"(?<![:\w\\])(:\w+)::", r"\1 ::", text))


def query_binds(text: str) -> frozenset[str]:
    """The :name parameters of a query (a :: cast is none)."""
    return frozenset(query_text(text).compile().params)


def metadata_name(bind: str) -> str:
    """The placeholder name behind a `:metadata_KEY` parameter."""
    return f"metadata.{bind.removeprefix(_METADATA_BIND)}"


# Names appear in reports, logs and pushed bodies, so they are short and plain.
SourceName: TypeAlias = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_\-]{0,63}$")]
# Upper case only: a secret pasted by mistake rarely looks like it, and is never repeated in a message.
EnvName: TypeAlias = Annotated[str, StringConstraints(pattern=r"^[A-Z][A-Z0-9_]*$")]
HeaderName: TypeAlias = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9!#$%&'*+.^_`|~\-]+$")]
AnswerPath: TypeAlias = Annotated[str, AfterValidator(_answer_path)]
# Fifteen seconds: a decision waits for its slowest source, and a worker's lease must outlive it.
Timeout: TypeAlias = Annotated[float, Field(strict=True, gt=0, le=15)]
# Five: past that it is an outage, and the case is assessed again when the source is back.
Attempts: TypeAlias = Annotated[int, Field(strict=True, ge=1, le=5)]
# A week: an answer older than that says nothing about now, whatever the pipeline.
MaxAge: TypeAlias = Annotated[int, Field(strict=True, ge=0, le=7 * 24 * 3600)]
# Five minutes: what a healthy pipeline is behind. A stale answer goes to a person: the short side is the safe one.
_MAX_AGE_SECONDS: Final = 300
# Five seconds and three attempts fit the overall deadline of gathering (sources.DEADLINE_SECONDS).
_TIMEOUT_SECONDS: Final = 5.0
_ATTEMPTS: Final = 3


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class CoverageMap(_Part):
    """Where an answer states the time it covers: both ends or neither."""

    coverage_from: AnswerPath | None = None
    coverage_to: AnswerPath | None = None

    @model_validator(mode="after")
    def _both_ends(self) -> Self:
        if (self.coverage_from is None) != (self.coverage_to is None):
            raise ValueError("coverage_from and coverage_to: expected both or neither")
        return self

    def paths(self) -> dict[str, str]:
        """Field name to path in the answer, for the fields that are mapped; coverage last, as people read."""
        listed = self.model_dump(exclude_none=True, exclude={"may_be_absent"})
        return dict(sorted(listed.items(), key=lambda item: item[0] in COVERAGE_FIELDS))


class UsageMap(CoverageMap):
    """Where in the JSON answer each usage field stands: dotted paths or JSON pointers.

    `may_be_absent` lists times that the answer leaves out where they never happened; any other mapped field that
    is missing makes the report unanswered, since a mistyped path must not look like "never used".
    """

    used: AnswerPath | None = None
    first_at: AnswerPath | None = None
    last_at: AnswerPath | None = None
    events: AnswerPath | None = None
    tag_installed_at: AnswerPath | None = None
    api_connected_at: AnswerPath | None = None
    may_be_absent: tuple[Literal["first_at", "last_at", "tag_installed_at", "api_connected_at"], ...] = ()

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        certain = set(self.paths()) - set(self.may_be_absent)
        if not certain & set(USAGE_FIELDS):
            raise ValueError(f"expected at least one of {', '.join(USAGE_FIELDS)} that may not be absent")
        return self


class SupportMap(CoverageMap):
    """Where in the JSON answer the earliest wish to cancel stands (null where nobody asked)."""

    cancellation_asked_at: AnswerPath
    may_be_absent: tuple[Literal["cancellation_asked_at"], ...] = ()


class _Source(_Part):
    name: SourceName
    max_age_seconds: MaxAge = _MAX_AGE_SECONDS


class _Vouched(_Source):
    """A source whose owner may vouch that it sees everything up to the moment of asking."""

    covers: Literal["always"] | None = None


class _Http(_Vouched):
    type: Literal["http"]
    url: Annotated[str, AfterValidator(_url)]
    auth_header_env: EnvName | None = None
    """Names the environment variable that holds the whole header value, e.g. `Bearer ...`."""
    auth_header: HeaderName = "Authorization"
    timeout_seconds: Timeout = _TIMEOUT_SECONDS
    """For one attempt as a whole: connecting, redirects and the last byte."""
    attempts: Attempts = _ATTEMPTS

    def _check_coverage(self, mapped: CoverageMap, *, absence_counts: bool) -> None:
        if self.covers and mapped.coverage_from:
            raise ValueError('covers: expected either covers = "always" or a mapped coverage, not both')
        if absence_counts and not self.covers:
            raise ValueError('not_found: an absent customer proves nothing without covers = "always"')


class UsageHttp(_Http):
    """A JSON endpoint that tells about one customer's activity."""

    not_found: Literal["unknown", "unused"] = "unknown"
    map: UsageMap

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        self._check_coverage(self.map, absence_counts=self.not_found == "unused")
        return self


class SupportHttp(_Http):
    """A JSON endpoint that tells whether and when a customer asked support to cancel."""

    not_found: Literal["unknown", "none"] = "unknown"
    map: SupportMap

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        self._check_coverage(self.map, absence_counts=self.not_found == "none")
        return self


class UsageSql(_Vouched):
    """A read-only query on another PostgreSQL; its columns are named like the usage fields."""

    type: Literal["sql"]
    database_url_env: EnvName
    query: Annotated[str, AfterValidator(_query)]
    timeout_seconds: Timeout = _TIMEOUT_SECONDS
    not_found: Literal["unknown", "unused"] = "unknown"

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.not_found == "unused" and not self.covers:
            raise ValueError('not_found: an absent row proves nothing without covers = "always"')
        return self


class UsagePush(_Source):
    """Activity that the product itself pushes to us; `name` is the source it pushes as."""

    type: Literal["push"]


class UsageStatic(_Source):
    """A file of customers with their usage, and the time that the file covers."""

    type: Literal["static"]
    path: Annotated[str, AfterValidator(_static_path)]
    unlisted: Literal["unknown", "unused"] = "unknown"


class SupportStatic(_Source):
    """A file of the customers who asked support to cancel; whoever is not in it did not ask."""

    type: Literal["static"]
    path: Annotated[str, AfterValidator(_static_path)]


UsageSection: TypeAlias = Annotated[
    UsageHttp | UsageSql | UsagePush | UsageStatic,
    Field(discriminator="type"),
]
Kind: TypeAlias = Literal["usage", "support"]
SupportSection: TypeAlias = Annotated[SupportHttp | SupportStatic, Field(discriminator="type")]


class _Sections(BaseModel):
    """Our part of the file; the other sections belong to other readers."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    usage: tuple[UsageSection, ...] = ()
    support: tuple[SupportSection, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class EvidenceConfig:
    """The sources in the file's order, and the file's text so that a problem can name its line."""

    usage: tuple[UsageSection, ...] = ()
    support: tuple[SupportSection, ...] = ()
    file: str = "billingbot.toml"
    text: str = ""

    def sections(self, kind: Kind) -> Sequence[UsageSection | SupportSection]:
        """The sources of one kind, in the file's order."""
        return self.usage if kind == "usage" else self.support

    def problem(self, kind: Kind, index: int, field: str, says: str) -> str:
        """One problem of a source, as a reader needs it: file, line, source, field, what was expected."""
        return _problem(self.file, self.text, (kind, index, field), self.sections(kind)[index].name, says)


def read_evidence_config(text: str, *, file: str) -> EvidenceConfig:
    """The [[usage]] and [[support]] sections of a TOML text; other sections are left to their own readers.

    ConfigError carries every problem at once, each with file, line, source and field; values are not repeated.
    """
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as fault:
        raise ConfigError([f"{file}: is not TOML: {fault}"]) from None
    try:
        sections = _Sections.model_validate(document)
    except ValidationError as fault:
        errors = fault.errors(include_input=False, include_url=False)
        raise ConfigError([_from_pydantic(file, text, document, error) for error in errors]) from None
    config = EvidenceConfig(usage=sections.usage, support=sections.support, file=file, text=text)
    if doubles := [*_doubles(config, "usage"), *_doubles(config, "support")]:
        raise ConfigError(doubles)
    return config


def _doubles(config: EvidenceConfig, kind: Kind) -> Iterator[str]:
    seen: set[str] = set()
    for index, section in enumerate(config.sections(kind)):
        if section.name in seen:
            yield config.problem(kind, index, "name", "expected a name that no other source of its kind has")
        seen.add(section.name)


# What pydantic calls the common faults is clear to programmers; these say the same to whoever keeps the file.
_PLAIN_WORDS: Final = {
    "missing": "expected, but not there",
    "extra_forbidden": "not a setting of this source",
    "union_tag_not_found": "type: expected one of {expected}, but it is not there",
    "union_tag_invalid": "type: expected one of {expected}",
}
_PATTERNS: Final = {
    "name": "expected lower-case letters, digits, - and _, at most 64",
    "auth_header_env": "expected the name of an environment variable in capitals (never the secret itself)",
    "database_url_env": "expected the name of an environment variable in capitals (never the address itself)",
    "auth_header": "expected the name of an HTTP header",
}


def _from_pydantic(file: str, text: str, document: dict[str, Any], error: ErrorDetails) -> str:
    tagged = error["loc"]
    # In a tagged union pydantic puts the tag after the index; the file has no such level.
    path = tagged[:2] + tagged[3:] if len(tagged) > 2 else tagged
    says = _PLAIN_WORDS.get(error["type"], error["msg"])
    if error["type"].startswith("union_tag"):
        kinds = "http, sql, push, static" if path[0] == "usage" else "http, static"
        says = says.format(expected=kinds)
    if error["type"] == "string_pattern_mismatch":
        says = _PATTERNS.get(str(path[-1]), says)
    return _problem(file, text, path, _name_in(document, path), re.sub(r"^Value error, ", "", says))


def _name_in(document: dict[str, Any], path: tuple[str | int, ...]) -> str | None:
    sections = document.get(str(path[0])) if path else None
    index = path[1] if len(path) > 1 else None
    if isinstance(sections, list) and isinstance(index, int) and isinstance(sections[index], dict):
        name = sections[index].get("name")
        # Only a name that has a name's shape is repeated: whatever else stands there may be a secret.
        if isinstance(name, str) and re.fullmatch(r"[a-z0-9][a-z0-9_\-]{0,63}", name):
            return name
    return None


def _problem(file: str, text: str, path: tuple[str | int, ...], name: str | None, says: str) -> str:
    line = toml_lines(text).of(path) if text else None
    kind, *rest = [str(part) for part in path] or ["file"]
    place = f'{kind} "{name}"' if name else f"{kind}[{rest[0]}]" if rest else kind
    field = ".".join(rest[1:])
    return ": ".join(part for part in (f"{file}:{line}" if line else file, place, field, says) if part)
