"""`billingbot policy check` and `show`: whether a policy file can be used, and what it says."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated

import typer

from billingbot.cli.output import AsJson, money, say, show_json, show_section, show_table, warn
from billingbot.cli.policy.named import File, in_force, named, read_file

if TYPE_CHECKING:
    from billingbot.core.policy import Policy, Rule
    from billingbot.core.policy.checks import Supply

Which = Annotated[
    str | None, typer.Argument(help="A published version, or a file. Default: the policy that is in force now.")
]


def check(
    file: File = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Loads a policy file and looks for what is wrong with it: every problem of the file at once, then every flaw.

    A flaw is a rule that can never match, two rules that differ in nothing, a refund that can never pay, an example
    that fails (errors: it cannot be published), or a fact that no configured source supplies, a rule that no example
    decides (warnings). Exit code 2 where the file cannot be used, 1 where it has errors.
    """
    from billingbot.core.policy.checks import Severity, check_policy

    found = read_file(file)
    flaws = check_policy(found, supply=_supply())
    errors = [flaw for flaw in flaws if flaw.severity is Severity.ERROR]
    if as_json:
        show_json({**_summary(found), "flaws": list(flaws)})
    else:
        can = "can be used, and not be published" if errors else "can be used"
        say(f"{found.filename} {can}: policy {found.id}, version {found.version}, {len(found.rules)} rules.", "")
        _show_rules(found)
        for flaw in flaws:
            warn(f"{found.filename}:{flaw.line}: {flaw.severity}: {flaw.what}")
    if errors:
        raise typer.Exit(1)


def show(
    version: Which = None,
    *,
    as_json: AsJson = False,
) -> None:
    """A policy in full: clauses, rules with their conditions, limits, due times."""
    found = named(version) if version else in_force()
    if as_json:
        show_json(_summary(found))
        return
    say(f"Policy {found.id}, version {found.version}, {found.digest}, from {found.filename}", "")
    for clause in found.clauses.values():
        say(f"Clause {clause.id}: {clause.title}", f"  {clause.meaning}")
    say("")
    for rule in found.rules:
        say(f"Rule {rule.id} (row {rule.row}, line {rule.line}): {rule.summary}", f"  then {_verdict(rule)}")
        say(*(f"  if {name}: {condition.source}" for name, condition in rule.conditions.items()), "")
    _show_limits(found)


def _supply() -> "Supply | None":
    """What the configured sources can tell; None where the configuration cannot be read: `doctor` says why."""
    from billingbot.bootstrap.settings import read_environment
    from billingbot.bootstrap.settings import read_file as read_configuration
    from billingbot.core.errors import ConfigError
    from billingbot.evidence.config import read_evidence_config
    from billingbot.evidence.supply import supply_of

    try:
        written = read_configuration(read_environment().config)
        return supply_of(read_evidence_config(written.text, file=str(written.path)))
    except ConfigError:
        return None


def _show_rules(policy: "Policy") -> None:
    rows = ((rule.id, rule.row, rule.clause, rule.outcome, _advice(rule), rule.summary) for rule in policy.rules)
    show_table(("rule", "row", "clause", "outcome", "advice", "which is"), rows, title="Rules; the first that matches")
    _show_limits(policy)


def _two_people(above: Mapping[str, int] | None) -> str:
    if above is None:
        return "One person's approval is enough for any amount."
    amounts = ", ".join(money(most, currency) for currency, most in sorted(above.items())) or "nothing"
    return f"Two people approve above {amounts}; in any other currency always."


def _show_limits(policy: "Policy") -> None:
    limits = policy.limits
    amounts = (
        (
            currency.upper(),
            money(most, currency),
            money(limits.daily_amount_max[currency], currency) if currency in limits.daily_amount_max else "no limit",
        )
        for currency, most in sorted(limits.automatic_refund_max.items())
    )
    show_section("Limits of automatic refunds", ("currency", "largest", "in a day"), amounts)
    by = ", ".join(limits.earlier_refunds_by)
    say(
        "",
        f"At most {limits.daily_count_max} automatic refunds a day, "
        f"and one per {by} in {limits.one_automatic_refund_per_days} days.",
        f"The breaker opens above {limits.breaker.refunds_per_hour} automatic refunds an hour, or where more than "
        f"{limits.breaker.refunded_percent_max} in a hundred of at least {limits.breaker.percent_from_requests} "
        "requests a day end in one.",
        _two_people(limits.second_approval_above),
        "A person looks within: " + ", ".join(f"{hours} h ({name})" for name, hours in policy.due_hours.items()) + ".",
    )


def _verdict(rule: "Rule") -> str:
    return f"{rule.outcome}, advice {_advice(rule)}, clause {rule.clause or 'none'}, priority {rule.priority}"


def _advice(rule: "Rule") -> str:
    return rule.recommendation.value if rule.recommendation else "by the rules below"


def _summary(policy: "Policy") -> dict[str, object]:
    return {
        "id": policy.id,
        "version": policy.version,
        "digest": policy.digest,
        "file": policy.filename,
        "clauses": list(policy.clauses.values()),
        "defines": {name: condition.source for name, condition in policy.defines.items()},
        "rules": [_rule(rule) for rule in policy.rules],
        "limits": policy.limits,
        "due_hours": policy.due_hours,
    }


def _rule(rule: "Rule") -> dict[str, object]:
    names = ("id", "row", "line", "clause", "outcome", "recommendation", "priority", "reply", "summary", "waits_for")
    fields = {name: getattr(rule, name) for name in names}
    return {**fields, "when": {name: condition.source for name, condition in rule.conditions.items()}}
