"""One spelling per mailbox, where the provider makes it one; elsewhere a dot may be another person."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billingbot.core.evidence.history import normalise_email


@pytest.mark.parametrize(
    ("email", "expected"),
    [
        ("ada@example.com", "ada@example.com"),
        ("  Ada@Example.COM ", "ada@example.com"),
        ("a.b+trial@gmail.com", "ab@gmail.com"),
        ("ab@gmail.com", "ab@gmail.com"),
        ("A.B@GoogleMail.com", "ab@gmail.com"),
        ("a.b+x+y@gmail.com", "ab@gmail.com"),
        ("a.b+trial@outlook.com", "a.b@outlook.com"),
        ("ada+trial@proton.me", "ada@proton.me"),
        ("ada+trial@example.com", "ada+trial@example.com"),
        ("a.da@example.com", "a.da@example.com"),
        ('"a@b"@example.com', '"a@b"@example.com'),
        ("ada", None),
        ("@gmail.com", None),
        ("ada@", None),
        ("+trial@gmail.com", None),
        ("...@gmail.com", None),
        ("", None),
    ],
)
def test_a_mailbox_has_one_spelling(email: str, expected: str | None) -> None:
    assert normalise_email(email) == expected


@given(st.emails())
def test_normalising_twice_changes_nothing(email: str) -> None:
    once = normalise_email(email)
    assert once is None or normalise_email(once) == once


@given(st.text(alphabet="abc.", min_size=1, max_size=8), st.text(alphabet="xyz", max_size=4))
def test_dots_and_tags_never_make_another_gmail_mailbox(local: str, tag: str) -> None:
    plain = normalise_email(f"{local.replace('.', '')}@gmail.com")
    assert normalise_email(f"{local}+{tag}@googlemail.com") == plain


def test_colleagues_of_one_company_are_different_people() -> None:
    assert normalise_email("ada@example.com") != normalise_email("grace@example.com")
