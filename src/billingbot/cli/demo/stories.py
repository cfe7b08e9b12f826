"""The demo's stories, one customer each: every row of the decision table, and what trips a naive build."""

from collections.abc import Iterator
from dataclasses import replace

from billingbot.cli.demo import acts, moves
from billingbot.cli.demo.banks import bank_stories
from billingbot.cli.demo.story import Story, closed, refund, review


def all_stories() -> list[Story]:
    """Every row of the decision table and the cases that trip a naive build, at least sixty customers."""
    return [*_refunds(), *_nothing_to_refund(), *bank_stories(), *_people_decide(), *_other_charges(), *_limits()]


def _refunds() -> Iterator[Story]:
    row = "7"
    for number in range(6):
        yield Story(
            title=f"Never used, asks for the charge ({number + 1})",
            row=row,
            begin=moves.trial(),
            asks=moves.ASK,
            expected=refund(),
        )
    for title, asks in (
        ("customer", moves.by_customer),
        ("subscription", moves.by_subscription),
        ("e-mail", moves.by_email),
        ("invoice", moves.by_invoice),
    ):
        yield Story(
            title=f"Never used, names only the {title}", row=row, begin=moves.trial(), asks=asks, expected=refund()
        )
    for currency, amount in (("eur", 4500), ("gbp", 3900), ("jpy", 6000), ("kwd", 15_000)):
        yield Story(
            title=f"Never used, charged in {currency.upper()}",
            row=row,
            begin=moves.trial(currency=currency, amount=amount),
            asks=moves.ASK,
            expected=refund(amount),
        )
    yield Story(
        title="Three seats, none used", row=row, begin=moves.trial(quantity=3), asks=moves.ASK, expected=refund(14_700)
    )
    yield Story(
        title="Asks twice at the same moment", row=row, begin=moves.trial(), asks=moves.twice, expected=refund()
    )
    yield Story(
        title="Card failed at first, charged days later",
        row=row,
        begin=moves.declined,
        charged=moves.mend_card,
        asks=moves.ASK,
        expected=refund(),
    )
    yield Story(
        title="Cancelled in the trial, charged all the same, never used",
        row=row,
        begin=moves.trial(),
        in_trial=moves.cancel_at_end,
        asks=moves.by_charge(cancelled=True),
        expected=refund(),
    )
    yield Story(
        title="Shares only a company domain with a colleague",
        row=row,
        begin=moves.colleague,
        asks=moves.ASK,
        expected=refund(),
    )
    yield Story(
        title="The source was down, and answers again later",
        row=row,
        begin=moves.trial(),
        in_trial=moves.source_down,
        asks=moves.ASK,
        later=moves.source_back,
        expected=refund(),
    )
    yield Story(
        title="Same card as a colleague's trial: a person marks the link as wrong, and it stays wrong",
        row="3",
        begin=moves.same_card("company-card"),
        asks=moves.ASK,
        people=acts.unlink,
        expected=replace(refund(), ledgered=frozenset({"link.marked_wrong", "case.reassessed"})),
    )
    yield Story(
        title="Balance is low: the refund waits, then succeeds",
        row=row,
        begin=moves.trial(),
        charged=moves.refund_will(status="pending", pending_reason="insufficient_funds"),
        asks=moves.ASK,
        later=moves.turn_refund("succeeded"),
        expected=refund(),
    )


def _nothing_to_refund() -> Iterator[Story]:
    row = "1"
    yield Story(
        title="Refunded in the Dashboard before",
        row=row,
        begin=moves.trial(),
        charged=moves.dashboard_refund(),
        asks=moves.ASK,
        expected=closed("already-refunded", outside=4900),
    )
    yield Story(
        title="The charge failed", row=row, begin=moves.declined, asks=moves.ASK, expected=closed("charge-failed")
    )
    yield Story(
        title="Authorised and never captured",
        row=row,
        begin=moves.one_off(capture="manual"),
        asks=moves.ASK,
        expected=closed("not-captured"),
    )


def _people_decide() -> Iterator[Story]:
    yield Story(
        title="Same card as another customer's trial",
        row="3",
        begin=moves.same_card("shared-card"),
        asks=moves.ASK,
        expected=review("repeat-trial"),
    )
    yield Story(
        title="Same mailbox, spelled another way",
        row="3",
        begin=moves.same_mailbox,
        asks=moves.ASK,
        expected=review("repeat-trial"),
    )
    yield Story(
        title="Says it was cancelled, nobody recorded it",
        row="4",
        begin=moves.trial(),
        asks=moves.by_charge(cancelled=True),
        expected=review("cancellation-not-found"),
    )
    yield Story(
        title="Cancelled before the charge, and used",
        row="5",
        begin=moves.trial(),
        in_trial=moves.cancel_and_use,
        asks=moves.by_charge(cancelled=True),
        expected=review("charged-after-cancellation"),
    )
    yield Story(
        title="Wrote to support to cancel, and used",
        row="5",
        begin=moves.trial(),
        in_trial=moves.write_to_support,
        asks=moves.ASK,
        expected=review("charged-after-cancellation"),
    )
    yield Story(
        title="Asks for nothing, but wants money back when cancelling",
        row="comment",
        begin=moves.trial(),
        charged=moves.cancel_and_comment,
        asks=moves.nobody,
        expected=review("cancellation-comment"),
    )
    yield Story(
        title="The source does not answer",
        row="6",
        begin=moves.trial(),
        in_trial=moves.source_down,
        asks=moves.ASK,
        expected=review("evidence-incomplete"),
    )
    yield Story(
        title="The source is two days behind",
        row="6",
        begin=moves.trial(),
        in_trial=moves.source_stale,
        asks=moves.ASK,
        expected=review("evidence-incomplete"),
    )
    yield Story(
        title="The source began after the trial did",
        row="6",
        begin=moves.trial(),
        in_trial=moves.source_gap,
        asks=moves.ASK,
        expected=review("evidence-incomplete"),
    )
    yield Story(
        title="Tag hits in the trial",
        row="8",
        begin=moves.trial(),
        in_trial=moves.use,
        asks=moves.ASK,
        expected=review("used"),
    )
    yield Story(
        title="The tag is installed, no hit yet",
        row="8",
        begin=moves.trial(),
        in_trial=moves.install_tag,
        asks=moves.ASK,
        expected=review("used"),
    )
    yield Story(
        title="Used after the charge, before asking",
        row="8",
        begin=moves.trial(),
        charged=moves.use,
        asks=moves.ASK,
        expected=review("used"),
    )
    yield Story(
        title="Use begins between decision and payment",
        row="8",
        begin=moves.trial(),
        charged=moves.uses_between,
        asks=moves.ASK,
        expected=review("used"),
    )
    yield Story(
        title="Two subscriptions, names only the customer",
        row="10",
        begin=moves.two_subscriptions,
        asks=moves.by_customer,
        expected=review("ambiguous-request"),
    )
    yield Story(
        title="Refunded in part in the Dashboard",
        row="10",
        begin=moves.trial(),
        charged=moves.dashboard_refund(1000),
        asks=moves.ASK,
        expected=review("refunded-in-part", outside=1000),
    )
    yield Story(
        title="The invoice was paid in two payments",
        row="10",
        begin=moves.trial(),
        in_trial=moves.split,
        asks=moves.ASK,
        expected=review("several-payments"),
    )
    yield Story(
        title="The refund succeeds, and fails days later",
        row="law 3",
        begin=moves.trial(),
        asks=moves.ASK,
        later=moves.turn_refund("failed"),
        expected=review("refund-failed"),
    )


def _other_charges() -> Iterator[Story]:
    row = "9"
    yield Story(
        title="No trial at all", row=row, begin=moves.trial(days=0), asks=moves.ASK, expected=review("no-trial")
    )
    yield Story(title="A one-off charge", row=row, begin=moves.one_off(), asks=moves.ASK, expected=review("no-trial"))
    yield Story(
        title="Ended the trial early by an upgrade",
        row=row,
        begin=moves.trial(),
        in_trial=moves.end_trial_now,
        asks=moves.ASK,
        expected=review("trial-ended-early"),
    )
    yield Story(
        title="Asks for a later renewal",
        row=row,
        begin=moves.trial(days=7, interval="week"),
        asks=moves.ASK,
        expected=review("not-the-first-charge"),
    )
    yield Story(
        title="A set-up fee was charged in the trial",
        row=row,
        begin=moves.with_fee,
        asks=moves.ASK,
        expected=review("not-the-first-charge"),
    )
    yield Story(
        title="Asks for the trial's charge after a renewal",
        row=row,
        begin=moves.trial(days=7, interval="week"),
        asks=moves.oldest,
        expected=review("not-the-last-charge"),
    )


def _limits() -> Iterator[Story]:
    yield Story(
        title="Above the limit for one refund",
        row="7, limit",
        begin=moves.trial(amount=29_900),
        asks=moves.ASK,
        expected=review("limit-amount"),
    )
    yield Story(
        title="In a currency without a limit",
        row="7, limit",
        begin=moves.trial(currency="sek", amount=49_900),
        asks=moves.ASK,
        expected=review("limit-currency"),
    )
    yield Story(
        title="Had an automatic refund already, and tries again",
        row="7, limit",
        begin=moves.trial(days=5),
        early=True,
        charged=moves.again,
        asks=moves.ASK,
        expected=review("limit-earlier-refund"),
    )
