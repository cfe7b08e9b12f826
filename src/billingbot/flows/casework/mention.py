"""Mention: whoever a note names hears of it, and finds it in a list of their own."""

from collections.abc import Sequence

from billingbot.core.access.person import person, person_key
from billingbot.core.access.powers import Power
from billingbot.core.case import Case
from billingbot.core.mention import named_in
from billingbot.core.notice import Notice, NoticeKind
from billingbot.flows.desk import Desk, Step, step
from billingbot.flows.notify import tell
from billingbot.store import mentions, people


def mention(this: Step, case: Case, note_id: str, text: str, *, by: str) -> Sequence[str]:
    """Keeps whom the note names, in the caller's transaction, and tells that somebody is asked for; their names.

    Whoever writes does not mention themselves, and nobody mentions who may not sign in any more. The notice says who
    is asked to nobody: it names the case.
    """
    active = [one.name for one in people.everybody(this.db) if one.disabled_at is None]
    named = [name for name in named_in(text, active) if person_key(name) != person_key(by)]
    if not named:
        return ()
    mentions.write(this.db, note_id, case.id, named)
    notice = Notice(
        kind=NoticeKind.MENTIONED,
        account=case.account,
        subject=case.id,
        headline="a note asks for somebody",
        body="A note on a case names a colleague, who finds it under Mentions in the queue.",
    )
    tell(this, notice)
    return named


def saw(desk: Desk, case_id: str, *, by: str) -> None:
    """This person has seen the case, and with it all that its notes ask of them."""
    desk.require(Power.SEE)
    with step(desk) as this:
        mentions.seen(this.db, person(by), case_id)
