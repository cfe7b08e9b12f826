"""Accounts: from settings to gateways and webhook endpoints; a secret that is missing or wrong refuses to start."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from billingbot.bootstrap.settings import AccountSection, ConfigFile, Environment
from billingbot.core.errors import ConfigError
from billingbot.flows.desk import Account
from billingbot.flows.receive import Endpoint
from billingbot.gateway.client import StripeGateway

DEFAULT_ACCOUNT: Final = "default"
_KEY: Final = re.compile(r"(sk|rk)_(test|live)_\S+", re.ASCII)

_NOTHING: Final = (
    "No Stripe key is configured: set BILLINGBOT_STRIPE_API_KEY and BILLINGBOT_STRIPE_WEBHOOK_SECRET, "
    "or see it work without Stripe: billingbot demo"
)


class NoAccountError(ConfigError):
    """Nothing is configured at all: the newcomer's first run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountSettings:
    """One account, ready to be built: mode and secrets in hand."""

    name: str
    livemode: bool
    api_key: str
    secrets: tuple[str, ...]
    api_base: str | None
    stripe_account: str | None

    def build(self) -> Account:
        """The account with its gateway; nothing is called yet."""
        gateway = StripeGateway(self.name, self.api_key, self.livemode, self.api_base, self.stripe_account)
        return Account(name=self.name, livemode=self.livemode, stripe=gateway)

    def endpoint(self) -> Endpoint:
        """The webhook endpoint of this account."""
        return Endpoint(
            account=self.name, livemode=self.livemode, secrets=self.secrets, stripe_account=self.stripe_account
        )


def read_accounts(environment: Environment, file: ConfigFile) -> tuple[AccountSettings, ...]:
    """All accounts of the environment and the file. ConfigError carries every problem, in one sentence each."""
    found: list[AccountSettings] = []
    problems: list[str] = []
    for read in [_from_environment(environment), *(_from_file(section, os.environ) for section in file.accounts)]:
        if isinstance(read, AccountSettings):
            problems += _wrong(read)
            found.append(read)
        elif read:
            problems += read
    names = [account.name for account in found]
    problems += [f"accounts: the name {name!r} is there twice" for name in {n for n in names if names.count(n) > 1}]
    if problems:
        raise ConfigError(problems)
    if not found:
        raise NoAccountError([_NOTHING])
    return tuple(found)


def _from_environment(environment: Environment) -> AccountSettings | list[str]:
    key, secret = environment.stripe_api_key, environment.stripe_webhook_secret
    if key is None and secret is None:
        return []
    if key is None:
        return ["BILLINGBOT_STRIPE_API_KEY: expected next to BILLINGBOT_STRIPE_WEBHOOK_SECRET, but it is not there"]
    if secret is None:
        return ["BILLINGBOT_STRIPE_WEBHOOK_SECRET: expected next to BILLINGBOT_STRIPE_API_KEY, but it is not there"]
    return AccountSettings(
        name=DEFAULT_ACCOUNT,
        livemode=environment.stripe_livemode,
        api_key=key.get_secret_value().strip(),
        secrets=_secrets(secret.get_secret_value()),
        api_base=environment.stripe_api_base,
        stripe_account=None,
    )


def _from_file(section: AccountSection, environ: Mapping[str, str]) -> AccountSettings | list[str]:
    missing = [name for name in (section.api_key_env, section.webhook_secret_env) if not environ.get(name)]
    if missing:
        return [f"{name}: expected a secret for the account {section.name!r}, but it is not there" for name in missing]
    return AccountSettings(
        name=section.name,
        livemode=section.livemode,
        api_key=environ[section.api_key_env].strip(),
        secrets=_secrets(environ[section.webhook_secret_env]),
        api_base=section.api_base,
        stripe_account=section.stripe_account,
    )


def _secrets(text: str) -> tuple[str, ...]:
    # Stripped: a secret read from a file often ends with a newline, which would fail every signature.
    return tuple(part for part in (piece.strip() for piece in text.split(",")) if part)


def _wrong(account: AccountSettings) -> list[str]:
    """What is wrong with an account's secrets, without repeating any of them."""
    problems = []
    shape = _KEY.fullmatch(account.api_key)
    kind = "live" if account.livemode else "test"
    if shape is None:
        problems.append(f"account {account.name!r}: expected an API key such as rk_{kind}_..., got something else")
    elif shape[2] != kind:
        problems.append(
            f"account {account.name!r}: its API key is for {shape[2]} mode, but the account is set to {kind} mode"
            + (" (BILLINGBOT_STRIPE_LIVEMODE=true means live)" if account.name == DEFAULT_ACCOUNT else "")
        )
    elif account.api_key.startswith("sk_live_"):
        problems.append(
            f"account {account.name!r}: expected a restricted key (rk_live_...) with the permissions in README.md, "
            "got a secret key that may do anything"
        )
    if not account.secrets or not all(secret.startswith("whsec_") for secret in account.secrets):
        problems.append(f"account {account.name!r}: expected webhook secrets such as whsec_..., got something else")
    return problems
