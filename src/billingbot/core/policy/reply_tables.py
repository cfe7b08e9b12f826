"""The replies of a policy file: texts for the customer, by name and language."""

from typing import Final

from billingbot.core.policy.replies import Letter, Reply, is_language, template_faults
from billingbot.core.policy.tables import NAME, Table

# Where the file names no subject. An answer finds its case by it.
_SUBJECT: Final = "{{ case }}"


def read_reply_language(head: Table) -> str | None:
    """`reply_language` of the `[policy]` table, if it is there and a language."""
    tag = head.text("reply_language", required=False)
    if tag is not None and not is_language(tag):
        head.problem("reply_language", f"reply_language: expected a language such as en or pt-br, got {tag!r}")
        return None
    return tag


def read_replies(top: Table, default: str) -> dict[str, Reply]:
    """The `[replies]` table: templates by name and language, with only what is safe to send in their reach.

    A plain text is in the `default` language, that of whoever prefers none of those there are.
    """
    table = top.table("replies", where="replies")
    replies: dict[str, Reply] = {}
    for name in table.raw if table else ():
        if table is None:
            continue
        if not NAME.fullmatch(name):
            table.problem(name, f"expected lower-case words joined by hyphens, got {name!r}")
        letters = _letters(table, name, default)
        if letters and default not in letters:
            table.problem(
                name, f"{name}: is not written in {default}, the language for whoever prefers none of its own"
            )
        if letters:
            replies[name] = Reply(letters=letters, default=default)
    return replies


def _letters(table: Table, name: str, default: str) -> dict[str, Letter]:
    """A reply's texts by language: one plain text, or a table for each language."""
    if not isinstance(table.raw[name], dict):
        text = table.text(name)
        if text is None:
            return {}
        _check_template(table, name, name, text)
        return {default: Letter(subject=_SUBJECT, text=text)}
    by_language = table.table(name, where=f"replies: {name}")
    letters: dict[str, Letter] = {}
    for tag in by_language.raw if by_language else ():
        entry = by_language.table(tag, where=f"replies: {name}: {tag}") if by_language else None
        if entry is None or by_language is None:
            continue
        if not is_language(tag):
            by_language.problem(tag, f"{tag}: expected a language such as en or pt-br")
        subject, text = entry.text("subject"), entry.text("text")
        entry.finish()
        for key, template in (("subject", subject), ("text", text)):
            if template is not None:
                _check_template(entry, key, key, template)
        if subject is not None and text is not None:
            letters[tag] = Letter(subject=subject, text=text)
    return letters


def _check_template(table: Table, key: str, where: str, text: str) -> None:
    for fault in template_faults(text):
        table.problem(key, f"{where}: {fault}")
