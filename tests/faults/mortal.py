"""Processes that die: at the k-th commit or paying call, just before it takes effect or just after."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy import Connection, event
from tests.flows.shop import Shop

from billingbot.gateway.answers import CancelAnswer, RefundAnswer
from billingbot.gateway.client import StripeGateway

Answer = TypeVar("Answer")


class Died(BaseException):
    """The process is gone: nothing of it runs any further."""


@dataclass(slots=True)
class Fate:
    """Counts the instants at which something becomes true; dies at the one that is named."""

    instants: int = 0
    dies_at: int | None = None
    after: bool = False

    def meets(self) -> bool:
        """True at the instant of death."""
        self.instants += 1
        return self.instants == self.dies_at

    def begin(self, *, dies_at: int | None, after: bool = False) -> None:
        """A new life."""
        self.instants, self.dies_at, self.after = 0, dies_at, after


class MortalGateway(StripeGateway):
    """The real gateway, whose process may die around the calls that change something at Stripe."""

    fate: Fate

    def create_refund(self, **asked: Any) -> RefundAnswer:
        return self._around(lambda: super(MortalGateway, self).create_refund(**asked))

    def create_credit_note(self, **asked: Any) -> RefundAnswer:
        return self._around(lambda: super(MortalGateway, self).create_credit_note(**asked))

    def cancel_subscription(self, **asked: Any) -> CancelAnswer:
        return self._around(lambda: super(MortalGateway, self).cancel_subscription(**asked))

    def _around(self, call: Callable[[], Answer]) -> Answer:
        dies = self.fate.meets()
        if dies and not self.fate.after:
            raise Died
        answer = call()
        if dies:
            raise Died  # with the answer
        return answer


def make_mortal(shop: Shop) -> Fate:
    """From now on the shop's processes die as their fate says."""
    fate = Fate()
    gateway = MortalGateway("default", "rk_test_shop", False, api_base=shop.stripe.url)
    gateway.fate = fate
    shop.replace_gateway(gateway)

    @event.listens_for(shop.desk.db, "commit")
    def _commit(connection: Connection) -> None:
        wrote = connection.scalar(sa.select(sa.func.pg_current_xact_id_if_assigned().is_not(None)))
        if not wrote or not fate.meets():  # dying over what was only read is dying before the next thing written
            return
        if fate.after:
            connection.connection.commit()
        raise Died

    return fate


def die_everywhere(fate: Fate, live: Callable[[], None]) -> int:
    """Lives once for each instant and each side of it, until a life has no more instants; returns how many it had.

    `live` starts a new life, brings it to its end whatever happens to it on the way, and checks what is left.
    """
    instant = 0
    while True:
        instant += 1
        for after in (False, True):
            fate.begin(dies_at=instant, after=after)
            live()
            if fate.instants < instant:
                return instant - 1
