"""Wording: what people read for what programs say of themselves."""

import pytest

from billingbot.web.console.wording import browser

_KIT = "AppleWebKit/537.36 (KHTML, like Gecko)"


@pytest.mark.parametrize(
    ("said", "read"),
    [
        (f"Mozilla/5.0 (X11; Linux x86_64) {_KIT} Chrome/156.0 Safari/537.36", "Chrome on Linux"),
        (f"Mozilla/5.0 (Linux; Android 16; K) {_KIT} Chrome/156.0 Mobile Safari/537.36", "Chrome on Android"),
        (f"Mozilla/5.0 (Windows NT 10.0) {_KIT} Chrome/156.0 Safari/537.36 Edg/156.0", "Edge on Windows"),
        (f"Mozilla/5.0 (iPhone; CPU iPhone OS 26_0 like Mac OS X) {_KIT} Safari/604.1", "Safari on iPhone"),
        ("Mozilla/5.0 (Macintosh; Intel Mac OS X 10.15; rv:150.0) Gecko/20100101 Firefox/150.0", "Firefox on Mac OS"),
        ("curl/8.5.0", "curl/8.5.0"),
        (None, "unknown"),
        ("<script>", "&lt;script&gt;"),
    ],
)
def test_a_browser_is_named_and_what_is_none_says_what_it_said(said: str | None, read: str) -> None:
    shown = str(browser(said))
    assert shown.partition(">")[2] == f"{read}</span>"
