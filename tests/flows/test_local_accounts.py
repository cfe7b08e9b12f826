"""Passwords, one-time codes and slowed-down guesses, on a real Postgres with the real hash."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pyotp
import pytest
import sqlalchemy as sa
from argon2 import PasswordHasher

from billingbot.core.access.person import Person, Theme
from billingbot.core.access.powers import Role
from billingbot.core.access.session import (
    MOST_CODES,
    TRIES_BY_ACCOUNT,
    TRIES_BY_ADDRESS,
    TRIES_FROM_ANYWHERE,
    TRIES_WINDOW,
)
from billingbot.core.errors import ForbiddenError, InputError, NotFoundError
from billingbot.flows.access import account, people, sign_in
from billingbot.flows.access.sign_in import Halfway, SignedIn
from billingbot.flows.access.sign_in_local import TooManyTriesError, WrongError, by_code, by_password
from billingbot.flows.desk import Desk
from billingbot.store import people as rows
from billingbot.store import sign_in_steps as steps
from billingbot.store.database import now, transaction
from billingbot.store.schema import people as people_table
from billingbot.store.schema import sign_in_steps, sign_in_tries
from tests.desks import a_desk
from tests.engines.shared import Database

GOOD = "correct horse battery"


@pytest.fixture
def desk(database: Database) -> Iterator[Desk]:
    with a_desk(database) as opened:
        yield opened


@pytest.fixture
def ada(desk: Desk) -> SignedIn:
    """Somebody with a password, signed in by a link."""
    people.add(desk, name="Ada", email="ada@example.com", roles=[Role.SUPPORT], by="tests")
    entered = sign_in.by_link(desk, sign_in.make_link(desk, "Ada", by="tests"))
    assert isinstance(entered, SignedIn)
    account.set_password(desk, entered.person, entered.session, current="", new=GOOD)
    return entered


def _try(desk: Desk, who: str, password: str, address: str = "192.0.2.1") -> SignedIn | Halfway:
    return by_password(desk, who, password, address=address, user_agent="")


def _again(desk: Desk) -> Person:
    with transaction(desk.db) as connection:
        return rows.named(connection, "Ada")


def _code(desk: Desk, secret: str, steps: int = 0) -> str:
    with transaction(desk.db) as connection:
        return pyotp.TOTP(secret).at(now(connection) + timedelta(seconds=30 * steps))


def _with_second_factor(desk: Desk, ada: SignedIn) -> tuple[str, list[str]]:
    offer = account.offer_second_factor(desk, ada.person)
    codes = account.confirm_second_factor(
        desk, ada.person, ada.session, offer.step_secret, _code(desk, offer.secret, -1)
    )
    return offer.secret, list(codes)


def test_name_or_address_and_password_let_somebody_in(desk: Desk, ada: SignedIn) -> None:
    for who in ("Ada", " a d a ", "ADA@example.com"):
        entered = _try(desk, who, GOOD)
        assert isinstance(entered, SignedIn)
        assert entered.person.id == ada.person.id
        assert sign_in.session_of(desk, entered.secret) is not None


def test_wrong_unknown_disabled_and_without_password_are_told_alike(desk: Desk, ada: SignedIn) -> None:
    people.add(desk, name="Grace", email=None, roles=[Role.ADMIN], by="tests")
    people.add(desk, name="Kim", email=None, roles=[Role.ADMIN], by="tests")
    told = set()
    for who, password in (
        ("Ada", "wrong"),
        ("nobody", GOOD),
        ("x@nowhere.example", GOOD),
        ("Grace", ""),
        ("policy:x", "x"),
    ):
        with pytest.raises(WrongError) as fault:
            _try(desk, who, password)
        told.add(str(fault.value))
    people.disable(desk, "Ada", by="tests")
    with pytest.raises(WrongError) as fault:
        _try(desk, "Ada", GOOD)
    assert told == {str(fault.value)}


def test_guesses_from_one_address_are_slowed_down_whoever_is_meant_and_keep_nobody_else_out(
    desk: Desk, ada: SignedIn
) -> None:
    for who in ("Ada", "nobody at all"):
        for number in range(TRIES_BY_ACCOUNT):
            with pytest.raises(WrongError):
                _try(desk, ("ada", "A da", "ADA")[number % 3] if who == "Ada" else who, "a guess")
        with pytest.raises(TooManyTriesError, match="wait 15 minutes"):
            _try(desk, who, GOOD)
    assert isinstance(_try(desk, "Ada", GOOD, "203.0.113.1"), SignedIn)  # the owner, from where she is
    with transaction(desk.db) as connection:
        connection.execute(sign_in_tries.update().values(since=sign_in_tries.c.since - TRIES_WINDOW))
    assert isinstance(_try(desk, "Ada", GOOD), SignedIn)


def test_guesses_at_one_account_from_everywhere_are_slowed_down_too(desk: Desk, ada: SignedIn) -> None:
    with transaction(desk.db) as connection:
        for _ in range(TRIES_FROM_ANYWHERE):
            steps.count_try(connection, "account:ada", window=TRIES_WINDOW)
    with pytest.raises(TooManyTriesError):
        _try(desk, "Ada", GOOD, "203.0.113.1")


def test_coming_in_forgets_the_slips_before(desk: Desk, ada: SignedIn) -> None:
    for _ in range(3):
        for _ in range(TRIES_BY_ACCOUNT - 1):
            with pytest.raises(WrongError):
                _try(desk, "Ada", "a slip", f"192.0.2.{_}")
        _try(desk, "Ada", GOOD)


def test_one_address_guesses_at_many_accounts_no_faster(desk: Desk) -> None:
    told: list[type[Exception]] = []
    for number in range(TRIES_BY_ADDRESS + 1):
        with pytest.raises(ForbiddenError) as fault:
            _try(desk, f"nobody {number}", "x")
        told.append(fault.type)
    assert told == [WrongError] * TRIES_BY_ADDRESS + [TooManyTriesError]
    with desk.db.begin() as connection:  # and the names that come after that leave nothing behind here
        kept = connection.execute(sa.select(sa.func.count()).select_from(sign_in_tries)).scalar_one()
    assert kept == 2 * TRIES_BY_ADDRESS + 1
    with pytest.raises(WrongError):
        _try(desk, "nobody", "x", "192.0.2.2")


def test_guesses_at_the_same_moment_are_as_many_as_they_are(desk: Desk, ada: SignedIn) -> None:
    def guess(_: int) -> type[Exception]:
        try:
            _try(desk, "Ada", "a guess")
        except ForbiddenError as fault:
            return type(fault)
        raise AssertionError("let in")

    with ThreadPoolExecutor(8) as pool:
        told = list(pool.map(guess, range(TRIES_BY_ACCOUNT * 2)))
    assert told.count(WrongError) == TRIES_BY_ACCOUNT


def test_a_hash_made_with_less_is_made_anew_on_the_way_in(desk: Desk, ada: SignedIn) -> None:
    old = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(GOOD)
    with transaction(desk.db) as connection:
        rows.set_password(connection, ada.person.id, old)
    _try(desk, "Ada", GOOD)
    with transaction(desk.db) as connection:
        kept = rows.secrets_of(connection, ada.person.id).password_hash
    assert kept is not None
    assert "m=47104" in kept
    assert isinstance(_try(desk, "Ada", GOOD), SignedIn)


def test_another_password_takes_the_current_one_and_ends_every_other_session(desk: Desk, ada: SignedIn) -> None:
    elsewhere = _try(desk, "Ada", GOOD)
    own = _again(desk)
    with pytest.raises(WrongError, match=r"^current: "):
        account.set_password(desk, own, ada.session, current="a guess", new="another good one")
    with pytest.raises(InputError, match=r"^password: "):
        account.set_password(desk, own, ada.session, current=GOOD, new="short")
    account.set_password(desk, own, ada.session, current=GOOD, new="another good one")
    assert sign_in.session_of(desk, elsewhere.secret) is None
    assert sign_in.session_of(desk, ada.secret) is not None
    with pytest.raises(WrongError):
        _try(desk, "Ada", GOOD)


def test_a_second_factor_is_asked_for_and_no_code_is_taken_twice(desk: Desk, ada: SignedIn) -> None:
    secret, _ = _with_second_factor(desk, ada)
    entered = _try(desk, "Ada", GOOD)
    assert isinstance(entered, Halfway)
    assert sign_in.session_of(desk, entered.secret) is None  # half way is not in
    with pytest.raises(WrongError):
        by_code(desk, entered.secret, "000000", user_agent="")
    code = _code(desk, secret)
    assert by_code(desk, entered.secret, f"{code[:3]} {code[3:]}", user_agent="").person.id == ada.person.id
    with pytest.raises(ForbiddenError, match="begin again"):
        by_code(desk, entered.secret, code, user_agent="")
    second = _try(desk, "Ada", GOOD)
    with pytest.raises(WrongError):
        by_code(desk, second.secret, code, user_agent="")  # seen over a shoulder
    assert by_code(desk, second.secret, _code(desk, secret, 1), user_agent="").person.id == ada.person.id


def test_a_link_alone_does_not_replace_the_second_factor_and_a_reset_does(desk: Desk, ada: SignedIn) -> None:
    _with_second_factor(desk, ada)
    entered = sign_in.by_link(desk, sign_in.make_link(desk, "Ada", by="tests"))
    assert isinstance(entered, Halfway)
    people.reset(desk, "Ada", by="tests")
    with pytest.raises(WrongError):
        by_code(desk, entered.secret, "000000", user_agent="")
    assert isinstance(sign_in.by_link(desk, sign_in.make_link(desk, "Ada", by="tests")), SignedIn)
    with pytest.raises(WrongError):
        _try(desk, "Ada", GOOD)


def test_a_recovery_code_works_once(desk: Desk, ada: SignedIn) -> None:
    _, codes = _with_second_factor(desk, ada)
    assert len(set(codes)) == 10
    entered = _try(desk, "Ada", GOOD)
    assert by_code(desk, entered.secret, codes[3].upper(), user_agent="").person.id == ada.person.id
    again = _try(desk, "Ada", GOOD)
    with pytest.raises(WrongError):
        by_code(desk, again.secret, codes[3], user_agent="")
    with transaction(desk.db) as connection:
        row = connection.execute(sa.select(people_table)).one()._mapping
    assert not any(code in str(dict(row)) or code.replace("-", "") in str(dict(row)) for code in codes)


def test_codes_are_guessed_a_few_times_and_no_more(desk: Desk, ada: SignedIn) -> None:
    secret, _ = _with_second_factor(desk, ada)
    for _ in range(TRIES_BY_ACCOUNT // MOST_CODES):
        entered = _try(desk, "Ada", GOOD)
        for _ in range(MOST_CODES):
            with pytest.raises(WrongError):
                by_code(desk, entered.secret, "000000", user_agent="")
        with pytest.raises(ForbiddenError, match="begin again"):
            by_code(desk, entered.secret, _code(desk, secret), user_agent="")
    entered = _try(desk, "Ada", GOOD)
    with pytest.raises(TooManyTriesError):
        by_code(desk, entered.secret, _code(desk, secret), user_agent="")


def test_a_step_ends_by_itself(desk: Desk, ada: SignedIn) -> None:
    secret, _ = _with_second_factor(desk, ada)
    entered = _try(desk, "Ada", GOOD)
    with transaction(desk.db) as connection:
        connection.execute(sign_in_steps.update().values(expires_at=sa.func.clock_timestamp()))
    with pytest.raises(ForbiddenError, match="begin again"):
        by_code(desk, entered.secret, _code(desk, secret), user_agent="")


def test_a_second_factor_needs_its_first_code_and_is_dropped_by_one(desk: Desk, ada: SignedIn) -> None:
    offer = account.offer_second_factor(desk, ada.person)
    with pytest.raises(WrongError):
        account.confirm_second_factor(desk, ada.person, ada.session, offer.step_secret, "000000")
    assert account.offered(desk, ada.person, offer.step_secret) == offer
    assert not _again(desk).has_second_factor
    codes = account.confirm_second_factor(
        desk, ada.person, ada.session, offer.step_secret, _code(desk, offer.secret, -1)
    )
    with pytest.raises(WrongError):
        account.drop_second_factor(desk, _again(desk), "000000")
    account.drop_second_factor(desk, _again(desk), codes[0])
    assert isinstance(_try(desk, "Ada", GOOD), SignedIn)


def test_nobody_ends_the_session_of_somebody_else(desk: Desk, ada: SignedIn) -> None:
    people.add(desk, name="Grace", email=None, roles=[Role.ADMIN], by="tests")
    grace = sign_in.by_link(desk, sign_in.make_link(desk, "Grace", by="tests"))
    assert isinstance(grace, SignedIn)
    with pytest.raises(NotFoundError):
        account.end_session(desk, grace.person, ada.session.id)
    account.end_session(desk, ada.person, ada.session.id)
    assert sign_in.session_of(desk, ada.secret) is None


def test_what_nobody_can_read_by_is_refused(desk: Desk, ada: SignedIn) -> None:
    account.set_reading(desk, ada.person, locale="de_AT", zone="Europe/Vienna", theme=Theme.DARK)
    own = _again(desk)
    assert (own.locale, own.zone, own.theme) == ("de_AT", "Europe/Vienna", Theme.DARK)
    for locale, zone in (("xx_YY", "UTC"), ("../..", "UTC"), ("en", "Mars/Base"), ("en", "../etc/passwd")):
        with pytest.raises(InputError):
            account.set_reading(desk, own, locale=locale, zone=zone, theme=Theme.SYSTEM)
