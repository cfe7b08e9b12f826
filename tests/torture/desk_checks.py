"""The checks about banks, and about the people who answer them, approve, and close the breaker."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from typing import Final

from tests.torture.books import GONE
from tests.torture.evidence import Check, Evidence, Violation, ours

# Stripe's statuses in which the bank waits for us.
AWAITING: Final = frozenset({"needs_response", "warning_needs_response", "appeal_needs_response"})
# What people make of a case, whatever the bank waits for.
DECIDED_BY_PEOPLE: Final = frozenset({"denied", "answered", "dispute_accepted"})

# Acceptances that somebody asked for, and nobody confirmed: nothing was decided.
_UNDECIDED: Final = frozenset({"asked", "lapsed"})


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
    acted = {row["dispute_id"] for row in seen.books.answers if row["state"] not in _UNDECIDED}
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
    """An answer goes to the bank once, and once more where an inquiry became a chargeback; what our books call sent was
    sent, and what was sent by us is in our books."""
    sent = _done_by_dispute(seen, "send")
    for dispute in seen.books.disputes_at_stripe:
        details, done = dispute["evidence_details"], sent[dispute["id"]]
        by_us = details["submission_count"] - (details["submission_method"] == "smart_disputes")
        if sum(done.values()) != by_us or max(done.values(), default=0) > 1:
            says = f"{dispute['id']}: {by_us} answers at Stripe are not its own, and with us {dict(done)}"
            yield Violation(check="answers", says=says, about=dispute["charge"])
    for row in seen.books.answers:
        if row["state"] in {"intended", "submitting", "unknown"}:
            yield Violation(check="answers", says=f"{row['id']} is still {row['state']}", about=row["charge_id"])


def disputes_are_given_up_once(seen: Evidence) -> Iterator[Violation]:
    """What our books call accepted was ended at Stripe by one call of ours, and no other dispute was."""
    ended = Counter(call["ended"] for call in seen.books.answering_calls if call["ended"])
    given_up = _done_by_dispute(seen, "accept")
    for dispute in seen.books.disputes_at_stripe:
        calls, done = ended[dispute["id"]], given_up[dispute["id"]]
        if sum(done.values()) != calls or max(done.values(), default=0) > 1:
            says = f"{dispute['id']}: ended by {calls} calls of ours, and with us accepted {dict(done)}"
            yield Violation(check="accepted", says=says, about=dispute["charge"])


def _done_by_dispute(seen: Evidence, kind: str) -> Mapping[str, Counter[str]]:
    """How often this was done about each dispute, by what it was then: an inquiry, or a chargeback."""
    done: dict[str, Counter[str]] = defaultdict(Counter)
    for row in seen.books.answers:
        if (row["kind"], row["state"]) == (kind, "done"):
            done[row["dispute_id"]][row["stage"]] += 1
    return done


def two_people_agree_above_the_limit(seen: Evidence) -> Iterator[Violation]:
    """In the order of the ledger: a large refund by people has two different approvals of one case before its intent;
    a large dispute that was given up was asked and confirmed by two."""
    waiting: dict[str, str] = {}
    approved: dict[str, tuple[str | None, str]] = {}
    for entry in seen.books.entries:
        if entry.kind == "case.first_approved":
            waiting[entry.subject] = entry.actor
        elif entry.kind == "case.approved":
            approved[entry.subject] = (waiting.pop(entry.subject, None), entry.actor)
        elif entry.kind == "refund.intended" and entry.body["origin"] == "person":
            row = seen.books.refunds[entry.subject]
            first, second = approved.pop(row["case_id"], (None, None))
            if row["amount_minor"] > seen.one_person[row["currency"]] and (first is None or first == second):
                says = f"{row['id']} over {row['amount_minor']} was approved by {first} and {second}"
                yield Violation(check="two-people", says=says, about=row["charge_id"])
    for row in seen.books.answers:
        large = row["kind"] == "accept" and row["amount_minor"] > seen.one_person[row["currency"]]
        if large and row["state"] not in _UNDECIDED and row["first_by"] in {None, row["decided_by"]}:
            says = f"{row['id']} over {row['amount_minor']} was accepted by {row['decided_by']} alone"
            yield Violation(check="two-people", says=says, about=row["charge_id"])


def an_open_breaker_stops_the_machine(seen: Evidence) -> Iterator[Violation]:
    """In the order of the ledger: while the breaker is open nothing is intended by policy; people alone close it."""
    is_open = False
    for entry in seen.books.entries:
        if entry.kind == "breaker.opened":
            is_open = True
        elif entry.kind == "breaker.closed":
            is_open = False
            if entry.actor == "billingbot":
                yield Violation(check="breaker", says="it was closed, and by nobody")
        elif is_open and entry.kind == "refund.intended" and entry.body["origin"] == "policy":
            charge = seen.books.refunds[entry.subject]["charge_id"]
            yield Violation(check="breaker", says=f"{entry.subject} was intended while it was open", about=charge)


DESK_CHECKS: Final[tuple[Check, ...]] = (
    nothing_goes_back_twice_through_the_bank,
    every_dispute_is_known,
    no_deadline_is_unseen,
    banks_are_answered_once,
    disputes_are_given_up_once,
    two_people_agree_above_the_limit,
    an_open_breaker_stops_the_machine,
)
