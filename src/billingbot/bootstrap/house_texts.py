"""House texts: from `[disputes]` to the words that banks read; a file that is missing or too long refuses to start."""

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Final

from billingbot.bootstrap.settings import ConfigFile, DisputesSection
from billingbot.core.disputes.evidence_fields import LONGEST_FIELD, length
from billingbot.core.disputes.house_texts import HouseTexts
from billingbot.core.errors import ConfigError

# A text of UTF-8 has at most four bytes a character: what is larger is read no further.
_MOST_BYTES: Final = 4 * LONGEST_FIELD
# Every reason that Stripe may name. https://docs.stripe.com/api/disputes/object#dispute_object-reason
_REASONS: Final = frozenset(
    ("bank_cannot_process", "check_returned", "credit_not_processed", "customer_initiated", "debit_not_authorized",
     "duplicate", "fraudulent", "general", "incorrect_account_details", "insufficient_funds", "noncompliant",
     "product_not_received", "product_unacceptable", "subscription_canceled", "unrecognized")
)  # fmt: skip
_PLAIN: Final = (
    "product_description",
    "refund_policy",
    "refund_policy_disclosure",
    "cancellation_policy",
    "cancellation_policy_disclosure",
)


def read_house_texts(file: ConfigFile, *, clauses: Collection[str] | None) -> HouseTexts:
    """The texts, read from their files beside the configuration. ConfigError carries every problem at once.

    `clauses` are those of the policy; None where it could not be read, so that nothing is held against it.
    """
    section = file.disputes
    problems = list(_other_problems(file, section, clauses))
    texts: dict[str, str] = {}
    for name, path in _paths(section).items():
        try:
            texts[name] = _read(file.path.parent / path)
        except ValueError as fault:
            problems.append(f"{file.path}: disputes: {name}: {path}: {fault}")
    if problems:
        raise ConfigError(problems)
    return HouseTexts(
        **{name: texts.get(name) for name in _PLAIN},
        refund_refusal={clause: texts[f"refund_refusal.{clause}"] for clause in section.refund_refusal},
        purchase_ip_key=section.purchase_ip_key,
        customer_name_key=section.customer_name_key,
        terms_shown_at_key=section.terms_shown_at_key,
        submit_by_itself_for=frozenset(section.submit_by_itself_for),
        counter_fee_minor=section.counter_fee_minor,
        counter_fee_currency=section.counter_fee_currency,
    )


def _paths(section: DisputesSection) -> Mapping[str, Path]:
    plain = {name: path for name in _PLAIN if (path := getattr(section, name)) is not None}
    return plain | {f"refund_refusal.{clause}": path for clause, path in section.refund_refusal.items()}


def _other_problems(file: ConfigFile, section: DisputesSection, clauses: Collection[str] | None) -> Iterator[str]:
    strange = sorted(set(section.submit_by_itself_for) - _REASONS)
    if strange:
        expected = f"expected reasons of Stripe's ({', '.join(sorted(_REASONS))}), got {strange[0]!r}"
        yield f"{file.path}: disputes: submit_by_itself_for: {expected}"
    for clause in section.refund_refusal if clauses is not None else ():
        if clause not in (clauses or ()):
            expected = f"expected a clause of the policy ({', '.join(sorted(clauses or ()))})"
            yield f"{file.path}: disputes: refund_refusal: {expected}, got {clause!r}"


def _read(path: Path) -> str:
    """The text without the blank lines around it. ValueError says what is wrong with the file."""
    try:
        with path.open("rb") as stream:
            held = stream.read(_MOST_BYTES + 1)
    except OSError as fault:
        raise ValueError(f"expected a file to read ({type(fault).__name__})") from None
    try:
        text = held.decode("utf-8").strip().replace("\r\n", "\n") if len(held) <= _MOST_BYTES else ""
    except UnicodeDecodeError:
        raise ValueError("expected UTF-8 text") from None
    if not text or length(text) > LONGEST_FIELD or "\0" in text:
        raise ValueError(f"expected a text of 1 to {LONGEST_FIELD} characters")
    return text
