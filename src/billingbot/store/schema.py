"""The tables. Constraints are part of the design: what must never happen is refused by the database itself."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    func,
    text,
)

from billingbot.core.aftercare import LIVE as LIVE_CANCELLATIONS
from billingbot.core.aftercare import CancellationState
from billingbot.core.backfill import BackfillReason, BackfillState
from billingbot.core.breaks import BreakKind, BreakState, PassState, Stage
from billingbot.core.case import OPEN_STATES, CaseState
from billingbot.core.job import JobState
from billingbot.core.letter import LetterState
from billingbot.core.notice import NoticeState
from billingbot.core.refund import LIVE_STATES, AttemptOutcome, Origin, RefundState
from billingbot.core.refund_terms import CancelWhen, RefundWith
from billingbot.core.replay import ItemState, RunState

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def _one_of(column: str, values: object) -> str:
    quoted = ", ".join(f"'{value}'" for value in values)  # type: ignore[attr-defined] # enums and tuples of them
    return f"{column} IN ({quoted})"


def _time(name: str, *, now: bool = False, optional: bool = False) -> Column[object]:
    """A timestamp with time zone; all times come from Postgres."""
    default = func.clock_timestamp() if now else None
    return Column(name, DateTime(timezone=True), nullable=optional, server_default=default)


inbox = Table(
    "inbox",
    metadata,
    Column("id", Text, primary_key=True),
    Column("account", Text, nullable=False),
    Column("event_id", Text, nullable=False),
    Column("type", Text, nullable=False),
    Column("thin", Boolean, nullable=False),
    Column("livemode", Boolean, nullable=False),
    Column("api_version", Text),
    Column("created", BigInteger, nullable=False),
    Column("object_id", Text, nullable=False),
    Column("trial_end_before", BigInteger),
    Column("body", LargeBinary, nullable=False),
    _time("received_at", now=True),
    UniqueConstraint("account", "event_id"),
    Index("ix_inbox_object_id", "object_id"),
)

jobs = Table(
    "jobs",
    metadata,
    Column("id", Text, primary_key=True),
    Column("actor", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("state", Text, CheckConstraint(_one_of("state", JobState), name="state"), nullable=False),
    Column("attempts", Integer, nullable=False, server_default="0"),
    _time("run_at", now=True),
    _time("lease_until", optional=True),
    Column("token", Text),
    _time("created_at", now=True),
    _time("finished_at", optional=True),
    Column("last_error", Text),
    # The sweeper's only question: what is due and silent?
    Index("ix_jobs_due", "run_at", postgresql_where=text("state = 'ready'")),
    Index("ix_jobs_failed", "finished_at", postgresql_where=text("state = 'failed'")),
    Index("ix_jobs_subject", "subject"),
)

job_failures = Table(
    "job_failures",
    metadata,
    Column("job_id", Text, ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True),
    Column("attempt", Integer, primary_key=True),
    _time("at", now=True),
    Column("error_class", Text, nullable=False),
    Column("error", Text, nullable=False),
    Column("traceback", Text, nullable=False),
)

conversions = Table(
    "conversions",
    metadata,
    Column("id", Text, primary_key=True),
    Column("account", Text, nullable=False),
    Column("livemode", Boolean, nullable=False),
    Column("customer_id", Text, nullable=False),
    Column("subscription_id", Text, nullable=False),
    Column("invoice_id", Text, nullable=False),
    Column("charge_id", Text, nullable=False),
    Column("amount_minor", BigInteger, CheckConstraint("amount_minor > 0", name="amount"), nullable=False),
    Column("currency", Text, nullable=False),
    _time("trial_start_at"),
    _time("trial_end_at"),
    _time("charged_at"),
    _time("noticed_at", now=True),
    UniqueConstraint("account", "charge_id"),
    Index("ix_conversions_invoice_id", "account", "invoice_id"),
)

# Who had a trial, by card and by mailbox: digests, so that the links work and the address book does not exist.
trials = Table(
    "trials",
    metadata,
    Column("account", Text, primary_key=True),
    Column("subscription_id", Text, primary_key=True),
    Column("customer_id", Text, nullable=False),
    _time("trial_start_at"),
    _time("first_trial_end_at"),
    _time("trial_end_at"),
    _time("noticed_at", now=True),
    Index("ix_trials_customer_id", "account", "customer_id"),
)

trial_identities = Table(
    "trial_identities",
    metadata,
    Column("account", Text, primary_key=True),
    Column("subscription_id", Text, primary_key=True),
    Column("kind", Text, primary_key=True),
    Column("digest", Text, primary_key=True),
    Index("ix_trial_identities_digest", "account", "kind", "digest"),
)

history_imports = Table(
    "history_imports",
    metadata,
    Column("account", Text, primary_key=True),
    Column("cursor", Text),
    Column("seen", BigInteger, nullable=False, server_default="0"),
    _time("began_at", now=True),
    _time("finished_at", optional=True),
    _time("caught_up_at", optional=True),
    _time("read_to", optional=True),
)

requests = Table(
    "requests",
    metadata,
    Column("id", Text, primary_key=True),
    Column("case_id", Text, ForeignKey("cases.id"), nullable=False),
    Column("account", Text, nullable=False),
    Column("channel", Text, nullable=False),
    Column("named_by", Text, nullable=False),
    Column("named", Text, nullable=False),
    Column("claims_unused", Boolean, nullable=False),
    Column("claims_cancelled", Boolean, nullable=False),
    _time("claims_cancelled_at", optional=True),
    Column("text", Text),
    Column("external_ref", Text),
    Column("asked_by", Text, nullable=False),
    Column("idempotency_key", Text),
    Column("input_digest", Text, nullable=False),
    _time("asked_at", now=True),
    Index("ix_requests_case_id", "case_id"),
    UniqueConstraint("asked_by", "idempotency_key"),
)

cases = Table(
    "cases",
    metadata,
    Column("id", Text, primary_key=True),
    Column("account", Text, nullable=False),
    Column("livemode", Boolean, nullable=False),
    Column("state", Text, CheckConstraint(_one_of("state", CaseState), name="state"), nullable=False),
    Column("version", Integer, nullable=False, server_default="1"),
    Column("charge_id", Text),
    Column("customer_id", Text),
    Column("subscription_id", Text),
    Column("invoice_id", Text),
    Column("amount_minor", BigInteger),
    Column("currency", Text),
    Column("reason", Text),
    Column("clause", Text),
    Column("recommendation", Text),
    Column("priority", Text, nullable=False, server_default="normal"),
    Column("decision_id", Text),
    Column("assignee", Text),
    Column("joined_case_id", Text, ForeignKey("cases.id")),
    Column("outcome", Text),
    Column("reply", Text),
    Column("reply_subject", Text),
    Column("reply_language", Text),
    _time("opened_at", now=True),
    _time("decided_at", optional=True),
    _time("due_at", optional=True),
    _time("closed_at", optional=True),
    _time("recheck_at", optional=True),
    Column("rechecks", Integer, nullable=False, server_default="0"),
    # One open case per charge: two requests at the same moment meet here.
    Index(
        "uq_cases_open_charge",
        "account",
        "charge_id",
        unique=True,
        postgresql_where=text(_one_of("state", OPEN_STATES)),
    ),
    Index("ix_cases_queue", "due_at", postgresql_where=text("state = 'review'")),
    Index("ix_cases_recheck", "recheck_at", postgresql_where=text("state = 'review' AND recheck_at IS NOT NULL")),
    Index("ix_cases_charge_id", "account", "charge_id"),
    Index("ix_cases_customer_id", "account", "customer_id"),
    Index("ix_cases_decided", "account", "decided_at"),
)

notes = Table(
    "notes",
    metadata,
    Column("id", Text, primary_key=True),
    Column("case_id", Text, ForeignKey("cases.id"), nullable=False),
    Column("author", Text, nullable=False),
    Column("text", Text, nullable=False),
    _time("written_at", now=True),
    Index("ix_notes_case_id", "case_id"),
)

# What was sent to customers. The same text never goes out twice for one case, unless it certainly did not arrive.
letters = Table(
    "letters",
    metadata,
    Column("id", Text, primary_key=True),
    Column("case_id", Text, ForeignKey("cases.id"), nullable=False),
    Column("account", Text, nullable=False),
    Column("language", Text),
    Column("subject", Text, nullable=False),
    Column("text", Text, nullable=False),
    Column("text_digest", Text, nullable=False),
    Column("state", Text, CheckConstraint(_one_of("state", LetterState), name="state"), nullable=False),
    Column("written_by", Text, nullable=False),
    Column("recipient_digest", Text),
    Column("why", Text),
    _time("written_at", now=True),
    _time("sent_at", optional=True),
    Index(
        "uq_letters_text",
        "case_id",
        "text_digest",
        unique=True,
        postgresql_where=text("state <> 'failed'"),
    ),
    Index("ix_letters_case_id", "case_id"),
)

# Every policy that ever decided, whole: a decision can be reproduced years later.
policies = Table(
    "policies",
    metadata,
    Column("digest", Text, primary_key=True),
    Column("policy_id", Text, nullable=False),
    Column("version", Text, nullable=False),
    Column("source", Text, nullable=False),
    _time("first_used_at", now=True),
)

# Versions as they were published, in order; a charge is judged by the one in force when it was made.
policy_editions = Table(
    "policy_editions",
    metadata,
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("policy_id", Text, nullable=False),
    Column("version", Text, nullable=False),
    Column("digest", Text, ForeignKey("policies.digest"), nullable=False),
    _time("effective_from"),
    _time("published_at", now=True),
    Column("published_by", Text, nullable=False),
    Column("why", Text, nullable=False),
    UniqueConstraint("version"),
    UniqueConstraint("digest"),
)

# Canonical bytes as they were hashed, not JSONB, which would reorder them.
decisions = Table(
    "decisions",
    metadata,
    Column("id", Text, primary_key=True),
    Column("case_id", Text, ForeignKey("cases.id"), nullable=False),
    Column("purpose", Text, CheckConstraint("purpose IN ('assess', 'before_pay')", name="purpose"), nullable=False),
    Column("outcome", Text, nullable=False),
    Column("rule", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("clause", Text),
    Column("recommendation", Text, nullable=False),
    Column("facts", LargeBinary, nullable=False),
    Column("facts_digest", Text, nullable=False),
    Column("policy_digest", Text, ForeignKey("policies.digest"), nullable=False),
    Column("decision", LargeBinary, nullable=False),
    Column("decision_digest", Text, nullable=False),
    _time("decided_at", now=True),
    Index("ix_decisions_case_id", "case_id"),
    Index("ix_decisions_decided_at", "decided_at"),
)

# A candidate policy beside the live one: at most one at a time.
shadows = Table(
    "shadows",
    metadata,
    Column("id", Text, primary_key=True),
    Column("digest", Text, ForeignKey("policies.digest"), nullable=False),
    Column("why", Text, nullable=False),
    Column("started_by", Text, nullable=False),
    _time("started_at", now=True),
    _time("followed_to", optional=True),
    Column("stopped_by", Text),
    _time("stopped_at", optional=True),
    Index("uq_shadows_running", text("(true)"), unique=True, postgresql_where=text("stopped_at IS NULL")),
)

# What it says to the facts of each live verdict; without an outcome where they could not be read.
shadow_verdicts = Table(
    "shadow_verdicts",
    metadata,
    Column("shadow_id", Text, ForeignKey("shadows.id"), primary_key=True),
    Column("decision_id", Text, ForeignKey("decisions.id"), primary_key=True),
    Column("outcome", Text),
    Column("rule", Text),
    Column("reason", Text),
    Column("recommendation", Text),
    Column("amount_minor", BigInteger),
    Column("currency", Text),
)

refunds = Table(
    "refunds",
    metadata,
    Column("id", Text, primary_key=True),
    Column("case_id", Text, ForeignKey("cases.id")),
    Column("account", Text, nullable=False),
    Column("livemode", Boolean, nullable=False),
    Column("charge_id", Text, nullable=False),
    Column("customer_id", Text),
    Column("card_digest", Text),
    Column("email_digest", Text),
    Column("amount_minor", BigInteger, CheckConstraint("amount_minor > 0", name="amount"), nullable=False),
    Column("currency", Text, nullable=False),
    Column("state", Text, CheckConstraint(_one_of("state", RefundState), name="state"), nullable=False),
    Column("origin", Text, CheckConstraint(_one_of("origin", Origin), name="origin"), nullable=False),
    Column("decision_id", Text, ForeignKey("decisions.id")),
    Column("clause", Text),
    Column("decided_by", Text, nullable=False),
    Column("stripe_refund_id", Text),
    Column("why", Text),
    _time("intended_at", now=True),
    _time("settled_at", optional=True),
    Column("invoice_id", Text),
    Column("subscription_id", Text),
    Column(
        "refund_with",
        Text,
        CheckConstraint(_one_of("refund_with", RefundWith), name="refund_with"),
        nullable=False,
        server_default="refund",
    ),
    Column(
        "cancel_subscription",
        Text,
        CheckConstraint(_one_of("cancel_subscription", CancelWhen), name="cancel_subscription"),
        nullable=False,
        server_default="no",
    ),
    Column("credit_note_id", Text),
    Column("credit_note_number", Text),
    # When a pass of reconcile last saw it at Stripe.
    _time("seen_at", optional=True),
    UniqueConstraint("account", "stripe_refund_id"),
    # Law 1 with teeth: one live intent of ours per charge, whoever wants it.
    Index(
        "uq_refunds_live_charge",
        "account",
        "charge_id",
        unique=True,
        postgresql_where=text("origin <> 'external' AND " + _one_of("state", LIVE_STATES)),
    ),
    Index("ix_refunds_case_id", "case_id"),
    Index("ix_refunds_day", "account", "currency", "intended_at", postgresql_where=text("origin = 'policy'")),
    Index("ix_refunds_customer_id", "account", "customer_id"),
    Index("ix_refunds_charge_id", "account", "charge_id"),
    Index("ix_refunds_intended_at", "account", "intended_at"),
    # What is on its way is little and asked for often; what has ended is much and asked for by other names.
    Index("ix_refunds_open", "state", postgresql_where=text("state NOT IN ('succeeded', 'refused', 'withdrawn')")),
    Index("ix_refunds_card_digest", "account", "card_digest"),
    Index("ix_refunds_email_digest", "account", "email_digest"),
)

refund_attempts = Table(
    "refund_attempts",
    metadata,
    Column("id", Text, primary_key=True),
    Column("refund_id", Text, ForeignKey("refunds.id"), nullable=False),
    Column("number", Integer, nullable=False),
    Column("key", Text, nullable=False, unique=True),
    Column("params", Text, nullable=False),
    Column("outcome", Text, CheckConstraint(_one_of("outcome", AttemptOutcome), name="outcome"), nullable=False),
    Column("answer", Text),
    Column("sends", Integer, nullable=False, server_default="1"),
    _time("first_sent_at", now=True),
    _time("last_sent_at", now=True),
    _time("answered_at", optional=True),
    UniqueConstraint("refund_id", "number"),
    # Never a second key while an earlier one may still pay.
    Index(
        "uq_refund_attempts_unresolved",
        "refund_id",
        unique=True,
        postgresql_where=text("outcome IN ('open', 'unknown')"),
    ),
)

cancellations = Table(
    "cancellations",
    metadata,
    Column("id", Text, primary_key=True),
    # One for a refund, for ever: whoever comes twice finds the first.
    Column("refund_id", Text, ForeignKey("refunds.id"), nullable=False, unique=True),
    Column("case_id", Text, ForeignKey("cases.id")),
    Column("account", Text, nullable=False),
    Column("livemode", Boolean, nullable=False),
    Column("charge_id", Text, nullable=False),
    Column("subscription_id", Text, nullable=False),
    Column("cancel_when", Text, CheckConstraint("cancel_when IN ('now', 'period_end')", name="when"), nullable=False),
    Column("state", Text, CheckConstraint(_one_of("state", CancellationState), name="state"), nullable=False),
    Column("key", Text),
    Column("sends", Integer, nullable=False, server_default="0"),
    Column("why", Text),
    Column("waits_for", Text),
    _time("intended_at", now=True),
    _time("last_sent_at", optional=True),
    _time("ended_at", optional=True),
    Index("ix_cancellations_case_id", "case_id"),
    Index("ix_cancellations_subscription_id", "account", "subscription_id"),
    Index("ix_cancellations_live", "intended_at", postgresql_where=text(_one_of("state", LIVE_CANCELLATIONS))),
    Index("ix_cancellations_waiting", "id", postgresql_where=text("waits_for IS NOT NULL")),
)

ledger_entries = Table(
    "ledger_entries",
    metadata,
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    _time("at"),
    Column("kind", Text, nullable=False),
    Column("account", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("previous_hash", Text, nullable=False),
    Column("hash", Text, nullable=False, unique=True),
    Index("ix_ledger_entries_subject", "subject"),
)

modes = Table(
    "modes",
    metadata,
    Column("account", Text, primary_key=True),
    Column("mode", Text, CheckConstraint("mode IN ('off', 'shadow', 'assist', 'auto')", name="mode"), nullable=False),
    Column("changed_by", Text, nullable=False),
    Column("why", Text),
    _time("changed_at", now=True),
)

activity = Table(
    "activity",
    metadata,
    Column("account", Text, primary_key=True),
    Column("source", Text, primary_key=True),
    Column("customer_id", Text, primary_key=True),
    Column("kind", Text, CheckConstraint("kind IN ('tag', 'api')", name="kind"), primary_key=True),
    Column("events", BigInteger, CheckConstraint("events >= 0", name="events"), nullable=False),
    _time("first_at", optional=True),
    _time("last_at", optional=True),
    _time("in_place_at", optional=True),
    _time("updated_at", now=True),
)

activity_coverage = Table(
    "activity_coverage",
    metadata,
    Column("account", Text, primary_key=True),
    Column("source", Text, primary_key=True),
    Column("start_at", DateTime(timezone=True), primary_key=True),
    _time("end_at"),
    CheckConstraint("end_at >= start_at", name="span"),
    _time("updated_at", now=True),
)

api_keys = Table(
    "api_keys",
    metadata,
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("digest", Text, nullable=False, unique=True),
    _time("created_at", now=True),
    _time("last_used_at", optional=True),
    _time("revoked_at", optional=True),
)

notices = Table(
    "notices",
    metadata,
    Column("id", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("account", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("headline", Text, nullable=False),
    Column("body", Text, nullable=False),
    Column("state", Text, CheckConstraint(_one_of("state", NoticeState), name="state"), nullable=False),
    _time("told_at", now=True),
    _time("tried_at", optional=True),
    Index("ix_notices_tried", "kind", "tried_at"),
    Index("ix_notices_open", "kind", "told_at", postgresql_where=text("state IN ('waiting', 'failed')")),
    Index("ix_notices_subject", "subject"),
)

# What became of each notice at each destination: sent once, or why not.
notice_deliveries = Table(
    "notice_deliveries",
    metadata,
    Column("notice_id", Text, ForeignKey("notices.id"), primary_key=True),
    Column("route", Text, primary_key=True),
    Column("state", Text, CheckConstraint("state IN ('sending', 'sent', 'failed')", name="state"), nullable=False),
    Column("tries", Integer, nullable=False),
    Column("why", Text),
    _time("at", now=True),
)

# One row per account once its breaker has ever opened; open while `closed_at` is empty.
breakers = Table(
    "breakers",
    metadata,
    Column("account", Text, primary_key=True),
    Column("tripped_by", Text, nullable=False),
    Column("observed", Text, nullable=False),
    Column("allowed", Text, nullable=False),
    Column("case_id", Text, ForeignKey("cases.id")),
    _time("opened_at", now=True),
    _time("closed_at", optional=True),
    Column("closed_by", Text),
    Column("why", Text),
)

# Two people for one large refund: who approved first, and who second.
approvals = Table(
    "approvals",
    metadata,
    Column("id", Text, primary_key=True),
    Column("case_id", Text, ForeignKey("cases.id"), nullable=False),
    Column("amount_minor", BigInteger, CheckConstraint("amount_minor > 0", name="amount"), nullable=False),
    Column("currency", Text, nullable=False),
    Column("maker", Text, nullable=False),
    Column("maker_key", Text, nullable=False),
    _time("made_at", now=True),
    Column("checker", Text),
    Column("checker_key", Text),
    _time("checked_at", optional=True),
    Column("refund_id", Text, ForeignKey("refunds.id")),
    _time("ended_at", optional=True),
    Column("ended_by", Text),
    # Nobody is maker and checker of one refund, not even by writing the name another way.
    CheckConstraint("checker_key <> maker_key AND lower(btrim(checker)) <> lower(btrim(maker))", name="two_people"),
    CheckConstraint("(refund_id IS NULL) = (checker_key IS NULL)", name="checked"),
    Index(
        "uq_approvals_open_case",
        "case_id",
        unique=True,
        postgresql_where=text("refund_id IS NULL AND ended_at IS NULL"),
    ),
    Index("ix_approvals_refund_id", "refund_id"),
)

ticks = Table(
    "ticks",
    metadata,
    Column("name", Text, primary_key=True),
    _time("last_run_at"),
)

# Passes over Stripe's list of events. `read_to` moves through the span from its start to its end.
backfills = Table(
    "backfills",
    metadata,
    Column("id", Text, primary_key=True),
    Column("account", Text, nullable=False),
    _time("since"),
    _time("until"),
    _time("read_to"),
    Column("slice_seconds", Integer, CheckConstraint("slice_seconds > 0", name="slice"), nullable=False),
    Column("reason", Text, CheckConstraint(_one_of("reason", BackfillReason), name="reason"), nullable=False),
    Column("asked_by", Text, nullable=False),
    Column("state", Text, CheckConstraint(_one_of("state", BackfillState), name="state"), nullable=False),
    Column("missing", BigInteger, nullable=False, server_default="0"),
    Column("known", BigInteger, nullable=False, server_default="0"),
    Column("unreadable", BigInteger, nullable=False, server_default="0"),
    Column("missing_types", Text, nullable=False, server_default="{}"),
    _time("began_at", now=True),
    _time("finished_at", optional=True),
    Index("ix_backfills_running", "account", postgresql_where=text("state = 'running'")),
)

# Up to when all events of an account are known to be here.
event_marks = Table(
    "event_marks",
    metadata,
    Column("account", Text, primary_key=True),
    _time("read_to"),
)

# A replay by its name: whoever gives the name again goes on with it, and does nothing twice.
replay_runs = Table(
    "replay_runs",
    metadata,
    Column("name", Text, primary_key=True),
    Column("state", Text, CheckConstraint(_one_of("state", RunState), name="state"), nullable=False),
    Column("started_by", Text, nullable=False),
    Column("why", Text, nullable=False),
    Column("rate", Integer, CheckConstraint("rate > 0", name="rate"), nullable=False),
    Column("confirmed", Text, nullable=False),
    Column("confirmed_unknown", Integer, nullable=False),
    Column("is_capped", Boolean, nullable=False),
    Column("of_events", Boolean, nullable=False, server_default=text("false")),
    Column("stop_asked_by", Text),
    Column("stopped_why", Text),
    Column("token", Text),
    _time("lease_until", optional=True),
    _time("began_at", now=True),
    _time("ended_at", optional=True),
)

replay_items = Table(
    "replay_items",
    metadata,
    Column("run", Text, ForeignKey("replay_runs.name"), primary_key=True),
    Column("job_id", Text, ForeignKey("jobs.id"), primary_key=True),
    Column("state", Text, CheckConstraint(_one_of("state", ItemState), name="state"), nullable=False),
    Column("effect", Text, nullable=False),
    Column("why", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("amount_minor", BigInteger),
    Column("currency", Text),
    _time("done_at", optional=True),
    Index("ix_replay_items_job_id", "job_id"),
)

# Disputes as we last looked at them: what tells a missed event from one that was acted on.
disputes = Table(
    "disputes",
    metadata,
    Column("account", Text, primary_key=True),
    Column("dispute_id", Text, primary_key=True),
    Column("charge_id", Text, nullable=False),
    Column("status", Text, nullable=False),
    _time("looked_at", now=True),
    # When a pass of reconcile last saw it at Stripe.
    _time("seen_at", optional=True),
    Index("ix_disputes_charge_id", "account", "charge_id"),
)

reconcile_passes = Table(
    "reconcile_passes",
    metadata,
    Column("id", Text, primary_key=True),
    Column("account", Text, nullable=False),
    Column("by", Text, nullable=False),
    Column("scheduled", Boolean, nullable=False),
    Column("deep", Boolean, nullable=False),
    _time("refunds_since"),
    _time("since"),
    _time("until"),
    Column("state", Text, CheckConstraint(_one_of("state", PassState), name="state"), nullable=False),
    Column("stage", Text, CheckConstraint(_one_of("stage", Stage), name="stage"), nullable=False),
    Column("cursor", Text),
    Column("seen", BigInteger, nullable=False, server_default="0"),
    Column("found", BigInteger, nullable=False, server_default="0"),
    Column("settled", BigInteger, nullable=False, server_default="0"),
    Column("to_person", BigInteger, nullable=False, server_default="0"),
    _time("began_at", now=True),
    _time("advanced_at", now=True),
    _time("finished_at", optional=True),
    # One pass of the schedule at a time for each account, however many schedulers there are.
    Index(
        "uq_reconcile_passes_scheduled",
        "account",
        unique=True,
        postgresql_where=text("scheduled AND state = 'running'"),
    ),
    Index("ix_reconcile_passes_account", "account", "finished_at"),
)

breaks = Table(
    "breaks",
    metadata,
    Column("id", Text, primary_key=True),
    Column("account", Text, nullable=False),
    Column("livemode", Boolean, nullable=False),
    Column("kind", Text, CheckConstraint(_one_of("kind", BreakKind), name="kind"), nullable=False),
    Column("object_id", Text, nullable=False),
    Column("charge_id", Text),
    Column("refund_id", Text, ForeignKey("refunds.id")),
    Column("expected_minor", BigInteger),
    Column("expected_currency", Text),
    Column("expected_status", Text),
    Column("found_minor", BigInteger),
    Column("found_currency", Text),
    Column("found_status", Text),
    Column("state", Text, CheckConstraint(_one_of("state", BreakState), name="state"), nullable=False),
    Column("how", Text),
    Column("case_id", Text, ForeignKey("cases.id")),
    Column("pass_id", Text, ForeignKey("reconcile_passes.id")),
    _time("first_seen_at", now=True),
    _time("last_seen_at", now=True),
    _time("settled_at", optional=True),
    # A second pass meets the same break again, and never makes a second one of it.
    UniqueConstraint("account", "kind", "object_id"),
    Index("ix_breaks_unsettled", "account", "id", postgresql_where=text("state <> 'settled'")),
)
