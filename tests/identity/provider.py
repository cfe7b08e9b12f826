"""A small OpenID provider of the tests' own: discovery, codes with PKCE, and tokens that are really signed."""

import base64
import hashlib
import json
import secrets
import time
from dataclasses import dataclass, field
from functools import cache
from typing import Any
from urllib.parse import parse_qs, urlencode

from joserfc import jwt
from joserfc.jwk import RSAKey
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

CLIENT, SECRET = "billingbot-tests", "a secret of the tests"


@cache
def _first_key() -> RSAKey:
    """Made once for all providers: the primes cost a good part of a second."""
    return RSAKey.generate_key(2048, {"kid": "first"})


@dataclass(slots=True)
class Provider:
    """Signs in whoever comes, as `user`; `claims` are laid over what a token says, and `faults` spoil it."""

    issuer: str = ""
    user: dict[str, Any] = field(
        default_factory=lambda: {
            "sub": "ada-1",
            "name": "Ada Lovelace",
            "email": "ada@example.com",
            "email_verified": True,
            "groups": ["refund-support"],
        }
    )
    claims: dict[str, Any] = field(default_factory=dict)
    alg: str = "RS256"
    key: RSAKey = field(default_factory=_first_key)
    stranger: RSAKey | None = None
    forgets_codes: bool = True
    _asked: dict[str, dict[str, str]] = field(default_factory=dict)

    def app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/.well-known/openid-configuration", self._discovery),
                Route("/jwks", self._jwks),
                Route("/authorize", self._authorize),
                Route("/token", self._token, methods=["POST"]),
            ]
        )

    def roll(self) -> None:
        """Another key from now on, under another id."""
        self.key = RSAKey.generate_key(2048, {"kid": secrets.token_hex(4)})

    def _discovery(self, _: Request) -> Response:
        ways = {"authorization_endpoint": "authorize", "token_endpoint": "token", "jwks_uri": "jwks"}
        return JSONResponse({"issuer": self.issuer, **{name: f"{self.issuer}/{at}" for name, at in ways.items()}})

    def _jwks(self, _: Request) -> Response:
        return JSONResponse({"keys": [self.key.as_dict(private=False)]})

    def _authorize(self, request: Request) -> Response:
        asked = dict(request.query_params)
        assert asked["response_type"] == "code"
        assert asked["client_id"] == CLIENT
        assert asked["code_challenge_method"] == "S256"
        code = secrets.token_urlsafe(8)
        self._asked[code] = asked
        back = urlencode({"code": code, "state": asked["state"]})
        return RedirectResponse(f"{asked['redirect_uri']}?{back}", status_code=302)

    async def _token(self, request: Request) -> Response:
        form = {name: values[0] for name, values in parse_qs((await request.body()).decode()).items()}
        asked = self._asked.pop(form["code"], None) if self.forgets_codes else self._asked.get(form["code"])
        challenge = base64.urlsafe_b64encode(hashlib.sha256(form["code_verifier"].encode()).digest()).rstrip(b"=")
        basic = base64.b64encode(f"{CLIENT}:{SECRET}".encode()).decode()
        if (
            asked is None
            or asked["code_challenge"] != challenge.decode()
            or asked["redirect_uri"] != form["redirect_uri"]
            or request.headers["authorization"] != f"Basic {basic}"
        ):
            return JSONResponse({"error": "invalid_grant"}, status_code=400)
        now = int(time.time())
        claims = {
            "iss": self.issuer,
            "aud": CLIENT,
            "iat": now,
            "exp": now + 300,
            "nonce": asked["nonce"],
            **self.user,
            **self.claims,
        }
        return JSONResponse({"access_token": "x", "token_type": "Bearer", "id_token": self._signed(claims)})

    def _signed(self, claims: dict[str, Any]) -> str:
        if self.alg == "none":
            parts = [{"alg": "none", "typ": "JWT"}, claims]
            raw = [base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in parts]
            return f"{raw[0]}.{raw[1]}."
        kid = (self.key.as_dict())["kid"]
        return jwt.encode({"alg": self.alg, "kid": kid}, claims, self.stranger or self.key)
