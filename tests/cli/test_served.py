"""The served demo has something to do in it: jobs that really gave up, and pay once they are replayed."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from billingbot.cli.demo.incident import have_incident
from billingbot.cli.demo.stage import set_stage
from billingbot.cli.demo.waiting import until
from tests.cli.terminal import ROOT, bare

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]


def test_jobs_that_gave_up_in_the_incident_pay_when_they_are_replayed(home: Path) -> None:
    with set_stage(home, seed=5) as stage:
        have_incident(stage)

        def replay(**act: Any) -> Any:
            return stage.billingbot.post("/api/v1/jobs/replay", json={"filter": {}, **act}).raise_for_status().json()

        told = replay(dry_run=True)
        assert sorted(job["actor"] for job in told["jobs"]) == ["interpret"] * 3 + ["submit"] * 4
        [money] = told["may_move"]
        assert money["minor"] == 4 * 4900
        replay(name="healed", by="support", why="Stripe lets us read again.")
        until(lambda: len(paid(stage.world.stripe.get("/refunds")["data"])) == 4)

        refunds = "billingbot refunds list --json"
        listed = subprocess.run(
            ["sh", "-c", f". '{stage.leave_environment()}'; {refunds}"],
            env=bare() | {"PATH": "/usr/bin:/bin"},
            cwd=ROOT,
            check=True,
            capture_output=True,
        )
        told = json.loads(listed.stdout)["items"]
        assert sum(refund["state"] == "succeeded" for refund in told) == 4, "a shell that read it means this desk"


def paid(refunds: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [refund for refund in refunds if refund["status"] == "succeeded"]
