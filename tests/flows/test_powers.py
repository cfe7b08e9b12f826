"""Who may what, verb by verb: each asks for its one power before it looks at anything else."""

import importlib
import inspect
import pkgutil
import typing
from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass
from typing import Any, Final

import pytest

import billingbot.flows
from billingbot.core.access.powers import ALL, Power
from billingbot.core.errors import ForbiddenError
from billingbot.flows.desk import Desk

_P = Power
VERBS: Final = {
    "disputes.accepting.ask_to_accept": _P.CHECK,
    "disputes.accepting.confirm_acceptance": _P.CHECK,
    "disputes.accepting.take_back": _P.CHECK,
    "activity.push": _P.PUSH,
    "casework.answer_customer.write_reply": _P.DECIDE,
    "casework.attend.attend": _P.SEE,
    "replay.backfill.ask": _P.RUN,
    "policy.backtests.ask": _P.PUBLISH,
    "policy.backtests.flips_of": _P.SEE,
    "policy.backtests.result_of": _P.SEE,
    "policy.backtests.stop": _P.PUBLISH,
    "breaker.close_breaker": _P.SWITCH,
    "breaker.list_breakers": _P.SEE,
    "cancel.settled_by_hand": _P.DECIDE,
    "cancel.try_again": _P.DECIDE,
    "disputes.contest.draft_packet": _P.SEE,
    "disputes.drafting.draft_again": _P.DECIDE,
    "disputes.editing.drop": _P.DECIDE,
    "disputes.editing.edit": _P.DECIDE,
    "disputes.editing.restore": _P.DECIDE,
    "casework.letters.preview": _P.SEE,
    "casework.letters.send": _P.DECIDE,
    "casework.mention.saw": _P.SEE,
    "books.months.close": _P.SIGN,
    "books.months.close_whole": _P.SIGN,
    "books.months.sign": _P.SIGN,
    "casework.name_charge.name_charge": _P.DECIDE,
    "disputes.note_for_bank.mark_note": _P.DECIDE,
    "notify.saw_notices": _P.SEE,
    "notify.try_routes": _P.RUN,
    "access.people.add": _P.MANAGE,
    "access.people.disable": _P.MANAGE,
    "access.people.enable": _P.MANAGE,
    "access.people.everybody": _P.MANAGE,
    "access.people.find": _P.MANAGE,
    "access.people.reset": _P.MANAGE,
    "access.people.revoke": _P.MANAGE,
    "access.people.list_sessions": _P.MANAGE,
    "access.people.set_roles": _P.MANAGE,
    "privacy.erase": _P.MANAGE,
    "privacy.preview": _P.MANAGE,
    "privacy.show": _P.MANAGE,
    "privacy.shown_again": _P.MANAGE,
    "privacy_searches.agree": _P.MANAGE,
    "privacy_searches.drop": _P.MANAGE,
    "privacy_searches.look": _P.MANAGE,
    "privacy_searches.show": _P.MANAGE,
    "privacy_searches.whose": _P.MANAGE,
    "policy.publish.publish": _P.PUBLISH,
    "policy.publish.published": _P.SEE,
    "policy.publish.read_version": _P.SEE,
    "disputes.purchase_facts.tell_purchase": _P.PUSH,
    "casework.queue.claim_all": _P.DECIDE,
    "casework.queue.claim_next": _P.DECIDE,
    "casework.queue.drop_view": _P.SEE,
    "casework.queue.release_all": _P.DECIDE,
    "casework.queue.save_view": _P.SEE,
    "casework.reassign.reassign": _P.DECIDE,
    "reconcile.passing.ask": _P.RUN,
    "reconcile.passing.reconcile_whole": _P.RUN,
    "replay.replay.dismiss": _P.RUN,
    "replay.replay.survey": _P.SEE,
    "replay.replay_runs.drive": _P.RUN,
    "replay.replay_runs.enqueue": _P.RUN,
    "replay.replay_runs.jobs_of_events": _P.SEE,
    "replay.replay_runs.let_go": _P.RUN,
    "replay.replay_runs.remaining": _P.SEE,
    "replay.replay_runs.resume": _P.RUN,
    "replay.replay_runs.start": _P.RUN,
    "replay.replay_runs.stop": _P.RUN,
    "request.ask": _P.ASK,
    "casework.review.approve": _P.DECIDE,
    "casework.review.ask_again": _P.DECIDE,
    "casework.review.blockers_of": _P.SEE,
    "casework.review.claim": _P.DECIDE,
    "casework.review.deny": _P.DECIDE,
    "casework.review.note": _P.DECIDE,
    "casework.review.release": _P.DECIDE,
    "disputes.sending.send": _P.DECIDE,
    "disputes.sending.stage": _P.DECIDE,
    "policy.shadow.start_shadow": _P.PUBLISH,
    "policy.shadow.stop_shadow": _P.PUBLISH,
    "access.sealing.seal_again": _P.MANAGE,
    "access.sign_in.first_link": _P.MANAGE,
    "access.sign_in.make_link": _P.MANAGE,
    "casework.snooze.snooze": _P.DECIDE,
    "casework.snooze.wake": _P.DECIDE,
    "casework.unlink.relink": _P.DECIDE,
    "casework.unlink.unlink": _P.DECIDE,
    "sightings.push_sightings": _P.PUSH,
    "switch.create_key": _P.MANAGE,
    "switch.current_modes": _P.SEE,
    "switch.list_keys": _P.MANAGE,
    "switch.revoke_key": _P.MANAGE,
    "switch.set_mode": _P.SWITCH,
}
"""Every verb that a person calls, and the power it takes. A new one fails the test below until it stands here."""

# These are how somebody becomes a person to us, or ends that: what they take is a secret, not a power.
BEFORE_ANY_POWER: Final = frozenset(
    {
        "access.sign_in.by_link",
        "access.sign_in.session_of",
        "access.sign_in.sign_out",
        "access.sign_in_local.by_password",
    }
)
# The machine's own, by what the configuration names; no door calls it.
OF_THE_MACHINE: Final = frozenset({"disputes.sending.send_by_itself"})


def _modules() -> Iterator[tuple[str, Any]]:
    prefix = f"{billingbot.flows.__name__}."
    for found in pkgutil.walk_packages(billingbot.flows.__path__, prefix):
        yield found.name.removeprefix(prefix), importlib.import_module(found.name)


def _verbs() -> Iterator[tuple[str, Callable[..., Any]]]:
    """Every public function of the flows that works with a desk."""
    for name, module in _modules():
        for own, function in inspect.getmembers(module, inspect.isfunction):
            if function.__module__ == module.__name__ and not own.startswith("_") and _first(function) is Desk:
                yield f"{name}.{own}", function


def _first(function: Callable[..., Any]) -> object:
    names = list(inspect.signature(function).parameters)
    return typing.get_type_hints(function).get(names[0]) if names else None


def _is_somebodys(function: Callable[..., Any]) -> bool:
    """Whether whoever calls it says who acts."""
    hints = typing.get_type_hints(function)
    given = set(inspect.signature(function).parameters)
    whole = [hint for name, hint in hints.items() if name != "return" and is_dataclass(hint) and hint is not Desk]
    inside = {field.name for value in whole for field in fields(value)} if not _has_step(function) else set()
    return bool({"by", "who"} & given or {"by", "asked_by"} & inside)


def _has_step(function: Callable[..., Any]) -> bool:
    return "job" in inspect.signature(function).parameters


def _powers(*powers: Power) -> Desk:
    """A desk that has these powers, and nothing else at all: whoever goes on to work finds that out at once."""
    nothing: Any = None
    return Desk(
        db=nothing,
        accounts={},
        usage=(),
        support=(),
        policy=nothing,
        bell=nothing,
        new_id=nothing,
        recheck_after=nothing,
        powers=frozenset(powers),
    )


def _call(function: Callable[..., Any], desk: Desk) -> None:
    _, *others = inspect.signature(function).parameters.values()
    given = [None for one in others if one.kind is one.POSITIONAL_OR_KEYWORD]
    named = {one.name: None for one in others if one.kind is one.KEYWORD_ONLY}
    function(desk, *given, **named)


def test_every_verb_that_says_who_acts_stands_in_the_table() -> None:
    somebodys = {name for name, function in _verbs() if _is_somebodys(function)}
    assert {"casework.review.approve", "request.ask", "policy.publish.publish"} <= somebodys
    assert somebodys - VERBS.keys() - BEFORE_ANY_POWER - OF_THE_MACHINE == set()


@pytest.mark.parametrize("name", VERBS)
def test_a_verb_asks_for_its_power_and_for_no_other(name: str) -> None:
    verb, power = dict(_verbs())[name], VERBS[name]
    with pytest.raises(ForbiddenError, match=f"^{power}: not allowed; it takes the role "):
        _call(verb, _powers(*(ALL - {power})))
    with pytest.raises(Exception) as went_on:  # noqa: PT011 # whatever a desk of nothing makes it stumble over
        _call(verb, _powers(power))
    assert "not allowed; it takes the role" not in str(went_on.value)
