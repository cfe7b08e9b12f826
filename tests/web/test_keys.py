"""API keys open what they were made for, and say what they lack."""

from dataclasses import replace

import httpx
import pytest
import sqlalchemy as sa

from billingbot.core.access.powers import ALL, Power
from billingbot.core.errors import ForbiddenError, InputError
from billingbot.flows.desk import Desk
from billingbot.flows.switch import LEAST, create_key, who_has
from tests.cli.terminal import typed
from tests.engines.shared import Database

# One door for each power, tried with a body that is as wrong as the case is unknown: nobody gets further than that.
ACT = {"by": "kim", "reason": "x", "why": "x"}
DOORS = {
    Power.SEE: ("GET", "/api/v1/cases", None),
    Power.ASK: ("POST", "/api/v1/refund-requests", {"charge": "ch_1", "claims": {"unused": True}}),
    Power.PUSH: (
        "POST",
        "/api/v1/activity",
        {"source": "nobody", "hits": [{"customer_id": "cus_1", "kind": "tag", "events": 1}]},
    ),
    Power.DECIDE: ("POST", "/api/v1/cases/case_00000000000000000000000000/claim", {"by": "kim"}),
    Power.RUN: (
        "POST",
        "/api/v1/events/backfill",
        {"by": "kim", "account": "default", "since": "2026-01-01T00:00:00Z"},
    ),
    Power.SWITCH: ("PUT", "/api/v1/mode", {"account": "default", "by": "kim", "mode": "off", "why": "x"}),
}


def _with(street: httpx.Client, desk: Desk, *powers: Power) -> httpx.Client:
    name = "+".join(sorted(powers))
    street.headers["Authorization"] = f"Bearer {create_key(desk, name, by='tests', may=powers)}"
    return street


def test_a_key_opens_its_own_doors_and_says_which_power_the_others_take(street: httpx.Client, desk: Desk) -> None:
    for mine in DOORS:
        client = _with(street, desk, mine)
        for power, (method, path, body) in DOORS.items():
            answer = client.request(method, path, json=body)
            if power is mine:
                assert answer.status_code not in {401, 403}, (mine, power, answer.text)
            else:
                assert answer.status_code == 403, (mine, power, answer.text)
                assert answer.json()["error"]["reason"] == "forbidden"
                assert answer.json()["error"]["message"].startswith(f"{power}: not allowed; it takes the role ")


def test_a_key_may_by_default_what_a_product_needs(desk: Desk) -> None:
    key = who_has(desk, create_key(desk, "product", by="tests"))
    assert key is not None
    assert key.powers == LEAST == {Power.ASK, Power.PUSH, Power.SEE}


def test_nobody_hands_out_what_they_lack_nor_a_key_that_opens_nothing(desk: Desk) -> None:
    limited = replace(desk, powers=frozenset({Power.MANAGE, Power.SEE}))
    with pytest.raises(ForbiddenError, match=r"^decide: "):
        create_key(limited, "more", by="tests", may={Power.SEE, Power.DECIDE})
    with pytest.raises(InputError, match=r"^may: "):
        create_key(desk, "nothing", by="tests", may=())


def test_the_command_line_makes_keys_for_what_they_are_for(desk: Desk, database: Database) -> None:
    settings = {"BILLINGBOT_DATABASE_URL": database.app_url}
    made = typed(settings, "keys", "create", "helpdesk", "--may", "see, decide", "--json").json
    assert made["may"] == ["see", "decide"]
    key = who_has(desk, made["secret"])
    assert key is not None
    assert key.powers == {Power.SEE, Power.DECIDE}
    assert typed(settings, "keys", "create", "tool", "--may", "all").err.startswith("It may see, ask, push, ")
    refused = typed(settings, "keys", "create", "x", "--may", "see,fly")
    assert (refused.code, refused.err.partition(",")[0]) == (2, "--may: expected some of see")
    with desk.db.begin() as connection:
        kept = {row.name: row.powers for row in connection.execute(sa.text("SELECT name, powers FROM api_keys"))}
    assert kept["helpdesk"] == ["decide", "see"]
    assert set(kept["tool"]) == {power.value for power in ALL}
