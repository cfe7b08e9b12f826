"""What Stripe told and what is to be done: the inbox, jobs, and how both are fetched and run again."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from billingbot.core.backfill import BackfillReason, BackfillState
from billingbot.core.job import JobState
from billingbot.core.replay import ItemState, RunState
from billingbot.store.schema.base import metadata, one_of, time

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
    time("received_at", now=True),
    UniqueConstraint("account", "event_id"),
    Index("ix_inbox_object_id", "object_id"),
    Index("ix_inbox_type", "type", "id"),
)

jobs = Table(
    "jobs",
    metadata,
    Column("id", Text, primary_key=True),
    Column("actor", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("state", Text, CheckConstraint(one_of("state", JobState), name="state"), nullable=False),
    Column("attempts", Integer, nullable=False, server_default="0"),
    time("run_at", now=True),
    time("lease_until", optional=True),
    Column("token", Text),
    time("created_at", now=True),
    time("finished_at", optional=True),
    Column("last_error", Text),
    # The sweeper's only question: what is due and silent?
    Index("ix_jobs_due", "run_at", postgresql_where=text("state = 'ready'")),
    Index("ix_jobs_failed", "finished_at", postgresql_where=text("state = 'failed'")),
    Index("ix_jobs_subject", "subject"),
    # How many end in a minute.
    Index("ix_jobs_finished", "finished_at", postgresql_where=text("finished_at IS NOT NULL")),
    # Everything that is not simply done, for lists and counts; nearly all of a large table is done.
    Index("ix_jobs_open", "state", "id", postgresql_where=text("state <> 'done'")),
)

job_failures = Table(
    "job_failures",
    metadata,
    Column("job_id", Text, ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True),
    Column("attempt", Integer, primary_key=True),
    time("at", now=True),
    Column("error_class", Text, nullable=False),
    Column("error", Text, nullable=False),
    Column("traceback", Text, nullable=False),
    # Where in our code it broke: failures of one class at one place are one trouble.
    Column("frame", Text, nullable=False, server_default=""),
    Index("ix_job_failures_at", "at"),
)

# Passes over Stripe's list of events. `read_to` moves through the span from its start to its end.
backfills = Table(
    "backfills",
    metadata,
    Column("id", Text, primary_key=True),
    Column("account", Text, nullable=False),
    time("since"),
    time("until"),
    time("read_to"),
    Column("slice_seconds", Integer, CheckConstraint("slice_seconds > 0", name="slice"), nullable=False),
    Column("reason", Text, CheckConstraint(one_of("reason", BackfillReason), name="reason"), nullable=False),
    Column("asked_by", Text, nullable=False),
    Column("state", Text, CheckConstraint(one_of("state", BackfillState), name="state"), nullable=False),
    Column("missing", BigInteger, nullable=False, server_default="0"),
    Column("known", BigInteger, nullable=False, server_default="0"),
    Column("unreadable", BigInteger, nullable=False, server_default="0"),
    Column("missing_types", Text, nullable=False, server_default="{}"),
    time("began_at", now=True),
    time("finished_at", optional=True),
    Index("ix_backfills_running", "account", postgresql_where=text("state = 'running'")),
)

# Up to when all events of an account are known to be here.
event_marks = Table(
    "event_marks",
    metadata,
    Column("account", Text, primary_key=True),
    time("read_to"),
)

# A replay by its name: whoever gives the name again goes on with it, and does nothing twice.
replay_runs = Table(
    "replay_runs",
    metadata,
    Column("name", Text, primary_key=True),
    Column("state", Text, CheckConstraint(one_of("state", RunState), name="state"), nullable=False),
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
    time("lease_until", optional=True),
    time("began_at", now=True),
    time("ended_at", optional=True),
)

replay_items = Table(
    "replay_items",
    metadata,
    Column("run", Text, ForeignKey("replay_runs.name"), primary_key=True),
    Column("job_id", Text, ForeignKey("jobs.id"), primary_key=True),
    Column("state", Text, CheckConstraint(one_of("state", ItemState), name="state"), nullable=False),
    Column("effect", Text, nullable=False),
    Column("why", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("amount_minor", BigInteger),
    Column("currency", Text),
    time("done_at", optional=True),
    Index("ix_replay_items_job_id", "job_id"),
)

ticks = Table(
    "ticks",
    metadata,
    Column("name", Text, primary_key=True),
    time("last_run_at"),
)
