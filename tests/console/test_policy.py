"""The policy at the door: read in words, compared, tried on examples and on the past, run beside, published."""

import pytest

from billingbot.core.access.powers import Role
from tests.console.conftest import Console, SignedIn
from tests.console.test_ops import text
from tests.flows.shop import Shop


def stricter(shop: Shop, *, version: str = "strict") -> str:
    """The shop's policy with a limit below the price, without its examples."""
    found = shop.policy.source.partition("[examples.base]")[0].replace("usd = 20000", "usd = 4899")
    return found.replace(f'version = "{shop.policy.version}"', f'version = "{version}"', 1)


def test_a_policy_is_read_in_words_and_its_examples_are_decided(console: Console, signed_in: SignedIn) -> None:
    somebody = signed_in(Role.SUPPORT)
    assert "Nothing was published yet." in text(somebody.get("/policy"))
    rules = text(somebody.get("/policy/now"))
    assert "nothing charged" in rules
    assert "request.nothing_charged" in rules
    assert "At most 50 automatic refunds a day" in text(somebody.get("/policy/now?part=limits"))
    tried = text(somebody.get("/policy/now?part=examples"))
    count = len(console.shop.policy.examples)
    assert f"{count} of {count} examples come out as the file says." in tried
    for part in ("clauses", "replies", "text"):
        assert somebody.get(f"/policy/now?part={part}").status_code == 200
    assert somebody.get("/policy/now?part=secrets").status_code == 422
    assert somebody.get("/policy/nobody").status_code == 404
    assert "Nothing changes." in text(somebody.get("/policy/diff?before=now"))


def test_an_admin_publishes_what_was_checked(console: Console, signed_in: SignedIn) -> None:
    shop = console.shop
    admin = signed_in(Role.ADMIN)
    assert "give it a new version" in text(admin.get("/policy/publish"))
    candidate = stricter(shop)
    checked = text(admin.act("/policy/publish", text=candidate))
    assert "What changes from" in checked
    assert "48.99" in checked
    assert "No example says what this policy should decide." in checked
    assert shop.rows("SELECT 1 FROM policy_editions") == []

    said = admin.act("/policy/published", text=candidate, why="a lower limit", effective_from="")
    assert "Version strict is published." in said.text
    assert said.url.path == "/policy/strict"
    again = admin.act("/policy/published", text=candidate, why="a lower limit")
    assert "was published before" in again.text
    told = text(admin.get("/policy"))
    assert "strict in force" in told
    assert "48.99" in text(admin.get(f"/policy/diff?before={shop.policy.version}&after=strict"))
    assert "a lower limit" in text(admin.get("/policy/strict"))
    people = {row.actor for row in shop.rows("SELECT actor FROM ledger_entries WHERE kind = 'policy.published'")}
    assert people == {"admin"}


def test_a_file_is_checked_and_every_problem_of_it_is_told(console: Console, signed_in: SignedIn) -> None:
    admin = signed_in(Role.ADMIN)
    broken = stricter(console.shop).replace('outcome = "refund"', 'outcome = "gift"', 1)
    answer = admin.post(
        "/policy/publish", data={"csrf": admin.csrf, "text": "x"}, files={"file": ("policy.toml", broken.encode())}
    )
    told = text(answer)
    assert "This text cannot be used." in told
    assert "gift" in told
    assert admin.act("/policy/published", text=broken, why="w").status_code == 422
    assert admin.act("/policy/publish", text=" ").status_code == 422


def test_a_candidate_is_tried_on_the_past_and_the_result_stays(console: Console, signed_in: SignedIn) -> None:
    shop = console.shop
    shop.ask(shop.charged_trial()[1])
    shop.work()
    admin = signed_in(Role.ADMIN)
    asked = admin.act("/policy/backtests", text=stricter(shop), since="", as_mode="")
    path = asked.url.path
    assert path.startswith("/policy/backtests/bkt_")
    assert "running" in text(admin.get(path, headers={"HX-Request": "true"}))
    assert admin.get(f"{path}/flips.csv").status_code == 404
    shop.work()
    told = text(signed_in(Role.FINANCE).get(path))
    assert "1 of 1 cases go another way" in told
    assert "USD: 49.00 USD less leaves by itself" in told
    table = admin.get(f"{path}/flips.csv")
    assert table.headers["content-type"] == "text/csv; charset=utf-8"
    assert len(table.text.splitlines()) == 2
    assert "strict" in text(admin.get("/policy/backtests"))
    assert "Publish strict" in text(admin.get(f"/policy/publish?backtest={path.rpartition('/')[2]}"))


def test_a_shadow_runs_beside_the_live_policy(console: Console, signed_in: SignedIn) -> None:
    shop = console.shop
    admin = signed_in(Role.ADMIN)
    assert "No shadow has run yet." in text(admin.get("/policy/shadow"))
    assert "decides beside" in text(admin.act("/policy/shadow", text=stricter(shop), why="a lower limit"))
    shop.ask(shop.charged_trial()[1])
    shop.work()
    shop.do("shadow")
    told = text(admin.get("/policy/shadow")) + text(admin.get("/policy/shadow/report"))
    assert "0.0 % 0 of 1" in told
    assert "review (refund)" in told
    assert admin.act("/policy/shadow", text=stricter(shop), why="again").status_code == 409
    assert "Nobody has decided a case within 90 days." in text(admin.get("/policy/shadow/people"))
    assert "no more" in text(admin.act("/policy/shadow/stop"))


@pytest.mark.parametrize("role", [Role.SUPPORT, Role.APPROVER, Role.OPS, Role.FINANCE])
def test_only_an_admin_publishes_or_tries(console: Console, signed_in: SignedIn, role: Role) -> None:
    candidate = stricter(console.shop)
    somebody = signed_in(role)
    assert somebody.get("/policy/publish").status_code == 403
    assert "New version" not in somebody.get("/policy").text
    for path in ("/policy/publish", "/policy/published", "/policy/backtests", "/policy/shadow", "/policy/shadow/stop"):
        fields = {"text": candidate, "why": "w"} if path != "/policy/backtests" else {"text": candidate}
        assert somebody.act(path, **fields).status_code == 403, path
