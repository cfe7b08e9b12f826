"""The inbox: each event once with its job, and batches that cannot lock each other out."""

import itertools
from concurrent.futures import ThreadPoolExecutor

import sqlalchemy as sa
from sqlalchemy import Engine

from billingbot.core.signals import Envelope
from billingbot.store import inbox
from billingbot.store.database import transaction

_COUNT = itertools.count()


def delivery(event_id: str, account: str = "default") -> inbox.Delivery:
    number = next(_COUNT)
    envelope = Envelope(
        account=account,
        event_id=event_id,
        type="invoice.paid",
        thin=False,
        livemode=False,
        api_version=None,
        created=1,
        object_id="in_1",
        trial_end_before=None,
        body=b"{}",
    )
    return inbox.Delivery(id=f"inb_{number}", job_id=f"job_{number}", envelope=envelope)


def receive(db: Engine, *event_ids: str) -> int:
    with transaction(db) as connection:
        return len(inbox.receive(connection, [delivery(event_id) for event_id in event_ids]))


def test_an_event_is_stored_once_with_one_job_however_often_it_comes(db: Engine) -> None:
    assert receive(db, "evt_1", "evt_2", "evt_1") == 2
    assert receive(db, "evt_2", "evt_3") == 1
    with transaction(db) as connection:
        assert connection.execute(sa.text("SELECT count(*) FROM inbox")).scalar_one() == 3
        pairs = connection.execute(sa.text("SELECT 1 FROM inbox JOIN jobs ON jobs.subject = inbox.id")).all()
    assert len(pairs) == 3


def test_an_event_that_many_receive_at_once_is_new_to_one_of_them(db: Engine) -> None:
    with ThreadPoolExecutor(12) as pool:
        assert sum(pool.map(lambda _: receive(db, "evt_1"), range(12))) == 1


def test_the_same_event_id_of_another_account_is_another_event(db: Engine) -> None:
    with transaction(db) as connection:
        assert len(inbox.receive(connection, [delivery("evt_1"), delivery("evt_1", account="other")])) == 2


def test_a_batch_is_written_in_one_order_whatever_order_it_came_in(db: Engine) -> None:
    """Two batches with the same events, turned round, would otherwise wait for each other."""
    receive(db, "evt_3", "evt_1", "evt_2")
    with transaction(db) as connection:
        written = connection.execute(sa.text("SELECT event_id FROM inbox ORDER BY ctid")).scalars().all()
    assert written == ["evt_1", "evt_2", "evt_3"]
