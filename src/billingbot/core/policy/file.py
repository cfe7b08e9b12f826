"""Loading a policy file: TOML to compiled rules, or every problem at once with file, line and rule."""

import re
import tomllib
from typing import Any, Final

from billingbot.core.canonical import digest
from billingbot.core.policy.example_tables import ExampleReader
from billingbot.core.policy.replies import DEFAULT_LANGUAGE
from billingbot.core.policy.reply_tables import read_replies, read_reply_language
from billingbot.core.policy.rule_tables import RuleReader
from billingbot.core.policy.rules import Policy, PolicyError
from billingbot.core.policy.setting_tables import (
    read_clauses,
    read_dispute_fees,
    read_due_hours,
    read_limits,
    read_terms,
)
from billingbot.core.policy.tables import Problems, Table
from billingbot.core.toml_lines import toml_lines

# The shipped policy has about 20 KiB; a file of this size is a mistake, and compiling it would hold up a process.
SOURCE_BYTES_MAX: Final = 512 * 1024
_TOLD_LINE: Final = re.compile(r"at line (\d+)")


def load_policy(text: str | bytes, *, filename: str) -> Policy:
    """The policy in this text. Raises PolicyError with all problems, each as `file:line: where: what`.

    Give the file's bytes where there is a file: the digest is over exactly these.
    """
    source, content = _decoded(text, filename)
    raw = _parsed(source, filename)
    problems = Problems(filename, toml_lines(source))
    policy = _policy(Table(raw, (), problems, ""), problems, filename, source, digest(content))
    if policy is None or problems.found:
        raise PolicyError(problems.texts())
    return policy


def _policy(top: Table, problems: Problems, filename: str, source: str, content_digest: str) -> Policy | None:
    head = top.table("policy", where="policy")
    policy_id = head.name("id") if head else None
    version = head.text("version") if head else None
    effective_from = head.instant("effective_from", required=False) if head else None
    language = read_reply_language(head) if head else None
    if head:
        head.finish()
    clauses = read_clauses(top)
    replies = read_replies(top, language or DEFAULT_LANGUAGE)
    reader = RuleReader(top, problems, clauses=clauses, replies=replies)
    defines = reader.defines()
    rules = reader.rules()
    limits = read_limits(top)
    dispute_fees = read_dispute_fees(top)
    due_hours = read_due_hours(top)
    terms = read_terms(top)
    telling = ExampleReader(top, clauses=clauses)
    base, examples = telling.base(), telling.examples()
    top.finish()
    if policy_id is None or version is None or limits is None:
        return None
    return Policy(
        id=policy_id,
        version=version,
        clauses=clauses,
        defines=defines,
        rules=rules,
        limits=limits,
        dispute_fees=dispute_fees,
        due_hours=due_hours,
        replies=replies,
        terms=terms,
        filename=filename,
        source=source,
        digest=content_digest,
        effective_from=effective_from,
        example_base=base,
        examples=examples,
        compiler=reader.compiler,
    )


def _decoded(text: str | bytes, filename: str) -> tuple[str, bytes]:
    try:
        source, content = (text, text.encode()) if isinstance(text, str) else (text.decode(), text)
    except (UnicodeDecodeError, UnicodeEncodeError) as error:
        raise PolicyError([f"{filename}:1: expected UTF-8: {error.reason} at {error.start}"]) from error
    if len(content) > SOURCE_BYTES_MAX:
        raise PolicyError([f"{filename}:1: expected at most {SOURCE_BYTES_MAX} bytes, got {len(content)}"])
    return source, content


def _parsed(source: str, filename: str) -> dict[str, Any]:
    try:
        raw = tomllib.loads(source)
    except RecursionError as error:
        raise PolicyError([f"{filename}:1: nested too deeply"]) from error
    except ValueError as error:  # TOMLDecodeError, and numbers or dates out of Python's range
        told = _TOLD_LINE.search(str(error))
        line = int(told.group(1)) if told else source.count("\n") + 1
        raise PolicyError([f"{filename}:{line}: not TOML: {error}"]) from error
    if not raw:
        raise PolicyError([f"{filename}:1: the policy is empty"])
    return raw
