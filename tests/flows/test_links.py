"""Links between customers, at the desk: what is known, what people mark as wrong, and that many cost no more."""

import re
from typing import Any

import httpx
import pytest
import sqlalchemy as sa

from billingbot.core.access.powers import ALL
from billingbot.core.errors import ConflictError, InputError
from billingbot.core.evidence.history import LinkKind
from billingbot.core.evidence.links import MOST_SHOWN
from billingbot.core.facts import Unknown
from billingbot.flows.casework import review
from billingbot.flows.casework.unlink import Between, relink, unlink
from billingbot.flows.look import look
from billingbot.flows.sightings import Seen, push_sightings
from billingbot.flows.switch import create_key
from billingbot.store import history, links, requests
from billingbot.store.views.links import CaseLinks, case_links
from billingbot.web.app import make_app
from tests.calls import visitor
from tests.cli.conftest import settings as settings  # noqa: PLC0414  # pytest finds the fixture by this name
from tests.cli.terminal import typed
from tests.flows.shop import Shop, Trial
from tests.web.street import endpoints, served


def facts_of(shop: Shop, case_id: str) -> dict[str, Any]:
    [row] = shop.rows(
        "SELECT convert_from(facts, 'utf8')::jsonb AS facts FROM decisions WHERE case_id = :id"
        " ORDER BY decided_at DESC LIMIT 1",
        id=case_id,
    )
    return dict(row.facts)


def value(shop: Shop, case_id: str, fact: str) -> Any:
    return facts_of(shop, case_id)["facts"][fact].get("value")


def linked(shop: Shop, case_id: str) -> CaseLinks:
    with shop.desk.db.begin() as connection:
        return case_links(connection, case_id)


def two_on_one_card(shop: Shop) -> tuple[Trial, Trial, str]:
    """An earlier trial and a charged one, whose customers share a virtual card; and the case about the charge."""
    first = shop.start_trial(card="virtual")
    shop.stripe.advance(hours=1)
    second, charge = shop.charged_trial(card="virtual")
    shop.deliver()
    shop.work()
    case_id = shop.ask(charge, unused=True).case.id
    shop.work()
    assert shop.case(case_id).reason == "repeat-trial"
    return first, second, case_id


def again(shop: Shop, case_id: str) -> tuple[str, str | None]:
    review.ask_again(shop.desk, shop.person(case_id), "the link was looked at")
    shop.work()
    case = shop.case(case_id)
    return case.state.value, case.outcome or case.reason


def test_a_link_marked_wrong_is_no_repeat_trial_any_more_and_is_again_once_that_is_taken_back(shop: Shop) -> None:
    first, second, case_id = two_on_one_card(shop)
    assert value(shop, case_id, "abuse.linked_trials") == 1
    [link] = [one for one in facts_of(shop, case_id)["exhibits"]["around"]["links"] if one["kind"] == "card"]
    assert {link["one"], link["other"]} == {first.customer, second.customer}
    assert (link["strength"], link["reason"]) == ("strong", "the same card")

    card = Between(kind=LinkKind.CARD, other=first.customer)
    for _ in range(2):  # twice comes to the same
        unlink(shop.desk, shop.person(case_id), card, why="two people at one agency, by phone")
    found = linked(shop, case_id)
    assert found.around is not None
    assert found.around.linked_trials == 0
    [mark] = found.marks
    assert (mark.kind, mark.marked_by, {mark.one, mark.other}) == (
        LinkKind.CARD,
        "kim",
        {first.customer, second.customer},
    )
    relink(shop.desk, shop.person(case_id, "lee"), card, why="it was one person after all")
    assert again(shop, case_id) == ("review", "repeat-trial")
    unlink(shop.desk, shop.person(case_id), card, why="it was not")
    assert again(shop, case_id) == ("closed", "refunded")
    assert value(shop, case_id, "history.trial_by_card") is False
    assert value(shop, case_id, "abuse.linked_trials") == 0

    entries = shop.rows("SELECT kind, actor, convert_from(body, 'utf8') AS body FROM ledger_entries ORDER BY seq")
    told = [(one.kind, one.actor) for one in entries if one.kind.startswith("link.")]
    assert told == [("link.marked_wrong", "kim"), ("link.mark_taken_back", "lee"), ("link.marked_wrong", "kim")]
    assert "agency" not in " ".join(one.body for one in entries)
    assert shop.ledger_flaws() == []


def test_links_are_shown_marked_and_taken_back_at_the_command_line(shop: Shop, settings: dict[str, str]) -> None:
    first, second, case_id = two_on_one_card(shop)
    settings = {**settings, "BILLINGBOT_STRIPE_API_BASE": shop.stripe.url}
    shown = typed(settings, "cases", "links", case_id)
    assert (shown.code, first.customer in shown.out, "the same card" in shown.out) == (0, True, True)
    pair = ("--customer", first.customer, "--kind", "card")
    marked = typed(settings, "cases", "unlink", case_id, *pair, "--why", "two people", "--as", "kim")
    assert (marked.code, "a person approves" in marked.out) == (0, True), marked.err
    [mark] = typed(settings, "cases", "links", case_id, "--json").json["marks"]
    assert (mark["marked_by"], mark["why"], {mark["one"], mark["other"]}) == (
        "kim",
        "two people",
        {first.customer, second.customer},
    )
    nobody = typed(settings, "cases", "unlink", case_id, "--customer", "cus_none", "--kind", "card", "--why", "who?")
    assert (nobody.code, nobody.err.startswith("customer: expected a customer who shares a card")) == (2, True)
    back = typed(settings, "cases", "relink", case_id, *pair, "--why", "one person", "--as", "lee", "--json")
    assert (back.json["marks"], back.json["linked_trials"]) == ([], 1)
    everybody = typed(settings, "cases", "unlink", case_id, *pair, "--why", "virtual", "--for-everybody", "--json")
    assert [one["for_everybody"] for one in everybody.json["marks"]] == [True]


def test_a_shared_virtual_card_marked_wrong_for_one_pair_stays_a_link_for_others_and_for_everybody_for_nobody(
    shop: Shop,
) -> None:
    first, second, case_id = two_on_one_card(shop)
    unlink(shop.desk, shop.person(case_id), Between(kind=LinkKind.CARD, other=first.customer), why="two people")
    assert again(shop, case_id) == ("closed", "refunded")
    third, charge = shop.charged_trial(card="virtual")
    shop.deliver()
    shop.work()
    later = shop.ask(charge, unused=True).case.id
    shop.work()
    assert shop.case(later).reason == "repeat-trial"
    assert value(shop, later, "abuse.linked_trials") == 2

    everybody = Between(kind=LinkKind.CARD, other=second.customer)
    unlink(shop.desk, shop.person(later), everybody, why="a bank's virtual card", for_everybody=True)
    found = linked(shop, later)
    assert found.around is not None
    assert [one.customer_id for one in found.around.people if one.distance is not None] == [third.customer]
    assert [one.for_everybody for one in found.marks] == [True]
    # No repeated trial any more; but no mark lets the machine pay one card twice.
    assert again(shop, later) == ("review", "limit-earlier-refund")
    assert value(shop, later, "history.trial_by_card") is False
    relink(shop.desk, shop.person(later), everybody, why="it is one person's")
    found = linked(shop, later)
    assert found.around is not None
    assert found.around.linked_trials == 2


def test_only_what_two_customers_share_can_be_marked_and_only_on_the_case_as_it_was_seen(shop: Shop) -> None:
    first, second, case_id = two_on_one_card(shop)
    with pytest.raises(InputError, match="customer: expected a customer who shares a email"):
        unlink(shop.desk, shop.person(case_id), Between(kind=LinkKind.EMAIL, other=first.customer), why="x")
    with pytest.raises(InputError, match="customer: expected another customer"):
        unlink(shop.desk, shop.person(case_id), Between(kind=LinkKind.CARD, other=second.customer), why="x")
    stale = review.Act(case_id=case_id, by="kim", version=1)
    with pytest.raises(ConflictError):
        unlink(shop.desk, stale, Between(kind=LinkKind.CARD, other=first.customer), why="x")
    unresolved = shop.ask("ch_unknown").case.id
    with pytest.raises(ConflictError, match="no customer is known"):
        unlink(shop.desk, shop.person(unresolved), Between(kind=LinkKind.CARD, other=first.customer), why="x")


def test_devices_and_addresses_link_are_kept_as_keyed_digests_and_an_office_is_no_abuse(shop: Shop) -> None:
    colleague = shop.start_trial(email="first@studio.example.com")
    rival = shop.start_trial(email="someone@else.example.net")
    trial, charge = shop.charged_trial(email="second@studio.example.com")
    shop.deliver()
    shop.work()
    office = [Seen(customer_id=one.customer, device=None, ip="81.2.69.142", at=None) for one in (colleague, trial)]
    push_sightings(shop.desk, "default", office)
    case_id = shop.ask(charge, unused=True).case.id
    shop.work()
    assert shop.case(case_id).outcome == "refunded"
    assert value(shop, case_id, "abuse.linked_trials") == 0
    around = facts_of(shop, case_id)["exhibits"]["around"]
    assert {(one["kind"], one["strength"]) for one in around["links"]} == {("ip", "weak"), ("domain", "weak")}

    laptop = [Seen(customer_id=one.customer, device="laptop-7", ip=None, at=None) for one in (rival, trial)]
    for _ in range(2):
        push_sightings(shop.desk, "default", laptop)
    found = linked(shop, case_id)
    assert found.around is not None
    assert found.around.linked_trials == 1
    assert {one.customer_id: one.distance for one in found.around.people} == {
        trial.customer: 0,
        rival.customer: 1,
        colleague.customer: None,
    }
    rows = shop.rows("SELECT kind, digest FROM customer_identities WHERE kind IN ('ip', 'device')")
    assert len(rows) == 4
    assert all(re.fullmatch("[0-9a-f]{64}", row.digest) for row in rows)
    with shop.desk.db.begin() as connection:
        one, other = links.key_of(connection, "default"), links.key_of(connection, "another")
    assert one != other
    assert links.keyed_digest(one, LinkKind.IP, "81.2.69.142") in {row.digest for row in rows}
    assert links.keyed_digest(other, LinkKind.IP, "81.2.69.142") not in {row.digest for row in rows}


def test_without_whole_records_nobody_knows_how_many_are_linked(shop: Shop) -> None:
    _, _, case_id = two_on_one_card(shop)
    with shop.owner.begin() as connection:
        connection.exec_driver_sql("UPDATE history_imports SET caught_up_at = caught_up_at - interval '1 day'")
    with shop.desk.db.begin() as connection:
        asked = requests.of_case(connection, case_id)
    found = look(shop.desk, shop.desk.account("default"), shop.case(case_id).charge_id, asked).facts
    for name in ("abuse.linked_trials", "abuse.linked_refunds"):
        fact = found[name]
        assert isinstance(fact, Unknown)
        assert "still being read in" in fact.why
    assert found.known("history.trial_by_card") is True  # one that was found is found


def test_ten_thousand_trials_of_one_virtual_card_are_looked_at_by_index_and_no_further_than_a_few(shop: Shop) -> None:
    first, _, case_id = two_on_one_card(shop)
    card = history.card_digest("virtual")
    with shop.owner.begin() as connection:
        connection.execute(
            sa.text(
                "INSERT INTO trials (account, subscription_id, customer_id, trial_start_at, first_trial_end_at,"
                " trial_end_at) SELECT 'default', 'sub_x' || n, 'cus_x' || n, now() - interval '90 days', now(), now()"
                " FROM generate_series(1, 10000) n"
            )
        )
        connection.execute(
            sa.text(
                "INSERT INTO customer_identities (account, customer_id, kind, digest, since, trial_since)"
                " SELECT 'default', 'cus_x' || n, 'card', CASE WHEN n > 10000 THEN 'card' || n ELSE :card END,"
                " now() - interval '90 days', now() - interval '90 days' FROM generate_series(1, 30000) n"
            ),
            {"card": card},
        )
        connection.exec_driver_sql("ANALYZE trials, customer_identities")
    asked: list[Any] = []

    def note(_: sa.Connection, clause: Any, *__: Any) -> None:
        if "customer_identities" in str(clause):
            asked.append(clause)

    with shop.desk.db.connect() as connection:
        sa.event.listen(connection, "before_execute", note)
        found = history.links(
            connection,
            "default",
            customer_id=str(shop.case(case_id).customer_id),
            before=connection.execute(sa.select(sa.func.now())).scalar_one(),
            card=card,
            email=None,
        )
        around = links.around(connection, "default", str(shop.case(case_id).customer_id))
        reading = list(asked)
        for clause in reading:
            told = connection.execute(_explain(connection, clause)).scalars().all()
            plan = "\n".join(told)
            assert "Seq Scan on customer_identities" not in plan, plan
            assert "Seq Scan on trials" not in plan, plan
            read = [int(float(rows)) for rows in re.findall(r"customer_identities.*?actual rows=([\d.]+)", plan)]
            assert max(read, default=0) <= links.MOST_COUNTED, plan
    assert len(reading) >= 3
    assert len(found) == history.MOST_LINKS
    shown = [one for one in around.people if one.distance]
    assert len(shown) < MOST_SHOWN
    assert around.left_out + len(shown) == links.MOST_COUNTED  # or more
    assert around.linked_trials >= links.MOST_HOLDERS
    unlink(shop.desk, shop.person(case_id), Between(kind=LinkKind.CARD, other=first.customer), why="x")
    assert again(shop, case_id) == ("review", "repeat-trial")
    assert len(facts_of(shop, case_id)["exhibits"]["links"]) == history.MOST_LINKS


def _explain(connection: sa.Connection, clause: Any) -> Any:
    compiled = clause.compile(connection.engine, compile_kwargs={"literal_binds": True})
    return sa.text("EXPLAIN (ANALYZE, TIMING OFF, COSTS OFF, SUMMARY OFF) " + str(compiled).replace(":", r"\:"))


@pytest.fixture
def counter(shop: Shop) -> Any:
    """The API over the shop."""
    with served(make_app(shop.desk, endpoints())) as url, visitor(url) as client:
        client.headers["Authorization"] = f"Bearer {create_key(shop.desk, 'helpdesk', by='tests', may=ALL)}"
        yield client


def test_links_are_shown_marked_and_taken_back_through_the_api(shop: Shop, counter: httpx.Client) -> None:
    first, second, case_id = two_on_one_card(shop)
    page = counter.get(f"/api/v1/cases/{case_id}/links").json()
    assert (page["customer"], page["linked_trials"]) == (second.customer, 1)
    act = {"by": "kim", "kind": "card", "other": first.customer, "why": "two people"}
    marked = counter.post(f"/api/v1/cases/{case_id}/unlink", json=act).json()
    assert marked["linked_trials"] == 0
    assert [(one["why"], one["for_everybody"]) for one in marked["marks"]] == [("two people", False)]
    assert counter.post(f"/api/v1/cases/{case_id}/relink", json=act).json()["linked_trials"] == 1
    refused = counter.post(f"/api/v1/cases/{case_id}/unlink", json=act | {"other": "cus_nobody"})
    assert refused.status_code == 422

    seen = [{"customer_id": first.customer, "ip": "81.2.69.142"}, {"customer_id": second.customer, "device": "d"}]
    assert counter.post("/api/v1/activity/sightings", json={"seen": seen}).json() == {"seen": 2}
    for bad in ({"ip": "10.0.0.1"}, {"ip": "nowhere"}, {}, {"device": "d", "at": "2099-01-01T00:00:00Z"}):
        body = {"seen": [{"customer_id": "cus_1"} | bad]}
        answer = counter.post("/api/v1/activity/sightings", json=body)
        assert answer.status_code == 422
        assert "10.0.0.1" not in answer.text
