"""OpenID Connect: the way to the company's own sign-in, and what its signed answer says of who came back.

Authorization code with PKCE, state and nonce; keys and addresses by discovery. Source: OpenID Connect Core 1.0, 3.1.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from threading import Lock
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

import httpx
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.errors import InvalidKeyIdError, JoseError
from joserfc.jwk import KeySet

from billingbot.core.errors import ForbiddenError, RetryLaterError

# Signatures by keys that the provider alone has. `none` and the shared-secret kinds are no proof of anybody.
_ALGORITHMS: Final = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
# Clocks of well-kept machines differ by seconds.
_LEEWAY_SECONDS: Final = 60
# Somebody sits and waits.
_PATIENCE_SECONDS: Final = 10.0
# Addresses hardly ever change, and keys that are not known are asked for at once.
_KEEP_SECONDS: Final = 3600.0
# A document, a set of keys or an answer has a few kilobytes.
_MOST_BYTES: Final = 256 * 1024


class OidcRefusedError(ForbiddenError):
    """The provider's answer is not one that lets anybody in."""


class OidcAwayError(RetryLaterError):
    """The provider cannot be asked now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Who the provider says it is. `groups` are the values of the claim that roles are made from."""

    issuer: str
    subject: str
    name: str | None
    email: str | None
    groups: tuple[str, ...]


class Oidc:
    """One provider. Safe to use from several threads."""

    def __init__(
        self, *, issuer: str, client_id: str, client_secret: str, scopes: str, groups_claim: str | None
    ) -> None:
        self.issuer = issuer
        self._client_id, self._client_secret = client_id, client_secret
        self._scopes, self._groups_claim = scopes, groups_claim
        self._http = httpx.Client(timeout=_PATIENCE_SECONDS, follow_redirects=False)
        self._lock = Lock()
        self._kept: dict[str, tuple[float, Mapping[str, Any]]] = {}

    def close(self) -> None:
        """Lets the connections go."""
        self._http.close()

    def way(self, *, redirect_uri: str, state: str, nonce: str, verifier: str) -> str:
        """Where to send the browser. OidcAwayError where the provider cannot be asked for its addresses."""
        query = {
            "response_type": "code",
            "client_id": self._client_id,
            "redirect_uri": redirect_uri,
            "scope": self._scopes,
            "state": state,
            "nonce": nonce,
            "code_challenge": create_s256_code_challenge(verifier),
            "code_challenge_method": "S256",
        }
        at = self._address("authorization_endpoint")
        return f"{at}{'&' if '?' in at else '?'}{urlencode(query)}"

    def who(self, *, code: str, redirect_uri: str, nonce: str, verifier: str) -> Identity:
        """Who came back with this code. OidcRefusedError where the answer proves nobody; OidcAwayError."""
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": redirect_uri,
            "code_verifier": verifier,
        }
        answer = self._ask("POST", self._address("token_endpoint"), data=form)
        token, access = answer.get("id_token"), answer.get("access_token")
        if not isinstance(token, str):
            raise OidcRefusedError("sign-in: the provider gave no identity")
        claims = self._proved(token, nonce=nonce, access_token=access if isinstance(access, str) else None)
        email = claims.get("email") if claims.get("email_verified") in (True, "true") else None
        return Identity(
            issuer=self.issuer,
            subject=str(claims["sub"]),
            name=_text(claims.get("name")),
            email=_text(email),
            groups=self._groups(claims),
        )

    def _proved(self, token: str, *, nonce: str, access_token: str | None) -> Mapping[str, Any]:
        try:
            try:
                found = jwt.decode(token, self._keys(fresh=False), algorithms=list(_ALGORITHMS))
            except (InvalidKeyIdError, ValueError):  # keys were rolled since we asked
                found = jwt.decode(token, self._keys(fresh=True), algorithms=list(_ALGORITHMS))
            claims = CodeIDToken(
                found.claims,
                found.header,
                options={
                    "iss": {"essential": True, "value": self.issuer},
                    "aud": {"essential": True, "value": self._client_id},
                    "nonce": {"essential": True, "value": nonce},
                },
                params={"nonce": nonce, "client_id": self._client_id, "access_token": access_token},
            )
            claims.validate(now=int(time.time()), leeway=_LEEWAY_SECONDS)
        except (JoseError, ValueError) as fault:
            raise OidcRefusedError(f"sign-in: the provider's answer proves nobody ({type(fault).__name__})") from None
        proved: Mapping[str, Any] = claims
        return proved

    def _groups(self, claims: Mapping[str, Any]) -> tuple[str, ...]:
        if self._groups_claim is None:
            return ()
        found: Any = claims
        for part in self._groups_claim.split("."):
            found = found.get(part) if isinstance(found, Mapping) else None
        several = found if isinstance(found, list) else [found]
        return tuple(one for one in several if isinstance(one, str))

    def _keys(self, *, fresh: bool) -> KeySet:
        document = self._document(self._address("jwks_uri"), fresh=fresh)
        return KeySet.import_key_set({"keys": list(document.get("keys", ()))})

    def _address(self, name: str) -> str:
        document = self._document(f"{self.issuer.rstrip('/')}/.well-known/openid-configuration")
        if document.get("issuer") != self.issuer:
            raise OidcRefusedError("sign-in: the provider calls itself by another name than the configuration")
        found = document.get(name)
        if not isinstance(found, str) or not is_safe(found):
            raise OidcRefusedError(f"sign-in: the provider names no usable {name}")
        return found

    def _document(self, url: str, *, fresh: bool = False) -> Mapping[str, Any]:
        with self._lock:
            kept = self._kept.get(url)
        if kept is not None and not fresh and time.monotonic() - kept[0] < _KEEP_SECONDS:
            return kept[1]
        document = self._ask("GET", url)
        with self._lock:
            self._kept[url] = (time.monotonic(), document)
        return document

    def _ask(self, method: str, url: str, **more: Any) -> Mapping[str, Any]:
        auth = (self._client_id, self._client_secret) if method == "POST" else None
        try:
            answer = self._http.request(method, url, auth=auth, headers={"Accept": "application/json"}, **more)
        except httpx.HTTPError as fault:
            raise OidcAwayError(f"sign-in: the provider does not answer ({type(fault).__name__})") from None
        if answer.status_code >= 500:
            raise OidcAwayError(f"sign-in: the provider answers {answer.status_code}")
        if not answer.is_success or len(answer.content) > _MOST_BYTES:
            raise OidcRefusedError(f"sign-in: the provider answers {answer.status_code}")
        try:
            found = answer.json()
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise OidcRefusedError("sign-in: the provider's answer cannot be read")
        return found


def is_safe(url: str) -> bool:
    """Whether what goes there cannot be read on the way: https, or this very machine."""
    parts = urlsplit(url)
    return parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in {"127.0.0.1", "::1", "localhost"})


def _text(found: object) -> str | None:
    return found if isinstance(found, str) and found.strip() else None
