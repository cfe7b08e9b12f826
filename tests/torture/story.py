"""The story of one charge or case: everything that both sides know of it, in order of time."""

import json
from typing import Any

from tests.torture.books import Row
from tests.torture.stage import Stage
from tests.torture.town import Town


def story(stage: Stage, town: Town, about: str) -> dict[str, Any]:
    """Requests, events, jobs, failures, decisions, intents, attempts, ledger entries, and Stripe's log of calls."""
    charge = _charge_of(stage, about)
    cases = stage.rows("SELECT * FROM cases WHERE charge_id = %s OR id = %s ORDER BY opened_at", charge, about)
    refunds = stage.rows("SELECT * FROM refunds WHERE charge_id = %s ORDER BY intended_at", charge)
    ids = [row["id"] for row in (*cases, *refunds)]
    events = stage.rows(
        "SELECT id, event_id, type, received_at FROM inbox WHERE position(%s::bytea in body) > 0 ORDER BY received_at",
        charge.encode() or b"-",
    )
    jobs = stage.rows("SELECT * FROM jobs WHERE subject = ANY(%s) ORDER BY created_at", [*ids, *_ids(events)])
    known = town.charges.get(charge)
    return {
        "charge": charge,
        "truth": None if known is None else {name: getattr(known, name) for name in known.__slots__},
        "requests": stage.rows("SELECT * FROM requests WHERE case_id = ANY(%s) ORDER BY asked_at", _ids(cases)),
        "cases": cases,
        "events": events,
        "jobs": jobs,
        "failures": stage.rows(
            "SELECT job_id, attempt, at, error_class, error FROM job_failures WHERE job_id = ANY(%s) ORDER BY at",
            _ids(jobs),
        ),
        "decisions": stage.rows(
            "SELECT id, case_id, purpose, outcome, rule, reason, decided_at FROM decisions"
            " WHERE case_id = ANY(%s) ORDER BY decided_at",
            _ids(cases),
        ),
        "refunds": refunds,
        "attempts": stage.rows(
            "SELECT * FROM refund_attempts WHERE refund_id = ANY(%s) ORDER BY first_sent_at", _ids(refunds)
        ),
        "ledger": stage.rows(
            "SELECT seq, at, kind, subject, actor, convert_from(body, 'UTF8') AS body FROM ledger_entries"
            " WHERE subject = ANY(%s) ORDER BY seq",
            ids,
        ),
        "refunds at Stripe": [found for found in stage.stripe.objects("refund") if found["charge"] == charge],
        "disputes": stage.rows("SELECT * FROM disputes WHERE charge_id = %s", charge),
        "answers": stage.rows("SELECT * FROM dispute_answers WHERE charge_id = %s", charge),
        "disputes at Stripe": [found for found in stage.stripe.objects("dispute") if found["charge"] == charge],
        "calls to Stripe": [call for call in stage.calls(charge) if call["method"] != "GET"] if charge else [],
    }


def told(found: dict[str, Any]) -> str:
    """A story for people: one line per row."""
    lines = [f"The story of {found['charge'] or 'no charge'} ({json.dumps(found['truth'])}):"]
    for name, rows in found.items():
        if isinstance(rows, list):
            lines += [f"  {name}:"]
            lines += [f"    {json.dumps(_short(row), default=str)}" for row in rows]
    return "\n".join(lines)


def _short(row: Row) -> Row:
    return {name: value for name, value in row.items() if value not in (None, "", [], {})}


def _charge_of(stage: Stage, about: str) -> str:
    """The charge that a charge, case, refund or inbox event is about; empty where there is none."""
    if about.startswith("ch_"):
        return about
    for query in ("SELECT charge_id FROM cases WHERE id = %s", "SELECT charge_id FROM refunds WHERE id = %s"):
        for row in stage.rows(query, about):
            return row["charge_id"] or ""
    return ""


def _ids(rows: list[Row]) -> list[str]:
    return [row["id"] for row in rows]
