"""Figures over disputes that were answered by us: the fields that went out stand with how it ended."""

from billingbot.flows.disputes import sending
from billingbot.store.views.dispute_figures import NO_ANSWER, FigureFilter, dispute_figures
from tests.flows.shop import Shop
from tests.flows.test_answering import act, current, disputed


def heard(shop: Shop) -> None:
    shop.deliver()
    shop.work()


def test_the_fields_of_an_answer_of_ours_are_counted_with_how_it_ended(shop: Shop) -> None:
    _, charge, answered = disputed(shop)
    heard(shop)
    sending.send(shop.desk, act(answered, version=current(shop, answered).version))
    shop.work()
    heard(shop)
    shop.stripe.move_dispute(answered, "won")
    heard(shop)

    with shop.desk.db.begin() as connection:
        found = dispute_figures(connection)
        none = dispute_figures(connection, FigureFilter(account="other"))
    by_name = {one.evidence: one for one in found.by_evidence}
    assert NO_ANSWER not in by_name
    assert {(one.count, one.won, one.win_rate) for one in by_name.values()} == {(1, 1, 1.0)}
    assert "access_activity_log" in by_name
    [reason] = found.by_reason
    assert (reason.count, reason.won, reason.win_rate, reason.won_minor) == (1, 1, 1.0, reason.amount_minor)
    assert (none.by_reason, none.by_evidence) == ((), ())
    assert len(shop.refunds_at_stripe(charge)) == 0
