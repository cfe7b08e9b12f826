"""Commands that need a desk at work, typed as a person would: shadow, letters, agreement with Stripe, evidence."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from billingbot.core.access.powers import Role
from billingbot.flows.access import people
from billingbot.flows.policy.shadow import follow
from tests.cli.terminal import KEYS, typed
from tests.engines.shared import Database
from tests.flows.conftest import shop as shop  # noqa: PLC0414  # pytest finds the fixture by this name
from tests.flows.shop import Shop
from tests.flows.test_queue import ambiguous
from tests.post_office import running_post_office


@pytest.fixture
def settings(shop: Shop, database: Database, redis_url: str) -> dict[str, str]:
    """The shop's own database and Stripe."""
    return {
        **KEYS,
        "BILLINGBOT_STRIPE_API_BASE": shop.stripe.url,
        "BILLINGBOT_DATABASE_URL": database.app_url,
        "BILLINGBOT_REDIS_URL": redis_url,
    }


@pytest.fixture
def strict(shop: Shop, tmp_path: Path) -> str:
    """A candidate with a limit below the shop's price."""
    text = shop.policy.source.partition("[examples.base]")[0]
    file = tmp_path / "strict.toml"
    file.write_text(text.replace("usd = 20000", "usd = 4899").replace('version = "', 'version = "strict-', 1), "utf-8")
    return str(file)


def refunded(shop: Shop) -> str:
    _, charge = shop.charged_trial()
    case_id = shop.ask(charge).case.id
    shop.work()
    return case_id


def with_mail(settings: dict[str, str], tmp_path: Path, url: str, lines: str = "") -> dict[str, str]:
    config = tmp_path / "billingbot.toml"
    config.write_text(f'[mail]\nurl_env = "MAIL_URL"\nsender = "Refunds <refunds@example.com>"\n{lines}', "utf-8")
    return {**settings, "BILLINGBOT_CONFIG": str(config), "MAIL_URL": url}


def test_a_candidate_is_started_looked_at_and_stopped(shop: Shop, settings: dict[str, str], strict: str) -> None:
    empty = typed(settings, "policy", "shadow")
    assert empty.code == 0
    assert "No candidate has run yet" in empty.out
    assert "nobody has decided a case yet" in empty.out

    started = typed(settings, "policy", "shadow", "start", strict, "--why", "a lower limit", "--as", "ada")
    assert (started.code, started.err) == (0, "")
    again = typed(settings, "policy", "shadow", "start", strict, "--why", "again", "--as", "ada")
    assert again.code == 1
    assert "a shadow runs already" in again.err

    case_id = refunded(shop)
    follow(shop.desk)
    told = typed(settings, "policy", "shadow")
    assert "0 of 1 the same, 0.0% (95 %: 0.0% to 79.3%)" in told.out
    assert "USD 49.00" in told.out
    assert case_id in told.out
    counted = typed(settings, "policy", "shadow", "--json").json["shadow"]
    assert (counted["agreement"]["of"], counted["moved"][0]["shadow"]) == (1, "review (refund)")

    assert typed(settings, "policy", "shadow", "stop", "--as", "ada").code == 0
    assert typed(settings, "policy", "shadow", "stop", "--as", "ada").code == 1


def test_bad_input_to_a_shadow_names_what_was_expected(settings: dict[str, str], strict: str) -> None:
    missing = typed(settings, "policy", "shadow", "start", "nowhere-1", "--why", "x", "--as", "ada")
    assert missing.code != 0
    assert "nowhere-1" in missing.err
    assert "expected 1 to 1000" in typed(settings, "policy", "shadow", "start", strict, "--why", " ", "--as", "ada").err
    assert "--since" in typed(settings, "policy", "shadow", "--since", "yesterday").err


def test_a_case_is_explained_as_of_then_and_under_another_version(
    shop: Shop, settings: dict[str, str], strict: str
) -> None:
    typed(settings, "policy", "shadow", "start", strict, "--why", "a lower limit", "--as", "ada")
    case_id = refunded(shop)
    told = typed(settings, "cases", "explain", case_id, "--at", "2099-01-01T00:00:00Z", "--policy", "strict-2026-11")
    assert told.code == 0
    assert "Nearest flip, any one of these:" in told.out
    assert "Under anytrack-refunds strict-2026-11: otherwise." in told.out
    assert "byte for byte" in told.lines[-1]
    early = typed(settings, "cases", "explain", case_id, "--at", "2020-01-01T00:00:00Z")
    assert "had no decision yet" in early.err
    assert "expected a time with a zone" in typed(settings, "cases", "explain", case_id, "--at", "noon").err
    assert "no version of that name" in typed(settings, "cases", "explain", case_id, "--policy", "1999").err


def test_a_reply_is_sent_from_the_command_line_once(shop: Shop, settings: dict[str, str], tmp_path: Path) -> None:
    case_id = refunded(shop)
    assert "no [mail] is configured" in typed(settings, "cases", "send", case_id, "--as", "ada").err
    with running_post_office() as office:
        mailing = with_mail(settings, tmp_path, office.url)
        sent = typed(mailing, "cases", "send", case_id, "--as", "ada")
        assert (sent.code, sent.err) == (0, "")
        assert "Your refund of $49.00" in sent.out
        assert "was sent already" in typed(mailing, "cases", "send", case_id, "--as", "ada").err
    assert "waiting" in typed(settings, "cases", "show", case_id).out


@pytest.mark.parametrize(
    ("url", "lines", "says"),
    [
        ("", "", "mail: url_env: expected MAIL_URL in the environment"),
        ("smtp://mail.example.com", "", "mail: expected smtps:// or smtp+starttls://"),
        ("smtps://user:secret-word@mail.example.com", 'reply-to = "x"', "reply-to"),
    ],
)
def test_mail_that_cannot_work_is_refused_at_the_start_without_its_secret(
    settings: dict[str, str], tmp_path: Path, url: str, lines: str, says: str
) -> None:
    said = typed(with_mail(settings, tmp_path, url, lines), "cases", "send", "case_1", "--as", "ada")
    assert said.code != 0
    assert says in said.err
    assert "secret-word" not in said.err + said.out


def test_stripe_is_compared_here_and_what_was_found_is_told(shop: Shop, settings: dict[str, str]) -> None:
    _, charge = shop.charged_trial()
    shop.stripe.post("/refunds", charge=charge)  # as somebody in the Dashboard would
    shop.skip_events()
    soon = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    ran = typed(settings, "reconcile", "run", "--here", "--since", "60d", "--until", soon, "--as", "ada")
    assert ran.code == 0
    assert "1 settled" in ran.out
    assert [row.origin for row in shop.refunds_of(charge)] == ["external"]
    assert "No breaks" in typed(settings, "reconcile", "report").out
    (found,) = typed(settings, "reconcile", "report", "--all", "--json").json["items"]
    assert (found["kind"], found["state"]) == ("refund_unknown_to_us", "settled")
    assert charge in str(found)
    assert "refund_unknown_to_us" in typed(settings, "reconcile", "report", "--all").out
    assert typed(settings, "reconcile", "passes").code == 0
    assert "--since" in typed(settings, "reconcile", "run", "--here", "--since", "soon", "--as", "ada").err
    far = typed(settings, "reconcile", "run", "--here", "--until", "2099-01-01T00:00:00Z", "--as", "ada")
    assert "until: expected a time that is not in the future" in far.err


def test_the_evidence_for_a_dispute_is_printed_to_be_read(shop: Shop, settings: dict[str, str]) -> None:
    _, charge = shop.charged_trial()
    dispute = shop.stripe.dispute(charge)["id"]
    told = typed(settings, "disputes", "packet", dispute)
    assert (told.code, told.err) == (0, "")
    assert charge in told.out
    assert "USD 49.00" in told.out
    drafted = typed(settings, "disputes", "packet", dispute, "--json").json
    assert drafted["dispute_id"] == dispute
    assert drafted["fields"]
    assert typed(settings, "disputes", "packet", "du_none").code != 0


def test_the_queue_is_worked_from_the_command_line(shop: Shop, settings: dict[str, str]) -> None:
    case_id, [charge, _] = ambiguous(shop)
    people.add(shop.desk, name="Lou", email=None, roles=[Role.SUPPORT], by="tests")
    taken = typed(settings, "cases", "next", "--as", "ada", "--json").json["case"]
    assert (taken["id"], taken["assignee"]) == (case_id, "ada")
    assert (none := typed(settings, "cases", "next", "--as", "bob")).code == 1
    assert none.lines == ["Nothing waits that you could take."]
    asleep = typed(
        settings, "cases", "snooze", case_id, "--until", "1h", "--as", "ada", "--version", str(taken["version"])
    )
    assert "is put off until" in asleep.out
    assert case_id in typed(settings, "cases", "list", "--snoozed").out
    stale = typed(settings, "cases", "wake", case_id, "--as", "ada", "--version", str(taken["version"]))
    assert (stale.code, "has changed since you looked" in stale.err) == (1, True)
    assert "expected a time with a zone" in typed(settings, "cases", "snooze", case_id, "--until", "later").err
    assert typed(settings, "cases", "wake", case_id, "--as", "ada").out == f"{case_id} is back in the queue.\n"
    assert "is with Lou" in typed(settings, "cases", "reassign", case_id, "lou", "--as", "ada").out
    assert "It mentions Lou." in typed(settings, "cases", "note", case_id, "@Lou, which one?", "--as", "ada").out
    [mention] = typed(settings, "cases", "mentions", "--as", "Lou", "--json").json["items"]
    assert (mention["case_id"], mention["seen_at"]) == (case_id, None)
    assert typed(settings, "cases", "seen", case_id, "--as", "Lou").code == 0
    assert "Stripe knows no ch_nowhere" in typed(settings, "cases", "name-charge", case_id, "ch_nowhere").err
    assert f"is about {charge}" in typed(settings, "cases", "name-charge", case_id, charge, "--as", "Lou").out
    shop.work()
    worded = typed(settings, "cases", "reply", case_id, "--text", "Here is why.", "--subject", "Yours", "--as", "Lou")
    assert worded.lines == ["Yours", "", "Here is why."]
    assert "no [mail] is configured" in worded.err
    assert typed(settings, "cases", "reply", case_id, "--json").json["text"] == "Here is why."
    assert shop.ledger_flaws() == []
