"""Erasing from the console: looked at first, handed over as a file, confirmed, and by who may alone."""

import pytest

from billingbot.core.access.powers import Role
from tests.console.conftest import Console, SignedIn
from tests.flows.test_privacy import EMAIL, a_closed_case, everything


def test_a_customers_data_is_looked_at_handed_over_and_erased(console: Console, signed_in: SignedIn) -> None:
    a_closed_case(console.shop)
    admin = signed_in(Role.ADMIN, name="Ada")
    found = admin.act("/settings/privacy/preview", email=EMAIL)
    assert "<dt>requests</dt><dd>1</dd>" in found.text
    handed = admin.act("/settings/privacy/show", email=EMAIL)
    assert "attachment" in handed.headers["content-disposition"]
    assert handed.json()["requests"][0]["text"].startswith("Vera")
    assert admin.act("/settings/privacy/erase", email=EMAIL).status_code == 422
    assert "Erased: 1 cases" in admin.act("/settings/privacy/erase", email=EMAIL, sure="yes").text
    assert "vera" not in everything(console.shop)
    assert "Nothing is kept of this address" in admin.act("/settings/privacy/preview", email=EMAIL).text


@pytest.mark.parametrize("role", [Role.SUPPORT, Role.APPROVER, Role.OPS, Role.FINANCE])
def test_nobody_else_may(signed_in: SignedIn, role: Role) -> None:
    somebody = signed_in(role)
    assert somebody.get("/settings/privacy").status_code == 403
    for act in ("preview", "show", "erase"):
        assert somebody.act(f"/settings/privacy/{act}", email=EMAIL, sure="yes").status_code == 403
