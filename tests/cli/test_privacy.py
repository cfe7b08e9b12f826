"""`billingbot privacy`: shows, asks before it erases, and says what it did."""

from tests.cli.terminal import typed

Settings = dict[str, str]


def test_a_request_by_address_is_shown_kept_while_open_and_not_erased_unasked(settings: Settings) -> None:
    assert typed(settings, "mode", "off", "--why", "a quiet start").code == 0
    asked = typed(settings, "request", "--email", "vera@example.com", "--unused", "--text", "Vera here", "--json")
    assert asked.code == 0
    kept = typed(settings, "privacy", "show", "vera@example.com").json
    assert [row["text"] for row in kept["requests"]] == ["Vera here"]
    refused = typed(settings, "privacy", "erase", "vera@example.com")
    assert (refused.code, refused.err.partition(":")[0]) == (2, "--yes")
    done = typed(settings, "privacy", "erase", "vera@example.com", "--yes", "--as", "ada")
    assert "Kept until they end: 1 cases" in done.out
    assert "Nothing is kept" in typed(settings, "privacy", "erase", "wim@example.com").out
    assert typed(settings, "privacy", "show", "vera").code == 2
