"""Queue: handing out cases fairly, one or several at once, and the lists that people keep of it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from billingbot.core.access.person import person, person_key
from billingbot.core.access.powers import Power
from billingbot.core.case import Case
from billingbot.core.errors import ConflictError, InputError, NotFoundError
from billingbot.core.ids import Kind
from billingbot.core.ledger import Draft, EntryKind
from billingbot.core.wording import line_of
from billingbot.flows.casework.review import Act, claim, release
from billingbot.flows.desk import Desk, step
from billingbot.store import cases, queue_views
from billingbot.store.queue_views import QueueView

# What one page shows, and what one person can mean by a click.
MOST_AT_ONCE: Final = 100
_MOST_NAME: Final = 60
_MOST_QUERY: Final = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Handled:
    """What an act on several cases came to: those that it was done to, and why not for the others."""

    done: tuple[str, ...]
    refused: tuple[tuple[str, str], ...]


def claim_next(desk: Desk, by: str, *, account: str | None = None) -> Case | None:
    """Takes the most urgent case that is in nobody's hands into this person's; None where there is none.

    Any number of people may ask at once: each gets another case, and nobody waits. What has had its first approval
    goes to those who may give the second, and never to the one who gave the first.
    """
    desk.require(Power.DECIDE)
    second_key = person_key(by) if Power.CHECK in desk.powers else None
    with step(desk) as this:
        case = cases.lock_next(this.db, account=account, second_key=second_key)
        if case is None:
            return None
        body = {"how": "next"}
        kind = EntryKind.CASE_CLAIMED
        this.record(Draft(kind=kind, account=case.account, subject=case.id, actor=person(by), body=body))
        return cases.change(this.db, case, assignee=by, recheck_at=None, snoozed_until=None)


def claim_all(desk: Desk, by: str, case_ids: Sequence[str]) -> Handled:
    """Takes these cases into one person's hands, each for itself: what somebody else has stays with them."""
    return _each(case_ids, lambda case_id: claim(desk, Act(case_id=case_id, by=by)), desk)


def release_all(desk: Desk, by: str, case_ids: Sequence[str]) -> Handled:
    """Puts these cases back into the queue, each for itself."""
    return _each(case_ids, lambda case_id: release(desk, Act(case_id=case_id, by=by)), desk)


def save_view(desk: Desk, by: str, *, name: str, query: str) -> QueueView:
    """Keeps a filter of the queue under a name; an earlier one of this person's with the same name becomes it.

    InputError for a name or a filter that is none.
    """
    desk.require(Power.SEE)
    name = line_of("name", " ".join(name.split()), _MOST_NAME)
    if len(query) > _MOST_QUERY or not query.isprintable():
        raise InputError("query", f"expected at most {_MOST_QUERY} printable characters")
    with step(desk) as this:
        return queue_views.save(this.db, this.new_id(Kind.QUEUE_VIEW), owner=person(by), name=name, query=query)


def drop_view(desk: Desk, by: str, view_id: str) -> None:
    """Drops a list of this person's. NotFoundError where they have none of this id."""
    desk.require(Power.SEE)
    with step(desk) as this:
        if not queue_views.drop(this.db, view_id, person(by)):
            raise NotFoundError(f"list {view_id}: there is none of yours")


def _each(case_ids: Sequence[str], act: Callable[[str], Case], desk: Desk) -> Handled:
    desk.require(Power.DECIDE)
    wanted = list(dict.fromkeys(case_ids))
    if not 0 < len(wanted) <= MOST_AT_ONCE:
        raise InputError("cases", f"expected 1 to {MOST_AT_ONCE} cases")
    done, refused = [], []
    for case_id in wanted:
        try:
            done.append(act(case_id).id)
        except (ConflictError, NotFoundError) as fault:
            refused.append((case_id, str(fault)))
    return Handled(done=tuple(done), refused=tuple(refused))
