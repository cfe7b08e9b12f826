"""The case file for an auditor: what is in it, what is not, and that the same books print the same bytes."""

import io

from pypdf import PdfReader

from billingbot.core.access.powers import Role
from tests.console.conftest import Console, SignedIn
from tests.flows.test_answering import disputed
from tests.flows.test_months import refunded, settle


def text_of(content: bytes) -> str:
    return " ".join(page.extract_text() for page in PdfReader(io.BytesIO(content)).pages)


def squeezed(text: str) -> str:
    return "".join(text.split())


def test_it_holds_the_case_from_request_to_ledger_and_no_personal_data(console: Console, signed_in: SignedIn) -> None:
    charge = refunded(console.shop, email="ada.lovelace@example.org")
    settle(console.shop)
    [case] = console.shop.cases_of(charge)
    answer = signed_in(Role.FINANCE).get(f"/cases/{case.id}/file.pdf")
    assert answer.headers["content-type"] == "application/pdf"
    text = text_of(answer.content)
    [decision] = console.shop.rows("SELECT * FROM decisions WHERE purpose = 'assess'")
    [attempt] = console.shop.attempts_of(charge)
    entries = console.shop.rows("SELECT hash FROM ledger_entries WHERE subject = :c", c=case.id)
    for told in (case.id, "USD 49.00", "yes, byte for byte", "trial.exists", "What was asked", "Balance transaction"):
        assert told in text
    for told in (attempt.key, decision.facts_digest, decision.policy_digest, *(entry.hash for entry in entries)):
        assert told in squeezed(text)
    assert "lovelace" not in squeezed(text)
    assert "rk_test" not in text


def test_the_same_books_print_the_same_bytes(console: Console, signed_in: SignedIn) -> None:
    charge = refunded(console.shop)
    settle(console.shop)
    [case] = console.shop.cases_of(charge)
    finance = signed_in(Role.FINANCE)
    first = finance.get(f"/cases/{case.id}/file.pdf").content
    again = signed_in(Role.SUPPORT, name="somebody else").get(f"/cases/{case.id}/file.pdf").content
    # Somebody came in meanwhile, so the ledger's head moved on, and the file says which head it was written at.
    assert finance.get(f"/cases/{case.id}/file.pdf").content == again
    assert text_of(first).partition("The case")[2].split() == text_of(again).partition("The case")[2].split()


def test_a_disputed_charge_is_told_with_its_dispute(console: Console, signed_in: SignedIn) -> None:
    _, charge, dispute = disputed(console.shop)
    [case] = console.shop.cases_of(charge)
    text = text_of(signed_in(Role.FINANCE).get(f"/cases/{case.id}/file.pdf").content)
    assert f"Dispute {dispute}" in text
    assert "product_not_received" in text


def test_a_case_that_is_none_has_no_file(signed_in: SignedIn) -> None:
    assert signed_in(Role.FINANCE).get("/cases/case_00000000000000000000000000/file.pdf").status_code == 404
