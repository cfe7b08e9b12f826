"""The house's words for banks, from the configuration to the desk: every problem at once, and none let through."""

import re
from pathlib import Path

import pytest

from billingbot.bootstrap.house_texts import read_house_texts
from billingbot.bootstrap.settings import read_file
from billingbot.core.disputes.evidence_fields import LONGEST_FIELD
from billingbot.core.disputes.house_texts import HouseTexts
from billingbot.core.errors import ConfigError
from tests.builders import shipped_policy
from tests.cli.terminal import ROOT


def _read(directory: Path, text: str) -> HouseTexts:
    config = directory / "billingbot.toml"
    config.write_text(text, encoding="utf-8")
    return read_house_texts(read_file(config), clauses=shipped_policy().clauses)


def test_the_shipped_texts_are_there_for_clauses_that_decline(tmp_path: Path) -> None:
    shipped = ROOT / "config" / "billingbot.toml"
    texts = read_house_texts(read_file(shipped), clauses=shipped_policy().clauses)
    declining = {rule.clause for rule in shipped_policy().rules if rule.recommendation == "decline"}
    assert set(texts.refund_refusal) == declining
    assert texts.submit_by_itself_for == frozenset()


def test_every_example_of_the_section_is_valid_once_uncommented(tmp_path: Path) -> None:
    text = (ROOT / "config" / "billingbot.toml").read_text(encoding="utf-8")
    section = re.sub(r"(?m)^#(?=[^ #\n])", "", text[text.index("[disputes]") : text.index("# ── Activity")])
    (tmp_path / "disputes").mkdir()
    for name in re.findall(r'"(disputes/[^"]+)"', section):
        (tmp_path / name).write_text(f"{name}\r\n\n", encoding="utf-8")
    texts = _read(tmp_path, section)
    assert texts.refund_policy == "disputes/refund-policy.txt"
    assert texts.refund_refusal["discretion"] == "disputes/refused-used.txt"
    assert (texts.purchase_ip_key, texts.counter_fee_minor) == ("signup_ip", 1500)


def test_every_wrong_text_is_told_at_once(tmp_path: Path) -> None:
    (tmp_path / "long.txt").write_text("x" * (LONGEST_FIELD + 1), encoding="utf-8")
    (tmp_path / "empty.txt").write_text(" \n", encoding="utf-8")
    (tmp_path / "bytes.txt").write_bytes(b"\xff\xfe")
    section = (
        '[disputes]\nrefund_policy = "long.txt"\ncancellation_policy = "empty.txt"\n'
        'product_description = "bytes.txt"\nrefund_policy_disclosure = "missing.txt"\n'
        'submit_by_itself_for = ["because"]\nrefund_refusal = {nonsense = "empty.txt"}\n'
    )
    with pytest.raises(ConfigError) as told:
        _read(tmp_path, section)
    said = "\n".join(told.value.problems)
    for expected in (
        "disputes: refund_policy: long.txt: expected a text of 1 to 20000 characters",
        "disputes: cancellation_policy: empty.txt: expected a text",
        "disputes: product_description: bytes.txt: expected UTF-8 text",
        "disputes: refund_policy_disclosure: missing.txt: expected a file to read (FileNotFoundError)",
        "disputes: submit_by_itself_for: expected reasons of Stripe's",
        "disputes: refund_refusal: expected a clause of the policy",
    ):
        assert expected in said


def test_a_setting_that_nobody_knows_is_refused_with_its_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r":2: disputes\.refund_polcy"):
        _read(tmp_path, '[disputes]\nrefund_polcy = "x.txt"\n')
