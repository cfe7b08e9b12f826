"""`billingbot policy` through its real entry point: test, check, diff, publish, list and show."""

from pathlib import Path

import pytest

from tests.builders import POLICY_FILE
from tests.cli.terminal import typed

Settings = dict[str, str]

SOURCE = POLICY_FILE.read_text("utf-8")


def a_file(tmp_path: Path, *replacements: tuple[str, str], name: str = "new.toml") -> str:
    """A policy file with each of these texts replaced by another."""
    text = SOURCE
    for before, after in (('version = "2026-11"', 'version = "2026-12"'), *replacements):
        assert before in text
        text = text.replace(before, after)
    path = tmp_path / name
    path.write_text(text, "utf-8")
    return str(path)


LIMIT = ("usd = 20000 # 200.00", "usd = 25000")


def test_the_shipped_examples_all_come_out_as_they_say() -> None:
    said = typed({}, "policy", "test")
    assert (said.code, said.lines[-1]) == (0, "93 examples, 0 failed.")
    told = typed({}, "policy", "test", "--json").json
    assert {example["passed"] for example in told["examples"]} == {True}


def test_an_example_that_fails_is_told_with_its_line_and_the_exit_code(tmp_path: Path) -> None:
    file = a_file(tmp_path, LIMIT)
    said = typed({}, "policy", "test", file)
    assert said.code == 1
    assert f"{file}:" in said.out
    assert "  given charge.amount_minor = 20001, charge.refundable_minor = 20001" in said.lines
    assert "  outcome: expected review, got refund" in said.lines
    assert said.lines[-1] == "93 examples, 1 failed."
    told = typed({}, "policy", "test", file, "--json")
    assert told.code == 1
    [failed] = [example for example in told.json["examples"] if not example["passed"]]
    assert (failed["expected"]["reason"], failed["got"]["reason"]) == ("limit-amount", "unused-trial")


def test_a_check_tells_errors_with_the_rule_and_ends_with_one(tmp_path: Path) -> None:
    file = a_file(tmp_path, ('no-trial = "!trial.exists"', 'no-trial = "!trial.exists && usage.used"'))
    said = typed({}, "policy", "check", file)
    assert said.code == 1
    assert "can be used, and not be published" in said.out
    assert "error: rule 'no-trial': can never match: its conditions cannot all be true at once" in said.err
    flaws = typed({}, "policy", "check", file, "--json").json["flaws"]
    assert "no-trial" in {flaw["rule"] for flaw in flaws if flaw["severity"] == "error"}


def test_a_file_that_cannot_be_used_is_refused_with_two(tmp_path: Path) -> None:
    file = a_file(tmp_path, ('use-was-seen = "usage.used"', 'use-was-seen = "usage.usd"'))
    for command in ("check", "test"):
        said = typed({}, "policy", command, file)
        assert (said.code, "did you mean 'usage.used'?" in said.err) == (2, True)


def test_a_missing_file_is_told_with_the_setting_that_named_it_and_with_none_where_none_did() -> None:
    assert typed({}, "policy", "check", "no.toml").err == "no.toml: there is no such file\n"
    told = "no.toml: there is no such file (BILLINGBOT_POLICY)\n"
    assert typed({"BILLINGBOT_POLICY": "no.toml"}, "policy", "check").err == told


def test_two_files_are_compared_in_words(tmp_path: Path) -> None:
    said = typed({}, "policy", "diff", "config/policy.toml", a_file(tmp_path, LIMIT))
    assert said.code == 0
    assert "  limits.automatic_refund_max.usd: USD 200.00 becomes USD 250.00" in said.lines
    same = typed({}, "policy", "diff", "config/policy.toml", "config/policy.toml")
    assert "Nothing changes." in same.lines


def test_a_version_is_published_listed_shown_and_compared(settings: Settings, tmp_path: Path) -> None:
    file = a_file(tmp_path, ("daily_count_max = 50", "daily_count_max = 60"))
    nothing = typed(settings, "policy", "list")
    assert nothing.lines == ["Nothing was published yet: config/policy.toml counts, version 2026-11."]

    said = typed(settings, "policy", "publish", file, "--why", "more customers", "--as", "kim")
    assert (said.code, said.err) == (0, "")
    assert said.lines[0].startswith("Version 2026-12 is published: it judges charges made from ")
    assert said.lines[1] == "Charges before that are judged as before, by version 2026-11."

    listed = typed(settings, "policy", "list", "--json").json["items"]
    assert [(one["version"], one["published_by"]) for one in listed] == [("2026-11", "kim"), ("2026-12", "kim")]
    assert typed(settings, "policy", "show", "--json").json["version"] == "2026-12"
    assert typed(settings, "policy", "show", "2026-11", "--json").json["version"] == "2026-11"
    changes = typed(settings, "policy", "diff", "2026-11", "2026-12")
    assert "  limits.daily_count_max: 50 becomes 60" in changes.lines

    again = typed(settings, "policy", "publish", file, "--why", "more customers", "--as", "kim")
    assert (again.code, "is published already" in again.out) == (0, True)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--why", " "), "why: expected 1 to 1000 printable characters"),
        (("--why", "x", "--as", "billingbot"), "by: expected a person's name"),
        (("--why", "x", "--effective-from", "tomorrow"), "--effective-from: expected a time with a zone"),
    ],
)
def test_a_publication_that_is_wrong_names_what_was_expected(
    settings: Settings, tmp_path: Path, words: tuple[str, ...], says: str
) -> None:
    said = typed(settings, "policy", "publish", a_file(tmp_path), *words)
    assert (said.code, says in said.err) == (2, True), said.err


def test_a_failing_example_keeps_a_file_from_being_published(settings: Settings, tmp_path: Path) -> None:
    said = typed(settings, "policy", "publish", a_file(tmp_path, LIMIT), "--why", "x", "--as", "kim")
    assert (said.code, "example '200.01 dollars are too much'" in said.err) == (2, True)
    assert typed(settings, "policy", "list", "--json").json["items"] == []


def test_a_version_that_nobody_published_is_told_so(settings: Settings) -> None:
    said = typed(settings, "policy", "show", "2020-01")
    assert (said.code, said.err) == (1, "policy version 2020-01: none of that name was published\n")
