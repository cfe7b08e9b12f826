"""A visit: who is here, with a desk that may do what they may, and how they read."""

import hashlib
import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Annotated, Any, Concatenate, Final, ParamSpec, TypeVar
from urllib.parse import quote, urlsplit
from zoneinfo import ZoneInfo

from babel import Locale
from fastapi import Depends
from fastapi.concurrency import run_in_threadpool
from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from billingbot.core.access.person import Person
from billingbot.core.access.powers import Power
from billingbot.core.access.session import Session
from billingbot.flows.access import sign_in
from billingbot.flows.desk import Desk
from billingbot.web import reading
from billingbot.web.console.rendering import render
from billingbot.web.console.wording import Reader

P = ParamSpec("P")
T = TypeVar("T")

COOKIE: Final = "billingbot_session"
_SECURE_COOKIE: Final = f"__Host-{COOKIE}"  # a browser takes it only over https, for this host and every path

UNASKED: Final = "x-unasked"  # what console.js says of a request that a page makes by itself, with nobody looking
_SEAL_LENGTH: Final = hashlib.sha256().digest_size * 2  # in hexadecimal digits


class NotSignedInError(Exception):
    """Nobody whom we know: the way leads to the sign-in page, and from there back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """One request of somebody who is signed in. `desk` may do what this person may, and nothing else."""

    request: Request
    desk: Desk
    person: Person
    session: Session
    csrf: str
    reader: Reader

    @property
    def name(self) -> str:
        """Who acts, as the ledger keeps it."""
        return self.person.name

    def may(self, power: Power | str) -> bool:
        """Whether a button for this makes sense. The verbs themselves refuse, whatever a screen shows."""
        return Power(power) in self.desk.powers

    def read(self, view: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """What a read model shows, in one short transaction. ForbiddenError for who may not even look."""
        self.desk.require(Power.SEE)
        return reading.read(self.desk, view, *args, **kwargs)

    def show(self, template: str, *, status: HTTPStatus = HTTPStatus.OK, **context: Any) -> HTMLResponse:
        """A page, or a part of one."""
        return HTMLResponse(render(template, {**self._words(), **context}), status_code=status)

    def go(self, path: str, *, said: str | None = None) -> Response:
        """To another page of ours after an act; `said` is shown there once."""
        where = local_path(path)
        if said:
            where += ("&" if "?" in where else "?") + f"said={_seal(said, self.csrf)}{quote(said)}"
        if "hx-request" in self.request.headers:
            return Response(status_code=HTTPStatus.NO_CONTENT, headers={"HX-Redirect": where})
        return RedirectResponse(where, status_code=HTTPStatus.SEE_OTHER)

    def _words(self) -> Mapping[str, Any]:
        return {
            "visit": self,
            "path": self.request.url.path,
            "query": self.request.query_params,
            "said": _said(self.request.query_params.get("said", ""), self.csrf),
            "money": self.reader.money,
            "money_text": self.reader.money_text,
            "number": self.reader.number,
            "when": self.reader.when,
            "ago": self.reader.ago,
            "due": self.reader.due,
            "exact": self.reader.exact,
            "now": self.reader.now,
        }


async def admit(request: Request) -> None:
    """Puts the visit on the request. NotSignedInError where there is no session that counts."""
    desk: Desk = await reading.desk_of(request)
    secret = request.cookies.get(cookie_name(request), "")
    seen = UNASKED not in request.headers and "text/event-stream" not in request.headers.get("accept", "")
    found = await run_in_threadpool(sign_in.session_of, desk, secret, seen=seen) if secret else None
    if found is None:
        raise NotSignedInError
    person, session = found
    request.state.visit = Visit(
        request=request,
        desk=replace(desk, powers=person.powers, through=f"session:{session.id}"),
        person=person,
        session=session,
        csrf=csrf_of(secret),
        reader=Reader(locale=Locale.parse(person.locale), zone=ZoneInfo(person.zone), now=datetime.now(UTC)),
    )


def csrf_of(session_secret: str) -> str:
    """The mark that every form carries: nobody knows it who does not know the session, and it tells nothing of it."""
    return hmac.new(session_secret.encode(), b"billingbot csrf", hashlib.sha256).hexdigest()


def _seal(said: str, csrf: str) -> str:
    """What shows that a message in an address is ours, for this session: a link cannot put words on our pages."""
    return hmac.new(csrf.encode(), said.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()


def _said(sealed: str, csrf: str) -> str:
    """The message where its seal is right, else none."""
    seal, said = sealed[:_SEAL_LENGTH], sealed[_SEAL_LENGTH:]
    return said if hmac.compare_digest(seal.encode("utf-8", "replace"), _seal(said, csrf).encode()) else ""


def cookie_name(request: Request) -> str:
    """The session cookie's name: bound to this host where the way here is https."""
    return _SECURE_COOKIE if is_secure(request) else COOKIE


def is_secure(request: Request) -> bool:
    """Whether people come here by https: by this request, or by the address that the configuration gives us."""
    desk: Desk = request.app.state.desk
    return request.url.scheme == "https" or (desk.public_url or "").startswith("https://")


def local_path(path: str) -> str:
    """The path where it is one of ours, else the front page: nobody is sent elsewhere by a link of ours."""
    parts = urlsplit(path)
    ours = path.startswith("/") and not path.startswith(("//", "/\\")) and not parts.netloc and not parts.scheme
    return path if ours and path.isprintable() and "\\" not in path else "/"


async def _visit(request: Request) -> Visit:
    visit: Visit = request.state.visit
    return visit


Here = Annotated[Visit, Depends(_visit)]
"""What every page takes: `def page(here: Here) -> Response`."""
