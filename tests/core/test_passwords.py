"""Which passwords are taken, and which codes."""

from datetime import UTC, datetime, timedelta

import pytest

from billingbot.core.access.one_time import STEP_SECONDS, bare_code, recovery_code, step_of
from billingbot.core.access.password import LONGEST, check_new, spelt
from billingbot.core.errors import InputError

NOW = datetime(2026, 11, 28, 12, 0, 7, tzinfo=UTC)


@pytest.mark.parametrize(
    "password",
    [
        "correct horse battery",
        "vier Wörter ohne Sinn",
        "x9!kQ2#mW7$p",
        "a long sentence about nothing " * 3,
        "パスワードは長いほうがいい",
    ],
)
def test_length_is_enough(password: str) -> None:
    assert check_new(password, name="Ada Lovelace", email="ada@example.com") == spelt(password)


@pytest.mark.parametrize(
    "password",
    [
        "short",
        "eleven char",
        "x" * (LONGEST + 1),
        "aaaaaaaaaaaaaaaa",
        "abababababababab",
        "123456789012",
        "098765432109",
        "qwertyuiopasdf",
        "password2026!",
        "Password1234",
        "PasswordPassword",
        "billingbot2026",
        "secretsecret",
        "lovelace.ada!"[:0] + "Ada Lovelace1",
        "example.com2026",
    ],
)
def test_what_is_guessed_first_is_not_taken(password: str) -> None:
    with pytest.raises(InputError, match=r"^password: "):
        check_new(password, name="Ada Lovelace", email="ada@example.com")


def test_an_accent_may_be_typed_either_way() -> None:
    assert check_new("mo\u0308bel am ufer", name="a", email=None) == check_new("möbel am ufer", name="a", email=None)


def _code_at(step: int) -> str:
    return f"{step % 1_000_000:06d}"


def test_a_code_counts_one_step_either_way_and_never_twice() -> None:
    own = int(NOW.timestamp()) // STEP_SECONDS
    for by in (-1, 0, 1):
        assert step_of(_code_at(own + by), NOW, after=None, code_at=_code_at) == own + by
    for by in (-2, 2):
        assert step_of(_code_at(own + by), NOW, after=None, code_at=_code_at) is None
    assert step_of(_code_at(own), NOW, after=own, code_at=_code_at) is None
    assert step_of(_code_at(own - 1), NOW, after=own, code_at=_code_at) is None
    later = NOW + timedelta(seconds=STEP_SECONDS)
    assert step_of(_code_at(own + 1), later, after=own, code_at=_code_at) == own + 1


def test_recovery_codes_can_be_typed_as_people_write() -> None:
    code = recovery_code(bytes(range(10)))
    assert len(bare_code(code)) == 16
    assert bare_code(f" {code.upper().replace('-', ' ')} ") == bare_code(code)
    assert recovery_code(bytes(10)) != recovery_code(bytes(9) + b"\x01")
