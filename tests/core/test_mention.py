"""Whom a note names: whole names behind an @, in any spelling, the longest first."""

import pytest

from billingbot.core.mention import named_in

PEOPLE = ("Ann", "Ann Lee", "Jörg", "o.b")


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("nobody is named here, ann", ()),
        ("@Ann look", ("Ann",)),
        ("look, @ann!", ("Ann",)),
        ("@ANN LEE look", ("Ann Lee",)),
        ("@Ann Lee and @Ann", ("Ann", "Ann Lee")),
        ("@Annabel is somebody else", ()),
        ("write to ann@ann.example", ()),
        ("@jo\u0308rg, in another spelling", ("Jörg",)),
        ("@o.b and @oxb", ("o.b",)),
    ],
)
def test_a_note_names_these(text: str, named: tuple[str, ...]) -> None:
    assert named_in(text, PEOPLE) == named
