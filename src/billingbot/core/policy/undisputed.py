"""What the policy says to a charge had nobody disputed it: the reasons behind accepting or contesting a chargeback."""

from dataclasses import dataclass

from billingbot.core.decision import Outcome, Recommendation
from billingbot.core.facts import Facts, FactValue
from billingbot.core.policy.conditions import known_values
from billingbot.core.policy.deciding import UNDISPUTED, Verdict, first_match
from billingbot.core.policy.rules import Policy, Rule


@dataclass(frozen=True, slots=True, kw_only=True)
class Opinion:
    """Accept, contest, or no advice: with the rule and clause it comes from, in the policy's own words."""

    advice: Recommendation
    rule: str
    clause: str | None
    summary: str
    missing: tuple[str, ...]
    """Facts that are unknown and stood before this rule: whoever acts on the advice should know them."""

    @property
    def contests(self) -> bool:
        """Whether the policy would have declined."""
        return self.advice is Recommendation.CONTEST_DISPUTE

    @property
    def accepts(self) -> bool:
        """Whether the customer was in the right."""
        return self.advice is Recommendation.ACCEPT_DISPUTE


def opinion(facts: Facts, policy: Policy, *, claims_cancellation: bool) -> Opinion:
    """Accept where the rules would have refunded an undisputed charge, contest where they would have declined.

    A bank that says `subscription_canceled` claims a cancellation for its cardholder, so that claim counts here.
    Unknown facts that leave an earlier rule open leave the advice open too (law 5): it is `none` then.
    """
    values: dict[str, FactValue] = dict(known_values(facts)) | dict(UNDISPUTED)
    if claims_cancellation:
        values["request.claims_cancellation"] = True
    verdict = first_match(policy.rules, policy.compiler.view(values, policy.defines))
    return Opinion(
        advice=_advice(verdict),
        rule=verdict.rule.id,
        clause=verdict.rule.clause,
        summary=verdict.rule.summary,
        missing=tuple(sorted(verdict.missing)),
    )


def _advice(verdict: Verdict) -> Recommendation:
    rule = verdict.rule
    if rule.outcome is Outcome.REVIEW and rule.recommendation is Recommendation.REFUND:
        return Recommendation.ACCEPT_DISPUTE  # a charge after a cancellation: no unknown makes it better
    if any(_grants(open_rule) for open_rule in verdict.undecided):
        return Recommendation.NONE
    if rule.outcome is Outcome.REFUND:
        return Recommendation.NONE if verdict.undecided else Recommendation.ACCEPT_DISPUTE
    if rule.recommendation is Recommendation.DECLINE:
        return Recommendation.CONTEST_DISPUTE
    return Recommendation.NONE


def _grants(rule: Rule) -> bool:
    return rule.outcome is Outcome.REFUND or rule.recommendation is Recommendation.REFUND
