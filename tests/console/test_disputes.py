"""Disputes in the console: the list by deadline, and an answer that is read, edited and sent from one page."""

import io

import pytest
from pypdf import PdfReader

from billingbot.core.access.powers import Role
from billingbot.core.disputes.answering import AnswerKind, AnswerState
from billingbot.core.disputes.evidence_fields import PAPERS
from tests.console.conftest import Console, SignedIn
from tests.flows.test_answering import current, disputed, states, submissions


def fields(version: int, **more: str) -> dict[str, str]:
    return {"account": "default", "version": str(version), **more}


def test_the_list_tells_what_is_due_and_what_disputes_cost(console: Console, signed_in: SignedIn) -> None:
    _, other = console.shop.charged_trial()
    _, _, dispute = disputed(console.shop)
    lost = console.shop.stripe.dispute(other, status="lost", reason="fraudulent")["id"]
    console.shop.deliver()
    console.shop.work()
    support = signed_in(Role.SUPPORT)
    page = support.get("/disputes").text
    assert f"/disputes/{dispute}" in page
    assert "left</time></td>" in page
    assert f"/disputes/{lost}" not in page
    ended = support.get("/disputes?show=ended").text
    assert f"/disputes/{lost}" in ended
    assert "0 %" in page  # of one that was decided for fraud, none was won
    assert f"/disputes/{dispute}" not in support.get("/disputes?reason=fraudulent").text
    assert support.get("/disputes?kind=quarrel").status_code == 422
    rows = support.get("/disputes/rows?show=ended").text
    assert f'data-row="default/{lost}"' in rows
    assert dispute not in rows
    assert "<html" not in rows


def test_the_page_reads_as_a_document_doubts_first(console: Console, signed_in: SignedIn) -> None:
    _, _, dispute = disputed(console.shop)
    page = signed_in(Role.SUPPORT).get(f"/disputes/{dispute}").text
    for told in ("49.00", "to respond", "What the policy thinks", "What the customer&#39;s account did", "as of"):
        assert told in page
    assert "Send to the bank" in page
    assert "Accept…" not in page  # giving up is for whoever may check
    about = [page.index(f'id="{name}"') for name in ("access_activity_log", "uncategorized_text", "receipt")]
    assert about == sorted(about)  # what decides comes first, papers come last and folded
    content = current(console.shop, dispute).content
    assert content is not None
    assert all(page.index(str(doubt)[:20]) < page.index("The answer, version") for doubt in content.doubts)


def test_a_field_is_edited_left_out_and_said_again_in_place(console: Console, signed_in: SignedIn) -> None:
    _, _, dispute = disputed(console.shop)
    support = signed_in(Role.SUPPORT)
    path, field = f"/disputes/{dispute}", "uncategorized_text"
    page = support.act(f"{path}/edit", **fields(1, field=field, text="As <we> saw it.\r\nTwice.")).text
    assert "As &lt;we&gt; saw it.\nTwice." in page
    assert "written by support" in page
    assert "Left out by support." in support.act(f"{path}/drop", **fields(2, field=field)).text
    assert "As &lt;we&gt;" not in support.act(f"{path}/restore", **fields(3, field=field)).text
    stale = support.act(f"{path}/edit", **fields(1, field=field, text="Late."))
    assert stale.status_code == 409
    assert "its draft has changed since you looked" in stale.text


def test_the_answer_is_sent_once_by_whoever_may(console: Console, signed_in: SignedIn) -> None:
    console.shop.allow(second_approval_above={"usd": 1000})
    _, _, dispute = disputed(console.shop)
    path = f"/disputes/{dispute}"
    assert signed_in(Role.SUPPORT).act(f"{path}/send", **fields(1)).status_code == 403
    approver = signed_in(Role.APPROVER)
    assert "Sent once, cannot be changed." in approver.get(path).text
    assert "on its way to the bank" in approver.act(f"{path}/send", **fields(1)).text
    assert approver.act(f"{path}/send", **fields(1)).status_code == 409
    console.shop.work()
    assert submissions(console.shop, dispute) == 1
    after = approver.get(path).text
    assert "An answer is with the bank." in after
    assert "Send to the bank…" not in after


def test_it_is_staged_without_being_sent(console: Console, signed_in: SignedIn) -> None:
    _, _, dispute = disputed(console.shop)
    assert "is not sent" in signed_in(Role.SUPPORT).act(f"/disputes/{dispute}/stage", **fields(1)).text
    console.shop.work()
    assert states(console.shop, dispute) == [(AnswerKind.STAGE, AnswerState.DONE)]
    assert submissions(console.shop, dispute) == 0


def test_accepting_takes_a_second_look(console: Console, signed_in: SignedIn) -> None:
    _, _, dispute = disputed(console.shop)
    path = f"/disputes/{dispute}"
    approver = signed_in(Role.APPROVER)
    page = approver.act(f"{path}/accept", account="default").text
    assert "Nothing has happened at Stripe" in page
    [(kind, state)] = states(console.shop, dispute)
    assert (kind, state) == (AnswerKind.ACCEPT, AnswerState.ASKED)
    [row] = console.shop.rows("SELECT id FROM dispute_answers")
    assert "Accept for good: lose 49.00 USD" in page
    approver.act(f"{path}/accept", account="default", answer=row.id)
    console.shop.work()
    console.shop.deliver()
    console.shop.work()
    assert "It has ended: lost." in approver.get(path).text


def test_nobody_accepts_what_was_taken_back(console: Console, signed_in: SignedIn) -> None:
    _, _, dispute = disputed(console.shop)
    approver = signed_in(Role.APPROVER)
    approver.act(f"/disputes/{dispute}/accept", account="default")
    [row] = console.shop.rows("SELECT id FROM dispute_answers")
    assert "as it was" in approver.act(f"/disputes/{dispute}/take-back", account="default", answer=row.id).text
    assert approver.act(f"/disputes/{dispute}/accept", account="default", answer=row.id).status_code == 409


def test_a_paper_is_seen_as_the_bank_gets_it(console: Console, signed_in: SignedIn) -> None:
    _, _, dispute = disputed(console.shop)
    content = current(console.shop, dispute).content
    assert content is not None
    page = signed_in(Role.SUPPORT)
    papers = sorted(field for field in PAPERS if field in content.fields)
    assert papers
    answer = page.get(f"/disputes/{dispute}/papers/{papers[0]}")
    assert answer.headers["content-type"] == "application/pdf"
    assert dispute in PdfReader(io.BytesIO(answer.content)).pages[0].extract_text()
    assert page.get(f"/disputes/{dispute}/papers/product_description").status_code == 404


@pytest.mark.parametrize("path", ["/disputes/dp_nobody", "/disputes/dp_nobody/papers/receipt"])
def test_an_unknown_dispute_is_not_here(signed_in: SignedIn, path: str) -> None:
    assert signed_in(Role.SUPPORT).get(path).status_code == 404
