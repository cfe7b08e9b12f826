"""`billingbot policy diff`: what changes from one policy to another, rule by rule and in words."""

from itertools import groupby
from typing import TYPE_CHECKING, Annotated

import typer

from billingbot.cli.output import AsJson, say, show_json
from billingbot.cli.policy.named import in_force, named

if TYPE_CHECKING:
    from billingbot.core.policy import Policy

Before = Annotated[str, typer.Argument(help="The older one: a published version, or a file.", metavar="A")]
After = Annotated[
    str | None, typer.Argument(help="The newer one. Without it: from what is in force now to A.", metavar="[B]")
]


def diff(
    before: Before,
    after: After = None,
    *,
    as_json: AsJson = False,
) -> None:
    """What changes from A to B: rules, conditions, limits with their amounts, clauses, replies, examples.

    Exit code 0 whether or not anything does.
    """
    from billingbot.core.policy.differences import differences

    old, new = (in_force(), named(before)) if after is None else (named(before), named(after))
    found = differences(old, new)
    if as_json:
        show_json({"before": _name(old), "after": _name(new), "differences": list(found)})
        return
    say(f"From {old.id} {old.version} to {new.id} {new.version}:")
    if not found:
        say("", "Nothing changes." if old.digest == new.digest else "Nothing changes but comments and layout.")
    for part, changes in groupby(found, key=lambda one: one.part):
        say("", f"{part.value.capitalize()}:", *(f"  {change.what}" for change in changes))


def _name(policy: "Policy") -> dict[str, str]:
    return {"id": policy.id, "version": policy.version, "digest": policy.digest}
