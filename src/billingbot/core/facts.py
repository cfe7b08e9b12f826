"""Everything a decision may see: each fact typed, and known or unknown, with its source and its instant."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Final, TypeAlias

FactValue: TypeAlias = bool | int | str | datetime


class FactType(StrEnum):
    """The type of a fact, named as CEL names it; a policy is checked against these when it is loaded."""

    BOOL = "bool"
    INT = "int"
    STRING = "string"
    TIMESTAMP = "timestamp"


@dataclass(frozen=True, slots=True, kw_only=True)
class FactSpec:
    """What a fact means, so that whoever writes a policy need not read code."""

    type: FactType
    meaning: str


def _bool(meaning: str) -> FactSpec:
    return FactSpec(type=FactType.BOOL, meaning=meaning)


def _int(meaning: str) -> FactSpec:
    return FactSpec(type=FactType.INT, meaning=meaning)


def _string(meaning: str) -> FactSpec:
    return FactSpec(type=FactType.STRING, meaning=meaning)


def _timestamp(meaning: str) -> FactSpec:
    return FactSpec(type=FactType.TIMESTAMP, meaning=meaning)


# New facts stand behind those there are: decisions name facts in this order, and what was decided keeps its bytes.
CATALOGUE: Final[Mapping[str, FactSpec]] = {
    "request.channel": _string("api, console, cli, inquiry, early_fraud_warning or dispute"),
    "request.claims_unused": _bool("the customer says the product was not used"),
    "request.claims_cancellation": _bool("the customer says it was cancelled before the charge"),
    "request.nothing_charged": _bool("what the request names exists, and nothing was ever charged for it"),
    "request.ambiguous": _bool("the request could mean more than one charge, or none that Stripe knows"),
    "charge.succeeded": _bool("the charge's status is succeeded"),
    "charge.captured": _bool("the money was captured, not only authorised"),
    "charge.amount_minor": _int("captured amount in minor units"),
    "charge.refunded_minor": _int("already refunded or in a pending refund, in minor units"),
    "charge.refundable_minor": _int("captured and not refunded, in minor units"),
    "charge.currency": _string("three lower-case letters"),
    "charge.created_at": _timestamp("when the charge was made"),
    "charge.is_last": _bool("no newer successful charge on the same subscription (or customer, if none)"),
    "charge.single_payment": _bool("its invoice was paid by exactly this one payment, wholly through Stripe"),
    "charge.invoice_sent": _bool("its invoice was sent to be paid by hand, nothing was charged by itself"),
    "dispute.none": _bool("no dispute of any kind was ever opened on the charge"),
    "dispute.open_inquiry": _bool("the bank asks and no money has moved"),
    "dispute.open_chargeback": _bool("a chargeback is open: the money was withdrawn"),
    "dispute.money_returned": _bool("the customer has the money: lost, prevented or resolved by RDR"),
    "dispute.won": _bool("a chargeback was won: the money came back to us"),
    "dispute.allows_refund": _bool("Stripe's is_charge_refundable holds for every dispute of the charge"),
    "warning.actionable": _bool("an early fraud warning asks for a decision"),
    "trial.exists": _bool("the subscription began with a free trial"),
    "trial.started_at": _timestamp("start of the trial"),
    "trial.ended_at": _timestamp("end of the trial; lies in the past"),
    "trial.ended_early": _bool("the end of the trial was moved forward (an upgrade)"),
    "trial.charged_at_end": _bool("this charge is the one that the end of the trial caused"),
    "trial.earlier_charge": _bool("an earlier charge above zero on the same subscription"),
    "usage.used": _bool("any tag hit or API call, ever, or a tag or API marked as installed or connected"),
    "usage.complete": _bool("every activity source covers trial start to now"),
    "usage.first_at": _timestamp("first use seen"),
    "usage.last_at": _timestamp("last use seen"),
    "cancellation.before_charge": _bool("a cancellation before the charge, on Stripe or in support records"),
    "history.trial_by_card": _bool("another customer's earlier trial used the same card fingerprint"),
    "history.trial_by_email": _bool("another customer's earlier trial used the same normalised e-mail"),
    "history.refunds_customer": _int("automatic refunds to this customer within the policy's window"),
    "history.refunds_card": _int("automatic refunds to this card within the policy's window"),
    "history.refunds_email": _int("automatic refunds to this normalised e-mail within the policy's window"),
    "history.denied_before": _bool("a person denied a refund of this very charge before"),
    "desk.mode": _string("off, shadow, assist or auto, at the time of the decision"),
    "warning.fraud_type": _string("what the newest early fraud warning says it was, in Stripe's word"),
    "dispute.fee_minor": _int("what a dispute costs whoever wins, in minor units of the charge's currency"),
    "charge.percent_of_dispute_fee": _int("what is left of the charge, in percent of that fee, rounded up"),
    "abuse.linked_trials": _int("trials of other customers whom strong links lead to, at the latest look"),
    "abuse.linked_refunds": _int("refunds to those customers that left or are on their way"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """A fact that was established. `as_of` is when its source could speak for it (UTC)."""

    value: FactValue
    source: str
    as_of: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Unknown:
    """A fact that could not be established; `why` is for people. It never helps a refund (law 5)."""

    why: str
    source: str
    as_of: datetime


Fact: TypeAlias = Known | Unknown


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """All facts of one decision, as of one instant; `exhibits` is what a person wants to see beside them.

    Every fact of the catalogue is present (known or unknown) and of its type: ValueError names one that is not.
    `exhibits` holds plain JSON values (source reports with coverage, linked trials, candidate charges); it takes
    part in the digest and in no decision.
    """

    at: datetime
    facts: Mapping[str, Fact]
    exhibits: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._check_names(self.facts.keys())
        for name, fact in self.facts.items():
            if name in CATALOGUE and isinstance(fact, Known) and not _is_of_type(fact.value, CATALOGUE[name].type):
                raise ValueError(f"facts: {name} should be a {CATALOGUE[name].type}, got {fact.value!r}")

    def _check_names(self, names: Collection[str]) -> None:
        missing = CATALOGUE.keys() - set(names)
        if missing:
            raise ValueError(f"facts: missing {sorted(missing)}")
        extra = set(names) - CATALOGUE.keys()
        if extra:
            raise ValueError(f"facts: not in the catalogue: {sorted(extra)}")

    def __getitem__(self, name: str) -> Fact:
        return self.facts[name]

    def known(self, name: str) -> FactValue | None:
        """The value where it is known, else None."""
        fact = self[name]
        return fact.value if isinstance(fact, Known) else None

    def unknowns(self) -> Iterator[tuple[str, Unknown]]:
        """The facts that could not be established, in the catalogue's order."""
        for name in CATALOGUE:
            fact = self[name]
            if isinstance(fact, Unknown):
                yield name, fact


@dataclass(frozen=True, slots=True, kw_only=True)
class EarlierFacts(Facts):
    """Facts as they were stored, by the catalogue of then, and with the very bytes of then.

    What the catalogue has gained since is unknown, for nobody established it, and stands in no byte: a decision that
    was made from these facts comes out the same, digest and all, however much is known about a charge today. What
    it has lost since is kept as it was.
    """

    def _check_names(self, names: Collection[str]) -> None:
        """Any names will do: which facts there were then is told by those that were stored."""

    def __getitem__(self, name: str) -> Fact:
        found = self.facts.get(name)
        return found or Unknown(why="not yet a fact when this was decided", source="catalogue", as_of=self.at)

    @property
    def gained(self) -> tuple[str, ...]:
        """The facts that exist today and did not when these were stored, in the catalogue's order."""
        return tuple(name for name in CATALOGUE if name not in self.facts)


def _is_of_type(value: FactValue, type_: FactType) -> bool:
    match type_:
        case FactType.BOOL:
            return type(value) is bool
        case FactType.INT:
            return type(value) is int
        case FactType.STRING:
            return type(value) is str
        case FactType.TIMESTAMP:
            return isinstance(value, datetime) and value.tzinfo is not None
