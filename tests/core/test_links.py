"""Links: who is joined to whom, whatever the order of what was seen and marked; and who never is."""

import random
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.builders import NOW, STARTED

from billingbot.core.evidence.history import LinkKind, company_domain, normalise_address, normalise_email
from billingbot.core.evidence.links import (
    MOST_SHOWN,
    STRONG_KINDS,
    WEAK_KINDS,
    Past,
    Sighting,
    Strength,
    linked,
    neighbourhood,
    pair,
    shown,
)

PEOPLE = [f"cus_{letter}" for letter in "abcdefg"]


def seen(customer: str, kind: LinkKind, what: str, days: int = 0) -> Sighting:
    return Sighting(customer_id=customer, kind=kind, digest=what, since=STARTED + timedelta(days=days))


SIGHTINGS = st.lists(
    st.builds(
        seen, st.sampled_from(PEOPLE), st.sampled_from(list(LinkKind)), st.sampled_from("xyz"), st.integers(0, 3)
    ),
    max_size=14,
)
MARKS = st.sets(
    st.tuples(st.sampled_from(list(LinkKind)), st.sampled_from(PEOPLE), st.sampled_from(PEOPLE))
    .filter(lambda mark: mark[1] != mark[2])
    .map(lambda mark: pair(*mark)),
    max_size=6,
)
MANY = settings(max_examples=200, deadline=None)


@MANY
@given(SIGHTINGS, MARKS, st.randoms(use_true_random=False))
def test_no_order_of_events_and_marks_changes_what_is_linked(
    sightings: list[Sighting], wrong: set[tuple[LinkKind, str, str]], chance: random.Random
) -> None:
    first = linked("cus_a", sightings, wrong)
    shuffled = [*sightings, *sightings]  # and told twice
    chance.shuffle(shuffled)
    marks = list(wrong)
    chance.shuffle(marks)
    assert linked("cus_a", shuffled, frozenset(marks)) == first


@MANY
@given(SIGHTINGS, MARKS)
def test_a_pair_marked_wrong_is_never_linked_by_that_kind_and_is_again_once_taken_back(
    sightings: list[Sighting], wrong: set[tuple[LinkKind, str, str]]
) -> None:
    found = linked("cus_a", sightings, wrong)
    assert not {pair(link.kind, link.one, link.other) for link in found.links} & wrong
    for mark in wrong:
        again = linked("cus_a", sightings, wrong - {mark})
        assert again.distance.keys() >= found.distance.keys()


@MANY
@given(SIGHTINGS, MARKS)
def test_whoever_is_linked_stands_at_the_end_of_strong_links(
    sightings: list[Sighting], wrong: set[tuple[LinkKind, str, str]]
) -> None:
    found = linked("cus_a", sightings, wrong)
    strong = [link for link in found.links if link.strength is Strength.STRONG]
    for person, distance in found.distance.items():
        assert person == "cus_a" or any(person in {link.one, link.other} for link in strong)
        assert (distance == 0) == (person == "cus_a")
    assert not set(found.weakly) & found.distance.keys()


@given(st.integers(2, 60), st.sampled_from(WEAK_KINDS))
def test_honest_colleagues_are_never_linked_however_many_there_are(many: int, kind: LinkKind) -> None:
    colleagues = [f"cus_{number:03}" for number in range(many)]
    sightings = [seen(one, kind, "studio", number) for number, one in enumerate(colleagues)]
    sightings += [seen(one, LinkKind.DOMAIN, "studio.example") for one in colleagues]
    sightings += [seen(one, LinkKind.IP, "office") for one in colleagues]
    sightings += [seen(one, LinkKind.EMAIL, one) for one in colleagues]
    past = {one: Past(trials=1, first_trial_at=STARTED, refunds=1) for one in colleagues}
    found = neighbourhood(linked(colleagues[0], sightings, ()), past)
    assert (found.linked_trials, found.linked_refunds, found.left_out) == (0, 0, 0)
    assert {link.strength for link in found.links} == {Strength.WEAK}
    assert sum(one.distance is None for one in found.people) + found.weakly_left_out == many - 1


def test_the_same_person_under_two_spellings_of_a_mailbox_is_linked() -> None:
    spelled = [normalise_email(one) for one in ("a.b+trial@gmail.com", "ab@gmail.com", "AB@googlemail.com")]
    sightings = [seen(PEOPLE[number], LinkKind.EMAIL, str(one)) for number, one in enumerate(spelled)]
    assert linked("cus_a", sightings, ()).distance == {"cus_a": 0, "cus_b": 1, "cus_c": 1}


def test_a_chain_is_followed_and_told_link_by_link() -> None:
    sightings = [
        seen("cus_a", LinkKind.CARD, "x", 0),
        seen("cus_b", LinkKind.CARD, "x", 5),
        seen("cus_b", LinkKind.EMAIL, "y", 1),
        seen("cus_c", LinkKind.EMAIL, "y", 2),
        seen("cus_c", LinkKind.DEVICE, "z", 3),
        seen("cus_d", LinkKind.DEVICE, "z", 9),
    ]
    found = linked("cus_a", sightings, ())
    assert found.distance == {"cus_a": 0, "cus_b": 1, "cus_c": 2, "cus_d": 3}
    assert [(link.kind, link.one, link.other, (link.since - STARTED).days) for link in found.links] == [
        (LinkKind.CARD, "cus_a", "cus_b", 5),
        (LinkKind.EMAIL, "cus_b", "cus_c", 2),
        (LinkKind.DEVICE, "cus_c", "cus_d", 9),
    ]


def test_a_shared_virtual_card_marked_wrong_stays_wrong_by_way_of_any_third_who_has_it() -> None:
    card = [seen(one, LinkKind.CARD, "virtual") for one in PEOPLE]
    wrong = {pair(LinkKind.CARD, "cus_b", "cus_a")}
    assert "cus_b" not in linked("cus_a", card, wrong).distance
    assert "cus_a" not in linked("cus_b", card, wrong).distance
    assert linked("cus_c", card, wrong).distance.keys() == set(PEOPLE)

    mailbox = [seen("cus_a", LinkKind.EMAIL, "m"), seen("cus_b", LinkKind.EMAIL, "m")]
    assert linked("cus_a", [*card, *mailbox], wrong).distance["cus_b"] == 1  # by the mailbox, which nobody marked


def test_the_picture_is_bounded_and_says_how_many_it_leaves_out_while_the_counts_are_whole() -> None:
    many = [f"cus_{number:03}" for number in range(100)]
    found = linked("cus_000", [seen(one, LinkKind.CARD, "a-digest", n) for n, one in enumerate(many)], ())
    past = {one: Past(trials=2, first_trial_at=NOW, refunds=1) for one in many}
    picture = neighbourhood(found, past, unseen=7)
    assert len(picture.people) == MOST_SHOWN
    assert picture.left_out == 100 - MOST_SHOWN + 7
    assert (picture.linked_trials, picture.linked_refunds) == (198, 99)
    assert len(picture.links) == MOST_SHOWN - 1
    assert "a-digest" not in str(shown(picture))


def test_every_kind_is_either_strong_or_weak_and_says_why() -> None:
    assert set(STRONG_KINDS) == {LinkKind.CARD, LinkKind.EMAIL, LinkKind.DEVICE}
    assert set(WEAK_KINDS) == {LinkKind.IP, LinkKind.DOMAIN}


@pytest.mark.parametrize(
    ("email", "domain"),
    [
        ("ada@studio.example.com", "studio.example.com"),
        ("ADA@Studio.Example.com ", "studio.example.com"),
        ("ada@gmail.com", None),
        ("ada@gmx.de", None),
        ("ada@walla.co.il", None),
        ("ada@outlook.com", None),
        ("ada@localhost", None),
        ("nobody", None),
    ],
)
def test_a_company_domain_is_no_free_mail(email: str, domain: str | None) -> None:
    assert company_domain(email) == domain


@pytest.mark.parametrize(
    ("told", "address"),
    [
        (" 81.2.69.142 ", "81.2.69.142"),
        ("::ffff:81.2.69.142", "81.2.69.142"),
        ("2a02:cf40:1:2:aaaa::1", "2a02:cf40:1:2::/64"),
        ("2a02:cf40:1:2:bbbb::9", "2a02:cf40:1:2::/64"),
        ("10.0.0.1", None),
        ("127.0.0.1", None),
        ("fe80::1", None),
        ("100.64.0.1", None),
        ("81.2.69", None),
        ("", None),
    ],
)
def test_an_address_has_one_spelling_and_many_share_none(told: str, address: str | None) -> None:
    assert normalise_address(told) == address
