"""What people at the desk do in a story, through the API: they answer banks, give disputes up, and mark links."""

from collections.abc import Mapping
from typing import Any, Final

import httpx

from billingbot.cli.demo.story import Acts
from billingbot.cli.demo.waiting import DemoError, until
from billingbot.cli.demo.world import Person, World

SUPPORT: Final = "support"
_SOLD: Final = "A subscription to tracking of conversions, billed by the month after a free trial."
_WHY: Final = "Two people of one firm who pay with its card; both trials were their own."


def post(billingbot: httpx.Client, path: str, **body: Any) -> Any:
    """What billingbot answers to a person's act below `/api/v1`. Raises DemoError where it refuses."""
    answer = billingbot.post(f"/api/v1{path}", json={"by": SUPPORT, **body})
    if answer.is_error:
        raise DemoError(f"POST {path}: HTTP {answer.status_code} {answer.text[:300]}")
    return answer.json()


def send_answer(*, staged: bool = False) -> Acts:
    """A person reads the drafted answer, says one thing in their own words, and sends it to the bank.

    With `staged` it is put on the dispute first, unsent, and looked at there.
    """

    def act(world: World, billingbot: httpx.Client, person: Person) -> None:
        dispute = world.newest_dispute(person)
        page = until(lambda: _drafted(billingbot, dispute))
        said = {"version": page["version"], "field": "product_description", "text": _SOLD}
        version = post(billingbot, f"/disputes/{dispute}/answer/edit", **said)["version"]
        if staged:
            post(billingbot, f"/disputes/{dispute}/answer/stage", version=version)
            until(lambda: _is_staged(world.stripe.get(f"/disputes/{dispute}")))
        post(billingbot, f"/disputes/{dispute}/answer/send", version=version)
        until(lambda: world.stripe.get(f"/disputes/{dispute}")["status"] == "under_review")

    return act


def _is_staged(dispute: Mapping[str, Any]) -> bool:
    unsent = dispute["status"] == "needs_response" and dispute["evidence_details"]["submission_count"] == 0
    return unsent and bool(dispute["evidence"]["product_description"] == _SOLD)


def accept(world: World, billingbot: httpx.Client, person: Person) -> None:
    """A person gives the dispute up, in two steps."""
    dispute = world.newest_dispute(person)
    until(lambda: _drafted(billingbot, dispute))
    asked = post(billingbot, f"/disputes/{dispute}/accept")
    post(billingbot, f"/disputes/{dispute}/accept/confirm", answer=asked["answer"]["id"])
    until(lambda: world.stripe.get(f"/disputes/{dispute}")["status"] == "lost")


def unlink(_world: World, billingbot: httpx.Client, person: Person) -> None:
    """A person says that the shared card is no link, and has the case decided anew."""
    [case] = billingbot.get("/api/v1/cases", params={"charge": person.charge}).json()["items"]
    post(billingbot, f"/cases/{case['id']}/unlink", kind="card", other=person.other, why=_WHY)
    post(billingbot, f"/cases/{case['id']}/reassess", reason=_WHY)


def _drafted(billingbot: httpx.Client, dispute: str) -> Any:
    """The page of a dispute's answer, once it is drafted."""
    answer = billingbot.get(f"/api/v1/disputes/{dispute}/answer")
    page = answer.json() if answer.is_success else {}
    return page if page.get("version") else None
