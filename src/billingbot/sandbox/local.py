"""One local Stripe: state, keys, faults, outbox and ticking clock, started and stopped together."""

import logging
import threading
from typing import Final

from billingbot.sandbox.faults import FaultBook
from billingbot.sandbox.idempotency import KeyRing
from billingbot.sandbox.state import Options, Sandbox
from billingbot.sandbox.webhooks import Outbox

_LOG: Final = logging.getLogger("billingbot.sandbox")
_TICK_SECONDS: Final = 0.5  # a running clock counts seconds; twice as often is enough


class LocalStripe:
    """Everything behind one address. `box`, `keys`, `faults` and `outbox` are replaced by a reset."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.box = Sandbox(options)
        self.keys = KeyRing()
        self.faults = FaultBook(options.seed)
        self.outbox = Outbox(self.box)
        self._stop = threading.Event()
        self._ticker = threading.Thread(target=self._tick, name="sandbox-clock")

    def start(self) -> None:
        """Start delivery and the clock."""
        self.outbox.start()
        self._ticker.start()

    def stop(self) -> None:
        """End all threads."""
        self._stop.set()
        self._ticker.join()
        self.outbox.stop()

    def reset(self, *, keep_endpoints: bool = True) -> None:
        """A new, empty account; the webhook endpoints stay, with their secrets, unless told otherwise."""
        before, box = self.outbox, Sandbox(self.options)
        fresh = Outbox(box)
        if keep_endpoints:
            for found in self.box.tables["webhook_endpoint"].rows.values():
                box.tables["webhook_endpoint"].add(found)
            fresh.secrets, fresh.thin = before.secrets, before.thin
        self.box, self.outbox = box, fresh
        self.keys, self.faults = KeyRing(), FaultBook(self.options.seed)
        fresh.start()
        before.stop()

    def _tick(self) -> None:
        while not self._stop.wait(_TICK_SECONDS):
            box = self.box
            if box.clock.running:
                self._catch_up(box)

    def _catch_up(self, box: Sandbox) -> None:
        try:
            with box.lock:
                box.catch_up()
        except Exception:  # noqa: BLE001 - one failed task must not stop the clock; it is logged and gone
            _LOG.exception("sandbox bug: a task of the agenda failed")
