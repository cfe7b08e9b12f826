"""Whatever is asked, in whatever order: no charge gives back more than it took, and the balance adds up."""

from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from billingbot.sandbox.api import Incoming, answer
from billingbot.sandbox.disputes import open_dispute
from billingbot.sandbox.local import LocalStripe
from billingbot.sandbox.refund_life import turn
from billingbot.sandbox.state import Options

TAKEN = 1000
KEYS = {"authorization": "Bearer sk_test_x"}
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("refund"), st.integers(1, 1200)),
        st.tuples(st.just("fail"), st.integers(0, 5)),
        st.tuples(st.just("dispute"), st.sampled_from(["needs_response", "warning_needs_response", "won"])),
        st.tuples(st.just("hold"), st.just(0)),
        st.tuples(st.just("wait"), st.integers(1, 40)),
    ),
    max_size=12,
)


def _post(local: LocalStripe, path: str, form: str) -> Any:
    reply = answer(local, Incoming(method="POST", path=path, form=form, headers=KEYS))
    return msgspec.json.decode(reply.body) if reply.status == 200 else None


def _step(local: LocalStripe, charge: Any, name: str, value: Any) -> None:
    box = local.box
    refunds = list(box.tables["refund"].rows.values())
    if name == "refund":
        _post(local, "/v1/refunds", f"charge={charge['id']}&amount={value}")
    elif name == "fail" and value < len(refunds) and refunds[value]["status"] in ("pending", "succeeded"):
        turn(box, refunds[value], "failed")
    elif name == "dispute" and not charge["disputed"]:
        open_dispute(box, charge, status=value)
    elif name == "hold":
        box.funds.limited.add("usd")
        box.funds.available["usd"] = 300
    elif name == "wait":
        box.catch_up(box.now() + value * 86_400)


@settings(max_examples=150, deadline=None)
@given(STEPS)
def test_no_charge_gives_back_more_than_it_took(steps: list[tuple[str, Any]]) -> None:
    local = LocalStripe(Options(seed=3))
    form = f"amount={TAKEN}&currency=usd&payment_method=pm_card_visa&confirm=true"
    intent = _post(local, "/v1/payment_intents", form)
    charge = local.box.tables["charge"].rows[intent["latest_charge"]]
    for name, value in steps:
        _step(local, charge, name, value)
        refunds = local.box.tables["refund"].rows.values()
        live = sum(each["amount"] for each in refunds if each["status"] not in ("failed", "canceled"))
        booked = local.box.tables["balance_transaction"].rows.values()
        left = sum(each["amount"] for each in booked if each["type"] in ("charge", "refund", "refund_failure"))
        waiting = sum(each["amount"] for each in refunds if each.get("pending_reason") == "insufficient_funds")
        assert 0 <= live <= TAKEN
        assert charge["amount_refunded"] == live
        assert charge["refunded"] == (live == TAKEN)
        assert left == TAKEN - live + waiting
