"""By hand: a desk for one act of a person at the command line, with no more configuration than the act needs."""

import logging
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from datetime import timedelta

import structlog

from billingbot.bootstrap.accounts import AccountSettings, NoAccountError, read_accounts
from billingbot.bootstrap.build import new_id, read_policy
from billingbot.bootstrap.house_texts import read_house_texts
from billingbot.bootstrap.settings import Environment, read_file
from billingbot.bootstrap.sign_in import read_seal
from billingbot.bootstrap.telemetry import strike_out
from billingbot.flows.desk import Bell, Desk
from billingbot.store.database import make_engine
from billingbot.worker.doorbell import RedisBell, make_broker


class NoBell:
    """Rings nobody: with no Redis named, workers find the jobs by themselves within seconds."""

    def ring(self, job_ids: Sequence[str]) -> None:
        """Nothing to do."""


def quiet_logs() -> None:
    """Warnings and worse to stderr, struck clean: what a command prints belongs to its result."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.stdlib.add_log_level,
            structlog.processors.format_exc_info,
            strike_out,
            structlog.processors.KeyValueRenderer(key_order=["event"]),
        ],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING),
    )


def accounts_by_hand(environment: Environment, running: Mapping[str, bool]) -> tuple[AccountSettings, ...]:
    """The configured accounts, or else those that run here (name: live or not), known by name and mode alone.

    ConfigError for settings that are wrong, NoAccountError where there are none at all. An account known by name
    has a key that opens nothing: it serves acts that do not ask Stripe.
    """
    try:
        return read_accounts(environment, read_file(environment.config))
    except NoAccountError:
        if not running:
            raise
    return tuple(_by_name(name, livemode=livemode) for name, livemode in running.items())


@contextmanager
def desk_by_hand(
    environment: Environment, accounts: Sequence[AccountSettings], *, database_url: str, redis_url: str | None
) -> Iterator[Desk]:
    """A desk without sources of evidence, for acts that look at none; the policy is read when it is first needed.

    ConfigError where the configuration file cannot be read.
    """
    file = read_file(environment.config)
    with ExitStack() as stack:
        engine = make_engine(database_url, pool_size=2)  # one act, and whatever it reads beside it
        stack.callback(engine.dispose)
        bell: Bell = NoBell()
        if redis_url is not None:
            broker = make_broker(redis_url)
            ringing = RedisBell(broker)
            stack.callback(broker.close)
            stack.callback(ringing.close)
            bell = ringing
        built = {settings.name: settings.build() for settings in accounts}
        for account in built.values():
            stack.callback(account.stripe.close)
        yield Desk(
            db=engine,
            accounts=built,
            usage=(),
            support=(),
            policy=lambda: read_policy(environment.policy),
            bell=bell,
            new_id=new_id,
            recheck_after=timedelta(seconds=file.desk.recheck_after_seconds),
            books=file.finance.books(),
            disputes=file.disputes.terms(),
            comment_words=file.cancellation_comments.lists(),
            texts=read_house_texts(file, clauses=None),
            seal=read_seal(environment),
        )


def _by_name(name: str, *, livemode: bool) -> AccountSettings:
    key = f"rk_{'live' if livemode else 'test'}_none"
    return AccountSettings(name=name, livemode=livemode, api_key=key, secrets=(), api_base=None, stripe_account=None)
