"""A candidate decides beside the live policy: never in its way, never paying, and compared with it and with people."""

import pytest
import sqlalchemy as sa

from billingbot.core.errors import ConflictError, InputError
from billingbot.core.mode import Mode
from billingbot.core.policy import Policy, load_policy
from billingbot.flows.casework.review import approve, deny
from billingbot.flows.policy.shadow import follow, start_shadow, stop_shadow
from billingbot.store import views
from tests.flows.shop import Shop


def strict(shop: Shop) -> Policy:
    """The shop's policy with a limit below the price, under another version."""
    text = shop.policy.source.partition("[examples.base]")[0]
    text = text.replace("usd = 20000", "usd = 4899").replace('version = "', 'version = "strict-', 1)
    return load_policy(text, filename="strict.toml")


def decided(shop: Shop, *, used: bool = False) -> str:
    trial, charge = shop.charged_trial()
    if used:
        shop.usage.used_by.add(trial.customer)
    case_id = shop.ask(charge).case.id
    shop.work()
    return case_id


def report(shop: Shop) -> views.ShadowReport:
    with shop.desk.db.begin() as connection:
        found = views.shadow_report(connection)
    assert found is not None
    return found


def test_a_candidate_says_what_it_would_have_done_and_does_nothing(shop: Shop) -> None:
    decided(shop)
    start_shadow(shop.desk, strict(shop), by="ada", why="a lower limit")
    refunded, used = decided(shop), decided(shop, used=True)

    assert follow(shop.desk) == 2  # what was decided before it started is not its business
    assert follow(shop.desk) == 0

    told = report(shop)
    assert (told.agreement.same, told.agreement.of, told.waiting) == (1, 2, 0)
    (moved,) = told.moved
    assert (moved.live, moved.shadow, moved.cases) == ("refund", "review (refund)", 1)
    assert [str(one) for one in moved.money] == ["USD 49.00"]
    assert [flip.case_id for flip in told.flips] == [refunded]
    assert (shop.case(refunded).outcome, shop.case(used).state) == ("refunded", "review")
    assert len(shop.rows("SELECT 1 FROM refunds")) == 2


def test_one_candidate_runs_at_a_time_and_its_word_stays(shop: Shop) -> None:
    start_shadow(shop.desk, strict(shop), by="ada", why="a lower limit")
    with pytest.raises(ConflictError, match="a shadow runs already"):
        start_shadow(shop.desk, strict(shop), by="ada", why="another")
    decided(shop)
    follow(shop.desk)
    stop_shadow(shop.desk, by="grace")
    with pytest.raises(ConflictError, match="no shadow runs"):
        stop_shadow(shop.desk, by="grace")
    decided(shop)
    assert follow(shop.desk) == 0
    told = report(shop)
    assert (told.shadow.stopped_by, told.agreement.of) == ("grace", 1)
    start_shadow(shop.desk, strict(shop), by="ada", why="again")
    assert report(shop).agreement.of == 0
    kinds = [row.kind for row in shop.rows("SELECT kind FROM ledger_entries WHERE kind LIKE 'shadow.%' ORDER BY seq")]
    assert kinds == ["shadow.started", "shadow.stopped", "shadow.started"]


def test_a_candidate_that_could_not_be_published_cannot_run(shop: Shop) -> None:
    never = strict(shop).source.replace('use-was-seen = "usage.used"', 'use-was-seen = "usage.used && !usage.used"')
    with pytest.raises(InputError, match="policy: expected one that could be published"):
        start_shadow(shop.desk, load_policy(never, filename="never.toml"), by="ada", why="x")
    with pytest.raises(InputError, match="why"):
        start_shadow(shop.desk, strict(shop), by="ada", why=" ")


def test_facts_that_nobody_can_read_are_counted_and_stop_nothing(shop: Shop) -> None:
    start_shadow(shop.desk, strict(shop), by="ada", why="a lower limit")
    decided(shop)
    with shop.owner.begin() as connection:
        connection.execute(sa.text("SET session_replication_role = replica"))
        connection.execute(sa.text("UPDATE decisions SET facts = '{}'"))
    decided(shop)
    assert follow(shop.desk) == 2
    told = report(shop)
    assert (told.unreadable, told.agreement.of) == (1, 1)


def test_before_auto_people_and_the_rules_are_compared_rule_by_rule(shop: Shop) -> None:
    shop.set_mode(Mode.ASSIST)
    approve(shop.desk, shop.person(decided(shop)), reason="never used")
    deny(shop.desk, shop.person(decided(shop)), reason="we know them", reply=None)
    deny(shop.desk, shop.person(decided(shop, used=True)), reason="used", reply=None)
    shop.work()

    with shop.desk.db.begin() as connection:
        told = {one.rule: one for one in views.live_against_people(connection, None)}

    earned = told["unused-trial"]
    assert earned.pays
    assert (earned.agreement.same, earned.agreement.of) == (1, 2)
    assert not told["used"].pays
    assert (told["used"].agreement.same, told["used"].agreement.of) == (1, 1)
