"""Erasing from the console: looked for by a worker, handed over as a file, agreed to, and by who may alone."""

from billingbot.core.access.powers import Role
from tests.console.conftest import Client, Console, SignedIn
from tests.flows.test_privacy import EMAIL, a_closed_case, everything


def _looked_for(console: Console, admin: Client) -> str:
    """Asks, lets the worker look; the page of what was found."""
    asked = admin.act("/settings/privacy", email=EMAIL)
    assert "Looking" in asked.text
    assert "veronique" not in str(asked.url)
    console.shop.work()
    return str(asked.url)


def test_a_customers_data_is_looked_for_handed_over_and_erased(console: Console, signed_in: SignedIn) -> None:
    shop = console.shop
    a_closed_case(shop)
    admin = signed_in(Role.ADMIN, name="Ada")
    page = _looked_for(console, admin)
    found = admin.get(page).text
    assert "<dt>requests</dt><dd>1</dd>" in found
    assert f"Kept of {EMAIL.lower()}" in found
    handed = admin.act(f"{page}/show")
    assert "attachment" in handed.headers["content-disposition"]
    assert handed.json()["requests"][0]["text"].startswith("Veronique")
    assert len(handed.json()["events"]) > 1
    assert admin.act(f"{page}/erase").status_code == 422
    assert "veronique" in everything(shop)  # nothing goes before somebody agreed
    assert "Erasing" in admin.act(f"{page}/erase", sure="yes").text
    shop.work()
    told = admin.get(page).text
    assert "<dt>cases</dt><dd>1</dd>" in told
    assert "Ada agreed" in told
    assert "veronique" not in everything(shop) + str(shop.rows("SELECT * FROM personal_data_searches"))
    assert shop.ledger_flaws() == []
    assert admin.act(f"{page}/erase", sure="yes").status_code == 409
    assert "Nothing is kept of" in admin.get(_looked_for(console, admin)).text


def test_what_nobody_agreed_to_is_forgotten(console: Console, signed_in: SignedIn) -> None:
    shop = console.shop
    a_closed_case(shop)
    admin = signed_in(Role.ADMIN)
    dropped, left = _looked_for(console, admin), _looked_for(console, admin)
    assert "address is forgotten" in admin.act(f"{dropped}/drop").text
    shop.write("UPDATE jobs SET run_at = run_at - interval '25 hours'")
    shop.work()
    for page in (dropped, left):
        assert "Dropped" in admin.get(page).text
        assert {admin.act(f"{page}/{act}", sure="yes").status_code for act in ("show", "erase", "drop")} == {409}
    assert shop.rows("SELECT 1 FROM personal_data_searches WHERE address IS NOT NULL OR finds IS NOT NULL") == []
    assert "veronique" in everything(shop)
