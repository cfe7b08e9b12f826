"""Versions of the policy: who is judged by which, what running processes see, and what publishing refuses."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from billingbot.core.case import CaseState
from billingbot.core.errors import ConflictError, InputError
from billingbot.core.evidence.usage import Subject, UsageReport
from billingbot.core.job import Actor
from billingbot.core.mode import Mode
from billingbot.core.policy import PolicyError
from billingbot.core.policy.editions import BEGINNING
from billingbot.flows.desk import Desk
from billingbot.flows.policy.publish import Publication, Wish, publish, published, read_version
from billingbot.store.database import transaction
from billingbot.store.views.explanation import Explanation, explanation
from tests.desks import a_desk
from tests.engines.shared import Database
from tests.flows.shop import Shop

WHY = "the quarter's review"
CLOSED_TO_ALL = {"usd = 20000 # 200.00": "usd = 100", "usd = 200000": "usd = 100"}


def a_version(desk: Desk, version: str, changes: dict[str, str] | None = None) -> str:
    """The running file with another version, and each of these texts replaced by another."""
    text = without_examples(desk.policy().source)
    text = text.replace('version = "2026-11"', f'version = "{version}"')
    for before, after in (changes or {}).items():
        assert before in text
        text = text.replace(before, after)
    return text


def put_out(desk: Desk, version: str, changes: dict[str, str] | None = None, **wish: object) -> Publication:
    text = a_version(desk, version, changes)
    return publish(desk, Wish(text=text, filename="new.toml", by="kim", why=WHY, **wish))  # type: ignore[arg-type] # the test names the fields


def test_until_something_is_published_the_file_is_in_force(database: Database) -> None:
    with a_desk(database) as desk:
        assert published(desk) == []
        assert desk.policy_for(None).version == "2026-11"
        assert desk.policy_for(BEGINNING).version == "2026-11"


def test_the_first_publication_keeps_the_file_for_all_charges_before(database: Database) -> None:
    with a_desk(database) as desk:
        told = put_out(desk, "2026-12")
        first, second = published(desk)
        assert (first.version, first.effective_from) == ("2026-11", BEGINNING)
        assert (second.version, second.published_by, second.why) == ("2026-12", "kim", WHY)
        assert told.replaces == "2026-11"
        assert desk.policy_for(second.effective_from).version == "2026-12"
        assert desk.policy_for(second.effective_from - timedelta(microseconds=1)).version == "2026-11"
        assert desk.policy_for(None).version == "2026-12"


def test_publishing_the_running_file_itself_changes_nothing_for_any_charge(database: Database) -> None:
    with a_desk(database) as desk:
        publish(desk, Wish(text=desk.policy().source, filename="policy.toml", by="kim", why=WHY))
        [only] = published(desk)
        assert only.effective_from == BEGINNING


def test_the_ledger_says_who_published_what_from_when_and_why(database: Database) -> None:
    with a_desk(database) as desk:
        put_out(desk, "2026-12")
        with transaction(desk.db) as connection:
            query = "SELECT actor, subject, body FROM ledger_entries WHERE kind = 'policy.published' ORDER BY seq"
            entries = connection.execute(sa.text(query)).all()
    assert [(entry.actor, entry.subject) for entry in entries] == [
        ("kim", "anytrack-refunds@2026-11"),
        ("kim", "anytrack-refunds@2026-12"),
    ]


def test_the_same_bytes_again_are_not_published_twice(database: Database) -> None:
    with a_desk(database) as desk:
        first = put_out(desk, "2026-12")
        again = put_out(desk, "2026-12")
        assert again.again
        assert again.edition == first.edition
        assert len(published(desk)) == 2


def test_a_version_that_is_taken_by_another_text_is_refused_by_name(database: Database) -> None:
    with a_desk(database) as desk:
        put_out(desk, "2026-12")
        with pytest.raises(ConflictError, match=r"version 2026-12: kim published it on .* another text"):
            put_out(desk, "2026-12", {"daily_count_max = 50": "daily_count_max = 51"})


def test_the_running_files_own_version_cannot_be_published_with_another_text(database: Database) -> None:
    with a_desk(database) as desk:
        with pytest.raises(ConflictError, match="version 2026-11: the policy that is in force has it already"):
            put_out(desk, "2026-11", {"daily_count_max = 50": "daily_count_max = 51"})
        assert published(desk) == []


def test_a_published_date_cannot_be_moved(database: Database) -> None:
    with a_desk(database) as desk:
        put_out(desk, "2026-12")
        with pytest.raises(ConflictError, match="cannot be changed"):
            put_out(desk, "2026-12", effective_from=datetime(2030, 1, 1, tzinfo=UTC))


def test_the_files_own_date_counts_where_nobody_says_another(database: Database) -> None:
    with a_desk(database) as desk:
        dated = {'version = "2027-01"': 'version = "2027-01"\neffective_from = 2027-01-01T00:00:00+01:00'}
        told = put_out(desk, "2027-01", dated)
        assert told.edition.effective_from == datetime(2026, 12, 31, 23, tzinfo=UTC)


def test_a_version_between_two_others_counts_until_the_next(database: Database) -> None:
    with a_desk(database) as desk:
        later, sooner = datetime(2031, 1, 1, tzinfo=UTC), datetime(2030, 1, 1, tzinfo=UTC)
        put_out(desk, "second", effective_from=later)
        told = put_out(desk, "first", effective_from=sooner)
        assert told.replaces == "2026-11"
        assert told.until is not None
        assert told.until.version == "second"
        assert desk.policy_for(later - timedelta(seconds=1)).version == "first"
        assert desk.policy_for(later).version == "second"


def test_a_policy_whose_example_fails_is_not_published(database: Database) -> None:
    with a_desk(database) as desk:
        text = desk.policy().source.replace("usd = 20000 # 200.00", "usd = 25000").replace('"2026-11"', '"2026-12"')
        with pytest.raises(PolicyError, match=r"example '200\.01 dollars are too much': outcome: expected review"):
            publish(desk, Wish(text=text, filename="new.toml", by="kim", why=WHY))
        assert published(desk) == []


@pytest.mark.parametrize("why", ["", "  ", "x" * 1001, "two\nlines"])
def test_a_publication_needs_its_reason(database: Database, why: str) -> None:
    with a_desk(database) as desk, pytest.raises(InputError, match="why"):
        publish(desk, Wish(text=desk.policy().source, filename="policy.toml", by="kim", why=why))


def test_of_two_who_publish_the_same_version_at_once_one_is_told_of_the_other(database: Database) -> None:
    with a_desk(database) as desk, ThreadPoolExecutor(max_workers=2) as pool:
        texts = [a_version(desk, "2026-12", {"daily_count_max = 50": f"daily_count_max = {n}"}) for n in (51, 52)]
        wishes = [Wish(text=text, filename="new.toml", by="kim", why=WHY) for text in texts]
        begun = [pool.submit(publish, desk, wish) for wish in wishes]
        faults = [one.exception() for one in begun]
        assert sorted(type(fault) for fault in faults if fault) == [ConflictError]
        assert [one.version for one in published(desk)] == ["2026-11", "2026-12"]


def test_two_who_publish_different_versions_at_once_both_stand(database: Database) -> None:
    with a_desk(database) as desk, ThreadPoolExecutor(max_workers=2) as pool:
        for one in [pool.submit(put_out, desk, f"2027-0{n}") for n in (1, 2)]:
            one.result()
        assert [one.number for one in published(desk)] == [1, 2, 3]
        assert published(desk)[-1].version == desk.policy_for(None).version


def test_a_published_version_is_read_back_as_it_was(database: Database) -> None:
    with a_desk(database) as desk:
        told = put_out(desk, "2026-12")
        edition, policy = read_version(desk, "2026-12")
        assert edition == told.edition
        assert policy.source == a_version(desk, "2026-12")


@pytest.mark.parametrize("table", ["policies", "policy_editions"])
@pytest.mark.parametrize("statement", ["UPDATE {} SET version = 'x'", "DELETE FROM {}", "TRUNCATE {} CASCADE"])
def test_the_database_refuses_to_change_what_was_published(database: Database, table: str, statement: str) -> None:
    owner = sa.create_engine(database.superuser_url)
    with a_desk(database) as desk:
        put_out(desk, "2026-12")
        with pytest.raises(sa.exc.DBAPIError, match="never changed"), owner.begin() as connection:
            connection.exec_driver_sql(statement.format(table))
    owner.dispose()


# ---------------------------------------------------------------- with customers


def test_who_was_charged_before_a_version_is_judged_by_the_one_of_then(shop: Shop) -> None:
    shop.set_mode(Mode.AUTO)
    _, before = shop.charged_trial()
    put_out(shop.desk, "2026-12", CLOSED_TO_ALL)
    shop.ask(before, unused=True)
    shop.work()
    shop.assert_paid_once(before)
    assert decided_by(shop, before) == ["2026-11"]


def test_who_was_charged_after_it_is_judged_by_the_new_one_without_any_restart(shop: Shop) -> None:
    shop.set_mode(Mode.AUTO)
    shop.start_trial()
    _, earlier = shop.charged_trial()
    publish_from(shop, "2026-12", charge_of(shop, earlier) + timedelta(seconds=1))
    _, later = shop.charged_trial()
    for charge in (earlier, later):
        shop.ask(charge, unused=True)
    shop.work()
    shop.assert_paid_once(earlier)
    shop.assert_not_paid(later)
    assert [case.reason for case in shop.cases_of(later)] == ["limit-amount"]
    assert decided_by(shop, later) == ["2026-12"]


def test_a_request_without_a_charge_is_judged_by_the_version_in_force_now(shop: Shop) -> None:
    put_out(shop.desk, "2026-12")
    shop.ask("ch_nobody_knows")
    shop.work()
    query = "SELECT p.version FROM decisions d JOIN policies p ON p.digest = d.policy_digest"
    assert [row.version for row in shop.rows(query)] == ["2026-12"]


def test_publishing_into_the_past_of_decided_charges_needs_the_word_for_it(shop: Shop) -> None:
    _, charge = shop.charged_trial()
    shop.ask(charge, unused=True)
    shop.work()
    past = charge_of(shop, charge)
    with pytest.raises(ConflictError, match="1 case was decided under another version for a charge since"):
        put_out(shop.desk, "2026-12", effective_from=past)
    assert put_out(shop.desk, "2027-01", effective_from=past + timedelta(microseconds=1)).decided == 0
    told = put_out(shop.desk, "2026-12", effective_from=past, retroactive=True)
    assert told.decided == 1


def test_a_version_published_between_decision_and_payment_does_not_touch_who_was_charged_before(shop: Shop) -> None:
    charge = decided_and_not_paid(shop)
    put_out(shop.desk, "2026-12", CLOSED_TO_ALL)
    shop.work()
    shop.assert_paid_once(charge)
    assert decided_by(shop, charge) == ["2026-11"]


def test_a_version_published_into_the_past_before_the_payment_withdraws_what_it_does_not_grant(shop: Shop) -> None:
    charge = decided_and_not_paid(shop)
    publish_from(shop, "2026-12", charge_of(shop, charge))
    shop.work()
    shop.assert_not_paid(charge)
    [case] = shop.cases_of(charge)
    assert (case.state, case.reason) == (CaseState.REVIEW, "limit-amount")
    assert decided_by(shop, charge) == ["2026-11", "2026-12"]


def test_where_it_grants_the_same_the_payment_keeps_both_verdicts(shop: Shop) -> None:
    charge = decided_and_not_paid(shop)
    put_out(shop.desk, "2026-12", effective_from=charge_of(shop, charge), retroactive=True)
    shop.work()
    shop.assert_paid_once(charge)
    assert decided_by(shop, charge) == ["2026-11", "2026-12"]


def test_a_version_published_while_submit_looks_holds_the_call_back(shop: Shop) -> None:
    charge = decided_and_not_paid(shop)
    shop.desk = replace(shop.desk, usage=(PublishesMeanwhile(shop, charge),))
    shop.work(only=Actor.SUBMIT)
    assert shop.refunds_at_stripe(charge) == []
    shop.hurry()
    shop.work()
    shop.assert_not_paid(charge)


def test_a_stored_version_that_cannot_be_read_stops_its_charges_and_pays_nothing(shop: Shop) -> None:
    charge = decided_and_not_paid(shop)
    with shop.owner.begin() as connection:
        connection.exec_driver_sql(
            "INSERT INTO policies (digest, policy_id, version, source) VALUES ('sha256:x', 'p', 'broken', 'no policy');"
            "INSERT INTO policy_editions (number, policy_id, version, digest, effective_from, published_by, why)"
            " VALUES (1, 'p', 'broken', 'sha256:x', '1970-01-01Z', 'kim', 'by another hand')"
        )
    shop.work()
    assert shop.refunds_at_stripe(charge) == []
    [job] = shop.rows("SELECT last_error FROM jobs WHERE actor = 'submit'")
    assert "not the one that was published" in job.last_error


@dataclass(slots=True)
class PublishesMeanwhile:
    """The shop's usage source, which takes so long that a version is published while it is asked."""

    shop: Shop
    charge: str
    name: str = "tag-hits"

    def report(self, subject: Subject, *, now: datetime) -> UsageReport:
        if not published(self.shop.desk):
            publish_from(self.shop, "2026-12", charge_of(self.shop, self.charge))
        return self.shop.usage.report(subject, now=now)


@pytest.mark.parametrize("days", [(-30, -1, 0, 1), (1, 0, -1, -30), (0, 1, -30, -1)])
def test_whatever_is_published_in_whatever_order_a_stored_decision_comes_out_the_same(
    shop: Shop, days: tuple[int, ...]
) -> None:
    _, charge = shop.charged_trial()
    shop.ask(charge, unused=True)
    shop.work()
    [case] = shop.cases_of(charge)
    before = explained(shop, case.id)
    charged = charge_of(shop, charge)
    for number, apart in enumerate(days):
        publish_from(shop, f"2027-{number}", charged + timedelta(days=apart))
        now = explained(shop, case.id)
        assert now.reproduces
        assert now == before


def explained(shop: Shop, case_id: str) -> Explanation:
    with transaction(shop.desk.db) as connection:
        return explanation(connection, case_id)


def decided_and_not_paid(shop: Shop) -> str:
    """A refund that is decided and intended, with its payment still to come."""
    shop.set_mode(Mode.AUTO)
    _, charge = shop.charged_trial()
    shop.ask(charge, unused=True)
    for actor in (Actor.IMPORT_HISTORY, Actor.ASSESS, Actor.IMPORT_HISTORY, Actor.ASSESS):
        shop.hurry()
        shop.work(only=actor)
    assert [refund.state for refund in shop.refunds_of(charge)] == ["intended"]
    return charge


def publish_from(shop: Shop, version: str, effective_from: datetime) -> None:
    """A version that pays nobody, for charges since that instant."""
    put_out(shop.desk, version, CLOSED_TO_ALL, effective_from=effective_from, retroactive=True)


def charge_of(shop: Shop, charge: str) -> datetime:
    return datetime.fromtimestamp(shop.stripe.get(f"/charges/{charge}")["created"], UTC)


def decided_by(shop: Shop, charge: str) -> list[str]:
    """The versions under which the charge was decided, in order."""
    query = (
        "SELECT p.version FROM decisions d JOIN policies p ON p.digest = d.policy_digest"
        " JOIN cases c ON c.id = d.case_id WHERE c.charge_id = :charge ORDER BY d.decided_at"
    )
    return [row.version for row in shop.rows(query, charge=charge)]


def without_examples(source: str) -> str:
    """Limits change here, and the examples that stand at them would have to change as well."""
    return source.partition("\n[examples.base]")[0] + "\n"
