"""Health: alive, ready for traffic, and what a monitoring system scrapes; nothing here names a customer."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from http import HTTPStatus

from fastapi import APIRouter
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError
from starlette.responses import JSONResponse, Response

from billingbot.core.errors import BillingbotError
from billingbot.flows.desk import Desk
from billingbot.store import breakers, migrate, views
from billingbot.web.reading import read

Ping = Callable[[], bool]
"""Whether something answers; False or an exception where it does not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Readiness:
    """Whether this process can do its work, and if not, why.

    Redis, the age of due jobs and open breakers are told and decide nothing: requests are still taken.
    """

    ready: bool
    reasons: tuple[str, ...]
    policy: Mapping[str, str] | None
    oldest_due_job_seconds: float | None
    redis: str
    """`up`, `down`, or `not asked`."""
    breakers_open: tuple[str, ...] = ()
    """Accounts whose automatic refunds are stopped until a person closes the breaker."""


def check(desk: Desk, redis: Ping | None) -> Readiness:
    """Looks at everything that this process needs."""
    reasons: list[str] = []
    oldest: float | None = None
    stopped: tuple[str, ...] = ()
    try:
        if read(desk, _is_current):
            oldest = read(desk, views.oldest_due_job_seconds)
            stopped = tuple(one.account for one in read(desk, breakers.all_breakers) if one.is_open)
        else:
            reasons.append("postgres: is not migrated to this release")
    except (BillingbotError, SQLAlchemyError) as fault:
        reasons.append(f"postgres: cannot be read ({type(fault).__name__})")
    try:
        loaded = desk.policy() if reasons else desk.policy_for(None)
        policy = {"id": loaded.id, "version": loaded.version, "digest": loaded.digest}
    except BillingbotError:
        policy = None
        reasons.append("policy: is not loaded")
    return Readiness(
        ready=not reasons,
        reasons=tuple(reasons),
        policy=policy,
        oldest_due_job_seconds=oldest,
        redis="not asked" if redis is None else ("up" if _answers(redis) else "down"),
        breakers_open=stopped,
    )


def router(desk: Desk, registry: CollectorRegistry, redis: Ping | None) -> APIRouter:
    """`/healthz`, `/readyz` and `/metrics`."""
    routes = APIRouter(tags=["health"])

    @routes.get("/healthz", summary="Whether the process lives")
    async def alive() -> dict[str, str]:
        return {"status": "alive"}

    @routes.get("/readyz", summary="Whether it can do its work", responses={503: {"description": "It cannot."}})
    def ready() -> JSONResponse:
        found = check(desk, redis)
        return JSONResponse(asdict(found), HTTPStatus.OK if found.ready else HTTPStatus.SERVICE_UNAVAILABLE)

    @routes.get("/metrics", summary="For Prometheus", response_class=Response)
    def metrics() -> Response:
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    return routes


def _is_current(connection: Connection) -> bool:
    return migrate.is_current(connection)


def _answers(ping: Ping) -> bool:
    try:
        return ping()
    except Exception:  # noqa: BLE001  # whatever a client library throws, Redis does not answer
        return False
