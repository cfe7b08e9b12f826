"""HTTP sources against a real server that misbehaves."""

import json
import socket
import time
from collections.abc import Callable
from datetime import timedelta
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
from tests.evidence.conftest import Answer, Endpoint, answer
from tests.evidence.people import EMAIL, NOW, SINCE, subject
from tests.evidence.records import NoPushes

from billingbot.core.evidence.usage import Span, SupportReport, UsageReport, shortfall
from billingbot.evidence.build import build_support_sources, build_usage_sources
from billingbot.evidence.config import read_evidence_config

SECRET = "Bearer t0p-secret"
MAP = """
[usage.map]
used = "used"
last_at = "seen.last"
coverage_from = "/covered/0"
coverage_to = "/covered/1"
"""
UNUSED = {"used": False, "seen": {"last": None}, "covered": [SINCE.isoformat(), NOW.isoformat()]}


def ask(base: str, *, settings: str = "", mapped: str = MAP, path: str = "/u?e={email}") -> UsageReport:
    text = f'[[usage]]\ntype = "http"\nname = "tags"\nurl = "{base}{path}"\n{settings}\n{mapped}'
    config = read_evidence_config(text, file="billingbot.toml")
    (source,) = build_usage_sources(config, {"TAG_TOKEN": SECRET}, Path(), NoPushes())
    report = source.report(subject(metadata={"ws": "w1"}), now=NOW)
    assert (report.source, report.asked_at) == ("tags", NOW)
    for hidden in (EMAIL, "dana%40example", "t0p-secret"):
        assert hidden not in (report.why or "")
    return report


def ask_support(base: str, *, settings: str = "") -> SupportReport:
    text = (
        f'[[support]]\ntype = "http"\nname = "desk"\nurl = "{base}/c/{{customer_id}}"\n{settings}\n'
        '[support.map]\ncancellation_asked_at = "asked"\n'
    )
    (source,) = build_support_sources(read_evidence_config(text, file="b.toml"), {}, Path())
    return source.report(subject(), now=NOW)


def test_an_answer_becomes_a_report_with_its_coverage(endpoint: Endpoint) -> None:
    endpoint.answers = [answer(json.dumps(UNUSED))]
    report = ask(endpoint.base, settings='auth_header_env = "TAG_TOKEN"\nauth_header = "X-Token"')
    assert (report.answered, report.why, report.used, report.last_at) == (True, None, False, None)
    assert report.coverage == (Span(start=SINCE, end=NOW),)
    assert shortfall(report, since=SINCE, now=NOW) is None
    assert endpoint.paths == ["/u?e=dana%40example.com"]
    assert endpoint.headers[0]["X-Token"] == SECRET


def test_percent_encoding_survives_the_http_client(endpoint: Endpoint) -> None:
    endpoint.answers = [answer(json.dumps(UNUSED))]
    text = f'[[usage]]\ntype="http"\nname="t"\nurl="{endpoint.base}/a/{{metadata.id}}/b?q={{metadata.q}}"\n{MAP}'
    (source,) = build_usage_sources(read_evidence_config(text, file="b.toml"), {}, Path(), NoPushes())
    source.report(subject(metadata={"id": "%2e?x#y é", "q": "a/../b&c=d%20+"}), now=NOW)
    assert endpoint.paths == ["/a/%252e%3Fx%23y%20%C3%A9/b?q=a%2F..%2Fb%26c%3Dd%2520%2B"]


def test_a_customer_without_the_value_is_not_asked_about(endpoint: Endpoint) -> None:
    report = ask(endpoint.base, path="/u/{metadata.workspace}")
    assert (report.answered, report.why) == (False, "customer has no metadata workspace")
    assert endpoint.paths == []


def test_without_coverage_use_is_proven_but_not_its_absence(endpoint: Endpoint) -> None:
    endpoint.answers = [answer('{"n": 0}'), answer('{"n": 5}')]
    mapped = '[usage.map]\nevents = "n"\n'
    unused, used = ask(endpoint.base, mapped=mapped), ask(endpoint.base, mapped=mapped)
    assert shortfall(unused, since=SINCE, now=NOW) == "states no coverage"
    assert used.saw_use


def test_an_owner_can_vouch_that_everything_is_covered(endpoint: Endpoint) -> None:
    endpoint.answers = [answer('{"n": 0}')]
    report = ask(endpoint.base, settings='covers = "always"', mapped='[usage.map]\nevents = "n"\n')
    assert shortfall(report, since=SINCE - timedelta(days=3000), now=NOW) is None


def test_a_time_that_may_be_absent_never_happened(endpoint: Endpoint) -> None:
    endpoint.answers = [answer('{"n": 0}')]
    mapped = '[usage.map]\nevents = "n"\nlast_at = "last"\n'
    assert ask(endpoint.base, mapped=mapped).why == "last_at: nothing at last in the answer"
    assert ask(endpoint.base, mapped=mapped + 'may_be_absent = ["last_at"]').answered


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ("<html><body>Log in, dana@example.com</body></html>", "the answer is not JSON"),
        ("", "the answer is not JSON"),
        (b"\xff\xfe\x00", "the answer is not JSON"),
        ("[" * 200_000, "the answer is not JSON"),
        ("1" * 5000, "the answer is not JSON"),
        ("null", "used: nothing at used in the answer"),
        ("[]", "used: nothing at used in the answer"),
        ('"used"', "used: nothing at used in the answer"),
        ('{"used": {"used": true}}', "last_at: nothing at seen.last in the answer"),
        (json.dumps({**UNUSED, "used": "no"}), "used: expected true or false, got text"),
        (json.dumps({**UNUSED, "seen": {"last": "2026-03-01 10:00"}}), "last_at: expected a time with a zone"),
        (json.dumps({**UNUSED, "seen": {"last": EMAIL}}), "last_at: expected a time"),
        (json.dumps({**UNUSED, "covered": [SINCE.isoformat()]}), "coverage_to: nothing at /covered/1"),
        (json.dumps({**UNUSED, "covered": {"0": 1}}), "coverage_to: nothing at /covered/1"),
        (json.dumps({**UNUSED, "covered": ["2026-03-14T00:00:00Z", "2999-01-01T00:00:00Z"]}), "coverage_to"),
    ],
)
def test_an_answer_that_cannot_be_read_names_what_is_wrong(endpoint: Endpoint, body: str | bytes, why: str) -> None:
    endpoint.answers = [answer(body)]
    report = ask(endpoint.base)
    assert not report.answered
    assert (report.why or "").startswith(why)
    assert len(endpoint.paths) == 1


@pytest.mark.parametrize(
    ("status", "why", "asked"),
    [
        (204, "answered HTTP 204; expected 200", 1),
        (400, "answered HTTP 400; expected 200", 1),
        (401, "refused our credentials (HTTP 401)", 1),
        (403, "refused our credentials (HTTP 403)", 1),
        (404, "does not know this customer (HTTP 404)", 1),
        (429, "answered HTTP 429", 3),
        (500, "answered HTTP 500", 3),
        (503, "answered HTTP 503", 3),
    ],
)
def test_a_status_other_than_200_is_no_answer_and_only_a_busy_one_is_asked_again(
    endpoint: Endpoint, status: int, why: str, asked: int
) -> None:
    endpoint.answers = [answer("" if status == 204 else json.dumps(UNUSED), status=status)]
    report = ask(endpoint.base)
    assert (report.answered, report.why, len(endpoint.paths)) == (False, why, asked)


def test_a_fault_that_passes_is_got_past(endpoint: Endpoint) -> None:
    endpoint.answers = [answer("", status=500), hang_up, answer(json.dumps(UNUSED))]
    assert ask(endpoint.base).answered
    assert len(endpoint.paths) == 3


def test_a_404_is_unused_only_where_the_owner_says_so(endpoint: Endpoint) -> None:
    endpoint.answers = [answer("{}", status=404)]
    settings = 'not_found = "unused"\ncovers = "always"'
    report = ask(endpoint.base, settings=settings, mapped='[usage.map]\nused = "used"')
    assert (report.answered, report.saw_use) == (True, False)
    assert shortfall(report, since=SINCE, now=NOW) is None


def test_a_json_null_is_not_taken_for_a_404(endpoint: Endpoint) -> None:
    endpoint.answers = [answer("null")]
    settings = 'not_found = "unused"\ncovers = "always"'
    assert not ask(endpoint.base, settings=settings, mapped='[usage.map]\nused = "used"').answered


def test_a_closed_port_is_no_answer() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    report = ask(f"http://127.0.0.1:{port}")
    assert (report.answered, report.why) == (False, "connection failed (ConnectError)")


def test_a_host_without_an_address_is_no_answer() -> None:
    report = ask("http://nowhere.invalid", settings="attempts = 1")
    assert (report.answered, report.why) == (False, "connection failed (ConnectError)")


def test_plain_text_at_a_tls_address_is_no_answer(endpoint: Endpoint) -> None:
    report = ask(endpoint.base.replace("http://", "https://"), settings="attempts = 1")
    assert (report.answered, report.why) == (False, "connection failed (ConnectError)")


def hang(handler: BaseHTTPRequestHandler) -> None:
    handler.server.released.wait(30)  # type: ignore[attr-defined] - the server is an Endpoint


def hang_up(handler: BaseHTTPRequestHandler) -> None:
    handler.connection.shutdown(socket.SHUT_RDWR)


def drip_body(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.end_headers()
    _drip(handler, b"x")


def drip_headers(handler: BaseHTTPRequestHandler) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nX-Long: ")
    _drip(handler, b"y")


def _drip(handler: BaseHTTPRequestHandler, drop: bytes) -> None:
    while not handler.server.released.wait(0.05):  # type: ignore[attr-defined] - the server is an Endpoint
        handler.wfile.write(drop)
        handler.wfile.flush()


@pytest.mark.parametrize("slow", [hang, drip_body, drip_headers])
def test_an_answer_that_never_ends_is_cut_off_in_time(endpoint: Endpoint, slow: Answer) -> None:
    endpoint.answers = [slow]
    began = time.monotonic()
    report = ask(endpoint.base, settings="timeout_seconds = 0.4\nattempts = 1")
    assert time.monotonic() - began < 2
    assert (report.answered, report.why) == (False, "no answer within 0.4 s")


def test_a_port_that_never_speaks_is_cut_off_in_time(silent_port: int) -> None:
    report = ask(f"http://127.0.0.1:{silent_port}", settings="timeout_seconds = 0.3\nattempts = 2")
    assert (report.answered, report.why) == (False, "no answer within 0.3 s")


def endless(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.end_headers()
    for _ in range(64):
        handler.wfile.write(b" " * 65536)


@pytest.mark.parametrize("huge", [answer(b" " * (1024 * 1024 + 1)), endless])
def test_a_huge_answer_is_refused(endpoint: Endpoint, huge: Answer) -> None:
    endpoint.answers = [huge]
    assert ask(endpoint.base).why == "sent more than 1048576 bytes"


def test_a_compressed_answer_is_refused(endpoint: Endpoint) -> None:
    endpoint.answers = [answer(b"\x1f\x8b", Content_Encoding="gzip")]
    assert ask(endpoint.base).why == "sent a compressed answer although none was asked for"
    assert endpoint.headers[0]["Accept-Encoding"] == "identity"


def test_a_redirect_to_another_host_is_not_followed(endpoint: Endpoint) -> None:
    elsewhere = endpoint.base.replace("127.0.0.1", "localhost")
    endpoint.answers = [answer("", status=302, Location=f"{elsewhere}/u")]
    report = ask(endpoint.base, settings='auth_header_env = "TAG_TOKEN"')
    assert report.why == "redirects to another scheme, host or port; expected an answer in place"
    assert len(endpoint.paths) == 1


def test_a_redirect_in_place_is_followed_and_a_loop_is_not(endpoint: Endpoint) -> None:
    endpoint.answers = [answer("", status=307, Location="/u/"), answer(json.dumps(UNUSED))]
    assert ask(endpoint.base, settings='auth_header_env = "TAG_TOKEN"').answered
    assert endpoint.headers[1]["Authorization"] == SECRET
    endpoint.answers = [answer("", status=302, Location="/u")]
    assert ask(endpoint.base).why == "redirects more than 3 times"


@pytest.mark.parametrize("location", ["http://[", "http://127.0.0.1:99999/", "//", "ftp://x", "\x00"])
def test_a_redirect_to_nonsense_is_no_answer(endpoint: Endpoint, location: str) -> None:
    endpoint.answers = [answer("", status=302, Location=location)]
    report = ask(endpoint.base, settings="attempts = 1")
    assert not report.answered


@pytest.mark.parametrize(
    ("send", "asked_at", "settings"),
    [
        (answer('{"asked": null}'), None, 'covers = "always"'),
        (answer('{"asked": "2026-03-02T09:00:00+01:00"}'), NOW.replace(day=2, hour=8), ""),
        (answer("", status=404), None, 'covers = "always"\nnot_found = "none"'),
    ],
)
def test_support_over_http_tells_when_somebody_asked_to_cancel(
    endpoint: Endpoint, send: Answer, asked_at: object, settings: str
) -> None:
    endpoint.answers = [send]
    report = ask_support(endpoint.base, settings=settings)
    assert (report.answered, report.cancellation_asked_at) == (True, asked_at)
    assert bool(report.coverage) is bool(settings)


@pytest.mark.parametrize("send", [answer("{}"), answer("", status=404), answer('{"asked": "last week"}')])
def test_support_over_http_that_says_nothing_usable_is_no_answer(
    endpoint: Endpoint, send: Callable[[BaseHTTPRequestHandler], None]
) -> None:
    endpoint.answers = [send]
    report = ask_support(endpoint.base)
    assert (report.answered, report.cancellation_asked_at) == (False, None)
    assert report.why
