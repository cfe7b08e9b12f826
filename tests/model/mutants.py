"""Rules with one safety taken away each: whatever they break, the model must find it."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Final

from billingbot.core import following, paying
from billingbot.core.evidence.dossier import Refund
from billingbot.core.following import News
from billingbot.core.paying import Known, Move
from billingbot.core.refund import KEY_LIFE, QUIET_BEFORE_ABSENT, RefundIntent, state_of
from tests.model.our_side import Rules


def _key_lives_two_days(known: Known) -> Move:
    """The key is sent for 48 hours: Stripe has forgotten it by then."""
    if known.attempt is None:
        return paying.next_move(known)
    younger = replace(known.attempt, first_sent_at=known.attempt.first_sent_at + timedelta(hours=48) - KEY_LIFE)
    return paying.next_move(replace(known, attempt=younger))


def _no_proof_of_absence(known: Known) -> Move:
    """Whatever Stripe lists, nothing is asked for."""
    return paying.next_move(replace(known, absent_before=True, absent_after=True))


def _no_silence(known: Known) -> Move:
    """An absence counts at once, with the last call perhaps still on the wire."""
    move = paying.next_move(known)
    if move is not Move.WAIT or known.attempt is None:
        return move
    long_ago = replace(known.attempt, last_sent_at=known.now - QUIET_BEFORE_ABSENT)
    return paying.next_move(replace(known, attempt=long_ago))


def _new_key_whenever_unsure(known: Known) -> Move:
    """A lost answer is met with a new attempt under a new key."""
    move = paying.next_move(known)
    return Move.BEGIN if move is Move.RESEND else move


def _old_news_too(refund: RefundIntent, found: Refund) -> News:
    """Every word of Stripe is written down, in the order in which it happens to be committed."""
    same = state_of(found.status) is refund.state
    return following.news_of(refund, found) if same else News.FOLLOWED


MUTANTS: Final[Mapping[str, Rules]] = {
    "a key lives for 48 hours": Rules(next_move=_key_lives_two_days),
    "Stripe is not asked before a new key": Rules(next_move=_no_proof_of_absence),
    "a lost answer is met with a new key": Rules(next_move=_new_key_whenever_unsure),
    "each send has a key of its own": Rules(key_on_resend=lambda attempt: f"{attempt.key}:{attempt.sends}"),
    "nobody looks whether the rows changed": Rules(still_as_seen=lambda *_: True),
    "a look holds for ever": Rules(still_holds_at=lambda *_: True),
    "a call leaves however long it was held up": Rules(leaves_within=timedelta(days=365)),
    "the mode is not asked before the call": Rules(may_leave=lambda *_: True),
    "stale news overwrites newer news": Rules(news_of=_old_news_too),
    "news of failure is not followed": Rules(
        news_of=lambda refund, found: News.NOTHING if found.status == "failed" else following.news_of(refund, found)
    ),
}
NO_SILENCE: Final = Rules(next_move=_no_silence)
