"""The short form of the torture test: some seconds of everything, and one of the proofs that it can turn red."""

import pytest

from tests.torture.proof import prove
from tests.torture.report import report
from tests.torture.run import Plan, run

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def test_everything_breaks_at_once_and_nothing_is_lost_or_paid_twice() -> None:
    result = run(Plan(seed=7, seconds=12, wave=8, wave_seconds=12, per_hour=4))
    assert result.violations == [], report(result)
    assert result.total > 50
    assert result.refunds.get("policy", 0) > 0


def test_it_turns_red_where_every_send_has_a_new_key() -> None:
    proof = prove("key", seed=7)
    assert proof.red, proof
