"""Mutations: one safety at a time taken out of the running processes, to prove that the harness would notice.

A patch is applied in the process that is started with it, and never to what ships.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final
from uuid import uuid4


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutation:
    """A safety that is taken out: by a patch of the workers, or by SQL as the superuser.

    `red` is the check that has to notice; `kind` of customers, or a rush of `currency`, is what shows it.
    """

    says: str
    red: str
    patch: Callable[[], None] | None = None
    sql: str | None = None
    kind: str = "unused"
    currency: str = "usd"
    customers: int = 6


def new_key_each_time() -> None:
    """Every send goes out under a key of its own, as an SDK without our key would do it."""
    from billingbot.gateway.transport import Transport

    before = Transport.post_once

    def post_once(self: Transport, path: str, params: Mapping[str, Any], key: str) -> Any:
        return before(self, path, params, f"{key}:{uuid4().hex}")

    Transport.post_once = post_once  # type: ignore[method-assign] # a mutation


def effect_before_intent() -> None:
    """The call goes out first, and the attempt is committed when the answer is there."""
    from billingbot.core.ids import attempt_key
    from billingbot.core.paying import number_after
    from billingbot.flows import submit

    before = submit._commit_attempt

    def commit_attempt(desk: Any, job: Any, known: Any, verdict: Any) -> Any:
        refund, number = known.refund, number_after(known.attempt)
        key = attempt_key(livemode=refund.livemode, charge_id=refund.charge_id, refund_id=refund.id, attempt=number)
        metadata = {
            "billingbot_refund": refund.id, "billingbot_case": refund.case_id or "", "billingbot_key": key,
        }  # fmt: skip
        desk.account(refund.account).stripe.create_refund(
            charge_id=refund.charge_id,
            amount_minor=refund.amount_minor,
            reason="requested_by_customer",
            metadata=metadata,
            idempotency_key=key,
            currency=refund.currency,
        )
        return before(desk, job, known, verdict)  # sent again under the same key: Stripe repeats its answer

    submit._commit_attempt = commit_attempt


def no_second_look() -> None:
    """A refund that was decided leaves, whatever happened since."""
    from billingbot.flows import submit

    before = submit._look_again

    def look_again(desk: Any, refund: Any) -> Any:
        return replace(before(desk, refund), go=True)

    submit._look_again = look_again


def no_look_at_disputes() -> None:
    """The look just before paying sees no dispute."""
    from contextvars import ContextVar

    from billingbot.flows import submit
    from billingbot.gateway.client import StripeGateway

    paying: ContextVar[bool] = ContextVar("paying", default=False)
    before, dossier = submit._look_again, StripeGateway.dossier

    def look_again(desk: Any, refund: Any) -> Any:
        token = paying.set(True)
        try:
            return before(desk, refund)
        finally:
            paying.reset(token)

    def without_disputes(self: StripeGateway, *args: Any, **named: Any) -> Any:
        seen = dossier(self, *args, **named)
        return replace(seen, disputes=(), charge=replace(seen.charge, disputed=False)) if paying.get() else seen

    submit._look_again = look_again
    StripeGateway.dossier = without_disputes  # type: ignore[method-assign] # a mutation


def no_lock_on_limits() -> None:
    """The day's sum is read without the lock that makes racing workers wait for each other."""
    from billingbot.store import database

    before = database.advisory_lock

    def advisory_lock(connection: Any, name: str) -> None:
        if name.startswith("budget:"):
            return
        if name == "ledger":
            time.sleep(0.2)  # as long as a slow disk might take between the sum and the commit
        before(connection, name)

    database.advisory_lock = advisory_lock


MUTATIONS: Final[Mapping[str, Mutation]] = {
    "key": Mutation(says="a new key for every send", red="attempt-before-call", patch=new_key_each_time),
    "attempt": Mutation(says="the call before its attempt", red="attempt-before-call", patch=effect_before_intent),
    "second-look": Mutation(says="no look just before paying", red="policy", patch=no_second_look, kind="flips"),
    "disputes": Mutation(
        says="no look at disputes just before paying", red="policy", patch=no_look_at_disputes, kind="won-between"
    ),
    "one-refund-index": Mutation(
        says="no index on live refunds", red="database-refuses", sql="DROP INDEX uq_refunds_live_charge"
    ),
    "one-attempt-index": Mutation(
        says="no index on unresolved attempts", red="database-refuses", sql="DROP INDEX uq_refund_attempts_unresolved"
    ),
    "limits-lock": Mutation(
        says="no lock on the limits", red="limits", patch=no_lock_on_limits, currency="eur", customers=24
    ),
}
