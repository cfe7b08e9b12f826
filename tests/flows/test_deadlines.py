"""Deadlines: a case that waits, one that is nearly due and one that was are told of, each once."""

from billingbot.core.mode import Mode
from tests.flows.shop import Shop


def waiting_case(shop: Shop) -> str:
    shop.set_mode(Mode.ASSIST)
    case_id = shop.ask(shop.charged_trial()[1]).case.id
    shop.work()
    assert shop.case(case_id).state == "review"
    return case_id


def told(shop: Shop) -> list[tuple[str, str]]:
    kinds = ("case_opened", "deadline_near", "deadline_missed")
    rows = shop.rows("SELECT kind, subject FROM notices WHERE kind = ANY (:kinds) ORDER BY id", kinds=list(kinds))
    return [(row.kind, row.subject) for row in rows]


def due(shop: Shop, case_id: str, interval: str) -> None:
    shop.rows(
        "UPDATE cases SET due_at = now() + CAST(:span AS interval) WHERE id = :id RETURNING id",
        id=case_id,
        span=interval,
    )


def test_a_case_is_told_of_when_it_waits_when_it_is_nearly_due_and_when_it_was(shop: Shop) -> None:
    case_id = waiting_case(shop)
    due(shop, case_id, "9 hours")
    assert [shop.do("deadlines"), shop.do("deadlines")] == [1, 0]
    due(shop, case_id, "3 hours")
    assert [shop.do("deadlines"), shop.do("deadlines")] == [1, 0]
    due(shop, case_id, "-1 second")
    assert [shop.do("deadlines"), shop.do("deadlines")] == [1, 0]
    assert told(shop) == [("case_opened", case_id), ("deadline_near", case_id), ("deadline_missed", case_id)]


def test_a_deadline_that_was_moved_is_another_one(shop: Shop) -> None:
    case_id = waiting_case(shop)
    due(shop, case_id, "1 hour")
    shop.do("deadlines")
    shop.rows("UPDATE notices SET told_at = told_at - interval '9 hours' RETURNING id")
    assert shop.do("deadlines") == 1


def test_what_was_opened_days_ago_is_no_news(shop: Shop) -> None:
    case_id = waiting_case(shop)
    due(shop, case_id, "-3 days")
    shop.rows("UPDATE cases SET opened_at = opened_at - interval '2 days' RETURNING id")
    assert shop.do("deadlines") == 0
