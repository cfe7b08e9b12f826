"""The checks: what has to hold whatever happened. Each yields violations with the charge or case they are about."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from typing import Final
from urllib.parse import parse_qsl

from tests.torture.books import GONE, LIVE, OUR_KEY, OUR_REFUND, Books, Row
from tests.torture.desk_checks import DESK_CHECKS
from tests.torture.evidence import Check, Evidence, Violation, ours


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


def a_credit_note_pays_once(seen: Evidence) -> Iterator[Violation]:
    """A credit note of ours makes one refund, over its own amount, for one intent that was to be paid by a note; and
    what was to be paid so was paid by no plain refund."""
    by_note: Counter[str] = Counter()
    for note in seen.books.notes:
        row = seen.books.refunds.get(note["metadata"][OUR_REFUND], {})
        about = row.get("charge_id", "")
        by_note[note["metadata"][OUR_REFUND]] += 1
        made = [seen.books.at_stripe[one["refund"]]["amount"] for one in note["refunds"]]
        if made != [note["amount"]] or row.get("refund_with") != "credit_note" or row["credit_note_id"] != note["id"]:
            says = f"{note['id']} over {note['amount']} made refunds of {made}; our books: {row.get('credit_note_id')}"
            yield Violation(check="credit-notes", says=says, about=about)
    for row in seen.books.refunds.values():
        wanted = int(row["refund_with"] == "credit_note" and row["stripe_refund_id"] is not None)
        if row["origin"] != "external" and by_note[row["id"]] != wanted:
            says = f"{row['id']} is to be paid with a {row['refund_with']}, and {by_note[row['id']]} notes name it"
            yield Violation(check="credit-notes", says=says, about=row["charge_id"])


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
    """Whenever a call of ours that has an effect arrived at Stripe, its attempt was committed, with this key and these
    words."""
    for call in (*seen.books.paying_calls, *seen.books.answering_calls):
        if call["witness"] not in {"ok", "outside", "blind"}:
            named = (one.id for one in seen.town.charges.values() if {one.id, one.invoice} & _named(call))
            charge = next(named, "")
            yield Violation(check="attempt-before-call", says=f"{call['key']}: {call['witness']}", about=charge)


def _named(call: Row) -> set[str]:
    """The values that a call's form holds."""
    return {value for _, value in parse_qsl(call["form"])}


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
    """Where only a gap in the evidence put a case before a person, the machine looked again once it was closed; unless
    somebody has it, or has approved it and another approval is wanted."""
    with_people = {entry.subject for entry in seen.books.entries if entry.kind == "case.first_approved"}
    for case in seen.books.cases.values():
        charge = seen.town.charges.get(case["charge_id"] or "")
        gap = case["state"] == "review" and case["reason"] in {"undecided-rule", "evidence-incomplete"}
        nobody_has_it = case["assignee"] is None and case["id"] not in with_people
        if gap and charge is not None and charge.kind != "silent" and nobody_has_it:
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
    a_credit_note_pays_once,
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
    *DESK_CHECKS,
)


def check_all(seen: Evidence) -> list[Violation]:
    """All violations of all checks."""
    return [violation for check in CHECKS for violation in check(seen)]


def saved_by_stripe(seen: Evidence) -> int:
    """Paying calls that Stripe alone refused, because a refund of ours stood there already, made under another key."""
    paid = {found["charge"] for found in seen.books.at_stripe.values() if ours(found)}
    paid |= {charge.invoice for charge in seen.town.charges.values() if charge.id in paid}

    def is_second(call: Row) -> bool:
        if call["witness"] != "ok" or call["replayed"]:
            return False
        # A credit note is refused for what is left of its invoice, without a code.
        too_late = call["code"] == "charge_already_refunded" or (call["status"], call["code"]) == (400, None)
        return too_late and bool(paid & _named(call))

    return sum(map(is_second, seen.books.paying_calls))
