"""Sign-in: from `[sign_in]` to what the desk works with; a provider that cannot be right refuses to start."""

import os

from billingbot.bootstrap.settings import ConfigFile, Environment
from billingbot.core.errors import ConfigError
from billingbot.flows.desk import CompanySignIn
from billingbot.identity.oidc import Oidc, is_safe
from billingbot.identity.seal import Seal


def read_company_sign_in(file: ConfigFile) -> CompanySignIn | None:
    """The company's own sign-in, if one is configured. ConfigError names what is wrong, and no secret."""
    section = file.sign_in.oidc
    if section is None:
        return None
    problems = []
    secret = os.environ.get(section.client_secret_env, "").strip()
    if not secret:
        expected = f"expected {section.client_secret_env} in the environment, but it is missing or empty"
        problems.append(f"{file.path}: sign_in.oidc.client_secret_env: {expected}")
    if not is_safe(section.issuer):
        problems.append(f"{file.path}: sign_in.oidc.issuer: expected an address that begins with https://")
    if bool(section.roles) != (section.roles_claim is not None):
        problems.append(f"{file.path}: sign_in.oidc: expected roles_claim and roles together, or neither")
    if problems:
        raise ConfigError(problems)
    provider = Oidc(
        issuer=section.issuer,
        client_id=section.client_id,
        client_secret=secret,
        scopes=section.scopes,
        groups_claim=section.roles_claim,
    )
    return CompanySignIn(
        name=section.name,
        provider=provider,
        domains=frozenset(domain.lower() for domain in section.domains),
        roles=section.roles or None,
        proves_second_factor=section.second_factor,
    )


def read_seal(environment: Environment) -> Seal:
    """How secrets are kept that have to be read again. ConfigError for a key that is none."""
    told = environment.secrets_key.get_secret_value() if environment.secrets_key else ""
    try:
        return Seal([key.strip() for key in told.split(",") if key.strip()])
    except ValueError:
        expected = "expected 32 random bytes in URL-safe base64: openssl rand -base64 32 | tr '+/' '-_'"
        raise ConfigError([f"BILLINGBOT_SECRETS_KEY: {expected}"]) from None
