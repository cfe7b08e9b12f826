"""Answers in one shape: what went wrong, in a word and a sentence, and the fields that were wrong."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final

import structlog
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse

from billingbot.core.errors import (
    BillingbotError,
    ConflictError,
    ForbiddenError,
    InputError,
    NotFoundError,
    RetryLaterError,
    StripeFaultError,
)

# A restarted Postgres or a busy Stripe is back within seconds.
RETRY_AFTER_SECONDS: Final = 5
# Whoever mended so many sends it again.
_MOST_PROBLEMS: Final = 100
_SAY: Final = {
    HTTPStatus.NOT_FOUND: ("not_found", "path: there is nothing here"),
    HTTPStatus.METHOD_NOT_ALLOWED: ("method_not_allowed", "method: not one that this path takes"),
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: ("too_large", "body: larger than this door takes"),
    HTTPStatus.REQUEST_TIMEOUT: ("too_slow", "body: did not come in time"),
    HTTPStatus.BAD_REQUEST: ("invalid_input", "body: expected JSON"),
}

log = structlog.get_logger(__name__)


class UnauthorizedError(BillingbotError):
    """Nobody with an API key that is in use."""


def error(
    status: HTTPStatus, reason: str, message: str, *, fields: Sequence[Mapping[str, str]] | None = None
) -> JSONResponse:
    """`{"error": {"reason", "message", "fields"?}}`: the one shape of every refusal."""
    body: dict[str, object] = {"reason": reason, "message": message}
    if fields is not None:
        body["fields"] = list(fields)
    return JSONResponse({"error": body}, status_code=status)


def unavailable(message: str) -> JSONResponse:
    """503: nothing was done, and the same request may be sent again soon."""
    answer = error(HTTPStatus.SERVICE_UNAVAILABLE, "unavailable", message)
    answer.headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
    return answer


def invalid(fields: Sequence[tuple[str, str]]) -> JSONResponse:
    """422: each field that is wrong, with what was expected of it."""
    told = [{"field": field, "expected": expected} for field, expected in fields]
    message = "; ".join(f"{field}: {expected}" for field, expected in fields)
    return error(HTTPStatus.UNPROCESSABLE_ENTITY, "invalid_input", message, fields=told)


def install(app: FastAPI) -> None:
    """Turns every fault of the verbs and of the framework into an answer of this shape."""
    app.add_exception_handler(BillingbotError, _fault)
    app.add_exception_handler(RequestValidationError, _not_valid)
    app.add_exception_handler(HTTPException, refused)


async def _fault(_request: Request, fault: Exception) -> JSONResponse:
    match fault:
        case InputError():
            return invalid(problems_of(fault))
        case UnauthorizedError():
            answer = error(HTTPStatus.UNAUTHORIZED, "unauthorized", str(fault))
            answer.headers["WWW-Authenticate"] = 'Bearer realm="billingbot"'
            return answer
        case ConflictError():
            return error(HTTPStatus.CONFLICT, "conflict", str(fault))
        case ForbiddenError():
            return error(HTTPStatus.FORBIDDEN, "forbidden", str(fault))
        case NotFoundError():
            return error(HTTPStatus.NOT_FOUND, "not_found", str(fault))
        case RetryLaterError():
            log.warning("web.unavailable", why=str(fault))
            return unavailable(str(fault))
        case StripeFaultError():
            log.error("web.stripe_fault", why=str(fault))
            return error(HTTPStatus.BAD_GATEWAY, "stripe_fault", str(fault))
        case _:
            raise fault


async def _not_valid(_request: Request, fault: Exception) -> JSONResponse:
    return invalid(problems_of(fault))


def problems_of(fault: Exception) -> list[tuple[str, str]]:
    """The fields that were wrong, up to a hundred, with what was expected; none for any other kind of fault."""
    if isinstance(fault, InputError):
        return [(fault.field, fault.expected)]
    problems: Sequence[Mapping[str, Any]] = fault.errors() if isinstance(fault, RequestValidationError) else ()
    return [(_field(problem["loc"]), _expected(problem)) for problem in problems[:_MOST_PROBLEMS]]


async def refused(_request: Request, fault: Exception) -> JSONResponse:
    """What the framework itself refuses: an unknown path, another method, a body that is too large or no JSON."""
    if not isinstance(fault, HTTPException):
        raise fault
    status = HTTPStatus(fault.status_code)
    reason, message = _SAY.get(status, (status.phrase.lower().replace(" ", "_"), str(fault.detail)))
    answer = error(status, reason, message)
    answer.headers.update(fault.headers or {})
    return answer


def _field(location: Sequence[str | int]) -> str:
    """A field as the sender wrote it: `claims.cancelled_at`, `hits[3].events`, `Idempotency-Key`."""
    kind, *path = location
    if kind == "header":
        return str(path[0]).title()
    if kind == "body" and (not path or isinstance(path[0], int)):
        return "body"  # no JSON at all, or no object; the number would be a position in the text
    name = ""
    for part in path:
        name += f"[{part}]" if isinstance(part, int) else f".{part}"
    return name.removeprefix(".")


def _expected(problem: Mapping[str, Any]) -> str:
    """What was expected instead; never what was sent."""
    match problem["type"]:
        case "missing":
            return "expected to be there"
        case "extra_forbidden":
            return "expected no field of this name"
        case "json_invalid":
            return "expected JSON"
        case _:
            return "expected " + str(problem["msg"]).removeprefix("Input should be ").removeprefix("expected ")
