"""The report: faults by kind with their rates, what went through meanwhile, and violations with their stories."""

from collections import defaultdict
from collections.abc import Mapping

from tests.torture.run import Result
from tests.torture.story import told


def report(result: Result) -> str:
    """For people."""
    lines = [
        f"seed {result.plan.seed}, {result.seconds:.0f} s ({result.plan.seconds:.0f} s of faults), {result.machine}",
        f"{result.total:,} faults, {result.total / max(1.0, result.plan.seconds):.1f} a second:",
    ]
    groups: dict[str, list[str]] = defaultdict(list)
    for kind, count in result.faults.items():
        group, _, name = kind.partition(".")
        groups[group].append(f"{count:,} {name.replace('_', ' ')}")
    lines += [f"  {group}: {', '.join(kinds)}" for group, kinds in groups.items()]
    refunds = ", ".join(f"{count:,} {origin}" for origin, count in result.refunds.items()) or "none"
    lines += [
        f"{result.customers:,} customers, {result.charges:,} charges, {result.requests:,} requests",
        f"{result.nights} nights, {result.acts:,} acts of people, {result.events:,} events, {result.jobs:,} jobs",
        f"refunds at Stripe: {refunds}",
        f"cases: {_counted(result.cases)}",
        f"disputes: {_counted(result.disputes)}",
        f"people: {_counted(result.people)}",
        f"ledger: {_counted(result.entries)}",
        f"{result.credit_notes:,} refunds by credit note",
        f"answers to banks: {_counted(result.answers)}",
        f"{result.calls_to_pay:,} calls to pay, {result.calls_under_fire:,} of them while things broke",
        f"{result.saved_by_stripe} second calls to pay that Stripe alone refused",
    ]
    if not result.violations:
        return "\n".join([*lines, "no violation"])
    lines.append(f"{len(result.violations)} VIOLATIONS (seed {result.plan.seed}):")
    lines += [f"  {one.check}: {one.says} {one.about}".rstrip() for one in result.violations[:50]]
    return "\n".join([*lines, *map(told, result.stories)])


def _counted(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} {what}" for what, count in counts.items()) or "nothing"
