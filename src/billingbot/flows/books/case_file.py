"""The case file: everything that an auditor asks of one case, on paper, with what proves it; no personal data in it."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Final

from billingbot.core.access.powers import Power
from billingbot.core.books.settlement import BalanceTransaction
from billingbot.core.canonical import canonical_bytes
from billingbot.core.errors import NotFoundError
from billingbot.core.facts import CATALOGUE, Facts, Known
from billingbot.core.money import Money
from billingbot.flows.desk import Desk
from billingbot.papers.paper import Section
from billingbot.store import balance, months
from billingbot.store.database import transaction
from billingbot.store.views.cases import CasePage, case_page
from billingbot.store.views.disputes import DisputeLine
from billingbot.store.views.explanation import Explanation, explanation
from billingbot.store.views.finance import LogLine, log_line
from billingbot.store.views.refunds import AttemptLine

_BLANK: Final = "–"
# What an entry says is shown up to here; its hash covers all of it.
_MOST_BODY: Final = 220


def case_file(desk: Desk, case_id: str) -> bytes:
    """The file as PDF: the same stored case gives the same bytes. NotFoundError.

    What names a person stays out of it: texts, notes, letters and addresses, which have to stay erasable.
    """
    from billingbot.papers.file import file_of  # loads fpdf and fonttools: not at every process's start

    desk.require(Power.SEE)
    with transaction(desk.db) as connection:
        page = case_page(connection, case_id)
        try:
            why = explanation(connection, case_id)
        except NotFoundError:
            why = None  # never decided
        lines = [line for one in page.refunds if (line := log_line(connection, one.refund.id)) is not None]
        disputes = [(one, balance.of_source(connection, one.account, one.dispute.id)) for one in page.disputes]
        seq, head = months.head_or_none(connection)
    case = page.case
    context = (
        f"{case.account}, {'live' if case.livemode else 'test'} mode. Times are UTC; amounts carry their currency.",
        f"Written from the books as they stand at ledger entry {seq}, {head or _BLANK}.",
    )
    sections = (
        Section(title="The case", pairs=tuple(_case(page))),
        Section(
            title="What was asked",
            columns=("When", "Through", "By", "Named by", "Claims", "Request"),
            widths=(16, 11, 14, 12, 19, 28),
            rows=tuple(_requests(page)),
            empty="Nobody asked: the case was opened by what Stripe told.",
        ),
        Section(
            title="What was known",
            columns=("Fact", "Value", "Source", "As of"),
            widths=(30, 28, 22, 20),
            rows=tuple(_facts(page.facts)) if page.facts else (),
            empty="The case was never decided.",
        ),
        Section(title="The decision and why", lines=why.lines if why else (), empty="The case was never decided."),
        Section(title="Reproducing it", pairs=tuple(_reproduced(why)) if why else ()),
        Section(
            title="Verdicts and approvals",
            columns=("When", "What", "Outcome", "Rule", "Digest"),
            widths=(17, 14, 14, 25, 30),
            rows=tuple(_verdicts(page, lines)),
        ),
        *(_refund(page, line) for line in lines),
        *(_dispute(one, found) for one, found in disputes),
        Section(
            title="Ledger entries",
            columns=("Entry", "When", "What, by whom", "Says", "Hash"),
            widths=(7, 15, 22, 30, 26),
            rows=tuple(_entries(page)),
        ),
        Section(title="How to check this", lines=(_CHAIN, _AGAIN, _TEXTS)),
    )
    return file_of(f"Case file {case.id}", context, sections)


_CHAIN: Final = (
    "The ledger is a chain: each entry holds the hash of the one before, so none can be changed or taken out without"
    " breaking every later hash. Compare the hashes above with `billingbot ledger list`, have the chain walked by"
    " `billingbot ledger verify`, and compare its head with one that was kept elsewhere."
)
_AGAIN: Final = (
    "A decision is a function of facts and policy. `billingbot cases explain` decides the stored facts again by the"
    " stored policy, and compares the bytes; the digests of facts, policy and decision stand above."
)
_TEXTS: Final = (
    "Texts of customers and colleagues are not here: they have to stay erasable. The ledger holds their digests."
)


def _case(page: CasePage) -> Iterator[tuple[str, str]]:
    case = page.case
    yield "State", f"{case.state}{f', {case.outcome}' if case.outcome else ''}"
    yield "Amount", _money(case.amount_minor, case.currency)
    yield "Charge", case.charge_id or _BLANK
    yield "Customer", case.customer_id or _BLANK
    yield "Subscription", case.subscription_id or _BLANK
    yield "Invoice", case.invoice_id or _BLANK
    yield "Reason, clause", f"{case.reason or _BLANK}, {case.clause or _BLANK}"
    yield "Opened", _at(case.opened_at)
    yield "Decided", _at(case.decided_at)
    yield "Closed", _at(case.closed_at)


def _requests(page: CasePage) -> Iterator[Sequence[str]]:
    for one in page.requests:
        claims = [*(["not used"] if one.claims.unused else []), *(["cancelled"] if one.claims.cancelled else [])]
        yield (
            _at(one.asked_at),
            one.channel,
            one.asked_by,
            one.named_by,
            ", ".join(claims) or "none",
            f"{one.id}, {one.input_digest}",
        )


def _facts(facts: Facts) -> Iterator[Sequence[str]]:
    for name in CATALOGUE:
        fact = facts.facts.get(name)
        if fact is None:
            continue
        value = _value(fact.value) if isinstance(fact, Known) else f"unknown: {fact.why}"
        yield name, value, fact.source, _at(fact.as_of)


def _value(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, datetime):
        return _at(value)
    return str(value)


def _reproduced(why: Explanation) -> Iterator[tuple[str, str]]:
    told = "yes, byte for byte" if why.reproduces else "NO: stored facts and policy do not give the stored verdict"
    yield "Decides the same again", told
    yield "Policy", f"{why.policy_id} {why.policy_version}"
    yield "Policy digest", why.policy_digest
    yield "Facts digest", why.facts_digest
    yield "Decision digest", why.decision_digest


def _verdicts(page: CasePage, lines: Sequence[LogLine]) -> Iterator[Sequence[str]]:
    for one in page.decisions:
        yield _at(one.decided_at), one.purpose.replace("_", " "), one.outcome, one.rule, one.decision_digest
    for line in lines:
        if line.second is not None:
            at = _at(line.refund.intended_at)
            yield at, "two approvals", f"{line.first} first", f"{line.second} second", line.refund.id


def _refund(page: CasePage, line: LogLine) -> Section:
    refund = line.refund
    attempts = next((one.attempts for one in page.refunds if one.refund.id == refund.id), ())
    calls = tuple((f"Attempt {one.number}", _call(one)) for one in attempts)
    note = f"{refund.credit_note_number or ''} {refund.credit_note_id or ''}".strip()
    pairs = (
        ("Amount", _money(refund.amount_minor, refund.currency)),
        ("State", f"{refund.state}{f': {refund.why}' if refund.why else ''}"),
        ("Decided by", f"{refund.decided_by} ({refund.origin})"),
        ("Decided", _at(refund.intended_at)),
        ("At Stripe", refund.stripe_refund_id or _BLANK),
        ("Settled", _at(refund.settled_at)),
        *((("Credit note", note),) if note else ()),
        *calls,
    )
    return _settled(f"Refund {refund.id}", pairs, line.settled)


def _call(one: AttemptLine) -> str:
    sent = "once" if one.sends == 1 else f"{one.sends} times"
    return f"{one.outcome}, sent {sent}, first {_at(one.first_sent_at)}, under the key {one.key}"


def _dispute(line: DisputeLine, found: Sequence[BalanceTransaction]) -> Section:
    pairs = (
        ("Kind, reason", f"{line.kind}, {line.dispute.reason}"),
        ("Amount", _money(line.dispute.amount_minor, line.dispute.currency)),
        ("Status", line.dispute.status),
        ("Due by", _at(line.dispute.due_by)),
        ("Ended", line.outcome or "not yet"),
    )
    return _settled(f"Dispute {line.dispute.id}", pairs, found)


def _settled(title: str, pairs: Sequence[tuple[str, str]], found: Sequence[BalanceTransaction]) -> Section:
    rows = tuple(
        (
            one.id,
            one.movement.value,
            _money(one.amount_minor, one.currency),
            _money(one.fee_minor, one.currency),
            str(one.exchange_rate) if one.exchange_rate is not None else _BLANK,
            _at(one.available_on),
        )
        for one in found
    )
    names = ("Balance transaction", "Movement", "Amount", "Fee", "Rate", "Available")
    return Section(title=title, pairs=pairs, columns=names, widths=(30, 14, 15, 13, 10, 18), rows=rows)


def _entries(page: CasePage) -> Iterator[Sequence[str]]:
    for one in page.timeline:
        body = canonical_bytes(one.body).decode()
        shown = body if len(body) <= _MOST_BODY else f"{body[:_MOST_BODY]}…"
        yield str(one.seq), _at(one.at), f"{one.kind}, {one.actor}", shown, one.hash


def _at(at: datetime | None) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S}" if at else _BLANK


def _money(minor: int | None, currency: str | None) -> str:
    return str(Money(amount_minor=minor, currency=currency)) if minor is not None and currency else _BLANK
