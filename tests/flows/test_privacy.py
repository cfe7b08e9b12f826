"""Erasing a customer's personal data: all of it that can go, none of what must stay, and never half a piece."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import sqlalchemy as sa

from billingbot.core.case import CaseState
from billingbot.core.disputes.purchase_facts import PurchaseFact
from billingbot.core.errors import InputError
from billingbot.core.mode import Mode
from billingbot.core.privacy import ERASED, Held
from billingbot.core.request import NamedBy
from billingbot.flows import privacy
from billingbot.flows.casework import review
from billingbot.flows.receive import store
from billingbot.store import views
from billingbot.store.database import transaction
from tests.flows.shop import Shop

EMAIL = "Veronique+trial@example.com"


def a_closed_case(shop: Shop) -> tuple[str, str]:
    """A customer asked by address, wrote a text, got a refund and a note; and the events of all that are here."""
    _, charge = shop.charged_trial(email=EMAIL)
    shop.set_mode(Mode.ASSIST)
    case_id = shop.ask(EMAIL, named_by=NamedBy.EMAIL, unused=True, text="Veronique here, never used it").case.id
    store(shop.desk, shop.events())
    shop.work()
    review.note(shop.desk, shop.person(case_id), "Veronique called from Vienna")
    review.deny(shop.desk, shop.person(case_id), reason="Veronique used it", reply="Dear Veronique, no.")
    assert shop.case(case_id).state is CaseState.CLOSED
    return charge, case_id


def everything(shop: Shop) -> str:
    """Every table that holds words, as one text."""
    tables = ("cases", "requests", "notes", "letters", "ledger_entries", "notices", "decisions", "jobs", "job_failures")
    told = [str(list(shop.rows(f"SELECT * FROM {table}"))) for table in tables]  # noqa: S608 # names from above
    told += [bytes(row.body).decode() for row in shop.rows("SELECT body FROM inbox")]
    told += [bytes(row.body).decode() for row in shop.rows("SELECT body FROM ledger_entries")]
    return "\n".join(told).lower()


def test_what_can_go_goes_and_decisions_and_ledger_stay_provable(shop: Shop) -> None:
    _, case_id = a_closed_case(shop)
    assert "veronique" in everything(shop)
    held = privacy.preview(shop.desk, EMAIL).held
    assert (held.cases, held.requests, held.notes, held.open_cases) == (1, 1, 2, 0)
    assert held.events > 0
    assert held.digests > 0
    assert privacy.erase(shop.desk, EMAIL.upper(), by="kim") == held
    assert "veronique" not in everything(shop)
    assert shop.ledger_flaws() == []
    with transaction(shop.desk.db) as connection:
        told = views.explanation(connection, case_id)
    assert told.reproduces
    assert any("was erased on" in line for line in told.lines)
    assert [row.text for row in shop.rows("SELECT text FROM notes")] == [ERASED, ERASED]
    assert shop.case(case_id).reply is None


def test_twice_is_once_and_of_nobody_there_is_nothing(shop: Shop) -> None:
    a_closed_case(shop)
    privacy.erase(shop.desk, EMAIL, by="kim")
    before = shop.rows("SELECT count(*) AS n FROM ledger_entries")[0].n
    assert privacy.erase(shop.desk, EMAIL, by="kim") == Held()
    assert privacy.preview(shop.desk, "nobody@example.com").held == Held()
    assert shop.rows("SELECT count(*) AS n FROM ledger_entries")[0].n == before
    with pytest.raises(InputError, match=r"^email: "):
        privacy.erase(shop.desk, "veronique", by="kim")


def test_nobody_elses_data_is_touched(shop: Shop) -> None:
    a_closed_case(shop)
    _, other = shop.charged_trial(email="wim@example.com")
    theirs = shop.ask(other, unused=True, text="wim here").case.id
    store(shop.desk, shop.events())
    shop.work()
    privacy.erase(shop.desk, EMAIL, by="kim")
    told = everything(shop)
    assert "wim here" in told
    assert "wim@example.com" in told
    assert shop.case(theirs).reply is not None or shop.case(theirs).state is not CaseState.CLOSED


def test_what_is_under_way_stays_until_it_ends_and_can_still_be_found_then(shop: Shop) -> None:
    shop.set_mode(Mode.ASSIST)
    _, charge = shop.charged_trial(email=EMAIL)
    store(shop.desk, shop.events())
    case_id = shop.ask(charge, unused=True, text="Veronique here").case.id
    shop.work()
    done = privacy.erase(shop.desk, EMAIL, by="kim")
    assert (done.open_cases, done.requests, done.digests) == (1, 0, 0)
    assert "veronique here" in everything(shop)
    review.deny(shop.desk, shop.person(case_id), reason="Veronique used it", reply=None)
    assert privacy.erase(shop.desk, EMAIL, by="kim").requests == 1
    assert "veronique" not in everything(shop)


def test_a_case_that_a_late_failure_reopens_during_the_erasing_keeps_its_words(shop: Shop) -> None:
    first, second = sorted(a_closed_case(shop)[1] for _ in range(2))

    def failed() -> None:
        if shop.case(first).reply is None:  # the first piece is done, the second not yet
            shop.write("UPDATE cases SET state = 'review', closed_at = NULL, outcome = NULL WHERE id = :c", c=second)

    noted = shop.rows("SELECT text FROM notes WHERE case_id = :c", c=second)
    done = privacy.erase(shop.desk, EMAIL, by="kim", moved=failed)
    assert (done.cases, done.open_cases, done.digests) == (1, 1, 0)
    assert noted
    assert shop.rows("SELECT text FROM notes WHERE case_id = :c", c=second) == noted


def test_comments_reasons_beside_links_and_what_the_product_told_go_too(shop: Shop) -> None:
    _, case_id = a_closed_case(shop)
    case = shop.case(case_id)
    with shop.desk.db.begin() as connection:
        for digest, belongs in (("1", case_id), ("2", None)):
            connection.execute(
                sa.text(
                    "INSERT INTO cancellation_comments (account, subscription_id, digest, comment, matched, case_id)"
                    " VALUES ('default', :sub, :digest, 'Veronique wants her money', ARRAY['money'], :case)"
                ),
                {"sub": case.subscription_id, "digest": digest, "case": belongs},
            )
        connection.execute(
            sa.text(
                "INSERT INTO link_marks (id, account, kind, digest, case_id, marked_by, why)"
                " VALUES ('mark_1', 'default', 'card', 'd', :case, 'kim', 'Veronique shares the card')"
            ),
            {"case": case_id},
        )
        connection.execute(
            sa.text(
                "INSERT INTO purchase_facts (account, customer_id, name, value) "
                "VALUES ('default', :who, :name, 'Veronique')"
            ),
            {"who": case.customer_id, "name": next(iter(PurchaseFact)).value},
        )
    held = privacy.preview(shop.desk, EMAIL).held
    assert (held.comments, held.marks, held.purchases) == (2, 1, 1)
    assert privacy.erase(shop.desk, EMAIL, by="kim") == held
    left = [shop.rows(f"SELECT * FROM {table}") for table in ("cancellation_comments", "link_marks", "purchase_facts")]  # noqa: S608
    assert "veronique" not in str(left).lower()
    assert privacy.erase(shop.desk, EMAIL, by="kim") == Held()


class DiedError(Exception):
    """The process ended here."""


def test_dying_anywhere_in_the_middle_leaves_the_rest_to_be_found(shop: Shop) -> None:
    a_closed_case(shop)
    expected, steps = privacy.preview(shop.desk, EMAIL).held, _count(shop)
    gone = Held()
    for last in range(steps):
        with pytest.raises(DiedError):
            privacy.erase(shop.desk, EMAIL, by="kim", moved=_dying_after(last))
    gone = privacy.erase(shop.desk, EMAIL, by="kim")
    assert "veronique" not in everything(shop)
    assert gone.digests == expected.digests  # the way to find it goes last
    entries = shop.rows("SELECT body FROM ledger_entries WHERE kind = 'personal_data.erased'")
    assert len(entries) == 3  # the case, the events, the digests: each piece once, however often it began
    assert shop.ledger_flaws() == []


def _count(shop: Shop) -> int:
    seen: list[int] = []
    privacy.preview(shop.desk, EMAIL, moved=lambda: seen.append(1))
    return len(seen)


def _dying_after(steps: int) -> Callable[[], None]:
    left = [steps]

    def moved() -> None:
        if not left[0]:
            raise DiedError
        left[0] -= 1

    return moved


def test_what_is_kept_is_shown_whole_and_that_it_was_looked_at_is_in_the_ledger(shop: Shop) -> None:
    _, case_id = a_closed_case(shop)
    kept: dict[str, Any] = privacy.show(shop.desk, EMAIL, by="kim")
    assert [row["id"] for row in kept["cases"]] == [case_id]
    assert kept["requests"][0]["text"] == "Veronique here, never used it"
    assert len(kept["notes"]) == 2
    assert kept["events"]
    [entry] = shop.rows("SELECT actor, body FROM ledger_entries WHERE kind = 'personal_data.shown'")
    assert entry.actor == "kim"
    assert b"example.com" not in bytes(entry.body)
    privacy.erase(shop.desk, EMAIL, by="kim")
    after = privacy.show(replace(shop.desk), EMAIL, by="kim")
    assert (after["requests"], after["events"], after["digests"]) == ([], [], 0)
