"""The tables. Constraints are part of the design: what must never happen is refused by the database itself."""

from billingbot.store.schema.agreement import breaks, reconcile_passes
from billingbot.store.schema.answers import (
    dispute_answers,
    dispute_draft_versions,
    dispute_drafts,
    dispute_papers,
    purchase_facts,
)
from billingbot.store.schema.base import metadata
from billingbot.store.schema.disputes import dispute_alarms, disputes
from billingbot.store.schema.finance import balance_transactions, months
from billingbot.store.schema.history import (
    activity,
    activity_coverage,
    cancellation_comments,
    conversions,
    customer_identities,
    digest_keys,
    history_imports,
    link_marks,
    trials,
)
from billingbot.store.schema.intake import (
    backfills,
    event_marks,
    inbox,
    job_failures,
    jobs,
    replay_items,
    replay_runs,
    ticks,
)
from billingbot.store.schema.money import cancellations, refund_attempts, refunds
from billingbot.store.schema.office import api_keys, breakers, ledger_entries, modes, notice_deliveries, notices
from billingbot.store.schema.people import approvals, cases, letters, notes, requests
from billingbot.store.schema.queue import case_visits, mentions, queue_views
from billingbot.store.schema.staff import (
    people,
    personal_data_searches,
    sessions,
    sign_in_links,
    sign_in_steps,
    sign_in_tries,
)
from billingbot.store.schema.verdicts import decisions, policies, policy_editions, shadow_verdicts, shadows
from billingbot.store.schema.watch import backtests, notice_marks, queue_samples, source_hours, source_states

__all__ = [
    "activity",
    "activity_coverage",
    "api_keys",
    "approvals",
    "backfills",
    "backtests",
    "balance_transactions",
    "breakers",
    "breaks",
    "cancellation_comments",
    "cancellations",
    "case_visits",
    "cases",
    "conversions",
    "customer_identities",
    "decisions",
    "digest_keys",
    "dispute_alarms",
    "dispute_answers",
    "dispute_draft_versions",
    "dispute_drafts",
    "dispute_papers",
    "disputes",
    "event_marks",
    "history_imports",
    "inbox",
    "job_failures",
    "jobs",
    "ledger_entries",
    "letters",
    "link_marks",
    "mentions",
    "metadata",
    "modes",
    "months",
    "notes",
    "notice_deliveries",
    "notice_marks",
    "notices",
    "people",
    "personal_data_searches",
    "policies",
    "policy_editions",
    "purchase_facts",
    "queue_samples",
    "queue_views",
    "reconcile_passes",
    "refund_attempts",
    "refunds",
    "replay_items",
    "replay_runs",
    "requests",
    "sessions",
    "shadow_verdicts",
    "shadows",
    "sign_in_links",
    "sign_in_steps",
    "sign_in_tries",
    "source_hours",
    "source_states",
    "ticks",
    "trials",
]
