"""Replies: the reader's language, amounts and dates as it writes them, and nothing else in reach."""

import pytest
from tests.builders import CHARGED, STARTED, TRIAL_END

from billingbot.core.money import Money
from billingbot.core.policy.replies import Letter, Reply, Told, choose_language, render, template_faults

LETTERS = {
    "en": Letter(subject="{{ amount }}", text="{{ amount }} of {{ charged_on }}"),
    "de": Letter(subject="{{ amount }}", text="{{ amount }} vom {{ charged_on }}"),
    "pt-br": Letter(subject="x", text="{% if trial_ended_on %}{{ trial_ended_on }}{% else %}-{% endif %}"),
}
REPLY = Reply(letters=LETTERS, default="en")


def told(amount_minor: int = 4900, currency: str = "usd") -> Told:
    return Told(case="case_1", money=Money(amount_minor=amount_minor, currency=currency), charged_at=CHARGED)


@pytest.mark.parametrize(
    ("preferred", "chosen"),
    [
        ((), "en"),
        (("fr",), "en"),
        (("de-AT",), "de"),
        (("fr", "pt-BR", "de"), "pt-br"),
        (("pt",), "en"),
        (("DE_de",), "de"),
        (("", "??", "de"), "de"),
    ],
)
def test_a_reader_gets_the_first_language_there_is(preferred: tuple[str, ...], chosen: str) -> None:
    assert choose_language(REPLY, preferred) == chosen


@pytest.mark.parametrize(
    ("amount_minor", "currency", "english", "german"),
    [
        (4900, "usd", "$49.00", "49,00\u00a0$"),
        (123456, "eur", "€1,234.56", "1.234,56\u00a0€"),
        (4900, "jpy", "¥4,900", "4.900\u00a0¥"),
        (4900, "kwd", "KWD\u00a04.900", "4,900\u00a0KWD"),
        (4900, "isk", "ISK\u00a049.00", "49,00\u00a0ISK"),  # Stripe keeps two decimals that the krona has not
    ],
)
def test_amounts_have_stripes_decimals_and_the_readers_signs(
    amount_minor: int, currency: str, english: str, german: str
) -> None:
    assert render(REPLY, told(amount_minor, currency)).subject == english.replace("\u00a0", " ")
    assert render(REPLY, told(amount_minor, currency), preferred=["de"]).text == f"{german} vom 15. März 2026\n"


def test_a_sentence_can_depend_on_whether_there_was_a_trial() -> None:
    with_trial = Told(case="case_1", trial_started_at=STARTED, trial_ended_at=TRIAL_END)
    assert render(REPLY, with_trial, preferred=["pt-br"]).text == "15 de março de 2026\n"
    assert render(REPLY, told(), preferred=["pt-br"]).text == "-\n"


def test_a_subject_is_one_line_whatever_the_template_does() -> None:
    reply = Reply(letters={"en": Letter(subject="a\r\nBcc: x {{ case }}", text="t")}, default="en")
    assert render(reply, told()).subject == "a Bcc: x case_1"


@pytest.mark.parametrize(
    "text",
    [
        "{{ email }}",
        "{{ amount.__class__ }}",
        "{{ amount['x'] }}",
        "{{ amount|safe }}",
        "{{ range(9) }}",
        "{{ self }}",
        "{% set x = 1 %}",
        "{% for x in amount %}{% endfor %}",
        "{% macro m() %}{% endmacro %}",
        "{% import 'x' as y %}",
        "{{ amount * 99 }}",
        "{{ amount",
    ],
)
def test_a_template_reaches_nothing_but_what_a_customer_may_know(text: str) -> None:
    assert list(template_faults(text))


def test_an_ordinary_template_has_no_fault() -> None:
    assert not list(template_faults("{% if trial_ended_on and not charged_on == '' %}{{ amount }}{% endif %}"))
