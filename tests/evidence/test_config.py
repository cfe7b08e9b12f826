"""The configuration of sources: every problem at once, each with file, line, source and field."""

import re
import tomllib
from pathlib import Path

import pytest
from tests.evidence.records import NoPushes

from billingbot.core.errors import ConfigError
from billingbot.evidence.build import build_support_sources, build_usage_sources
from billingbot.evidence.config import (
    EvidenceConfig,
    SupportHttp,
    UsageHttp,
    UsageSql,
    query_binds,
    read_evidence_config,
)

SHIPPED = Path(__file__).resolve().parents[2] / "config" / "billingbot.toml"
HTTP = """
[[usage]]
type = "http"
name = "tags"
url = "https://tags.example.com/{customer_id}"
[usage.map]
used = "used"
"""


def problems(text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        read_evidence_config(text, file="billingbot.toml")
    return caught.value.problems


def with_line(line: str) -> str:
    return HTTP.replace("[usage.map]", f"{line}\n[usage.map]")


def with_map(lines: str) -> str:
    return HTTP.replace('used = "used"', lines)


def test_everything_is_optional() -> None:
    assert read_evidence_config("", file="b.toml") == EvidenceConfig(file="b.toml")
    other = read_evidence_config('[[accounts]]\nname = "main"\nlivemode = true\n', file="b.toml")
    assert (other.usage, other.support) == ((), ())


def test_the_shipped_file_switches_nothing_on_and_has_words_for_its_policy_alone() -> None:
    text = SHIPPED.read_text(encoding="utf-8")
    assert set(tomllib.loads(text)) == {"disputes"}
    assert set(tomllib.loads(text)["disputes"]) == {"refund_refusal"}


def test_every_example_of_the_shipped_file_is_valid_once_uncommented() -> None:
    text = re.sub(r"(?m)^#(?=[^ #\n])", "", SHIPPED.read_text(encoding="utf-8"))
    config = read_evidence_config(text, file="billingbot.toml")
    assert [section.type for section in config.usage] == ["http", "sql", "push", "static"]
    assert [section.type for section in config.support] == ["http", "static"]
    environ = {
        "TAG_API_TOKEN": "Bearer x",
        "HELPDESK_TOKEN": "x",
        "API_CALLS_DATABASE_URL": "postgresql://reader:x@db.example.com/calls",
    }
    usage = build_usage_sources(config, environ, SHIPPED.parent, NoPushes())
    support = build_support_sources(config, environ, SHIPPED.parent)
    assert [source.name for source in usage] == ["tag-hits", "api-calls", "product-events", "old-system"]
    assert [source.pushed for source in usage] == [False, False, True, False]
    assert [source.name for source in support] == ["helpdesk", "old-inbox"]
    assert {account["name"] for account in tomllib.loads(text)["accounts"]} == {"main", "partner"}


def test_defaults_are_the_documented_ones() -> None:
    (section,) = read_evidence_config(HTTP, file="b.toml").usage
    assert isinstance(section, UsageHttp)
    assert (section.auth_header, section.timeout_seconds, section.attempts) == ("Authorization", 5.0, 3)
    assert (section.max_age_seconds, section.not_found, section.covers) == (300, "unknown", None)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (with_line("timeout_seconds = 0"), '6: usage "tags": timeout_seconds: '),
        (with_line('timeout_seconds = "5"'), '6: usage "tags": timeout_seconds: '),
        (with_line("timeout_seconds = 16"), '6: usage "tags": timeout_seconds: '),
        (with_line("attempts = true"), '6: usage "tags": attempts: '),
        (with_line("attempts = 9"), '6: usage "tags": attempts: '),
        (with_line("max_age_seconds = 864000"), '6: usage "tags": max_age_seconds: '),
        (with_line('not_found = "used"'), '6: usage "tags": not_found: '),
        (with_line('not_found = "unused"'), '2: usage "tags": not_found: an absent customer proves nothing'),
        (with_line('auth_heder = "x"'), '6: usage "tags": auth_heder: not a setting of this source'),
        (with_line('auth_header = "X Token"'), '6: usage "tags": auth_header: expected the name of an HTTP header'),
        (with_line('auth_header_env = "sk_abc123"'), '6: usage "tags": auth_header_env: expected the name of an env'),
        (with_line('covers = "sometimes"'), '6: usage "tags": covers: '),
        (with_map('used = "a..b"'), '7: usage "tags": map.used: expected a dotted path'),
        (with_map('used = ""'), '7: usage "tags": map.used: expected a dotted path'),
        (with_map('used = "/"'), '7: usage "tags": map.used: expected a dotted path'),
        (with_map('usd = "a"'), '7: usage "tags": map.usd: not a setting'),
        (with_map('coverage_from = "a"\ncoverage_to = "b"'), '6: usage "tags": map: expected at least one of used'),
        (with_map('used = "u"\ncoverage_from = "a"'), '6: usage "tags": map: coverage_from and coverage_to: expected'),
        (with_map('last_at = "a"\nmay_be_absent = ["last_at"]'), '6: usage "tags": map: expected at least one'),
        (with_map('used = "u"\nmay_be_absent = ["used"]'), '8: usage "tags": map.may_be_absent.0: '),
        (HTTP.replace('"http"', '"htpp"'), '2: usage "tags": type: expected one of http, sql, push, static'),
        (HTTP.replace('type = "http"', ""), '2: usage "tags": type: expected one of http, sql, push, static'),
        (HTTP.replace("[usage.map]\nused", "used"), '2: usage "tags": map: expected, but not there'),
        (HTTP.replace('"tags"', '"Tag Hits"'), "4: usage[0]: name: expected lower-case letters"),
        (HTTP.replace("{customer_id}", "{customer}"), '5: usage "tags": url: unknown placeholder {customer}'),
        (HTTP.replace("tags.ex", "user:pw@ex"), '5: usage "tags": url: expected no user or password'),
        (HTTP + HTTP, '11: usage "tags": name: expected a name that no other source of its kind has'),
        ("usage = 3", "1: usage: "),
        ("[[usage]]\n[[support]]\ntype = 'push'\nname = 'x'", '2: support "x": type: expected one of http, static'),
        ("[[usage]\n", " is not TOML: "),
    ],
)
def test_a_problem_names_file_line_source_and_field(text: str, problem: str) -> None:
    found = problems(text)
    assert any(one.startswith(f"billingbot.toml:{problem}") for one in found), found


@pytest.mark.parametrize(
    ("query", "problem"),
    [
        ("SELECT count(*) AS events FROM calls", "expected a parameter that names the customer"),
        ("SELECT 1 AS events WHERE :since < now()", "expected a parameter that names the customer"),
        ("SELECT 1 AS events WHERE c = :customer", "unknown parameter :customer; known are"),
        ("SELECT 1 AS events WHERE c = :metadata_", "unknown parameter :metadata_"),
    ],
)
def test_a_query_has_to_ask_about_the_customer_with_known_parameters(query: str, problem: str) -> None:
    text = f'[[usage]]\ntype = "sql"\nname = "calls"\ndatabase_url_env = "CALLS_URL"\nquery = "{query}"'
    (found,) = problems(text)
    assert found.startswith(f'billingbot.toml:5: usage "calls": query: {problem}')


def test_a_cast_is_no_parameter() -> None:
    text = (
        '[[usage]]\ntype = "sql"\nname = "calls"\ndatabase_url_env = "CALLS_URL"\n'
        'query = "SELECT sum(n)::bigint AS events FROM c WHERE w = :metadata_workspace_id::uuid"'
    )
    (section,) = read_evidence_config(text, file="b.toml").usage
    assert isinstance(section, UsageSql)
    assert query_binds(section.query) == {"metadata_workspace_id"}


def test_all_problems_come_at_once_and_no_value_is_repeated() -> None:
    text = with_line('auth_header_env = "Bearer s3cret"\nattempts = 0') + (
        '[[support]]\ntype = "http"\nname = "s3cret!"\nurl = "https://x:s3cret@example.com"\n[support.map]\n'
    )
    found = problems(text)
    assert len(found) == 5
    assert "s3cret" not in "\n".join(found)


def test_missing_secrets_are_all_named_at_once() -> None:
    text = with_line('auth_header_env = "TAG_API_TOKEN"') + (
        '[[usage]]\ntype = "sql"\nname = "calls"\ndatabase_url_env = "CALLS_URL"\n'
        'query = "SELECT 1 AS events WHERE :email = :email"\n'
        '[[usage]]\ntype = "sql"\nname = "other"\ndatabase_url_env = "OTHER_URL"\n'
        'query = "SELECT 1 AS events WHERE :email = :email"\n'
    )
    config = read_evidence_config(text, file="billingbot.toml")
    with pytest.raises(ConfigError) as caught:
        build_usage_sources(config, {"TAG_API_TOKEN": " \n", "OTHER_URL": "mysql://u:pw@h/d"}, Path(), NoPushes())
    missing = "in the environment, but it is missing or empty"
    address = "expected a PostgreSQL address (postgresql://user:password@host/database)"
    assert caught.value.problems == [
        f'billingbot.toml:6: usage "tags": auth_header_env: expected TAG_API_TOKEN {missing}',
        f'billingbot.toml:12: usage "calls": database_url_env: expected CALLS_URL {missing}',
        f'billingbot.toml:17: usage "other": database_url_env: {address}',
    ]


@pytest.mark.parametrize("secret", ["Bearer a\r\nX-Evil: 1", "Bearer é", "a\x00b"])
def test_a_secret_that_no_header_can_carry_is_refused_without_repeating_it(secret: str) -> None:
    config = read_evidence_config(with_line('auth_header_env = "TAG_API_TOKEN"'), file="b.toml")
    with pytest.raises(ConfigError, match="TAG_API_TOKEN to hold visible ASCII only") as caught:
        build_usage_sources(config, {"TAG_API_TOKEN": secret}, Path(), NoPushes())
    assert "Bearer" not in str(caught.value)


def test_a_line_break_at_the_end_of_a_secret_is_forgiven() -> None:
    config = read_evidence_config(with_line('auth_header_env = "TAG_API_TOKEN"'), file="b.toml")
    assert build_usage_sources(config, {"TAG_API_TOKEN": "Bearer x\n"}, Path(), NoPushes())


def test_support_needs_to_know_where_the_wish_stands() -> None:
    text = '[[support]]\ntype = "http"\nname = "desk"\nurl = "https://desk.example.com/{email}"\n[support.map]\n'
    (found,) = problems(text)
    assert found == 'billingbot.toml:5: support "desk": map.cancellation_asked_at: expected, but not there'
    (section,) = read_evidence_config(text + 'cancellation_asked_at = "a"', file="b.toml").support
    assert isinstance(section, SupportHttp)


def test_a_static_file_of_an_unknown_kind_is_refused() -> None:
    (found,) = problems('[[usage]]\ntype = "static"\nname = "file"\npath = "usage.xlsx"')
    assert found == 'billingbot.toml:4: usage "file": path: expected a file that ends in .json, .toml, .csv'
