"""Words for casework: reasons, obstacles and facts as people read them. Names of the code stay in the code."""

from collections.abc import Mapping
from typing import Final

from billingbot.core.decision import UNDECIDED_RULE, Blocker, Limit, Recommendation

BLOCKED: Final[Mapping[Blocker, str]] = {
    Blocker.NOT_SUCCEEDED: "The charge did not succeed: no money was taken.",
    Blocker.NOT_CAPTURED: "The charge was only reserved: no money was taken.",
    Blocker.NOTHING_REFUNDABLE: "Nothing of the charge is left to refund.",
    Blocker.MONEY_RETURNED: "The customer has the money already, through a dispute.",
    Blocker.OPEN_CHARGEBACK: "A chargeback is open: a refund would pay it twice.",
    Blocker.DISPUTE_FORBIDS: "A dispute of this charge forbids a refund at Stripe.",
    Blocker.DISPUTE_WON: "A dispute about it was won.",
    Blocker.PAID_TWICE: "It was refunded, and taken by the bank as well.",
    Blocker.MONEY_UNCLEAR: "Where the money is cannot be told: there are several disputes, or one in a strange state.",
}
ON_ITS_WAY: Final[Mapping[str, str]] = {
    "intended": "Stripe has not been asked yet.",
    "submitting": "Stripe is being asked.",
    "unknown": "Whether Stripe took it is not known yet; Stripe is asked until it is.",
    "pending": "Stripe has taken it on.",
    "requires_action": "Stripe waits for the customer.",
}
HELD: Final[Mapping[str, str]] = {
    Limit.MODE: "The policy grants this refund; the desk's mode leaves it to a person.",
    Limit.AMOUNT: "The policy grants this refund; it is larger than the machine may pay.",
    Limit.CURRENCY: "The policy grants this refund; nobody has set a limit in its currency.",
    Limit.EARLIER_REFUND: "The policy grants this refund; the same customer, card or mailbox had one lately.",
    Limit.DENIED_BEFORE: "The policy grants this refund; a person denied one of this charge before.",
    Limit.DAILY_AMOUNT: "The policy grants this refund; the day's budget is spent.",
    Limit.DAILY_COUNT: "The policy grants this refund; the day's count is reached.",
    Limit.BREAKER: "The policy grants this refund; the breaker is open.",
    Limit.MONEY: "The policy grants this refund; where the money is forbids it.",
}
BECAUSE: Final[Mapping[str, str]] = {
    Limit.MODE: "granted, the mode leaves it to you",
    Limit.AMOUNT: "granted, above the machine's limit",
    Limit.CURRENCY: "granted, no limit in its currency",
    Limit.EARLIER_REFUND: "granted, had a refund lately",
    Limit.DENIED_BEFORE: "granted, denied before",
    Limit.DAILY_AMOUNT: "granted, the day's budget is spent",
    Limit.DAILY_COUNT: "granted, the day's count is reached",
    Limit.BREAKER: "granted, the breaker is open",
    Limit.MONEY: "granted, the money forbids it",
}
UNDECIDED: Final[Mapping[str, str]] = {
    "mode-off": "The desk is off: nothing was looked at.",
    "nobody-asked": "Nobody asked: comparing with Stripe opened this case.",
    "refund-under-way": "A refund of this charge is under way already.",
    UNDECIDED_RULE: "A rule could not be told, and it might forbid the refund.",
}
ADVICE: Final[Mapping[Recommendation, str]] = {
    Recommendation.REFUND: "Refund",
    Recommendation.DECLINE: "Decline",
    Recommendation.ACCEPT_DISPUTE: "Accept the dispute",
    Recommendation.CONTEST_DISPUTE: "Contest the dispute",
    Recommendation.NONE: "No advice",
}
CHANNELS: Final = {
    "inquiry": "A bank asks about",
    "early_fraud_warning": "A card network warns of fraud on",
    "dispute": "A bank has taken back",
}

STOPPED: Final[Mapping[str, str]] = {
    "refund-crossed-by-dispute": "A dispute met the refund while it was under way. Accept or contest the dispute, and"
    " do not refund a second time.",
    "refund-failed": "The refund failed after Stripe had taken it: the customer does not have the money.",
    "refund-canceled": "The refund was cancelled at Stripe: the customer does not have the money.",
    "refund-amount-differs": "Stripe refunded another amount than was asked for: compare the two before anything else.",
    "refund-made-twice": "Stripe has two refunds where one was meant: compare them before anything else is paid.",
    "refunded-twice": "Stripe has two refunds where one was meant: compare them before anything else is paid.",
    "returned-twice": "The customer has the money twice: by the refund, and through a dispute.",
    "refund-status-unrecognised": "Stripe tells a state of the refund that is not known here: look at it there.",
    "refund-status-differs": "Stripe and our books tell different states of the refund: look at both.",
    "outcome-unknown": "Whether the refund was paid could not be found out. Look for it at Stripe before anything"
    " else is paid for this charge.",
    "could-not-pay": "The refund was decided, and the call to Stripe did not get through; nothing was paid. Once the"
    " cause is gone, its failed job can be replayed, or the refund approved here.",
    "could-not-assess": "The facts could not be gathered: the history says what went wrong. Nothing was decided or"
    " paid. Ask for them again once the cause is gone.",
    "no-trace-at-stripe": "The refund was sent, and Stripe knows nothing of it: nothing was paid.",
    "no-credit-note": "The refund needs a credit note of its invoice, and Stripe would not make one. Nothing was paid.",
    "changed-before-paying": "The look just before paying found something else than the decision. Nothing was paid.",
}
"""Why a case came back to a person after it was decided. The rule that decided then is no reason now."""
REFUSED: Final = "refused-"
"""What such a reason begins with where Stripe refused; what follows is Stripe's own word."""
LABELS: Final[Mapping[str, str]] = {
    "charge.created_at": "charged",
    "charge.is_last": "newest of its subscription",
    "charge.single_payment": "paid in one payment",
    "charge.invoice_sent": "invoice paid by hand",
    "charge.percent_of_dispute_fee": "against a dispute’s fee",
    "charge.refundable_minor": "left to refund",
    "dispute.none": "never disputed",
    "dispute.open_inquiry": "inquiry open",
    "dispute.open_chargeback": "chargeback open",
    "dispute.money_returned": "customer has the money",
    "dispute.won": "chargeback won",
    "dispute.allows_refund": "Stripe allows a refund",
    "dispute.fee_minor": "fee of a dispute",
    "warning.actionable": "fraud warning open",
    "warning.fraud_type": "kind of fraud warning",
    "trial.exists": "began with a trial",
    "trial.charged_at_end": "its end caused the charge",
    "trial.earlier_charge": "charged before it",
    "usage.complete": "watched without a gap",
    "usage.first_at": "first use",
    "usage.last_at": "last use",
    "cancellation.before_charge": "cancelled before the charge",
    "history.trial_by_card": "earlier trial, same card",
    "history.trial_by_email": "earlier trial, same mailbox",
    "history.refunds_customer": "refunds, same customer",
    "history.refunds_card": "refunds, same card",
    "history.refunds_email": "refunds, same mailbox",
    "history.denied_before": "denied before",
    "abuse.linked_trials": "trials of linked customers",
    "abuse.linked_refunds": "refunds to linked customers",
    "request.claims_unused": "says it was not used",
    "request.claims_cancellation": "says it was cancelled",
    "request.nothing_charged": "nothing was ever charged",
    "request.ambiguous": "charge is not clear",
    "desk.mode": "the desk's mode",
}
"""Facts whose name alone says too little; the others are read as they are named."""
