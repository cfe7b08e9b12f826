"""A private Valkey: what it was told survives a kill -9, and it answers nobody without the password."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import dramatiq
import pytest
import redis
from dramatiq.brokers.redis import RedisBroker
from tests.engines.conftest import Script, Wait

from billingbot.engines.errors import DirectoryBusyError
from billingbot.engines.processes import started_at
from billingbot.engines.valkey import RunningValkey, start_valkey

_STARTER = """
import sys, time
from pathlib import Path
from billingbot.engines.valkey import start_valkey
running = start_valkey(Path(sys.argv[1]))
print(running.process.pid, flush=True)
time.sleep(60)
"""


@pytest.fixture
def running(data_dir: Path) -> Iterator[RunningValkey]:
    with start_valkey(data_dir) as started:
        yield started


def test_what_was_acknowledged_survives_a_kill(data_dir: Path) -> None:
    running = start_valkey(data_dir)
    with redis.Redis.from_url(running.url) as client:
        for number in range(500):
            client.rpush("kept", number)
    running.process.kill()
    running.valkey.close()
    with start_valkey(data_dir) as again, redis.Redis.from_url(again.url) as client:
        assert again.url == running.url
        assert client.llen("kept") == 500
    running.process.wait()


def test_dramatiq_takes_the_url(running: RunningValkey) -> None:
    broker = RedisBroker(client=redis.Redis.from_url(running.url))  # type: ignore[no-untyped-call]  # Dramatiq has no types here
    rung = threading.Event()

    def ring(job: str) -> None:
        assert job == "job_1"
        rung.set()

    actor = dramatiq.actor(broker=broker)(ring)
    worker = dramatiq.Worker(broker, worker_threads=1)
    worker.start()
    actor.send("job_1")
    assert rung.wait(10)
    worker.stop()
    broker.close()


def test_nobody_enters_without_the_password(running: RunningValkey) -> None:
    socket = running.url.partition("@")[2]
    with redis.Redis.from_url(f"unix://{socket}") as client, pytest.raises(redis.AuthenticationError):
        client.ping()


def test_nothing_is_evicted_and_the_log_reaches_the_disk(running: RunningValkey) -> None:
    with redis.Redis.from_url(running.url, decode_responses=True) as client:
        found = client.config_get("maxmemory-policy", "appendonly", "appendfsync", "port")
    expected = {"maxmemory-policy": "noeviction", "appendonly": "yes", "appendfsync": "everysec", "port": "0"}
    assert found == expected


def test_two_starters_on_one_directory_get_one_server_and_a_clear_error(running: RunningValkey, data_dir: Path) -> None:
    with pytest.raises(DirectoryBusyError, match="in use by another billingbot"):
        start_valkey(data_dir)
    with redis.Redis.from_url(running.url) as client:
        assert client.ping()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child that its parent died")
def test_valkey_ends_with_a_killed_parent(data_dir: Path, script: Script, eventually: Wait) -> None:
    parent = script(_STARTER, data_dir)
    assert parent.stdout is not None
    valkey = int(parent.stdout.readline())
    os.kill(parent.pid, signal.SIGKILL)
    eventually(lambda: started_at(valkey) is None)


def test_a_pid_file_that_names_a_stranger_harms_neither_side(data_dir: Path) -> None:
    stranger = subprocess.Popen(["sleep", "60"])
    try:
        (data_dir / "valkey" / "files" / "valkey.pid").write_text(f"{stranger.pid}\n")
        with start_valkey(data_dir) as running, redis.Redis.from_url(running.url) as client:
            assert client.ping()
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()
