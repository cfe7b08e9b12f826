"""Static files: what they say about a customer, and how a broken one is described."""

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.evidence.people import NOW, SINCE, subject
from tests.evidence.records import NoPushes

from billingbot.core.evidence.usage import Span, SupportReport, UsageReport
from billingbot.evidence.build import build_support_sources, build_usage_sources
from billingbot.evidence.config import read_evidence_config
from billingbot.evidence.sources import SupportSource, UsageSource

COVERED = Span(start=datetime(2026, 1, 1, tzinfo=UTC), end=datetime(2026, 3, 15, 11, 58, tzinfo=UTC))
FILES = {
    "usage.json": """{"coverage": {"from": "2026-01-01T00:00:00Z", "to": "2026-03-15T11:58:00Z"}, "customers": [
        {"customer_id": "cus_dana", "used": true, "events": 3, "last_at": "2026-03-02T00:00:00Z"},
        {"email": "Idle@Example.com", "used": false, "events": 0, "last_at": null}]}""",
    "usage.toml": """
coverage = { from = 2026-01-01T00:00:00Z, to = 2026-03-15T11:58:00Z }
[[customers]]
customer_id = "cus_dana"
used = true
events = 3
last_at = 2026-03-02T01:00:00+01:00
[[customers]]
email = "Idle@Example.com"
used = false
events = 0
""",
    "usage.csv": """# coverage: 2026-01-01T00:00:00Z/2026-03-15T11:58:00Z
customer_id,email,used,events,last_at
cus_dana,,TRUE,3,2026-03-02T00:00:00Z
,Idle@Example.com,false,0,
""",
}


def usage_source(path: Path, *, settings: str = "") -> UsageSource:
    text = f'[[usage]]\ntype = "static"\nname = "file"\npath = "{path.name}"\n{settings}'
    (source,) = build_usage_sources(read_evidence_config(text, file="b.toml"), {}, path.parent, NoPushes())
    return source


def support_source(path: Path) -> SupportSource:
    text = f'[[support]]\ntype = "static"\nname = "file"\npath = "{path.name}"\n'
    (source,) = build_support_sources(read_evidence_config(text, file="b.toml"), {}, path.parent)
    return source


def ask(path: Path, content: str | bytes, *, settings: str = "") -> UsageReport:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return usage_source(path, settings=settings).report(subject(), now=NOW)


@pytest.mark.parametrize("name", FILES)
def test_every_format_says_the_same(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text(FILES[name], encoding="utf-8")
    source = usage_source(tmp_path / name)
    dana = source.report(subject(), now=NOW)
    idle = source.report(subject(customer_id="cus_idle", email="idle@example.COM"), now=NOW)
    assert (dana.answered, dana.used, dana.events) == (True, True, 3)
    assert dana.last_at == datetime(2026, 3, 2, tzinfo=UTC)
    assert (idle.answered, idle.saw_use, idle.events) == (True, False, 0)
    assert dana.coverage == idle.coverage == (COVERED,)


def test_a_customer_who_is_not_listed_is_unknown_unless_the_owner_says_otherwise(tmp_path: Path) -> None:
    path = tmp_path / "usage.csv"
    path.write_text(FILES["usage.csv"], encoding="utf-8")
    other = subject(customer_id="cus_other", email=None)
    unknown = usage_source(path).report(other, now=NOW)
    unused = usage_source(path, settings='unlisted = "unused"').report(other, now=NOW)
    assert (unknown.answered, unknown.why) == (False, "does not list this customer")
    assert (unused.answered, unused.saw_use, unused.coverage) == (True, False, (COVERED,))


def test_a_row_that_names_another_customer_is_not_matched_by_email(tmp_path: Path) -> None:
    content = "customer_id,email,used\ncus_other,dana@example.com,true\n"
    assert ask(tmp_path / "u.csv", content).why == "does not list this customer"


def test_several_rows_about_one_customer_count_together(tmp_path: Path) -> None:
    content = (
        "customer_id,email,events,first_at,last_at\n"
        "cus_dana,,0,,\n"
        "cus_dana,,2,2026-03-05T00:00:00Z,2026-03-06T00:00:00Z\n"
        ",dana@example.com,1,2026-03-04T00:00:00Z,2026-03-04T00:00:00Z\n"
    )
    report = ask(tmp_path / "u.csv", content)
    assert (report.events, report.first_at, report.last_at) == (
        3,
        NOW.replace(day=4, hour=0),
        NOW.replace(day=6, hour=0),
    )


def test_a_changed_file_is_read_again_and_a_broken_one_is_not_hidden_by_the_old(tmp_path: Path) -> None:
    path = tmp_path / "usage.csv"
    path.write_text("customer_id,used\ncus_dana,false\n", encoding="utf-8")
    source = usage_source(path)
    assert source.report(subject(), now=NOW).used is False
    path.write_text("customer_id,used\ncus_dana,true\n", encoding="utf-8")
    assert source.report(subject(), now=NOW).used is True
    path.write_text("customer_id,used\ncus_dana,maybe\n", encoding="utf-8")
    assert not source.report(subject(), now=NOW).answered
    path.unlink()
    assert source.report(subject(), now=NOW).why == "the file cannot be read (FileNotFoundError)"
    path.write_text("customer_id,used\ncus_dana,false\n", encoding="utf-8")
    assert source.report(subject(), now=NOW).answered


def test_an_unchanged_file_is_not_read_again(tmp_path: Path) -> None:
    path = tmp_path / "usage.csv"
    path.write_text("customer_id,used\ncus_dana,false\n", encoding="utf-8")
    source, before = usage_source(path), path.stat()
    source.report(subject(), now=NOW)
    path.write_text("customer_id,used\ncus_dana,wrong\n", encoding="utf-8")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert source.report(subject(), now=NOW).answered


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("u.csv", "", "line 1: expected customer_id or email"),
        ("u.csv", "customer_id,used\ncus_dana\n", "line 2: expected 2 cells"),
        ("u.csv", "customer_id,used\ncus_dana,true,3\n", "line 2: expected 2 cells"),
        ("u.csv", "customer_id,used\ncus_dana,yes\n", "line 2: used: expected true or false, got text"),
        ("u.csv", "customer_id,used\ncus_dana,\n", "line 2: used: expected true or false, got nothing"),
        ("u.csv", "customer_id,used,used\n", "line 1: expected distinct columns"),
        ("u.csv", "customer_id,last_att\n", "line 1: expected distinct columns"),
        ("u.csv", "customer_id\n", "line 1: expected customer_id or email, and one of"),
        ("u.csv", "used\ntrue\n", "line 1: expected customer_id or email, and one of"),
        ("u.csv", 'customer_id,used\n"cus_dana,true\n', "line 2: is not CSV"),
        ("u.csv", "# coverage: 2026\ncustomer_id,used\n", "line 1: expected # coverage: FROM/TO"),
        (
            "u.csv",
            "# coverage: 2026-01-01/2026-02-01\ncustomer_id,used\n",
            "coverage_from: expected a time with a zone",
        ),
        ("u.csv", "# coverage: 2026-01-01T00:00Z/2099-01-01T00:00Z\ncustomer_id,used\n", "coverage_to: lies in the"),
        ("u.csv", "# coverage: 0/1\ncustomer_id,last_at\ncus_x,2026-03-01\n", "line 3: last_at: expected a time with"),
        ("u.csv", "email,used\nnobody,true\n", "line 2: email: expected an address"),
        ("u.csv", "email,used\n,true\n", "line 2: customer_id: expected it, or email"),
        ("u.csv", b"customer_id,used\n\xff,true\n", "the file is not UTF-8"),
        ("u.json", '{"customers": [\n{"customer_id": }]}', "line 2: is not JSON"),
        ("u.json", "[" * 100_000, "the file is not JSON"),
        ("u.json", "[]", "customers: expected a list"),
        ("u.json", '{"customers": {}}', "customers: expected a list"),
        ("u.json", '{"customers": [], "covers": 1}', "the file: expected customers and coverage"),
        ("u.json", '{"customers": [1]}', "customer 1: expected an object"),
        ("u.json", '{"customers": [{"customer_id": 7, "used": true}]}', "customer 1: customer_id: expected text"),
        ("u.json", '{"customers": [{"customer_id": "c"}]}', "customer 1: says nothing about usage"),
        ("u.json", '{"customers": [{"customer_id": "c", "usd": true}]}', "customer 1: holds 1 unknown field(s)"),
        ("u.json", '{"customers": [], "coverage": {"from": 0}}', "coverage: expected from and to"),
        ("u.json", '{"customers": [], "coverage": "all"}', "coverage: expected from and to"),
        ("u.toml", "customers = [\n{ customer_id = }]", "line 2: is not TOML"),
        ("u.toml", 'customers = [{customer_id = "c", last_at = 2026-01-01}]', "customer 1: last_at: expected a time"),
        ("u.toml", 'customers = [{customer_id = "c", last_at = 2026-01-01T00:00:00}]', "customer 1: last_at: "),
    ],
)
def test_a_malformed_file_is_no_answer_and_names_its_place(
    tmp_path: Path, name: str, content: str | bytes, why: str
) -> None:
    report = ask(tmp_path / name, content, settings='unlisted = "unused"')
    assert not report.answered
    assert (report.why or "").startswith(why)


@given(content=st.binary() | st.text().map(lambda text: text.encode("utf-8", "replace")))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@pytest.mark.parametrize("suffix", ["json", "toml", "csv"])
def test_any_bytes_are_a_report_and_never_an_exception(tmp_path: Path, suffix: str, content: bytes) -> None:
    report = ask(tmp_path / f"u.{suffix}", content)
    assert report.answered or "unexpectedly" not in (report.why or "")


def test_a_directory_in_place_of_the_file_is_no_answer(tmp_path: Path) -> None:
    (tmp_path / "u.csv").mkdir()
    report = usage_source(tmp_path / "u.csv").report(subject(), now=NOW)
    assert report.why == "the file cannot be read (IsADirectoryError)"


def asked(tmp_path: Path, content: str) -> SupportReport:
    path = tmp_path / "support.csv"
    path.write_text(content, encoding="utf-8")
    return support_source(path).report(subject(), now=NOW)


def test_support_tells_the_earliest_wish_to_cancel(tmp_path: Path) -> None:
    report = asked(
        tmp_path,
        "# coverage: 2026-03-01T12:00:00Z/2026-03-15T12:00:00Z\nemail,cancellation_asked_at\n"
        "Dana@Example.com,2026-03-09T00:00:00Z\ndana@example.com,2026-03-08T00:00:00Z\n",
    )
    assert report.cancellation_asked_at == NOW.replace(day=8, hour=0)
    assert report.coverage == (Span(start=SINCE, end=NOW),)


def test_whoever_is_not_in_the_support_file_did_not_ask(tmp_path: Path) -> None:
    report = asked(tmp_path, "customer_id,cancellation_asked_at\ncus_other,2026-03-09T00:00:00Z\n")
    assert (report.answered, report.cancellation_asked_at) == (True, None)


def test_a_malformed_support_file_is_no_answer(tmp_path: Path) -> None:
    report = asked(tmp_path, "customer_id,cancellation_asked_at\ncus_dana,last week\n")
    assert not report.answered
    assert (report.why or "").startswith("line 2: cancellation_asked_at: expected a time")
