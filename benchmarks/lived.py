"""What a desk has beside its cases after two years: jobs, events, disputes, notes, notices, a chained ledger, ..."""

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any, Final

import psycopg

from billingbot.core.canonical import canonical_bytes
from billingbot.core.ledger import GENESIS, Draft, EntryKind, seal
from billingbot.store.history import email_digest

MAILBOX: Final = "customer@example.com"
"""An address that one customer has."""
# Entries that wait in memory for their way into the ledger.
_PIECE: Final = 5_000

# An id's other self: of the same instant, and of no other row.
_OTHER: Final = "substr({0}, {1}, 10) || reverse(substr({0}, {1} + 10, 16))"
_THIRD: Final = "substr({0}, {1}, 10) || reverse(translate(substr({0}, {1} + 10, 16), '0123456789', '7913058264'))"
_HASH: Final = "abs(hashtext({0}))"


def _other(column: str, prefix: int) -> str:
    return _OTHER.format(column, prefix + 1)


def _third(column: str, prefix: int) -> str:
    return _THIRD.format(column, prefix + 1)


# What waits after a bad night is more than a desk ever has otherwise: 12,000 jobs that nobody has replayed yet, four
# thousand of cases that a person has only for it, four thousand of refunds, four thousand of events.
_CASES: Final = (
    """UPDATE cases SET state = 'closed', outcome = 'denied', assignee = coalesce(assignee, 'ada'),
              closed_at = opened_at + interval '1 day'
       WHERE state = 'review' AND opened_at < now() - interval '7 days'""",
    """UPDATE cases SET state = 'review', reason = 'could-not-assess', recommendation = NULL, assignee = NULL,
              outcome = NULL, closed_at = NULL, due_at = now() + interval '1 day'
       WHERE id IN (SELECT c.id FROM cases c WHERE c.state = 'closed' AND opened_at < now() - interval '1 day'
                        AND NOT EXISTS (SELECT FROM refunds r WHERE r.case_id = c.id)
                    ORDER BY c.id DESC LIMIT 4000)""",
    """UPDATE cases SET priority = CASE abs(hashtext(id)) % 20 WHEN 0 THEN 'urgent' WHEN 1 THEN 'high'
                                                              ELSE priority END,
              assignee = CASE WHEN abs(hashtext(id)) % 3 = 0 AND reason <> 'could-not-assess' THEN 'bo' END,
              snoozed_until = CASE WHEN abs(hashtext(id)) % 11 = 0 THEN now() + interval '2 days' END,
              due_at = coalesce(due_at, opened_at + interval '2 days')
       WHERE state = 'review'""",
    """UPDATE refunds SET state = 'intended', settled_at = NULL, stripe_refund_id = NULL
       WHERE id IN (SELECT id FROM refunds WHERE intended_at < now() - interval '1 day' ORDER BY id DESC LIMIT 4000)""",
    """UPDATE refunds SET state = (ARRAY['failed', 'refused', 'withdrawn', 'canceled'])[1 + abs(hashtext(id)) % 4]
       WHERE state = 'succeeded' AND abs(hashtext(charge_id)) % 150 = 0""",
    """UPDATE cases SET state = 'refunding', outcome = NULL, closed_at = NULL
       WHERE id IN (SELECT case_id FROM refunds WHERE state = 'intended')""",
)
_WORK: Final = (
    f"""INSERT INTO inbox (id, account, event_id, type, thin, livemode, created, object_id, body, received_at)
        SELECT 'inb_' || substr(id, 6), account, 'evt_' || substr(id, 6),
               (ARRAY['invoice.paid', 'customer.subscription.updated', 'charge.succeeded'])
                   [1 + {_HASH.format("id")} % 3],
               false, livemode, extract(epoch FROM opened_at)::bigint, charge_id,
               convert_to('{{"id": "' || id || '"}}', 'UTF8'), opened_at FROM cases
        UNION ALL
        SELECT 'inb_' || {_other("id", 4)}, account, 'evt_' || {_other("id", 4)}, 'charge.refunded', false, livemode,
               extract(epoch FROM intended_at)::bigint, charge_id, convert_to('{{}}', 'UTF8'), intended_at
        FROM refunds""",  # noqa: S608  # parts of ours
    f"""INSERT INTO jobs (id, actor, subject, state, attempts, run_at, created_at, finished_at)
        SELECT 'job_' || substr(id, 6), 'assess', id, 'done', 1, opened_at, opened_at, opened_at + interval '1 second'
        FROM cases
        UNION ALL
        SELECT 'job_' || {_third("id", 4)}, 'interpret', id, 'done', 1, received_at, received_at,
               received_at + interval '1 second' FROM inbox
        UNION ALL
        SELECT 'job_' || {_other("id", 4)}, 'submit', id, 'done', 1, intended_at, intended_at,
               intended_at + interval '2 seconds' FROM refunds ON CONFLICT DO NOTHING""",  # noqa: S608  # parts of ours
    """UPDATE jobs SET state = 'failed', attempts = 16, last_error = 'StripeUnavailableError: no answer',
              finished_at = run_at + interval '7 hours'
       WHERE (actor = 'assess' AND subject IN (SELECT id FROM cases WHERE reason = 'could-not-assess'))
          OR (actor = 'submit' AND subject IN (SELECT id FROM refunds WHERE state = 'intended'))
          OR id IN (SELECT id FROM jobs WHERE actor = 'interpret' ORDER BY id DESC LIMIT 4000)""",
    """INSERT INTO jobs (id, actor, subject, state, attempts, run_at, last_error)
       SELECT 'job_' || substr(id, 6, 22) || 'zzzz', 'recheck', id, 'ready', abs(hashtext(id)) % 2,
              now() + interval '9 hours', CASE abs(hashtext(id)) % 2 WHEN 1 THEN 'RetryLaterError: no answer' END
       FROM cases WHERE state = 'review' LIMIT 1000""",
    """INSERT INTO job_failures (job_id, attempt, at, error_class, error, traceback, frame)
       SELECT id, n, run_at + n * interval '25 minutes',
              (ARRAY['StripeUnavailableError', 'RetryLaterError', 'TimeoutError'])[1 + abs(hashtext(subject)) % 3],
              'no answer', repeat('  File "somewhere.py", line 1, in something' || chr(10), 20),
              (ARRAY['gateway/client.py:get', 'store/database.py:transaction'])[1 + abs(hashtext(subject)) % 2]
       FROM jobs, generate_series(1, 3) AS n
       WHERE state = 'failed' OR last_error IS NOT NULL OR (state = 'done' AND n = 1 AND abs(hashtext(id)) % 20 = 0)""",
    """INSERT INTO requests (id, case_id, account, channel, named_by, named, claims_unused, claims_cancelled,
                             asked_by, input_digest, asked_at)
       SELECT 'req_' || substr(id, 6), id, account, 'api', 'charge', charge_id, true, false, 'key:desk', 'x', opened_at
       FROM cases""",
)
_MONEY: Final = (
    """INSERT INTO refund_attempts (id, refund_id, number, key, params, outcome, first_sent_at, last_sent_at,
                                     answered_at)
        SELECT 'att_' || substr(id, 5), id, 1, 'billingbot:refund:' || id, '{}', 'accepted', intended_at, intended_at,
               intended_at FROM refunds WHERE stripe_refund_id IS NOT NULL""",
    """INSERT INTO balance_transactions (account, id, movement, type, category, source, amount_minor, fee_minor,
                                         currency, created_at, available_on, status)
       SELECT account, 'txn_' || substr(id, 5), 'refund', 'refund', 'refund', stripe_refund_id, -amount_minor, 0,
              currency, intended_at, intended_at + interval '5 days', 'available'
       FROM refunds WHERE stripe_refund_id IS NOT NULL""",
    """INSERT INTO cancellations (id, refund_id, case_id, account, livemode, charge_id, subscription_id, cancel_when,
                                  state, intended_at, ended_at)
       SELECT 'cnl_' || substr(r.id, 5), r.id, r.case_id, r.account, r.livemode, r.charge_id, c.subscription_id, 'now',
              'done', r.intended_at, r.intended_at FROM refunds r JOIN cases c ON c.id = r.case_id
       WHERE r.state = 'succeeded'""",
    """INSERT INTO approvals (id, case_id, amount_minor, currency, maker, maker_key, made_at, checker, checker_key,
                              checked_at, refund_id)
       SELECT 'apv_' || substr(id, 5), case_id, amount_minor, currency, 'ada', 'ada', intended_at, 'bo', 'bo',
              intended_at, id FROM refunds WHERE origin = 'person' AND amount_minor > 20000""",
    # One in twenty charges that somebody asks about is disputed; the open ones are those of the last three weeks.
    """INSERT INTO disputes (account, dispute_id, charge_id, status, looked_at, case_id, kind, outcome, closed_at,
           created_at, reason, amount_minor, currency, is_charge_refundable, due_by, has_evidence, submission_count,
           past_due, fee_minor, withdrawn_minor, reinstated_minor, fees_minor, settled_currency, settlement_of)
       SELECT account, 'dp_' || substr(id, 6), charge_id, status, opened_at, id, kind, outcome,
              CASE WHEN outcome IS NOT NULL THEN opened_at + interval '60 days' END, opened_at, reason, amount_minor,
              currency, kind = 'inquiry', opened_at + interval '14 days', outcome IS NOT NULL,
              CASE WHEN outcome IS NOT NULL THEN 1 ELSE 0 END, false, 1500, amount_minor,
              CASE WHEN outcome = 'won' THEN amount_minor ELSE 0 END, 1500, currency, status
       FROM (SELECT *, CASE kind WHEN 'inquiry'
                                 THEN CASE WHEN is_open THEN 'warning_needs_response' ELSE 'warning_closed' END
                       ELSE CASE WHEN is_open THEN 'needs_response' ELSE outcome END END AS status
             FROM (SELECT c.id, account, charge_id, opened_at, amount_minor, currency,
                          opened_at > now() - interval '21 days' AS is_open,
                          (ARRAY['inquiry', 'chargeback', 'chargeback'])[1 + abs(hashtext(charge_id)) % 3] AS kind,
                          CASE WHEN opened_at > now() - interval '21 days' THEN NULL
                               WHEN abs(hashtext(charge_id)) % 3 = 0 THEN 'inquiry_closed'
                               WHEN abs(hashtext(charge_id)) % 7 = 0 THEN 'won' ELSE 'lost' END AS outcome,
                          (ARRAY['fraudulent', 'subscription_canceled', 'unrecognized', 'product_not_received',
                                 'credit_not_processed'])[1 + abs(hashtext(charge_id || 'r')) % 5] AS reason
                   FROM cases c WHERE abs(hashtext(id)) % 20 = 0) AS a) AS b""",
    """INSERT INTO balance_transactions (account, id, movement, type, category, source, amount_minor, fee_minor,
                                         currency, created_at, available_on, status)
       SELECT account, 'txn_' || substr(dispute_id, 4) || 'w', 'withdrawn', 'adjustment', 'dispute', dispute_id,
              -amount_minor, 1500, currency, created_at, created_at, 'available'
       FROM disputes WHERE kind = 'chargeback'""",
    """INSERT INTO dispute_answers (id, account, livemode, dispute_id, charge_id, kind, stage, state, fields,
                                    amount_minor, currency, decided_by, intended_at, ended_at)
       SELECT 'ans_' || substr(dispute_id, 4), account, true, dispute_id, charge_id, 'send', 'chargeback', 'done',
              '{"product_description": "x", "customer_name": "x", "access_activity_log": "x", "refund_policy": "x"}',
              amount_minor, currency, 'ada', created_at, created_at
       FROM disputes WHERE kind = 'chargeback' AND outcome IS NOT NULL""",
)
_PEOPLE: Final = (
    """INSERT INTO notes (id, case_id, author, text, written_at)
       SELECT 'note_' || substr(id, 6), id, 'ada', 'Looked at the tag, saw nothing; @benchmark please look too.',
              opened_at FROM cases WHERE abs(hashtext(id)) % 3 = 0""",
    """INSERT INTO mentions (note_id, person, case_id, named_at, seen_at)
       SELECT id, CASE WHEN abs(hashtext(id)) % 200 = 0 THEN 'benchmark' ELSE 'bo' END, case_id, written_at,
              CASE WHEN written_at < now() - interval '60 days' THEN written_at END
       FROM notes WHERE abs(hashtext(case_id || 'm')) % 20 = 0""",
    """INSERT INTO letters (id, case_id, account, subject, text, text_digest, state, written_by, written_at, sent_at)
       SELECT 'ltr_' || substr(id, 6), id, account, 'Your refund', 'It is on its way.', md5(id), 'sent', 'ada',
              opened_at, opened_at FROM cases WHERE abs(hashtext(id)) % 4 = 0""",
    """INSERT INTO conversions (id, account, livemode, customer_id, subscription_id, invoice_id, charge_id,
                                amount_minor, currency, trial_start_at, trial_end_at, charged_at, noticed_at)
       SELECT 'cnv_' || substr(id, 6), account, livemode, customer_id, subscription_id, invoice_id, charge_id,
              amount_minor, currency, opened_at - interval '20 days', opened_at - interval '6 days',
              opened_at - interval '6 days', opened_at FROM cases""",
    """INSERT INTO trials (account, subscription_id, customer_id, trial_start_at, first_trial_end_at, trial_end_at)
       SELECT account, subscription_id, customer_id, trial_start_at, trial_end_at, trial_end_at FROM conversions""",
    # Every two hundredth shares a card with others: families, and who comes again.
    """INSERT INTO customer_identities (account, customer_id, kind, digest, since, trial_since)
       SELECT account, customer_id, 'card', md5(CASE WHEN abs(hashtext(customer_id)) % 200 = 0
                  THEN 'shared' || abs(hashtext(customer_id)) % 1000 ELSE customer_id END), trial_start_at,
              trial_start_at
       FROM conversions
       UNION ALL SELECT account, customer_id, 'email', md5('mail' || customer_id), trial_start_at, trial_start_at
       FROM conversions ON CONFLICT DO NOTHING""",
    """INSERT INTO notices (id, kind, account, subject, headline, body, state, told_at)
       SELECT 'ntc_' || substr(id, 6), CASE WHEN abs(hashtext(id)) % 9 = 0 THEN 'job_failed' ELSE 'case_opened' END,
              account, id, 'A case waits', 'It waits.',
              CASE WHEN abs(hashtext(id)) % 500 = 0 THEN 'failed' ELSE 'sent' END, opened_at
       FROM cases WHERE abs(hashtext(id)) % 10 < 3""",
    """INSERT INTO notice_deliveries (notice_id, route, state, tries, at)
       SELECT id, 'chat', CASE state WHEN 'failed' THEN 'failed' ELSE 'sent' END, 1, told_at FROM notices""",
    """INSERT INTO people (id, name, name_key, email, roles)
       SELECT 'per_01k' || lpad(n::text, 23, '0'), 'person ' || n, 'person ' || n, 'p' || n || '@example.com',
              ARRAY['support'] FROM generate_series(1, 60) AS n""",
    """INSERT INTO sessions (id, digest, person_id, signed_in_by, user_agent, created_at, last_seen_at, expires_at)
       SELECT 'ses_' || substr(id, 6), md5(id), 'per_01k' || lpad((1 + abs(hashtext(id)) % 60)::text, 23, '0'),
              'password', 'Mozilla/5.0', opened_at, opened_at, opened_at + interval '12 hours'
       FROM cases WHERE abs(hashtext(id)) % 25 = 0""",
    """INSERT INTO api_keys (id, name, digest, powers)
       SELECT 'key_01k' || lpad(n::text, 23, '0'), 'key ' || n, 'digest ' || n, ARRAY['see']
       FROM generate_series(1, 200) AS n""",
    """INSERT INTO personal_data_searches (id, state, asked_by, ended_at)
       SELECT 'ers_01k' || lpad(n::text, 23, '0'), 'erased', 'ada', now() FROM generate_series(1, 500) AS n""",
    """INSERT INTO queue_views (id, owner, name, query)
       SELECT 'view_01k' || lpad(n::text, 23, '0'), 'benchmark', 'list ' || n, 'priority=urgent'
       FROM generate_series(1, 20) AS n""",
)
_HOUSE: Final = (
    """INSERT INTO reconcile_passes (id, account, "by", scheduled, deep, refunds_since, since, until, state, stage,
                                     began_at, advanced_at, finished_at)
       SELECT 'rec_01k' || lpad(n::text, 23, '0'), 'default', 'schedule', true, n % 24 = 0, at, at, at, 'whole',
              'breaks', at, at, at
       FROM (SELECT n, now() - (17520 - n) * interval '1 hour' AS at FROM generate_series(1, 17519) AS n) AS a""",
    """INSERT INTO breaks (id, account, livemode, kind, object_id, state, first_seen_at, last_seen_at, settled_at)
       SELECT 'brk_' || substr(id, 6), account, livemode, 'status', charge_id,
              CASE WHEN opened_at > now() - interval '3 days' THEN 'open' ELSE 'settled' END, opened_at, opened_at,
              opened_at FROM cases WHERE abs(hashtext(id)) % 200 = 0""",
    """INSERT INTO backfills (id, account, since, until, read_to, slice_seconds, reason, asked_by, state, finished_at)
       SELECT 'bkf_01k' || lpad(n::text, 23, '0'), 'default', at - interval '1 day', at, at, 3600, 'daily', 'schedule',
              'done', at
       FROM (SELECT n, now() - (730 - n) * interval '1 day' AS at FROM generate_series(1, 730) AS n) AS a""",
    """INSERT INTO queue_samples (at, due, oldest_due_seconds, failed, received, finished, faults)
       SELECT now() - n * interval '1 minute', n % 7, n % 90, 12000, 1, 2, 0 FROM generate_series(1, 11500) AS n""",
    """INSERT INTO source_states (account, source, kind, asked_at, answered_at, took_ms, max_age_seconds)
       SELECT 'default', 'source ' || n, 'usage', now(), now(), 30, 900 FROM generate_series(1, 4) AS n""",
    """INSERT INTO source_hours (account, source, hour, asked, answered, took_ms, most_ms)
       SELECT 'default', 'source ' || s, date_trunc('hour', now()) - n * interval '1 hour', 60, 59, 1800, 400
       FROM generate_series(0, 719) AS n, generate_series(1, 4) AS s""",
    """INSERT INTO replay_runs (name, state, started_by, why, rate, confirmed, confirmed_unknown, is_capped,
                                began_at)
       SELECT 'run ' || n, CASE n WHEN 60 THEN 'stopped' ELSE 'done' END, 'ada', 'after an outage', 4,
              '{"usd": 10000000}', 100, false, now() - (61 - n) * interval '10 days'
       FROM generate_series(1, 60) AS n""",
    # The last one is stopped at its beginning: ten thousand jobs wait for somebody who lets it go on.
    """INSERT INTO replay_items (run, job_id, state, effect, why, subject, amount_minor, currency, done_at)
       SELECT 'run 60', id, 'waiting', 'may_pay', 'decides anew', subject, 4900, 'usd', NULL
       FROM (SELECT * FROM jobs WHERE state = 'failed' ORDER BY id LIMIT 10000) AS a
       UNION ALL
       SELECT 'run ' || n, id, 'replayed', 'may_pay', 'decides anew', subject, 4900, 'usd', now()
       FROM (SELECT * FROM jobs WHERE actor = 'assess' AND state = 'done' ORDER BY id LIMIT 5000) AS a,
            generate_series(1, 59) AS n""",
)


def live(url: str) -> None:
    """Fills the rest of a database of cases, as the superuser of `url`."""
    with ThreadPoolExecutor(2) as two:
        _carry_out(url, _CASES)
        for done in [two.submit(_carry_out, url, (*_WORK, *_HOUSE)), two.submit(_carry_out, url, (*_MONEY, *_PEOPLE))]:
            done.result()
        chained(url)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            "UPDATE customer_identities SET digest = %s WHERE kind = 'email' AND customer_id ="
            " (SELECT customer_id FROM cases ORDER BY id DESC LIMIT 1)",
            (email_digest(MAILBOX),),
        )
        # As autovacuum leaves a database that has lived: fresh statistics, and pages known to hold no dead rows.
        connection.execute("VACUUM (ANALYZE)")
        connection.execute("CHECKPOINT")


def _carry_out(url: str, statements: tuple[str, ...]) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SET session_replication_role = replica")
        connection.execute("SET synchronous_commit = off")
        connection.execute("SET work_mem = '256MB'")
        for statement in statements:
            connection.execute(statement.encode())


def chained(url: str) -> None:
    """Chains the ledger of all cases on behind what it has, by COPY."""
    with psycopg.connect(url) as reading, psycopg.connect(url) as writing:
        writing.execute("SET synchronous_commit = off")
        last = writing.execute("SELECT seq, hash FROM ledger_entries ORDER BY seq DESC LIMIT 1").fetchone()
        seq, previous = last or (0, GENESIS)
        into = "COPY ledger_entries (seq, at, kind, account, subject, actor, body, previous_hash, hash) FROM STDIN"
        with writing.cursor() as cursor, cursor.copy(f"{into} (FORMAT BINARY)") as copy:
            copy.set_types(["int8", "timestamptz", "text", "text", "text", "text", "bytea", "text", "text"])
            for at, draft in _drafts(reading):
                entry = seal(draft, seq=seq + 1, at=at, previous_hash=previous)
                copy.write_row((
                    entry.seq, entry.at, entry.kind, entry.account, entry.subject, entry.actor,
                    canonical_bytes(entry.body), entry.previous_hash, entry.hash,
                ))  # fmt: skip
                seq, previous = entry.seq, entry.hash


_STORIES: Final = """
    SELECT c.id, c.account, c.opened_at, c.closed_at, c.decision_id, c.reason, c.assignee, c.outcome, c.amount_minor,
           c.currency, r.id, r.state, r.intended_at, r.stripe_refund_id
    FROM cases c LEFT JOIN refunds r ON r.case_id = c.id ORDER BY c.id
"""


def _drafts(connection: psycopg.Connection[Any]) -> Iterator[tuple[datetime, Draft]]:
    """What the ledger tells of each case, in the order in which cases were opened."""
    with connection.cursor(name="stories") as cursor:
        cursor.itersize = _PIECE
        cursor.execute(_STORIES.encode())
        for row in cursor:
            case, account, opened, closed, decision, reason, person, outcome, minor, currency, *refund = row
            yield opened, _draft(EntryKind.CASE_DECIDED, account, case, {"decision": decision, "reason": reason})
            if person is not None and closed is not None:
                kind = EntryKind.CASE_DENIED if outcome == "denied" else EntryKind.CASE_APPROVED
                yield closed, _draft(EntryKind.CASE_CLAIMED, account, case, {}, person)
                yield closed, _draft(kind, account, case, {"reason_digest": decision}, person)
            refund_id, state, intended, at_stripe = refund
            if refund_id is not None:
                money = {"amount_minor": minor, "currency": currency}
                yield intended, _draft(EntryKind.REFUND_INTENDED, account, refund_id, {**money, "case": case})
                if at_stripe is not None:
                    told = {**money, "state": state, "stripe_refund": at_stripe}
                    yield intended, _draft(EntryKind.REFUND_CHANGED, account, refund_id, told)


def _draft(kind: EntryKind, account: str, subject: str, body: Mapping[str, Any], actor: str = "billingbot") -> Draft:
    return Draft(kind=kind, account=account, subject=subject, actor=actor, body=body)
