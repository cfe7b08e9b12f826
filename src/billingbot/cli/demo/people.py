"""What people at the desk have done by the end of the month: a case taken, a note, a denial, the month drawn."""

from collections.abc import Sequence
from typing import Final

import httpx

from billingbot.cli.demo.acts import post
from billingbot.cli.demo.play import Played
from billingbot.cli.demo.waiting import DemoError, until

_TAKEN: Final = "not-the-first-charge"
_NOTED: Final = "charged-after-cancellation"
_DENIED: Final = "used"
_REPLY: Final = (
    "Thank you for writing. Your account was in use in the days before the charge, so we do not refund it. "
    "You will not be charged again if you cancel before the next renewal."
)


def leave_traces(billingbot: httpx.Client, played: Sequence[Played]) -> None:
    """Somebody has worked through some of the queue. Raises DemoError where billingbot refuses it."""
    taken = _case(played, _TAKEN)
    post(billingbot, f"/cases/{taken}/claim")
    post(billingbot, f"/cases/{taken}/note", text="Asked which of the two payments is meant; waiting for the answer.")
    noted = _case(played, _NOTED)
    post(
        billingbot, f"/cases/{noted}/note", text="The cancellation was written to support, nobody acted on it in time."
    )
    denied = _case(played, _DENIED)
    post(billingbot, f"/cases/{denied}/claim")
    post(billingbot, f"/cases/{denied}/deny", reason="Used every day until it was charged.", reply=_REPLY)


def draw_month(billingbot: httpx.Client, month: str) -> None:
    """Finance has had the month read from Stripe. Raises DemoError where its statement is not drawn."""
    post(billingbot, f"/months/{month}/close", account="default")
    until(lambda: any(one["state"] == "drawn" for one in billingbot.get("/api/v1/months").json()["items"]))


def _case(played: Sequence[Played], reason: str) -> str:
    """The first case with a person for this reason that no bank has a part in."""
    for one in played:
        if one.cases and not one.dispute and one.case.get("state") == "review" and one.case.get("reason") == reason:
            return str(one.case["id"])
    raise DemoError(f"no case is with a person for {reason}")
