"""`billingbot policy test`: decides the examples that a policy file tells."""

from typing import TYPE_CHECKING

import typer

from billingbot.cli.output import AsJson, say, show_json, show_table, warn
from billingbot.cli.policy.named import File, read_file

if TYPE_CHECKING:
    from billingbot.core.policy.examples import Tried


def try_(
    file: File = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Decides every example of a policy file by it. Exit code 1 where one comes out otherwise than the file says.

    A policy with an example that fails cannot be published.
    """
    from billingbot.core.policy.examples import try_examples

    policy = read_file(file)
    tried = try_examples(policy)
    failed = [one for one in tried if not one.passed]
    if as_json:
        show_json({"file": policy.filename, "version": policy.version, "examples": [_plain(one) for one in tried]})
    else:
        rows = ((one.decision.reason, one.decision.outcome, one.passed, one.example.name) for one in tried)
        show_table(("reason", "outcome", "as expected", "example"), rows, title=f"Examples of {policy.filename}")
        for one in failed:
            _tell(policy.filename, one)
        say("", f"{len(tried)} examples, {len(failed)} failed.")
    if not tried:
        warn(f"{policy.filename}: has no [[example]]; docs/policy.md shows how to write one")
    if failed:
        raise typer.Exit(1)


def _tell(filename: str, tried: "Tried") -> None:
    from billingbot.core.policy.examples import in_words

    example = tried.example
    say("", f"{filename}:{example.line}: {example.name}", f"  given {in_words(example)}")
    say(*(f"  {what}" for what in tried.wrong))


def _plain(tried: "Tried") -> dict[str, object]:
    example, decision = tried.example, tried.decision
    got = {name: getattr(decision, name) for name in ("outcome", "reason", "clause", "recommendation", "rule")}
    wanted = {name: getattr(example, name) for name in ("outcome", "reason", "clause", "recommendation")}
    return {
        "name": example.name,
        "line": example.line,
        "passed": tried.passed,
        "expected": wanted,
        "got": got,
        "wrong": tried.wrong,
    }
