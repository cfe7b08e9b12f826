"""One chargeback through real processes: from the bank's webhook to an answer that was sent once, and to the win."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from billingbot.cli.demo.stage import Stage, set_stage
from billingbot.cli.demo.waiting import until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]


def lived_with(stage: Stage, dispute: str, outcome: str) -> Any:
    """The dispute as billingbot tells it, once that is how it ended."""
    page = stage.billingbot.get(f"/api/v1/disputes/{dispute}").json()
    return page if page.get("dispute", page).get("outcome") == outcome else None


def test_a_chargeback_is_answered_by_a_person_once_and_won(home: Path) -> None:
    with set_stage(home, seed=3) as stage:
        stripe, api = stage.world.stripe, stage.billingbot
        person = stage.world.trial()
        stripe.advance(days=15)
        stage.world.uses(person)
        span = {"from": (datetime.now(UTC) - timedelta(days=90)).isoformat(), "to": datetime.now(UTC).isoformat()}
        api.post("/api/v1/activity", json={"source": "api-calls", "coverage": [span]}).raise_for_status()
        person.charge = stage.world.newest_charge(person)
        stripe.weather(duplicate=1, disorder_seconds=0.3)  # everything is told twice, in any order
        dispute = stripe.dispute(person.charge, due_by=stage.world.after_the_month(hours=200))["id"]

        def drafted() -> Any:
            answer = api.get(f"/api/v1/disputes/{dispute}/answer")
            return answer.json() if answer.is_success and answer.json()["version"] else None

        def handed_over() -> Any:
            cases = api.get("/api/v1/cases", params={"charge": person.charge, "state": "review"}).json()["items"]
            return cases[0] if cases else None

        # The case and the draft are made by two jobs, in either order.
        page, case = until(drafted), until(handed_over)
        assert (case["reason"], case["recommendation"]) == ("open-chargeback", "contest_dispute")
        assert any(line["field"] == "access_activity_log" for line in page["fields"])

        stage.command("disputes", "send", dispute, "--as", "robin", "--yes")
        until(lambda: stripe.get(f"/disputes/{dispute}")["status"] == "under_review")
        sent = stripe.get(f"/disputes/{dispute}")
        assert sent["evidence_details"]["submission_count"] == 1
        assert sent["evidence"]["access_activity_log"]
        assert stripe.get(f"/files/{sent['evidence']['service_documentation']}")["purpose"] == "dispute_evidence"
        until(lambda: api.get(f"/api/v1/cases/{case['id']}").json()["case"]["outcome"] == "answered")

        stripe.move_dispute(dispute, "won")
        until(lambda: lived_with(stage, dispute, "won"))
        assert stripe.get("/refunds", charge=person.charge)["data"] == []
        entries = api.get("/api/v1/ledger", params={"subject": dispute}).json()["items"]
        kinds = [entry["kind"] for entry in entries]
        assert kinds.count("answer.intended") == 1
        assert "dispute.changed" in kinds
        assert api.get("/api/v1/ledger/verification").json()["holds"]
