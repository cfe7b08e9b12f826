"""A backtest that a person asks for: a job that decides the past again, and a result that stays."""

from dataclasses import replace

import pytest

from billingbot.core.access.powers import Role, powers_of
from billingbot.core.errors import ConflictError, ForbiddenError
from billingbot.core.job import MOST_ATTEMPTS
from billingbot.core.policy import load_policy
from billingbot.core.trying import BacktestState
from billingbot.flows.policy import backtests
from billingbot.store import backtests as stored
from tests.flows.shop import Shop


def stricter(shop: Shop) -> backtests.Trial:
    text = shop.policy.source.partition("[examples.base]")[0]
    text = text.replace("usd = 20000", "usd = 4899").replace('version = "', 'version = "strict-', 1)
    return backtests.Trial(new=load_policy(text, filename="strict.toml"))


def state(shop: Shop, backtest_id: str) -> tuple[BacktestState, int]:
    with shop.desk.db.begin() as connection:
        found = stored.get(connection, backtest_id)
    return found.state, found.cases_done


def test_a_worker_decides_the_past_again_and_the_result_stays(shop: Shop) -> None:
    shop.ask(shop.charged_trial()[1])
    shop.work()
    asked = backtests.ask(shop.desk, stricter(shop), by="ada")
    assert backtests.result_of(shop.desk, asked.id) is None
    shop.work()

    assert state(shop, asked.id) == (BacktestState.DONE, 1)
    found = backtests.result_of(shop.desk, asked.id)
    assert found is not None
    assert (found.report.cases, found.report.flips, found.never_decided) == (1, 1, 0)
    (money,) = found.report.money
    assert (money.currency, money.lost.cases, money.lost.amount_minor) == ("usd", 1, 4900)
    assert [flip.after.says for flip in found.largest] == ["review (refund)"]
    table = backtests.flips_of(shop.desk, asked.id)
    assert table is not None
    assert table.decode().splitlines()[1].startswith(found.largest[0].case_id)


def test_one_that_is_stopped_tells_nothing_and_one_that_gave_up_says_so(shop: Shop) -> None:
    shop.ask(shop.charged_trial()[1])
    shop.work()
    asked = backtests.ask(shop.desk, stricter(shop), by="ada")
    backtests.stop(shop.desk, asked.id, by="mia")
    shop.work()
    assert state(shop, asked.id)[0] is BacktestState.STOPPED
    with pytest.raises(ConflictError, match="is stopped"):
        backtests.stop(shop.desk, asked.id, by="mia")

    again = backtests.ask(shop.desk, stricter(shop), by="ada")
    shop.rows("UPDATE jobs SET attempts = :n WHERE subject = :id RETURNING id", n=MOST_ATTEMPTS, id=again.id)
    shop.work()
    assert state(shop, again.id)[0] is BacktestState.FAILED


def test_only_who_may_publish_may_try(shop: Shop) -> None:
    support = replace(shop.desk, powers=powers_of([Role.SUPPORT]))
    with pytest.raises(ForbiddenError, match="it takes the role admin"):
        backtests.ask(support, stricter(shop), by="kim")
