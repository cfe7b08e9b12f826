"""The local Stripe as a process of its own, which keeps a log of all calls and watches those that have an effect.

The witness: at the instant a call that pays, answers a bank or gives a dispute up arrives, its attempt has to stand in
Postgres, committed, with this key and these parameters. It looks there by a line of its own, past all the faults.
"""

import json
import re
import sys
import time
from copy import copy
from datetime import datetime
from typing import Any, Final
from urllib.parse import parse_qs, parse_qsl

import msgspec
import psycopg
import uvicorn
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from billingbot.sandbox import control
from billingbot.sandbox.api import Incoming, Reply, answer
from billingbot.sandbox.app import SandboxApp
from billingbot.sandbox.faults import FaultBook
from billingbot.sandbox.local import LocalStripe
from billingbot.sandbox.state import Options

CALLS: Final = "/_torture/calls"
STRIKES: Final = "/_torture/strikes"
TOWN_KEY: Final = "sk_test_town"
"""The API key of the town and the Dashboard, whom no fault meets."""
# Postgres may just be restarting; its recovery takes well under this.
_PATIENCE_SECONDS: Final = 8.0

_EFFECT: Final = re.compile(r"/v1/(?:refunds|credit_notes|disputes/(?P<dispute>[^/]+)(?:/close)?)")
_ATTEMPT: Final = "SELECT params, outcome FROM refund_attempts WHERE key = %s"
_ANSWER: Final = """\
SELECT a.dispute_id, a.kind, a.needs_second AND a.first_key = a.decided_key
FROM ledger_entries e, LATERAL (SELECT convert_from(e.body, 'UTF8')::json AS told) b
JOIN dispute_answers a ON a.id = b.told->>'answer'
WHERE e.kind = 'answer.attempted' AND b.told->>'key' = %s
"""


class Call(msgspec.Struct, kw_only=True):
    """One call to the API as it arrived, and how it was answered. `witness` is what Postgres had of one that has an
    effect; `ended` names the dispute that it ended."""

    at: float
    method: str
    path: str
    form: str
    key: str | None = None
    status: int = 0
    cut: str | None = None
    replayed: bool = False
    code: str | None = None
    witness: str | None = None
    ended: str | None = None

    def names(self, charge: str) -> bool:
        """Whether the call is about this charge."""
        return charge in self.path or charge in self.form


class WatchedStripe(SandboxApp):
    """The local Stripe; `CALLS` tells the calls that name `about`, or all that were watched."""

    def __init__(self, local: LocalStripe, database_url: str) -> None:
        super().__init__(local)
        self._database_url = database_url
        self._calls: list[Call] = []
        self._strikes: dict[str, dict[str, Any]] = {}
        # The same Stripe without a bad day, for those who only set the scene.
        self._calm = copy(local)
        self._calm.faults = FaultBook(None)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] == CALLS:
            about = parse_qs(Request(scope).url.query).get("about", [""])[0]
            told = [call for call in self._calls if (call.names(about) if about else call.witness is not None)]
            await Response(msgspec.json.encode(told), media_type="application/json")(scope, receive, send)
            return
        if scope["type"] == "http" and scope["path"] == STRIKES:
            planned = json.loads(await Request(scope, receive).body())
            self._strikes[planned.pop("charge")] = planned
            await Response(b"{}", media_type="application/json")(scope, receive, send)
            return
        await super().__call__(scope, receive, send)

    def _stripe(self, incoming: Incoming) -> Reply:
        if incoming.headers.get("authorization") == f"Bearer {TOWN_KEY}":
            return answer(self._calm, incoming)
        key = incoming.headers.get("idempotency-key")
        call = Call(at=time.time(), method=incoming.method, path=incoming.path, form=incoming.form, key=key)
        self._calls.append(call)
        effect = _EFFECT.fullmatch(incoming.path) if incoming.method == "POST" else None
        dispute = effect["dispute"] if effect else None
        if effect:
            call.witness = self._witness(call, dispute)
        before = self._status_of(dispute)
        reply = super()._stripe(incoming)
        if incoming.path.endswith("/close") and before != self._status_of(dispute):
            call.ended = dispute
        if incoming.method == "GET" and incoming.path == "/v1/disputes" and reply.status == 200:
            self._strike(incoming.form)
        call.status, call.cut = reply.status, reply.cut
        call.replayed = reply.headers.get("Idempotent-Replayed") == "true"
        if reply.status >= 400 and reply.body.startswith(b"{"):
            call.code = json.loads(reply.body).get("error", {}).get("code")
        return reply

    def _status_of(self, dispute: str | None) -> str | None:
        found = self._local.box.tables["dispute"].get(dispute or "")
        return str(found["status"]) if found else None

    def _strike(self, asked: str) -> None:
        """The disputes of this charge were looked at for a case of its own, and there was none: now there is one."""
        charge = parse_qs(asked).get("charge", [""])[0]
        if charge in self._strikes and self._has_case(charge):
            command = json.dumps({"charge": charge, **self._strikes.pop(charge)}).encode()
            control.answer(self._local, "POST", "/_sandbox/disputes", "", command)

    def _has_case(self, charge: str) -> bool:
        """Whether somebody has asked: every charge is looked at once when it is made, which decides nothing."""
        try:
            with psycopg.connect(self._database_url, autocommit=True, connect_timeout=2) as connection:
                query = "SELECT 1 FROM cases WHERE charge_id = %s"
                return connection.execute(query, [charge]).fetchone() is not None
        except psycopg.OperationalError:
            return False

    def _witness(self, call: Call, dispute: str | None) -> str:
        """`ok`, `outside` for a call without our metadata, `blind` where Postgres is away, or what was wrong."""
        form = dict(parse_qsl(call.form))
        if dispute is None and "metadata[billingbot_refund]" not in form:
            return "outside"
        until = time.monotonic() + _PATIENCE_SECONDS
        while time.monotonic() < until:
            try:
                with psycopg.connect(self._database_url, autocommit=True, connect_timeout=2) as connection:
                    row = connection.execute(_ATTEMPT if dispute is None else _ANSWER, [call.key]).fetchone()
                    return _compared(row, form) if dispute is None else _compared_answer(row, dispute, call, form)
            except psycopg.OperationalError:
                time.sleep(0.1)
        return "blind"


def _compared(row: tuple[Any, ...] | None, form: dict[str, str]) -> str:
    if row is None:
        return "no attempt of this key is committed"
    params = json.loads(row[0])
    names = {"invoice": "invoice", "refund_amount": "amount"} if "invoice" in params else {"charge": "charge"}
    differs = [name for name, ours in {**names, "amount": "amount"}.items() if form.get(name) != str(params[ours])]
    return f"{', '.join(differs)}: sent is not what the attempt says" if differs else "ok"


def _compared_answer(row: tuple[Any, ...] | None, dispute: str, call: Call, form: dict[str, str]) -> str:
    if row is None:
        return "no answer of this key is committed"
    meant = "accept" if call.path.endswith("/close") else "send" if form.get("submit") == "true" else "stage"
    if row[:2] != (dispute, meant):
        return f"{meant} {dispute}: the committed answer is {row[1]} {row[0]}"
    return "one person alone gave it up" if row[2] else "ok"


def main(port: int, start_at: datetime, seed: int, database_url: str) -> None:
    """Serves until SIGTERM."""
    local = LocalStripe(Options(start_at=start_at, seed=seed))
    local.start()
    try:
        # As the sandbox serves itself.
        settings = {"http": "h11", "ws": "none", "lifespan": "off", "log_level": "critical", "access_log": False}
        app = WatchedStripe(local, database_url)
        uvicorn.run(app, host="127.0.0.1", port=port, timeout_graceful_shutdown=2, **settings)  # type: ignore[arg-type] # mypy joins their types
    finally:
        local.stop()


if __name__ == "__main__":
    main(int(sys.argv[1]), datetime.fromisoformat(sys.argv[2]), int(sys.argv[3]), sys.argv[4])
