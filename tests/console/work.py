"""Work for a console: cases of every kind that a person meets, on a real desk with a real local Stripe."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from billingbot.core.mode import Mode
from billingbot.core.request import NamedBy
from tests.flows.shop import Shop


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """Cases by what they are."""

    plain: str
    """An unused trial that the desk's mode holds back: advice refund."""
    used: str
    large: str
    """Above what one person may approve."""
    disputed: str
    repeated: str
    """A second trial with the same card."""
    blind: str
    """A source gave no answer."""
    ambiguous: str


def in_review(shop: Shop, count: int = 1, **how: int) -> list[str]:
    """Unused trials whose refund waits for a person."""
    shop.set_mode(Mode.ASSIST)
    trials = [shop.start_trial(**how) for _ in range(count)]
    shop.end_trials()
    opened = [shop.ask(shop.last_charge(trial), unused=True).case.id for trial in trials]
    shop.work()
    return opened


def all_kinds(shop: Shop) -> Work:
    """One case of each kind."""
    shop.set_mode(Mode.ASSIST)
    earlier = shop.start_trial(card="one-card")
    shop.deliver()
    shop.work()
    shop.stripe.advance(days=1)
    plain, used, blind, disputed = (shop.start_trial() for _ in range(4))
    large = shop.start_trial(amount=249_00_00)
    repeated = shop.start_trial(card="one-card")
    both = shop.start_trial()
    shop.subscribe(both.customer)
    shop.usage.used_by.add(used.customer)
    shop.end_trials()
    shop.deliver()
    shop.work()
    told = "I never installed it and forgot to cancel. Please give me my money back."

    def ask(trial: object, **claims: object) -> str:
        return shop.ask(shop.last_charge(trial), **claims).case.id  # type: ignore[arg-type]

    cases = {
        "plain": ask(plain, unused=True, text=told),
        "used": ask(used, unused=True, text="We do not need it any more."),
        "large": ask(large, unused=True),
        "repeated": ask(repeated, unused=True),
        "ambiguous": shop.ask(both.customer, named_by=NamedBy.CUSTOMER, unused=True).case.id,
    }
    shop.work()
    charge = shop.last_charge(disputed)
    shop.stripe.dispute(charge)
    shop.deliver()
    shop.work()
    cases["disputed"] = shop.cases_of(charge)[0].id
    shop.usage.down = True
    cases["blind"] = ask(blind, unused=True)
    shop.work()
    shop.usage.down = False
    shop.write(
        "UPDATE cases SET due_at = :at WHERE id = :id", id=cases["used"], at=datetime.now(UTC) - timedelta(hours=2)
    )
    del earlier
    return Work(**cases)
