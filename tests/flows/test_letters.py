"""A reply reaches its customer once, when it is true, and never twice when nobody can tell."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from billingbot.core.errors import ConflictError, ForbiddenError
from billingbot.core.job import Actor
from billingbot.flows.casework import letters
from billingbot.flows.casework.review import claim, deny
from billingbot.telling.mail import Mail, MailDelayedError, MailRefusedError, MailUnknownError
from tests.flows.shop import Shop
from tests.post_office import PostOffice, running_post_office


@pytest.fixture
def office() -> Iterator[PostOffice]:
    with running_post_office() as office:
        yield office


def with_mail(shop: Shop, office: PostOffice, *, automatic: bool = False) -> None:
    mail = Mail(url=office.url, sender="Refunds <refunds@example.com>", automatic=automatic)
    shop.desk = replace(shop.desk, mail=mail)


def refunded_case(shop: Shop) -> str:
    _, charge = shop.charged_trial()
    case_id = shop.ask(charge).case.id
    shop.work()
    return case_id


def states(shop: Shop) -> list[str]:
    return [row.state for row in shop.rows("SELECT state FROM letters ORDER BY written_at")]


def test_a_person_sends_the_reply_and_the_customer_gets_it_once(shop: Shop, office: PostOffice) -> None:
    with_mail(shop, office)
    case_id = refunded_case(shop)
    letters.send(shop.desk, shop.person(case_id))
    shop.work()

    (message,) = office.taken
    assert message["From"] == "Refunds <refunds@example.com>"
    assert "@" in message["To"]
    assert message["Subject"] == "Your refund of $49.00"
    assert case_id in message.get_content()
    assert states(shop) == ["sent"]
    with pytest.raises(ConflictError, match="was sent already"):
        letters.send(shop.desk, shop.person(case_id))
    entries = shop.rows(
        "SELECT kind, convert_from(body, 'UTF8') AS body FROM ledger_entries WHERE kind LIKE 'letter.%'"
    )
    assert [entry.kind for entry in entries] == ["letter.written", "letter.ended"]
    assert not any("@" in entry.body for entry in entries)
    assert shop.rows("SELECT 1 FROM letters WHERE recipient_digest LIKE '%@%'") == []


def test_without_mail_people_are_told_to_copy_it(shop: Shop) -> None:
    with pytest.raises(ForbiddenError, match=r"no \[mail\] is configured"):
        letters.send(shop.desk, shop.person(refunded_case(shop)))


def test_a_reply_that_is_only_proposed_cannot_be_sent(shop: Shop, office: PostOffice) -> None:
    with_mail(shop, office)
    trial, charge = shop.charged_trial()
    shop.usage.used_by.add(trial.customer)
    case_id = shop.ask(charge).case.id
    shop.work()
    with pytest.raises(ConflictError, match="is in review; its reply can be sent once that is decided"):
        letters.send(shop.desk, shop.person(case_id))
    claim(shop.desk, shop.person(case_id))
    deny(shop.desk, shop.person(case_id), reason="used", reply=None)
    letters.send(shop.desk, shop.person(case_id))
    shop.work()
    assert "cannot refund" in office.taken[0].get_content().replace("\n", " ")


def test_the_machines_own_decisions_are_told_by_themselves_where_that_is_wanted(shop: Shop, office: PostOffice) -> None:
    with_mail(shop, office, automatic=True)
    case_id = refunded_case(shop)
    for _ in range(2):
        letters.send_due(shop.desk, limit=10)
        shop.work()
    assert [case_id in message.get_content() for message in office.taken] == [True]


def test_a_server_that_is_busy_gets_it_later(shop: Shop, office: PostOffice) -> None:
    with_mail(shop, office)
    case_id = refunded_case(shop)
    office.says["RCPT"] = "451 later"
    letters.send(shop.desk, shop.person(case_id))
    shop.work()
    assert (states(shop), office.taken) == (["waiting"], [])
    office.says.clear()
    shop.hurry()
    shop.work()
    assert (states(shop), len(office.taken)) == (["sent"], 1)


@pytest.mark.parametrize(
    ("says", "state", "certainty"),
    [
        ({"RCPT": "550 nobody"}, "failed", "did not arrive"),
        ({".": "554 spam"}, "failed", "did not arrive"),
        ({".": ""}, "unknown", "may not have arrived"),
    ],
)
def test_what_did_not_arrive_for_sure_is_told_to_people_and_not_sent_again(
    shop: Shop, office: PostOffice, says: dict[str, str], state: str, certainty: str
) -> None:
    with_mail(shop, office)
    case_id = refunded_case(shop)
    office.says |= says
    letters.send(shop.desk, shop.person(case_id))
    shop.work()
    shop.hurry()
    shop.work()
    assert states(shop) == [state]
    assert len(office.taken) <= 1
    (notice,) = shop.rows("SELECT headline, body FROM notices WHERE kind = 'letter_failed'")
    assert certainty in notice.headline
    assert "@" not in notice.body


def test_a_worker_that_dies_while_sending_leaves_a_letter_that_nobody_sends_again(
    shop: Shop, office: PostOffice
) -> None:
    with_mail(shop, office)
    letters.send(shop.desk, shop.person(refunded_case(shop)))
    with shop.owner.begin() as connection:
        connection.exec_driver_sql("UPDATE letters SET state = 'sending'")
    shop.work(only=Actor.DELIVER)
    assert (states(shop), office.taken) == (["unknown"], [])


@pytest.mark.parametrize(
    ("says", "error"),
    [
        ({"MAIL": ""}, MailDelayedError),
        ({"DATA": "421 closing"}, MailDelayedError),
        ({"DATA": "503 no"}, MailRefusedError),
        ({".": "452 full"}, MailDelayedError),
        ({".": ""}, MailUnknownError),
    ],
)
def test_every_answer_of_a_server_has_one_meaning(
    office: PostOffice, says: dict[str, str], error: type[Exception]
) -> None:
    office.says |= says
    mail = Mail(url=office.url, sender="refunds@example.com")
    with pytest.raises(error) as caught:
        mail.send(to="ada@example.com", subject="Äpfel", text=".\n..", letter_id="ltr_1")
    assert "ada" not in str(caught.value)


def test_a_text_with_dots_and_umlauts_arrives_as_it_was_written(office: PostOffice) -> None:
    Mail(url=office.url, sender="refunds@example.com").send(
        to="ada@example.com", subject="Zu Ihrer Anfrage: Äpfel", text=".\n..\nÜber\n", letter_id="ltr_1"
    )
    (message,) = office.taken
    assert message["Subject"] == "Zu Ihrer Anfrage: Äpfel"
    assert message["Message-ID"] == "<ltr_1@example.com>"
    assert message.get_content().splitlines() == [".", "..", "Über"]


@pytest.mark.parametrize(
    "subject", ["=?utf-8?q?=0ABcc:_eve@example.com?=", "x =?utf-8?b?CkJjYzogZXZl?=", "a\nBcc: eve"]
)
def test_no_subject_adds_a_header(office: PostOffice, subject: str) -> None:
    mail = Mail(url=office.url, sender="refunds@example.com")
    mail.send(to="ada@example.com", subject=subject, text="x", letter_id="ltr_1")
    (message,) = office.taken
    assert "Bcc" not in message
    assert message["Auto-Submitted"] == "auto-generated"


@pytest.mark.parametrize(
    "to",
    [
        "ada@example.com, eve@example.com",
        "ada@example.com\nBcc: eve@example.com",
        "=?utf-8?q?=0ABcc:x?=@example.com",
        "Eve <ada@example.com>",
        "é@example.com",
        "a@b@c",
        "",
    ],
)
def test_a_letter_goes_to_one_address_and_to_nothing_that_only_looks_like_one(office: PostOffice, to: str) -> None:
    with pytest.raises(MailRefusedError) as caught:
        Mail(url=office.url, sender="refunds@example.com").send(to=to, subject="x", text="x", letter_id="ltr_1")
    assert (office.taken, str(caught.value)) == ([], "mail: the customer's address is none that a server takes")


@pytest.mark.parametrize(
    ("url", "sender", "says"),
    [
        ("http://example.com", "a@example.com", "expected a URL such as smtps://"),
        ("smtp://mail.example.com", "a@example.com", "letters name customers"),
        ("smtps://mail.example.com", "nobody", "sender: expected an address"),
    ],
)
def test_a_way_out_that_cannot_be_safe_is_refused(url: str, sender: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        Mail(url=url, sender=sender)
