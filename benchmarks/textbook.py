"""The textbook way to take webhooks: verify with the SDK, insert a row, commit, send a message, for each request.

Two doors, since textbooks differ: one blocks the event loop with its commit and its send, as most do; the other
leaves both to FastAPI's threads, as the careful ones do.
"""

import os
from typing import Annotated, Any

import dramatiq
import sqlalchemy as sa
import stripe
from dramatiq.brokers.redis import RedisBroker
from fastapi import Depends, FastAPI, Header, HTTPException, Request
from sqlalchemy.dialects.postgresql import insert

metadata = sa.MetaData()
events = sa.Table(
    "stripe_events",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("type", sa.Text, nullable=False),
    sa.Column("payload", sa.Text, nullable=False),
    sa.Column("received_at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False),
)
# One connection for each of FastAPI's forty threads: the careful door must not wait for one.
engine = sa.create_engine(os.environ["TEXTBOOK_DATABASE_URL"], pool_size=40)
broker = RedisBroker(url=os.environ["TEXTBOOK_REDIS_URL"])  # type: ignore[no-untyped-call] # Dramatiq has no types here
dramatiq.set_broker(broker)
secret = os.environ["TEXTBOOK_WEBHOOK_SECRET"]
app = FastAPI()


@dramatiq.actor
def handle_event(event_id: str) -> None:
    """Nobody works here: the benchmark ends at the door."""


async def raw_body(request: Request) -> bytes:
    """The bytes that were signed."""
    return await request.body()


@app.post("/blocking")
async def take_blocking(request: Request, stripe_signature: Annotated[str, Header()]) -> dict[str, Any]:
    """All in the event loop."""
    return receive(await request.body(), stripe_signature)


@app.post("/threads")
def take_in_threads(
    payload: Annotated[bytes, Depends(raw_body)], stripe_signature: Annotated[str, Header()]
) -> dict[str, Any]:
    """In one of FastAPI's threads."""
    return receive(payload, stripe_signature)


def receive(payload: bytes, signature: str) -> dict[str, Any]:
    """One request, one commit, one message."""
    try:
        event = stripe.Webhook.construct_event(payload, signature, secret)
    except (ValueError, stripe.SignatureVerificationError):
        raise HTTPException(400, "not an event of Stripe's") from None
    row = {"id": event.id, "type": event.type, "payload": payload.decode()}
    with engine.begin() as connection:
        connection.execute(insert(events).values(row).on_conflict_do_nothing())
    handle_event.send(event.id)
    return {"received": True}
