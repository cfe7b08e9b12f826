"""A loaded refund policy as values: clauses, named definitions, rules in order, limits, replies."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from billingbot.core.breaker import DEFAULT_BREAKER, BreakerLimits
from billingbot.core.decision import Outcome, Priority, Recommendation
from billingbot.core.errors import ConfigError
from billingbot.core.facts import FactValue
from billingbot.core.policy.conditions import Compiler, Condition
from billingbot.core.policy.replies import Reply
from billingbot.core.policy.story import Story
from billingbot.core.refund_terms import RefundTerms


class PolicyError(ConfigError):
    """A policy file that cannot be used; carries every problem at once, each with file and line."""


class CountBy(StrEnum):
    """What earlier automatic refunds are counted by: the same customer, card or normalised e-mail."""

    CUSTOMER = "customer"
    CARD = "card"
    EMAIL = "email"


@dataclass(frozen=True, slots=True, kw_only=True)
class Clause:
    """A sentence of the written policy that rules serve, in our own words."""

    id: str
    title: str
    meaning: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One rule: it matches where all its conditions are true.

    `recommendation` is None where the file says `by_other_rules`: then the rules below it are asked what they
    would say of the charge without its dispute. `facts` are all facts the rule reads, through definitions too.
    `waits_for` are facts whose change lets the case be assessed again while nobody has taken it.
    """

    id: str
    row: int
    clause: str | None
    outcome: Outcome
    recommendation: Recommendation | None
    priority: Priority
    reply: str | None
    summary: str
    conditions: Mapping[str, Condition]
    waits_for: tuple[str, ...]
    facts: frozenset[str]
    line: int
    """Where it stands in the file, from 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """A case with its verdict, as the file tells it: the facts in which it differs from the base of all examples.

    A fact of None is unknown. `story` is told instead of facts where times and counts are what matters, `told` the
    part of it that is the example's own. `clause` and `recommendation` are None where the example is silent.
    """

    name: str
    facts: Mapping[str, FactValue | None]
    story: Story | None
    told: tuple[str, ...]
    outcome: Outcome
    reason: str
    clause: str | None
    recommendation: Recommendation | None
    line: int
    """Where it stands in the file, from 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Inside these a refund leaves without a person. Amounts in minor units by lower-case currency."""

    automatic_refund_max: Mapping[str, int]
    daily_amount_max: Mapping[str, int]
    daily_count_max: int
    """Automatic refunds a day, over all currencies."""
    one_automatic_refund_per_days: int
    """The window in which a second automatic refund to the same customer, card or e-mail needs a person."""
    earlier_refunds_by: tuple[CountBy, ...]
    breaker: BreakerLimits = DEFAULT_BREAKER
    second_approval_above: Mapping[str, int] | None = None
    """Above these amounts two people approve; None where the policy asks for that nowhere."""

    def wants_two(self, amount_minor: int, currency: str) -> bool:
        """Whether a refund of this amount needs two people's approval.

        In a currency that is not listed every refund does: nobody has said what is little in it.
        """
        if self.second_approval_above is None:
            return False
        above = self.second_approval_above.get(currency)
        return above is None or amount_minor > above


@dataclass(frozen=True, slots=True, kw_only=True)
class DailyLimits:
    """What may leave automatically within a day in one currency; None where the currency has no limit set."""

    amount_max_minor: int | None
    count_max: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """A policy that loaded: every expression compiled, every name checked. Safe to share between threads."""

    id: str
    version: str
    clauses: Mapping[str, Clause]
    defines: Mapping[str, Condition]
    """Named conditions in the file's order, which rules use as `define.NAME`; unknown where they are."""
    rules: tuple[Rule, ...]
    limits: Limits
    due_hours: Mapping[Priority, int]
    """Within how many hours a person should look at a review, by its priority."""
    dispute_fees: Mapping[str, int]
    """What a dispute costs whoever wins, in minor units by lower-case currency."""
    replies: Mapping[str, Reply]
    terms: RefundTerms
    filename: str
    source: str
    digest: str
    effective_from: datetime | None = None
    """From which charge on it means to count once it is published; None says from then on."""
    example_base: Mapping[str, FactValue | None] = field(default_factory=dict)
    """What every example starts from; a fact that is not in it is unknown."""
    examples: tuple[Example, ...] = ()
    compiler: Compiler = field(repr=False, compare=False)

    def rule(self, rule_id: str) -> Rule | None:
        """The rule of that id, if there is one."""
        return next((rule for rule in self.rules if rule.id == rule_id), None)


def daily_limits(policy: Policy, currency: str) -> DailyLimits:
    """The day's budget in this currency and the day's count over all; the flow checks them under a lock."""
    return DailyLimits(
        amount_max_minor=policy.limits.daily_amount_max.get(currency), count_max=policy.limits.daily_count_max
    )
