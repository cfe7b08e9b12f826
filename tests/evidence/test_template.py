"""URL templates: a customer's text never becomes part of the address."""

import re
from urllib.parse import unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.evidence.people import subject

from billingbot.evidence.reading import UnansweredError
from billingbot.evidence.template import UrlTemplate

HOSTILE_IN_A_PATH = [
    "..",
    ".",
    "../admin",
    "..\\admin",
    "a/b",
    "a\\b",
    "x\r\nX-Evil: 1",
    "nul\x00",
    "\x7f",
    "\ud800",
]
ENCODED_IN_A_PATH = [
    "%2e%2e",
    "%2F..%2F",
    "?a=b",
    "#frag",
    "@evil.example.com",
    ":80",
    "a b",
    "é",
    "{email}",
    ";p=1",
    "...",
]


@pytest.mark.parametrize("value", HOSTILE_IN_A_PATH)
def test_a_value_that_could_change_the_path_is_refused(value: str) -> None:
    template = UrlTemplate.parse("https://api.example.com/users/{metadata.id}/usage")
    with pytest.raises(UnansweredError, match="customer"):
        template.fill(subject(metadata={"id": value}))


@pytest.mark.parametrize("value", ENCODED_IN_A_PATH)
def test_a_value_with_special_characters_stays_one_path_segment(value: str) -> None:
    template = UrlTemplate.parse("https://api.example.com/users/{metadata.id}/usage")
    parts = urlsplit(template.fill(subject(metadata={"id": value})))
    assert (parts.netloc, parts.query, parts.fragment) == ("api.example.com", "", "")
    users, segment, usage = parts.path.strip("/").split("/")
    assert (users, unquote(segment), usage) == ("users", value, "usage")


@given(st.text(min_size=1).filter(lambda text: not re.search("[\ud800-\udfff]", text)))
def test_any_text_in_a_query_arrives_as_itself_and_adds_no_parameter(value: str) -> None:
    template = UrlTemplate.parse("https://api.example.com/usage?who={metadata.id}&strict=1")
    url = template.fill(subject(metadata={"id": value}))
    assert url.isascii()
    assert not re.search(r"\s", url)
    who, strict = url.partition("?")[2].split("&")
    assert (unquote(who.removeprefix("who=")), strict) == (value, "strict=1")


def test_a_dot_segment_made_of_template_and_value_is_refused() -> None:
    with pytest.raises(UnansweredError, match="path"):
        UrlTemplate.parse("https://api.example.com/a/.{metadata.id}/b").fill(subject(metadata={"id": "."}))


@pytest.mark.parametrize(
    ("template", "why"),
    [
        ("https://api.example.com/{metadata.workspace}", "customer has no metadata workspace"),
        ("https://api.example.com/?e={email}", "customer has no e-mail"),
        ("https://api.example.com/{subscription_id}", "customer has no subscription"),
        ("https://api.example.com/{metadata.blank}", "customer has no metadata blank"),
    ],
)
def test_an_absent_value_is_said_and_never_an_empty_hole(template: str, why: str) -> None:
    nobody = subject(email=None, subscription_id=None, metadata={"blank": ""})
    with pytest.raises(UnansweredError, match=f"^{why}$"):
        UrlTemplate.parse(template).fill(nobody)


def test_every_placeholder_is_filled() -> None:
    template = UrlTemplate.parse(
        "https://api.example.com/{account}/{customer_id}/{subscription_id}?e={email}&s={since}&k={metadata.k}"
    )
    assert template.fill(subject(metadata={"k": "v&w"})) == (
        "https://api.example.com/main/cus_dana/sub_1?e=dana%40example.com&s=2026-03-01T12%3A00%3A00%2B00%3A00&k=v%26w"
    )


@pytest.mark.parametrize(
    ("template", "why"),
    [
        ("ftp://api.example.com/", "https://"),
        ("/usage/{customer_id}", "https://"),
        ("https://user:secret@api.example.com/", "auth_header_env"),
        ("https://{account}.example.com/", "not in the host"),
        ("https://api.example.com:{account}/", "not in the host"),
        ("https://api.example.com/{customer}", "unknown placeholder {customer}"),
        ("https://api.example.com/{metadata.}", "unknown placeholder"),
        ("https://api.example.com/{customer_id", "every { to have its }"),
        ("https://api.example.com/customer_id}", "every { to have its }"),
        ("https://api.example.com/#x", "fragment"),
        ("https://api.example.com/a b", "without spaces"),
        ("https://api.example.com:port/", "[Pp]ort"),
    ],
)
def test_an_address_that_cannot_be_used_is_refused_without_repeating_it(template: str, why: str) -> None:
    with pytest.raises(ValueError, match=why) as caught:
        UrlTemplate.parse(template)
    assert "secret" not in str(caught.value)
