"""Disputes at the doors: the API and the command line say the same."""

import httpx

from billingbot.web.gauges import DeskGauges
from tests.cli.conftest import settings as settings  # noqa: PLC0414  # pytest finds the fixture by this name
from tests.cli.terminal import typed
from tests.flows.shop import Shop, in_days


def test_a_dispute_is_listed_and_shown_alike_by_the_api_and_the_command_line(
    shop: Shop, api: httpx.Client, settings: dict[str, str]
) -> None:
    _, charge = shop.charged_trial()
    dispute = shop.stripe.dispute(charge, reason="fraudulent")["id"]
    shop.deliver()
    shop.work()

    answer = api.get("/api/v1/disputes", params={"open": True, "reason": "fraudulent"}).json()
    [listed] = answer["items"]
    assert (listed["id"], listed["kind"], listed["charge"]) == (dispute, "chargeback", charge)
    assert listed["amount"] == {"minor": 4900, "currency": "usd", "formatted": "USD 49.00"}
    assert listed["money"]["fees"]["minor"] == 1500
    assert api.get("/api/v1/disputes", params={"open": False}).json()["items"] == []
    page = api.get(f"/api/v1/disputes/{dispute}").json()
    assert (page["dispute"], page["others"]) == (listed, [])
    assert api.get("/api/v1/disputes/dp_none").status_code == 404
    assert api.get("/api/v1/disputes", params={"after": "x"}).status_code == 422

    assert typed(settings, "disputes", "list", "--open", "--json").json == answer
    assert typed(settings, "disputes", "show", dispute, "--json").json == page
    assert "fraudulent" in typed(settings, "disputes", "show", dispute).out
    assert dispute in typed(settings, "disputes", "list", "--unassigned").out
    gone = typed(settings, "disputes", "show", "dp_none")
    assert (gone.code, gone.err) == (1, "dispute dp_none: none is known\n")


def test_what_was_missed_is_reported_alike_by_the_api_and_the_command_line(
    shop: Shop, api: httpx.Client, settings: dict[str, str]
) -> None:
    trial, charge = shop.charged_trial()
    shop.usage.used_by.add(trial.customer)
    missed = shop.stripe.dispute(charge, due_by=in_days(-1))["id"]
    other = shop.start_trial()
    shop.end_trials()
    shop.stripe.dispute(shop.last_charge(other), due_by=in_days(9))
    shop.deliver()
    shop.work()

    answer = api.get("/api/v1/disputes", params={"missed": True}).json()
    assert [(one["id"], one["answering"]) for one in answer["items"]] == [(missed, "missed")]
    assert typed(settings, "disputes", "missed", "--json").json == answer
    assert missed in typed(settings, "disputes", "missed").out
    [case] = shop.cases_of(charge)
    page = api.get(f"/api/v1/cases/{case.id}").json()
    assert page["disputes"] == answer["items"]
    assert "dispute.missed" in [entry["kind"] for entry in page["timeline"]]
    assert missed in typed(settings, "cases", "show", case.id).out


def test_the_figures_add_up_alike_by_the_api_and_the_command_line(
    shop: Shop, api: httpx.Client, settings: dict[str, str]
) -> None:
    trials = [shop.start_trial() for _ in range(4)]
    shop.end_trials()
    shop.usage.used_by.update(trial.customer for trial in trials)
    ends = ("won", "lost", "lost", "needs_response")
    for trial, end in zip(trials, ends, strict=True):
        dispute = shop.stripe.dispute(shop.last_charge(trial), reason="fraudulent", due_by=in_days(9))["id"]
        if end == "lost":  # with an answer, so that there is evidence to count
            shop.stripe.post(f"/disputes/{dispute}", evidence={"uncategorized_text": "used"})
        if end != "needs_response":
            shop.stripe.move_dispute(dispute, end)
    shop.deliver()
    shop.work()

    answer = api.get("/api/v1/disputes/figures").json()
    [line] = answer["by_reason"]
    assert (line["count"], line["open"], line["won"], line["lost"]) == (4, 1, 1, 2)
    assert line["win_rate"] == 1 / 3
    assert (line["amount"]["minor"], line["lost_amount"]["minor"]) == (4 * 4900, 2 * 4900)
    fees = sum(row.fees_minor for row in shop.rows("SELECT fees_minor FROM disputes"))
    assert [one["minor"] for one in line["fees"]] == [fees]
    assert answer["by_evidence"] == [
        {"evidence": "no answer of ours", "count": 4, "open": 1, "won": 1, "lost": 2, "win_rate": 1 / 3}
    ]
    assert typed(settings, "disputes", "figures", "--json").json == answer
    assert "33%" in typed(settings, "disputes", "figures").out
    assert api.get("/api/v1/disputes/figures", params={"until": "2020-01-01T00:00:00Z"}).json()["by_reason"] == []


def test_the_gauges_tell_the_next_deadline_and_what_was_missed(shop: Shop) -> None:
    def gauges() -> dict[str, float]:
        families = DeskGauges(shop.desk).collect()
        return {family.name: family.samples[0].value for family in families if "disput" in family.name}

    assert gauges() == {"billingbot_disputes_missed": 0}
    trials = [shop.start_trial() for _ in range(2)]
    shop.end_trials()
    for trial, days in zip(trials, (2, -1), strict=True):
        shop.usage.used_by.add(trial.customer)
        shop.stripe.dispute(shop.last_charge(trial), due_by=in_days(days))
    shop.deliver()
    shop.work()
    found = gauges()
    assert found["billingbot_disputes_missed"] == 1
    assert 86_400 < found["billingbot_dispute_due_seconds"] <= 2 * 86_400
