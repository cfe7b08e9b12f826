"""The checks: what has to hold whatever happened. Each yields violations with the charge or case they are about."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import parse_qsl

from tests.torture.books import GONE, LIVE, OUR_KEY, OUR_REFUND, Books, Row
from tests.torture.load import Load
from tests.torture.town import Town


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """Something that must never be. `about` is a charge's or a case's id, or empty."""

    check: str
    says: str
    about: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What the checks look at: the books of both sides, the truth, and what was seen while it happened."""

    books: Books
    town: Town
    load: Load
    limits: Mapping[str, int]
    """The day's minor units by currency."""
    daily_count: int
    accepted_by_database: list[str]
    at_rest: bool


# Stripe's statuses in which the bank waits for us.
AWAITING: Final = frozenset({"needs_response", "warning_needs_response", "appeal_needs_response"})
# What people make of a case, whatever the bank waits for.
DECIDED_BY_PEOPLE: Final = frozenset({"denied", "answered", "dispute_accepted"})

Check = Callable[[Evidence], Iterator[Violation]]


def ours(found: Row) -> bool:
    """Whether a refund at Stripe carries our metadata."""
    return OUR_REFUND in found["metadata"]


def every_request_is_answered(seen: Evidence) -> Iterator[Violation]:
    """Every request is stored once, and decided or with a person."""
    check = "requests"
    for refused in seen.load.refused:
        yield Violation(check=check, says=f"a good request was refused: {refused}", about=refused.partition("-")[0])
    stored = Counter(row["idempotency_key"] for row in seen.books.requests)
    for key in seen.load.asked:
        charge = key.partition("-")[0]
        if key not in seen.load.answered:
            yield Violation(check=check, says=f"request {key} was never answered", about=charge)
        elif stored[key] != 1:
            yield Violation(check=check, says=f"request {key} is stored {stored[key]} times", about=charge)
    for row in seen.books.requests:
        case = seen.books.cases[row["case_id"]]
        if case["state"] not in {"closed", "review"} and not _waits_for_stripe(seen.books, case):
            yield Violation(check=check, says=f"case {case['id']} is {case['state']}", about=case["id"])


def _waits_for_stripe(books: Books, case: Row) -> bool:
    return case["state"] == "refunding" and any(
        row["case_id"] == case["id"] and row["state"] in {"pending", "requires_action"}
        for row in books.refunds.values()
    )


def nothing_is_paid_twice(seen: Evidence) -> Iterator[Violation]:
    """No charge is refunded above what was captured, and none twice by us."""
    for charge, captured in seen.books.captured.items():
        standing = [found for found in seen.books.at_stripe_of(charge) if found["status"] not in GONE]
        paid = sum(found["amount"] for found in standing)
        if paid > captured:
            yield Violation(check="paid-once", says=f"{paid} refunded of {captured}", about=charge)
        if sum(map(ours, standing)) > 1:
            yield Violation(check="paid-once", says="refunded more than once by us", about=charge)


def only_the_policy_pays(seen: Evidence) -> Iterator[Violation]:
    """What the machine paid, the policy allowed: by the truth of the town, in full, once per person."""
    groups: dict[str, set[str]] = defaultdict(set)
    for found in seen.books.at_stripe.values():
        row = seen.books.refunds.get(found["metadata"].get(OUR_REFUND, ""))
        if row is None or row["origin"] != "policy":
            continue
        charge = seen.town.charges.get(found["charge"])
        if charge is None or not charge.payable:
            kind = charge.kind if charge else "unknown to the town"
            yield Violation(check="policy", says=f"paid by itself for a charge that is {kind}", about=found["charge"])
            continue
        if found["amount"] != seen.books.captured[charge.id]:
            yield Violation(check="policy", says=f"paid {found['amount']} by itself", about=charge.id)
        if found["status"] not in GONE:
            groups[charge.group].add(charge.id)
    for group, charges in groups.items():
        if len(charges) > 1:
            yield Violation(check="policy", says=f"{group}: paid by itself for {sorted(charges)}", about=min(charges))


def nothing_goes_back_twice_through_the_bank(seen: Evidence) -> Iterator[Violation]:
    """No charge has a standing refund of ours while a dispute of it keeps the money: the customer would have both."""
    for dispute in seen.books.disputes_at_stripe:
        standing = [found for found in seen.books.at_stripe_of(dispute["charge"]) if found["status"] not in GONE]
        if any(map(ours, standing)) and sum(entry["amount"] for entry in dispute["balance_transactions"]) < 0:
            says = f"refunded by us, and {dispute['id']} is {dispute['status']} and keeps the money"
            yield Violation(check="paid-once", says=says, about=dispute["charge"])


def every_dispute_is_known(seen: Evidence) -> Iterator[Violation]:
    """Each dispute at Stripe stands in our books in the status it is in."""
    for dispute in seen.books.disputes_at_stripe:
        known = seen.books.disputes.get(dispute["id"])
        if known is None or known["status"] != dispute["status"]:
            says = f"{dispute['id']} is {dispute['status']} at Stripe and {known and known['status']} with us"
            yield Violation(check="disputes", says=says, about=dispute["charge"])


def no_deadline_is_unseen(seen: Evidence) -> Iterator[Violation]:
    """A bank that waits for an answer has a person: its case is in the queue, due before the bank's own deadline, or
    somebody has decided about it."""
    acted = {row["dispute_id"] for row in seen.books.answers}
    for dispute in seen.books.disputes_at_stripe:
        due_by = dispute["evidence_details"]["due_by"]
        if dispute["status"] not in AWAITING or not due_by or dispute["id"] in acted:
            continue
        cases = [case for case in seen.books.cases.values() if case["charge_id"] == dispute["charge"]]
        waiting = [case for case in cases if case["state"] == "review"]
        if not cases:
            yield Violation(check="deadlines", says=f"{dispute['id']} has no case", about=dispute["charge"])
        for case in waiting:
            if case["due_at"] is None or case["due_at"].timestamp() > due_by:
                says = f"case {case['id']} is due at {case['due_at']}, and {dispute['id']} by {due_by}"
                yield Violation(check="deadlines", says=says, about=dispute["charge"])
        if cases and not waiting and all(case["outcome"] not in DECIDED_BY_PEOPLE for case in cases):
            ends = sorted({str(case["outcome"] or case["state"]) for case in cases})
            yield Violation(
                check="deadlines", says=f"{dispute['id']} waits, and its case is {ends}", about=dispute["charge"]
            )


def banks_are_answered_once(seen: Evidence) -> Iterator[Violation]:
    """An answer goes to the bank once; what our books call sent was sent, and what was sent by us is in our books."""
    done = Counter(row["dispute_id"] for row in seen.books.answers if (row["kind"], row["state"]) == ("send", "done"))
    for dispute in seen.books.disputes_at_stripe:
        details, about = dispute["evidence_details"], dispute["charge"]
        if details["submission_count"] > 1:
            yield Violation(check="answers", says=f"{dispute['id']} was answered more than once", about=about)
        by_hand = details["submission_method"] == "manual"
        if done[dispute["id"]] != int(by_hand):
            says = f"{dispute['id']}: submitted {details['submission_method']} at Stripe, {done[dispute['id']]} with us"
            yield Violation(check="answers", says=says, about=about)
    for row in seen.books.answers:
        if row["state"] in {"intended", "submitting", "unknown"}:
            yield Violation(check="answers", says=f"{row['id']} is still {row['state']}", about=row["charge_id"])


def every_refund_is_in_the_books(seen: Evidence) -> Iterator[Violation]:
    """Each refund at Stripe has its intent, attempt and ledger entries, and says what they say."""
    books, told = seen.books, _told(seen.books)
    by_stripe_id = {row["stripe_refund_id"]: row for row in books.refunds.values() if row["stripe_refund_id"]}
    accepted = {row["key"] for row in books.attempts if row["outcome"] == "accepted"}
    for refund_id, found in books.at_stripe.items():
        row = by_stripe_id.get(refund_id)
        if row is None:
            yield Violation(check="books", says=f"{refund_id} at Stripe is not in our books", about=found["charge"])
            continue
        for what, here, there in (
            ("charge", row["charge_id"], found["charge"]),
            ("amount", row["amount_minor"], found["amount"]),
            ("currency", row["currency"], found["currency"]),
            ("state", row["state"], found["status"]),
        ):
            if here != there:
                says = f"{refund_id}: {what} is {there} at Stripe and {here} with us"
                yield Violation(check="books", says=says, about=found["charge"])
        wanted = {"refund.intended", "refund.attempted", "refund.changed"} if ours(found) else {"refund.adopted"}
        if missing := wanted - told[row["id"]]:
            yield Violation(check="books", says=f"{row['id']}: no {sorted(missing)}", about=found["charge"])
        if ours(found) and (row["id"] != found["metadata"][OUR_REFUND] or found["metadata"][OUR_KEY] not in accepted):
            yield Violation(check="books", says=f"{refund_id}: no accepted attempt of ours", about=found["charge"])


def every_row_is_at_stripe(seen: Evidence) -> Iterator[Violation]:
    """The other way round: nothing is in our books that Stripe does not have, and nothing is open."""
    books = seen.books
    carried = {found["metadata"].get(OUR_REFUND) for found in books.at_stripe.values()}
    for row in books.refunds.values():
        if row["state"] in {"intended", "submitting", "unknown"}:
            yield Violation(check="books", says=f"{row['id']} is still {row['state']}", about=row["charge_id"])
        elif row["state"] in {"withdrawn", "refused"} and row["id"] in carried:
            says = f"{row['id']} is {row['state']} with us, and paid at Stripe"
            yield Violation(check="books", says=says, about=row["charge_id"])
        elif row["stripe_refund_id"] and row["stripe_refund_id"] not in books.at_stripe:
            yield Violation(check="books", says=f"{row['stripe_refund_id']} is not at Stripe", about=row["charge_id"])
    for charge, count in _live(books).items():
        if count > 1:
            yield Violation(check="books", says=f"{count} live refunds of ours", about=charge)
    open_attempts = Counter(row["refund_id"] for row in books.attempts if row["outcome"] in {"open", "unknown"})
    for refund_id, count in open_attempts.items():
        charge = books.refunds[refund_id]["charge_id"]
        yield Violation(check="books", says=f"{refund_id}: {count} attempts without an end", about=charge)


def _live(books: Books) -> Counter[str]:
    rows = (row for row in books.refunds.values() if row["origin"] != "external" and row["state"] in LIVE)
    return Counter(row["charge_id"] for row in rows)


def _told(books: Books) -> dict[str, set[str]]:
    told: dict[str, set[str]] = defaultdict(set)
    for entry in books.entries:
        told[entry.subject].add(entry.kind)
    return told


def attempts_come_first(seen: Evidence) -> Iterator[Violation]:
    """Whenever a paying call of ours arrived at Stripe, its attempt was committed, with this key and these words."""
    for call in seen.books.paying_calls:
        if call["witness"] not in {"ok", "outside", "blind", None}:
            charge = next((name for name in seen.town.charges if name in call["form"]), "")
            yield Violation(check="attempt-before-call", says=f"{call['key']}: {call['witness']}", about=charge)


def limits_hold(seen: Evidence) -> Iterator[Violation]:
    """In the order of the ledger: at no instant more than a day's sum and count of automatic refunds stood.

    A day is one of Postgres's, in UTC: what was intended before midnight does not count after it.
    """
    today = None
    standing: dict[str, tuple[str, int]] = {}
    for entry in seen.books.entries:
        body = entry.body
        if today != entry.at.date():
            today = entry.at.date()
            standing.clear()
        if entry.kind == "refund.intended" and body["origin"] == "policy":
            standing[entry.subject] = (body["currency"], body["amount_minor"])
            yield from _passed(seen, standing, body["currency"], entry.subject)
        elif entry.kind == "refund.changed" and body["to"] not in LIVE:
            standing.pop(entry.subject, None)


def _passed(
    seen: Evidence, standing: Mapping[str, tuple[str, int]], currency: str, refund_id: str
) -> Iterator[Violation]:
    charge = seen.books.refunds[refund_id]["charge_id"]
    amount = sum(minor for kept, minor in standing.values() if kept == currency)
    if amount > seen.limits[currency]:
        says = f"{amount} {currency} stood with {refund_id}; the day's limit is {seen.limits[currency]}"
        yield Violation(check="limits", says=says, about=charge)
    if len(standing) > seen.daily_count:
        says = f"{len(standing)} stood with {refund_id}; the day's limit is {seen.daily_count}"
        yield Violation(check="limits", says=says, about=charge)


def no_event_is_lost(seen: Evidence) -> Iterator[Violation]:
    """Each event that Stripe told, or that it never got rid of, was taken in the end."""
    for event in seen.books.undelivered:
        yield Violation(check="events", says=f"{event} was never taken")


def reconciliation_agrees(seen: Evidence) -> Iterator[Violation]:
    """What reconciliation found is settled, or with a person."""
    for row in seen.books.breaks:
        if row["state"] == "open":
            says = f"break {row['kind']} of {row['object_id']} is open"
            yield Violation(check="reconcile", says=says, about=row["charge_id"] or "")


def subscriptions_follow(seen: Evidence) -> Iterator[Violation]:
    """A refund of ours ends its subscription, unless a person has that; nothing else of ours ends one."""
    refunded = {
        found["charge"]: found["status"] for found in seen.books.at_stripe.values() if ours(found)
    }  # fmt: skip
    carried = {row["charge_id"] for row in seen.books.cancellations if row["state"] in {"refused", "handed_over"}}
    for row in seen.books.cancellations:
        if row["state"] in {"intended", "submitting", "unknown"} and row["waits_for"] is None:
            says = f"the cancellation {row['id']} is still {row['state']}"
            yield Violation(check="subscriptions", says=says, about=row["charge_id"])
    for charge in seen.town.charges.values():
        ended = charge.subscription in seen.books.canceled
        if ended and charge.id not in refunded:
            yield Violation(check="subscriptions", says="ended without a refund of ours", about=charge.id)
        if not ended and refunded.get(charge.id) == "succeeded" and charge.id not in carried:
            yield Violation(check="subscriptions", says="refunded, and it goes on", about=charge.id)


def the_chain_verifies(seen: Evidence) -> Iterator[Violation]:
    """Nobody touched the ledger."""
    for flaw in seen.books.flaws:
        yield Violation(check="ledger", says=f"entry {flaw.seq} {flaw.what}")


def nothing_is_stuck(seen: Evidence) -> Iterator[Violation]:
    """No job waits that is due, and no case is in nobody's hands without a job."""
    if not seen.at_rest:
        yield Violation(check="stuck", says="it did not come to rest")
    for job in seen.books.jobs:
        if job["state"] == "failed":
            says = f"{job['actor']} {job['subject']} failed for good: {job['last_error']}"
            yield Violation(check="stuck", says=says, about=job["subject"])
        elif job["state"] == "ready" and job["actor"] != "import_history":
            says = f"{job['actor']} {job['subject']} is left after {job['attempts']} attempts: {job['last_error']}"
            yield Violation(check="stuck", says=says, about=job["subject"])
    for case in seen.books.cases.values():
        if case["state"] == "assessing":
            yield Violation(check="stuck", says=f"case {case['id']} is assessing", about=case["id"])


def evidence_is_asked_for_again(seen: Evidence) -> Iterator[Violation]:
    """Where only a gap in the evidence put a case before a person, the machine looked again once it was closed."""
    for case in seen.books.cases.values():
        charge = seen.town.charges.get(case["charge_id"] or "")
        gap = case["state"] == "review" and case["reason"] in {"undecided-rule", "evidence-incomplete"}
        if gap and charge is not None and charge.kind != "silent" and case["assignee"] is None:
            says = f"case {case['id']} still waits with {case['reason']}, though every source answers"
            yield Violation(check="stuck", says=says, about=charge.id)


def the_database_refuses(seen: Evidence) -> Iterator[Violation]:
    """What the application's role must not do, the database did not let happen."""
    for name in sorted(set(seen.accepted_by_database)):
        yield Violation(check="database-refuses", says=f"the database took {name}")


CHECKS: Final[tuple[Check, ...]] = (
    every_request_is_answered,
    nothing_is_paid_twice,
    only_the_policy_pays,
    nothing_goes_back_twice_through_the_bank,
    every_dispute_is_known,
    no_deadline_is_unseen,
    banks_are_answered_once,
    every_refund_is_in_the_books,
    every_row_is_at_stripe,
    attempts_come_first,
    limits_hold,
    no_event_is_lost,
    reconciliation_agrees,
    subscriptions_follow,
    the_chain_verifies,
    nothing_is_stuck,
    evidence_is_asked_for_again,
    the_database_refuses,
)


def check_all(seen: Evidence) -> list[Violation]:
    """All violations of all checks."""
    return [violation for check in CHECKS for violation in check(seen)]


def saved_by_stripe(books: Books) -> int:
    """Paying calls that Stripe alone refused, because a refund of ours stood there already, made under another key."""
    paid = {found["charge"] for found in books.at_stripe.values() if ours(found)}

    def is_second(call: Mapping[str, Any]) -> bool:
        refused = call["witness"] == "ok" and not call["replayed"] and call["code"] == "charge_already_refunded"
        return refused and dict(parse_qsl(call["form"])).get("charge") in paid

    return sum(map(is_second, books.paying_calls))
