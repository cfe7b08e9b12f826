"""Following: what a word of Stripe about one refund means to our books, whatever was written before. Pure."""

from enum import StrEnum

from billingbot.core.evidence.dossier import Refund
from billingbot.core.refund import LIVE_STATES, RefundIntent, may_become, state_of


class News(StrEnum):
    """What is to be written down."""

    NOTHING = "nothing"
    """It stands there already, or is older than what stands there, such as `pending` after `succeeded`."""
    UNRECOGNISED = "unrecognised"
    """A status that Stripe added since: which refund it is gets noted, and a person looks."""
    FOLLOWED = "followed"
    """Our books become what Stripe says."""


def news_of(refund: RefundIntent, found: Refund) -> News:
    """What `found`, at whatever time it was read, changes for the refund that it belongs to."""
    state = state_of(found.status)
    if state is None:
        return News.UNRECOGNISED if refund.stripe_refund_id is None else News.NOTHING
    if state is refund.state:
        return News.NOTHING if refund.stripe_refund_id == found.id else News.FOLLOWED
    return News.FOLLOWED if may_become(refund.state, state) else News.NOTHING


class Whose(StrEnum):
    """In which row of ours a refund at Stripe is to be written down."""

    OURS = "ours"
    """In that of the intent whose id it carries."""
    ANOTHERS = "anothers"
    """In a row of its own, as one made outside: the intent is tied to another refund already, or it was given up
    and another one has paid in its stead."""
    NOT_YET = "not_yet"
    """Another intent took the place of a given-up one, and its own end is not known: once it is, ask again."""


def whose(refund: RefundIntent, found: Refund, live: RefundIntent | None) -> Whose:
    """Where `found`, which carries the id of `refund`, belongs; `live` is our live refund of the charge, if any.

    One intent is one refund: a second one under our id is somebody else's copy of our metadata. One live intent is
    one charge: what Stripe brings to an end after we gave it up may meet its successor.
    """
    if refund.stripe_refund_id not in {None, found.id}:
        return Whose.ANOTHERS
    if live is None or live.id == refund.id or state_of(found.status) not in LIVE_STATES:
        return Whose.OURS
    return Whose.NOT_YET if live.stripe_refund_id is None else Whose.ANOTHERS
