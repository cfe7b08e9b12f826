"""Comments on cancellations: which words ask for money back, in every language that has a list."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billingbot.core.evidence.comments import DEFAULT_WORDS, matches

ASKING = [
    ("en", "Please REFUND my last payment", "en: refund*"),
    ("en", "I want my money\n back.", "en: money back"),
    ("de", "Bitte um Rückerstattung des Betrags", "de: *erstatt*"),
    ("de", "Ich will mein Geld zurück!", "de: geld zurück*"),
    ("fr", "Je souhaite être remboursée", "fr: rembours*"),
    ("fr", "je veux récupérer mon argent", "fr: récupérer mon argent"),
    ("es", "Quiero un reembolso", "es: reembols*"),
    ("es", "Solicito la devolución", "es: devoluci*"),
    ("pt", "Peço o estorno da cobrança", "pt: estorn*"),
    ("it", "Vorrei un rimborso", "it: rimbors*"),
    ("nl", "Graag terugbetaling", "nl: terugbeta*"),
    ("nl", "Ik wil mijn geld terug", "nl: geld terug"),
    ("he", "אני רוצה החזר כספי", "he: *החזר*"),
    ("he", "בבקשה להחזרת התשלום", "he: *החזר*"),
]
SILENT = [
    "Too expensive for us",
    "Zu teuer, danke",
    "Trop cher",
    "Wir nutzen jetzt ein anderes Produkt",
    "The refinery closed",
    "",
    "👋",
    "מחיר גבוה מדי",
]


@pytest.mark.parametrize(("language", "comment", "word"), ASKING)
def test_a_comment_that_asks_for_money_back_says_by_which_words(language: str, comment: str, word: str) -> None:
    found = matches(comment)
    assert word in [str(match) for match in found]
    assert language in {match.language for match in found}


@pytest.mark.parametrize("comment", SILENT)
def test_other_comments_ask_for_nothing(comment: str) -> None:
    assert matches(comment) == ()


def test_letters_in_another_form_are_the_same_letters() -> None:
    assert matches("r\u00e9cup\u00e9rer mon argent") == matches("re\u0301cupe\u0301rer mon argent") != ()


def test_a_word_of_ones_own_replaces_the_list_of_its_language() -> None:
    own = {**DEFAULT_WORDS, "en": ("credit my card",), "nl": ()}
    assert [str(match) for match in matches("refund me, credit my card, geld terug", own)] == ["en: credit my card"]
    assert matches("credit my cardboard", own) == ()


@given(st.text(max_size=300), st.sampled_from([word for words in DEFAULT_WORDS.values() for word in words]))
def test_any_text_can_be_read_and_a_listed_word_in_it_is_found(text: str, word: str) -> None:
    bare = word.strip("*").replace("*", "")
    assert word in {match.word for match in matches(f"{text} {bare} {text}")}
    matches(text)


def test_the_languages_are_those_that_were_promised() -> None:
    assert set(DEFAULT_WORDS) == {"en", "de", "fr", "es", "pt", "it", "nl", "he"}
