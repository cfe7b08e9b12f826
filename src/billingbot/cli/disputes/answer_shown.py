"""How a drafted answer is shown on a terminal: doubts first, then field by field with who says so."""

from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING

from billingbot.cli.output import money, say, show_pairs, show_section

if TYPE_CHECKING:
    from billingbot.core.disputes.contest_value import ContestValue
    from billingbot.core.disputes.evidence_fields import Field
    from billingbot.core.policy.undisputed import Opinion
    from billingbot.flows.disputes.answer_page import AnswerPage, FieldLine


def show_page(page: "AnswerPage") -> None:
    """The whole page."""
    dispute = page.dispute
    show_pairs(
        (
            ("dispute", page.dispute_id),
            ("charge", page.charge_id),
            ("case", page.case_id),
            ("amount", money(dispute.amount_minor, dispute.currency) if dispute else None),
            ("reason", dispute.reason if dispute else None),
            ("status", dispute.status if dispute else None),
            ("answer due by", dispute.due_by if dispute else None),
            ("draft", f"version {page.version}, last changed by {page.changed_by}" if page.version else "not yet"),
            ("facts as of", page.drafted_at),
            ("the policy says", advice(page.opinion)),
            ("contesting is worth", worth(page.worth)),
            ("papers", f"{page.pages} pages of {page.most_pages}" if page.pages else None),
        )
    )
    for doubt in page.doubts:
        say(f"! {doubt}")
    show_statements(
        (line.field, line.text, line.source or "", line.as_of, line) for line in page.fields if line.text is not None
    )
    missing = [line for line in page.fields if line.text is None]
    if missing:
        say("", "Left out:", *(f"  {line.field}: {line.why_not}" for line in missing))
    acts = (
        (f"{one.kind} ({one.stage})", one.state, one.decided_by, one.intended_at, one.id, one.why)
        for one in page.intents
    )
    show_section("At Stripe", ("what", "state", "by", "at", "id", "why"), acts)
    say("", "Next:")
    for act in page.acts:
        say(f"  {act.act}: {act.consequence if act.why_not is None else f'not now, {act.why_not}'}")


def show_statements(
    said: "Iterable[tuple[Field, str | None, str, datetime | None, FieldLine | None]]",
) -> None:
    """Fields with Stripe's name, a title, who says so and as of when."""
    from billingbot.core.disputes.evidence_fields import PAPERS, TITLES

    for field, text, source, as_of, line in said:
        pages = f", {line.paper.pages} pages" if line is not None and line.paper is not None else ""
        printed = f" (a paper{pages})" if field in PAPERS else ""
        outdated = "; the facts say something else by now" if line is not None and line.outdated else ""
        at = f", as of {as_of:%Y-%m-%d %H:%M}Z" if as_of is not None else ""
        say("", f"{field}: {TITLES[field]}{printed}", f"  [{source}{at}{outdated}]")
        say(*(f"  {part}" for part in (text or "").splitlines()))


def advice(opinion: "Opinion | None") -> str | None:
    """The policy's opinion in one line."""
    if opinion is None:
        return None
    what = {"accept_dispute": "accept it", "contest_dispute": "contest it"}.get(opinion.advice, "a person judges")
    clause = f", clause {opinion.clause}" if opinion.clause else ""
    open_ = f"; unknown: {', '.join(opinion.missing)}" if opinion.missing else ""
    return f"{what}: {opinion.summary} ({opinion.rule}{clause}{open_})"


def worth(value: "ContestValue | None") -> str | None:
    """What contesting is worth, with how little is known."""
    if value is None:
        return None
    rate = value.rate
    record = f"won {rate.won} of {rate.cases} like it" if rate.cases else "none like it was decided yet"
    low, high = money(value.low_minor, value.currency), money(value.high_minor, value.currency)
    vague = ": too few to rely on the middle" if value.is_vague else ""
    return f"{money(value.expected_minor, value.currency)} on average, {low} to {high} ({record}{vague})"
