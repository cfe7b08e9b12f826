"""The breaker: too many or too large a share of refunds stop the machine, and only a person lets it go on."""

from dataclasses import replace

import pytest

from billingbot.core.breaker import BreakerLimits, Pace, TrippedBy, trip_of
from billingbot.core.case import CaseState
from billingbot.core.errors import ConflictError, ForbiddenError, InputError
from billingbot.core.job import Actor
from billingbot.core.mode import Mode
from billingbot.flows.breaker import TrippedError, close_breaker, list_breakers, trip
from billingbot.flows.casework.review import approve
from billingbot.flows.desk import step
from billingbot.flows.switch import current_modes, set_mode
from billingbot.gateway.client import StripeGateway
from billingbot.store import views
from billingbot.worker.run import run
from tests.flows.shop import Shop

LIMITS = BreakerLimits(refunds_per_hour=10, refunded_percent_max=50, percent_from_requests=8)


def breaks_after(shop: Shop, refunds_per_hour: int) -> None:
    shop.allow(breaker=replace(LIMITS, refunds_per_hour=refunds_per_hour, percent_from_requests=1000))


def asked(shop: Shop, count: int, *, one_by_one: bool = False) -> list[str]:
    """So many unused trials, charged, each of whom asks for the money; the desk works after each, or not yet."""
    trials = [shop.start_trial() for _ in range(count)]
    shop.end_trials()
    charges = [shop.last_charge(trial) for trial in trials]
    for charge in charges:
        shop.ask(charge, unused=True)
        if one_by_one:
            shop.work()
    return charges


def tripped(shop: Shop, *, after: int = 2, asking: int = 3) -> list[str]:
    """The charges of those who asked; one more than may be refunded within an hour."""
    breaks_after(shop, after)
    return asked(shop, asking, one_by_one=True)


def mode(shop: Shop) -> Mode:
    [row] = current_modes(shop.desk)
    return row.mode


def notices(shop: Shop) -> list[str]:
    return [row.kind for row in shop.rows("SELECT kind FROM notices ORDER BY id")]


def kinds(shop: Shop) -> list[str]:
    """What the ledger says of breaker and mode, in order."""
    wanted = "kind LIKE 'breaker.%' OR kind = 'mode.changed'"
    return [row.kind for row in shop.rows(f"SELECT kind FROM ledger_entries WHERE {wanted} ORDER BY seq")]  # noqa: S608 - a constant


@pytest.mark.parametrize(
    ("pace", "by"),
    [
        ((10, 10, 10_000), None),
        ((11, 11, 10_000), TrippedBy.PACE),
        ((4, 4, 7), None),  # too few requests for a share to mean anything
        ((4, 4, 8), None),
        ((5, 5, 8), TrippedBy.SHARE),
        ((0, 5, 8), TrippedBy.SHARE),
        ((0, 0, 0), None),
    ],
)
def test_a_threshold_is_passed_by_the_first_refund_above_it(pace: tuple[int, int, int], by: TrippedBy | None) -> None:
    hour, day, decided = pace
    found = trip_of(Pace(refunds_in_hour=hour, refunds_in_day=day, decided_in_day=decided), LIMITS)
    assert (found.by if found else None) == by


def test_the_refund_above_the_pace_stops_the_machine_and_goes_to_a_person(shop: Shop) -> None:
    charges = tripped(shop)

    paid = [charge for charge in charges if shop.refunds_at_stripe(charge)]
    [held] = set(charges) - set(paid)
    [case] = shop.cases_of(held)
    assert len(paid) == 2
    assert (case.state, case.reason, case.recommendation) == (CaseState.REVIEW, "limit-breaker", "refund")
    assert mode(shop) is Mode.ASSIST
    [breaker] = list_breakers(shop.desk)
    assert (breaker.is_open, breaker.case_id, breaker.tripped_by) == (True, case.id, "refunds_per_hour")
    assert breaker.observed == "3 automatic refunds within an hour with this one"
    assert kinds(shop) == ["mode.changed", "breaker.opened", "mode.changed"]
    assert notices(shop) == ["breaker_open"]
    with shop.desk.db.begin() as connection:
        assert views.explanation(connection, case.id).reproduces
        assert views.counts(connection).breakers_open == ("default",)
    assert shop.ledger_flaws() == []


def test_while_it_is_open_people_pay_and_the_machine_does_not(shop: Shop) -> None:
    charges = tripped(shop)
    later = asked(shop, 1)[0]
    shop.work()
    [case] = shop.cases_of(later)
    assert (case.state, case.reason) == (CaseState.REVIEW, "limit-breaker")
    assert notices(shop) == ["breaker_open"]  # told once

    approve(shop.desk, shop.person(case.id), reason="as the policy says")
    shop.work()
    shop.assert_paid_once(later)
    assert len([charge for charge in charges if shop.refunds_at_stripe(charge)]) == 2


def test_auto_is_refused_until_a_person_has_closed_the_breaker(shop: Shop) -> None:
    tripped(shop)
    with pytest.raises(ForbiddenError, match="billingbot breaker close --account default"):
        set_mode(shop.desk, "default", Mode.AUTO, by="kim", why="go on")
    with pytest.raises(InputError, match="why"):
        close_breaker(shop.desk, "default", by="kim", why=" ")
    with pytest.raises(InputError, match="by"):
        close_breaker(shop.desk, "default", by="billingbot", why="go on")
    assert mode(shop) is Mode.ASSIST

    closed = close_breaker(shop.desk, "default", by="kim", why="a promotion ended, all of them are real")
    assert (closed.is_open, closed.closed_by, mode(shop)) == (False, "kim", Mode.AUTO)
    assert kinds(shop)[-2:] == ["breaker.closed", "mode.changed"]
    assert notices(shop) == ["breaker_open", "breaker_closed"]
    with pytest.raises(ConflictError, match="is not open"):
        close_breaker(shop.desk, "default", by="lou", why="me too")


def test_after_closing_refunds_are_counted_anew(shop: Shop) -> None:
    tripped(shop)
    close_breaker(shop.desk, "default", by="kim", why="looked at them")
    charges = asked(shop, 3, one_by_one=True)
    assert len([charge for charge in charges if shop.refunds_at_stripe(charge)]) == 2
    [breaker] = list_breakers(shop.desk)
    assert (breaker.is_open, breaker.closed_by) == (True, None)
    assert mode(shop) is Mode.ASSIST


def test_closing_leaves_a_mode_that_a_person_has_set_since(shop: Shop) -> None:
    tripped(shop)
    set_mode(shop.desk, "default", Mode.ASSIST, by="kim", why="until we know more")
    close_breaker(shop.desk, "default", by="kim", why="known now")
    assert mode(shop) is Mode.ASSIST


def test_the_share_of_requests_refunded_trips_it_as_well(shop: Shop) -> None:
    shop.allow(breaker=BreakerLimits(refunds_per_hour=100, refunded_percent_max=50, percent_from_requests=4))
    used = [shop.start_trial() for _ in range(2)]
    unused = [shop.start_trial() for _ in range(3)]
    shop.usage.used_by.update(trial.customer for trial in used)
    shop.end_trials()
    for trial in [*used, *unused]:
        shop.ask(shop.last_charge(trial), unused=True)
        shop.work()

    assert [len(shop.refunds_at_stripe(shop.last_charge(trial))) for trial in unused] == [1, 1, 0]
    [breaker] = list_breakers(shop.desk)
    assert breaker.observed == "3 of 5 requests of a day refunded with this one"


def test_an_hour_later_the_pace_is_another(shop: Shop) -> None:
    breaks_after(shop, 2)
    asked(shop, 2)
    shop.work()
    with shop.owner.begin() as connection:
        connection.exec_driver_sql("UPDATE refunds SET intended_at = intended_at - interval '61 minutes'")
    charges = asked(shop, 2)
    shop.work()
    assert [len(shop.refunds_at_stripe(charge)) for charge in charges] == [1, 1]
    assert list_breakers(shop.desk) == []


def test_refunds_that_had_not_left_when_it_opened_are_withdrawn_to_people(shop: Shop) -> None:
    breaks_after(shop, 2)
    charges = asked(shop, 3)
    shop.work(only=Actor.ASSESS)
    assert list_breakers(shop.desk)[0].is_open
    shop.work()

    for charge in charges:
        shop.assert_not_paid(charge)
        [case] = shop.cases_of(charge)
        assert (case.state, case.reason) == (CaseState.REVIEW, "limit-breaker")


def test_a_breaker_that_opens_during_the_last_look_stops_the_payment(shop: Shop) -> None:
    breaks_after(shop, 1)
    first, second = asked(shop, 2)
    [job, other] = [row.id for row in shop.rows("SELECT id FROM jobs WHERE actor = 'assess' ORDER BY id")]
    run(shop.desk, job)

    class Tripping(StripeGateway):
        def dossier(self, *asked: object, **how: object) -> object:  # type: ignore[override] # passed on as it came
            run(plain, other)
            return super().dossier(*asked, **how)  # type: ignore[arg-type] # likewise

    plain = shop.desk
    account = replace(
        plain.accounts["default"], stripe=Tripping("default", "rk_test_shop", False, api_base=shop.stripe.url)
    )
    shop.desk = replace(plain, accounts={"default": account})
    shop.work()
    assert list_breakers(shop.desk)[0].is_open
    assert shop.attempts_of(first) == []
    shop.restart()
    account.stripe.close()
    shop.desk = plain
    shop.assert_not_paid(first)
    shop.assert_not_paid(second)


def test_a_breaker_that_a_person_has_just_closed_is_not_opened_by_what_was_counted_before(shop: Shop) -> None:
    """Two refunds pass the threshold; between the count of the second and its verdict a person closes the breaker."""
    tripped(shop)
    counted = trip_of(Pace(refunds_in_hour=3, refunds_in_day=3, decided_in_day=3), shop.policy.limits.breaker)
    assert counted is not None
    stale = TrippedError(counted, opens=True, closed_at=None)
    close_breaker(shop.desk, "default", by="kim", why="looked at them")
    with step(shop.desk) as this:
        trip(this, shop.case(str(list_breakers(shop.desk)[0].case_id)), stale)
    assert not list_breakers(shop.desk)[0].is_open
    assert mode(shop) is Mode.AUTO


def test_the_pace_forgets_refunds_that_never_left(shop: Shop) -> None:
    breaks_after(shop, 1)
    [charge] = asked(shop, 1)
    shop.work(only=Actor.ASSESS)
    shop.set_mode(Mode.ASSIST)
    shop.work()
    shop.assert_not_paid(charge)
    shop.set_mode(Mode.AUTO)

    [other] = asked(shop, 1)
    shop.work()
    assert len(shop.refunds_at_stripe(other)) == 1
