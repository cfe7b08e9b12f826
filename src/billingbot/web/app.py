"""The web application: every HTTP door of billingbot, put together."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import Final

import anyio.to_thread
from fastapi import FastAPI

from billingbot.flows.desk import Desk
from billingbot.flows.receive import Endpoint, store
from billingbot.web import answers, api, console, health
from billingbot.web.agreement_gauges import AgreementGauges
from billingbot.web.batches import Batches
from billingbot.web.gauges import DeskGauges
from billingbot.web.metrics import Metrics
from billingbot.web.porch import Porch
from billingbot.web.webhooks import WEBHOOKS, WebhookDoor

# API requests at a time. Each holds one connection of the pool, which has twice ten of them by default: the rest is
# for the intake, the metrics and what asks two sources at once.
THREADS: Final = 14


def make_app(
    desk: Desk,
    endpoints: Mapping[str, Endpoint],
    *,
    redis: health.Ping | None = None,
    dropped_bells: Callable[[], int] | None = None,
    threads: int = THREADS,
) -> FastAPI:
    """The application over this desk; `endpoints` are the webhook endpoints by account name.

    `redis` says whether the doorbell's Redis answers, for `/readyz` to tell; `dropped_bells` how many bells this
    process did not ring, for `/metrics`. `threads` is how many API requests run at a time.
    """
    metrics = Metrics()
    metrics.registry.register(DeskGauges(desk))
    if dropped_bells is not None:
        metrics.count_dropped_bells(dropped_bells)
    metrics.registry.register(AgreementGauges(desk))
    batches = Batches(partial(store, desk), metrics)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        anyio.to_thread.current_default_thread_limiter().total_tokens = threads
        yield
        await batches.close()

    app = FastAPI(
        title="billingbot",
        summary="The refund desk that runs itself.",
        version="1",
        openapi_url="/api/v1/openapi.json",
        docs_url=None,  # its page loads scripts from a CDN
        redoc_url=None,
        redirect_slashes=False,  # Stripe takes a redirect for a failure
        lifespan=lifespan,
    )
    app.state.desk = desk
    app.add_middleware(Porch, metrics=metrics, hot=WebhookDoor(endpoints, batches, metrics), hot_path=WEBHOOKS)
    answers.install(app)
    app.include_router(health.router(desk, metrics.registry, redis))
    app.include_router(api.router)
    console.install(app)
    return app
