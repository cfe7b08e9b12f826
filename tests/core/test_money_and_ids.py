"""Money is whole minor units of one currency; ids sort by time and keys are new for each attempt."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billingbot.core.ids import CHANCE_BYTES, Kind, attempt_key, is_id, make_id
from billingbot.core.money import Money, minor_unit_digits

NOW = datetime(2026, 3, 1, tzinfo=UTC)
CHANCE = st.binary(min_size=CHANCE_BYTES, max_size=CHANCE_BYTES)
AMOUNTS = st.integers(-(10**12), 10**12)


@pytest.mark.parametrize(
    ("amount", "currency", "shown"),
    [
        (4900, "usd", "USD 49.00"),
        (1, "eur", "EUR 0.01"),
        (0, "gbp", "GBP 0.00"),
        (-4900, "usd", "USD -49.00"),
        (123456789, "usd", "USD 1,234,567.89"),
        (4900, "jpy", "JPY 4,900"),
        (4900, "kwd", "KWD 4.900"),
        (4900, "isk", "ISK 49.00"),
        (4900, "ugx", "UGX 49.00"),
    ],
)
def test_an_amount_is_shown_with_its_currencys_decimals(amount: int, currency: str, shown: str) -> None:
    assert str(Money(amount_minor=amount, currency=currency)) == shown


@pytest.mark.parametrize(("currency", "digits"), [("usd", 2), ("jpy", 0), ("krw", 0), ("kwd", 3), ("tnd", 3)])
def test_a_currency_has_no_two_or_three_decimals(currency: str, digits: int) -> None:
    assert minor_unit_digits(currency) == digits


@pytest.mark.parametrize("amount", [1.0, True, "1", None])
def test_an_amount_that_is_no_whole_number_is_refused(amount: object) -> None:
    with pytest.raises(ValueError, match="amount_minor"):
        Money(amount_minor=amount, currency="usd")  # type: ignore[arg-type]  # what must not pass


@pytest.mark.parametrize("currency", ["USD", "us", "usdt", "", "uśd"])
def test_a_currency_that_is_no_lower_case_code_is_refused(currency: str) -> None:
    with pytest.raises(ValueError, match="currency"):
        Money(amount_minor=1, currency=currency)


@given(AMOUNTS, AMOUNTS)
def test_what_is_added_can_be_taken_away_again(one: int, other: int) -> None:
    first, second = Money(amount_minor=one, currency="usd"), Money(amount_minor=other, currency="usd")
    assert first + second - second == first


def test_currencies_are_never_mixed() -> None:
    with pytest.raises(ValueError, match="cannot mix usd with eur"):
        Money(amount_minor=1, currency="usd") + Money(amount_minor=1, currency="eur")


@given(
    st.integers(0, 10**10),
    st.integers(1, 10**6),
    CHANCE,
    CHANCE,
)
def test_ids_sort_by_time_whatever_their_chance(start: int, step: int, one: bytes, other: bytes) -> None:
    at = NOW + timedelta(milliseconds=start)
    assert make_id(Kind.CASE, at, one) < make_id(Kind.CASE, at + timedelta(milliseconds=step), other)


@given(st.sampled_from(Kind), CHANCE)
def test_an_id_is_of_its_kind_and_of_no_other(kind: Kind, chance: bytes) -> None:
    made = make_id(kind, NOW, chance)
    assert [other for other in Kind if is_id(other, made)] == [kind]


@pytest.mark.parametrize(
    "text", ["", "case_", "case", "case_01k9", "CASE_" + "0" * 26, "case_" + "u" * 26, "case_" + "0" * 27]
)
def test_what_is_shaped_otherwise_is_no_id(text: str) -> None:
    assert not is_id(Kind.CASE, text)


@pytest.mark.parametrize("chance", [b"", b"123456789", b"12345678901"])
def test_an_id_needs_its_exact_share_of_chance(chance: bytes) -> None:
    with pytest.raises(ValueError, match="chance"):
        make_id(Kind.JOB, NOW, chance)


def test_each_attempt_has_a_key_of_its_own_within_stripes_length() -> None:
    keys = {
        attempt_key(livemode=live, charge_id="ch_" + "x" * 60, refund_id="rfd_" + "0" * 26, attempt=attempt)
        for live in (True, False)
        for attempt in (1, 2)
    }
    assert len(keys) == 4
    assert all(len(key) < 255 for key in keys)  # Stripe's limit
    assert (
        attempt_key(livemode=True, charge_id="ch_1", refund_id="rfd_1", attempt=1)
        == "billingbot:refund:live:ch_1:rfd_1:1"
    )
