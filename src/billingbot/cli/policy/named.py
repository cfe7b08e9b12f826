"""What a command means by a policy: a file, a published version, or what is in force when nothing is named."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

if TYPE_CHECKING:
    from billingbot.core.policy import Policy

File: TypeAlias = Annotated[
    Path | None, typer.Argument(help="The file. Default: BILLINGBOT_POLICY, or config/policy.toml.")
]


def read_file(file: Path | None) -> "Policy":
    """The policy of that file, or of the configured one. ConfigError carries every problem of it."""
    from billingbot.bootstrap.build import read_policy
    from billingbot.bootstrap.settings import read_environment

    return read_policy(file, named_by=None) if file else read_policy(read_environment().policy)


def named(text: str) -> "Policy":
    """The policy in the file of that name, else the published version of that name.

    NotFoundError where there is neither; NothingRunsError where only a database could tell.
    """
    from billingbot.cli.session import desk
    from billingbot.flows.policy.publish import read_version

    if Path(text).is_file():
        return read_file(Path(text))
    with desk() as at:
        _, policy = read_version(at, text)
    return policy


def in_force() -> "Policy":
    """The policy that judges a charge made now; that of the configured file where no database is there to ask."""
    from billingbot.cli.connection import NothingRunsError
    from billingbot.cli.session import desk

    try:
        with desk() as at:
            return at.policy_for(None)
    except NothingRunsError:
        return read_file(None)
