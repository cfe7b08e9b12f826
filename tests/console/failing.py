"""Jobs that fail in one way, as a night without Stripe leaves them."""

from billingbot.core.job import MOST_ATTEMPTS, Actor
from tests.flows.shop import Shop

TRACEBACK = """Traceback (most recent call last):
  File "/srv/billingbot/gateway/transport.py", line 160, in request
    answer = self._send(method, url)
             ^^^^^^^^^^^^^^^^^^^^^^^
  File "/usr/lib/python3/site-packages/httpx/_client.py", line 901, in send
    raise exc
  File "/usr/lib/python3/site-packages/httpx/_transports/default.py", line 118, in map
    raise mapped(message) from exc
httpx.ReadTimeout: timed out

The above exception was the direct cause of the following exception:

Traceback (most recent call last):
  File "/srv/billingbot/worker/run.py", line 64, in _work
    VERBS[job.actor](desk, job)
  File "/srv/billingbot/flows/submit.py", line 120, in submit
    sent = account.stripe.refund(intent)
billingbot.core.errors.StripeUnavailableError: /v1/refunds: no answer (ReadTimeout)
"""


def failed_payments(shop: Shop, count: int) -> list[str]:
    """So many charges whose refund was decided and whose payment gave up; the ids of the jobs."""
    trials = [shop.start_trial() for _ in range(count)]
    shop.end_trials()
    for trial in trials:
        shop.ask(shop.last_charge(trial), unused=True)
    shop.work(only=Actor.ASSESS)
    rows = shop.rows(
        "WITH failed AS (UPDATE jobs SET state = 'failed', attempts = :n, finished_at = now(), last_error = :said"
        " WHERE state = 'ready' AND actor = 'submit' RETURNING id) INSERT INTO job_failures"
        " (job_id, attempt, error_class, error, traceback, frame)"
        " SELECT id, attempt, 'StripeUnavailableError', :said, :trace, 'flows/submit.py in submit'"
        " FROM failed, generate_series(1, 2) AS attempt RETURNING job_id",
        n=MOST_ATTEMPTS,
        said="/v1/refunds: no answer (ReadTimeout)",
        trace=TRACEBACK,
    )
    return sorted({row.job_id for row in rows})
