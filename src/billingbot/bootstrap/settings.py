"""Settings: what the environment and `billingbot.toml` say, checked as a whole before anything starts."""

import tomllib
from collections.abc import Mapping
from datetime import time, timedelta
from pathlib import Path
from typing import Annotated, Final, Literal
from zoneinfo import available_timezones

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from billingbot.core.access.powers import Role
from billingbot.core.books.journal import Book, BookCodes, Books
from billingbot.core.disputes.deadlines import DisputeTerms
from billingbot.core.errors import ConfigError
from billingbot.core.evidence.comments import DEFAULT_WORDS
from billingbot.core.notice import NoticeKind
from billingbot.core.refund_terms import CancelWhen

DEFAULT_CONFIG = Path("config/billingbot.toml")
DEFAULT_POLICY = Path("config/policy.toml")


# Stripe's limit for the name of a metadata entry: https://docs.stripe.com/api/metadata
MetadataKey = Annotated[str, Field(pattern=r"^[^\[\]\s]+$", max_length=40)]


class Environment(BaseSettings):
    """The environment, every variable with the prefix BILLINGBOT_. Secrets never leave their SecretStr by accident."""

    model_config = SettingsConfigDict(env_prefix="BILLINGBOT_", extra="ignore", env_ignore_empty=True)

    database_url: SecretStr | None = None
    database_owner_url: SecretStr | None = None
    """The owner's URL, for migrations, where the application connects as somebody with fewer rights."""
    redis_url: SecretStr | None = None
    stripe_api_key: SecretStr | None = None
    stripe_webhook_secret: SecretStr | None = None
    """One, or several with commas between while one is being rotated."""
    secrets_key: SecretStr | None = None
    """What authenticators' secrets are encrypted by; several with commas between while one is being changed."""
    stripe_api_base: str | None = None
    stripe_livemode: bool = False
    config: Path = DEFAULT_CONFIG
    policy: Path = DEFAULT_POLICY
    data_dir: Path = Path("data")
    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=1, le=65535)] = 8080
    proxies: str | None = None
    """Addresses of the TLS proxies before web, with commas between: their X-Forwarded headers are believed."""
    workers: Annotated[int, Field(ge=1, le=64)] = 2
    """Worker processes under `billingbot up`: one per core on the smallest machine."""
    threads: Annotated[int, Field(ge=2, le=64)] = 8
    """Jobs at a time in one worker process; a single thread would starve behind Dramatiq's prefetch."""
    log_format: Literal["auto", "json", "pretty"] = "auto"
    log_level: Literal["debug", "info", "warning", "error"] = "info"


class AccountSection(BaseModel):
    """One `[[accounts]]` of the file: an account in one mode, its secrets named by environment variables."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,40}$")]
    livemode: bool
    api_key_env: str
    webhook_secret_env: str
    api_base: str | None = None
    stripe_account: Annotated[str, Field(pattern=r"^acct_\w+$")] | None = None


class NotificationSection(BaseModel):
    """One `[[notifications]]` of the file: a destination for notices, its URL named by an environment variable."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,40}$")]
    url_env: Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9_]*$")]
    kinds: tuple[NoticeKind, ...] | None = None
    quiet_from: time | None = None
    quiet_until: time | None = None
    quiet_zone: str = "UTC"


class MailSection(BaseModel):
    """`[mail]` of the file: how replies reach customers; the server's URL is named by an environment variable."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    url_env: Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9_]*$")]
    sender: Annotated[str, Field(pattern=r"^[^\r\n]+$", max_length=320)]
    reply_to: Annotated[str, Field(pattern=r"^[^\r\n]+$", max_length=320)] | None = None
    automatic: bool = False


Hours = Annotated[int, Field(ge=0, le=21 * 24)]
"""Banks leave three weeks at the most. https://docs.stripe.com/disputes/how-disputes-work"""


class DisputesSection(BaseModel):
    """`[disputes]` of the file: deadlines, the house's own words for banks, and where facts about a purchase stand."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    case_due_hours_before: Hours = 48
    remind_hours_before: Annotated[tuple[Hours, ...], Field(max_length=10)] = (72, 24, 4)
    escalate_hours_before: Hours = 24
    cancel_subscription: CancelWhen = CancelWhen.NO
    """What becomes of the subscription when a chargeback opens."""
    product_description: Path | None = None
    refund_policy: Path | None = None
    refund_policy_disclosure: Path | None = None
    cancellation_policy: Path | None = None
    cancellation_policy_disclosure: Path | None = None
    refund_refusal: dict[Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]*$")], Path] = {}
    """By clause of the policy."""
    purchase_ip_key: MetadataKey | None = None
    customer_name_key: MetadataKey | None = None
    terms_shown_at_key: MetadataKey | None = None
    submit_by_itself_for: tuple[Annotated[str, Field(pattern=r"^[a-z_]+$")], ...] = ()
    counter_fee_minor: Annotated[int, Field(ge=0, le=1_000_000)] | None = None
    counter_fee_currency: Annotated[str, Field(pattern=r"^[a-z]{3}$")] = "usd"

    def terms(self) -> DisputeTerms:
        """The deadlines as the desk keeps them."""
        return DisputeTerms(
            margin=timedelta(hours=self.case_due_hours_before),
            remind_before=tuple(timedelta(hours=hours) for hours in sorted(set(self.remind_hours_before))),
            escalate_before=timedelta(hours=self.escalate_hours_before),
            cancel_subscription=self.cancel_subscription,
        )


Words = Annotated[
    tuple[Annotated[str, Field(pattern=r"^\*?[^*]{3,}[^\n]*$", max_length=100)], ...], Field(max_length=100)
]


class CommentsSection(BaseModel):
    """`[cancellation_comments]`: by which words a comment on a cancellation asks for money back, by language."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    words: dict[Annotated[str, Field(pattern=r"^[a-z]{2}(-[a-z]{2})?$")], Words] = {}
    """Instead of the shipped list of that language; an empty one leaves the language out."""

    def lists(self) -> Mapping[str, tuple[str, ...]]:
        """All lists, the shipped ones where none is given."""
        return {**DEFAULT_WORDS, **self.words}


class OidcSection(BaseModel):
    """`[sign_in.oidc]`: the company's own sign-in; the client's secret is named by an environment variable."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    issuer: Annotated[str, Field(pattern=r"^https?://[^\s?#]+$")]
    client_id: Annotated[str, Field(min_length=1)]
    client_secret_env: Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9_]*$")]
    name: Annotated[str, Field(min_length=1, max_length=60)] = "your company account"
    """What the button says."""
    domains: Annotated[tuple[Annotated[str, Field(pattern=r"^[^\s@]+\.[^\s@]+$")], ...], Field(min_length=1)]
    """Whose addresses may come in: many providers let anybody make an account."""
    scopes: str = "openid email profile"
    roles_claim: str | None = None
    """The claim that holds groups, with dots into objects; roles are then made from it at each sign-in."""
    roles: dict[str, Role] = {}
    """Group to role."""
    second_factor: bool = False
    """Whether the provider asks everybody for a second factor, so that it counts in place of ours."""


class SignInSection(BaseModel):
    """`[sign_in]`: how people come in."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    passwords: bool = True
    oidc: OidcSection | None = None


class FinanceSection(BaseModel):
    """`[finance]`: how the books are kept."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    zone: str = "UTC"
    """By whose clocks a month begins and ends, such as Europe/Berlin."""
    accounts: dict[Book, Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._:/-]{0,39}$")]] = {}
    """Codes of the accounts in the journal; the shipped ones where not named."""

    @field_validator("zone")
    @classmethod
    def _is_zone(cls, value: str) -> str:
        if value not in available_timezones():
            raise ValueError("expected a time zone such as Europe/Berlin")
        return value

    def books(self) -> Books:
        """As the core has it."""
        codes = {book.value: code for book, code in self.accounts.items()}
        return Books(zone=self.zone, codes=BookCodes(**codes))


class DeskSection(BaseModel):
    """`[desk]`: how the desk works."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    recheck_after_seconds: Annotated[int, Field(ge=1, le=3600)] = 60
    """First wait before evidence that was missing is asked for again; doubles up to an hour."""
    public_url: Annotated[str, Field(pattern=r"^https?://[^\s?#]+$")] | None = None
    """Where people reach the screens, for links in notices."""


class _Sections(BaseModel):
    model_config = ConfigDict(frozen=True)

    accounts: tuple[AccountSection, ...] = ()
    desk: DeskSection = DeskSection()
    notifications: tuple[NotificationSection, ...] = ()
    mail: MailSection | None = None
    disputes: DisputesSection = DisputesSection()
    cancellation_comments: CommentsSection = CommentsSection()
    finance: FinanceSection = FinanceSection()
    sign_in: SignInSection = SignInSection()


_TOLD: Final = {
    "missing": "expected, but not there",
    "extra_forbidden": "there is no such section or setting; config/billingbot.toml, as shipped, names all of them",
}
"""What pydantic says of a file in words of a program, by its type."""


class _File(_Sections):
    model_config = ConfigDict(extra="forbid")

    usage: tuple[object, ...] = ()
    """Read by `billingbot.evidence`, which knows its sources."""
    support: tuple[object, ...] = ()


class ConfigFile(_Sections):
    """What this module reads of `billingbot.toml`, with the text for the readers of other sections."""

    path: Path
    text: str


def read_environment() -> Environment:
    """The environment's settings. ConfigError names every variable that is wrong, and no value."""
    try:
        return Environment()
    except ValidationError as fault:
        raise ConfigError([f"BILLINGBOT_{_variable(error)}: {error['msg']}" for error in fault.errors()]) from None


def read_file(path: Path) -> ConfigFile:
    """`billingbot.toml`; a missing default file is an empty one. ConfigError carries every problem with its line."""
    if not path.exists():
        if path != DEFAULT_CONFIG:
            raise ConfigError([f"{path}: there is no such file (BILLINGBOT_CONFIG)"])
        return ConfigFile(path=path, text="")
    try:
        text = path.read_text(encoding="utf-8")
        document = tomllib.loads(text)
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as fault:
        raise ConfigError([f"{path}: is not TOML: {fault}"]) from None
    try:
        file = _File.model_validate(document)
    except ValidationError as fault:
        problems = [
            f"{path}:{_line(text, error['loc'])}: {_where(error['loc'])}: {_TOLD.get(error['type'], error['msg'])}"
            for error in fault.errors()
        ]
        raise ConfigError(problems) from None
    return ConfigFile(path=path, text=text, **{name: getattr(file, name) for name in _Sections.model_fields})


def _variable(error: object) -> str:
    location = error["loc"]  # type: ignore[index] # pydantic's ErrorDetails
    return str(location[0]).upper()


def _where(location: tuple[int | str, ...]) -> str:
    return ".".join(str(part) for part in location)


def _line(text: str, location: tuple[int | str, ...]) -> int:
    """The line of the nearest thing that can be found: the key in its section, else the section, else 1."""
    section, index, key = [*location, 0, ""][:3] if len(location) < 3 else location[:3]
    if not isinstance(index, int):
        index, key = 0, index
    seen, found = -1, 1
    for number, line in enumerate(text.splitlines(), start=1):
        bare = line.strip()
        if bare in {f"[[{section}]]", f"[{section}]"}:
            seen += 1
            if seen == index:
                found = number
        elif seen == index and key and bare.partition("=")[0].strip() == key:
            return number
        elif location and bare.partition("=")[0].strip() == str(section):
            found = number
    return found
