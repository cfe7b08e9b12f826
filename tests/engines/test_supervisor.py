"""The supervisor behind `billingbot up`: order, restarts, prefixed output, and nothing left over, whatever dies."""

import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
import redis
from tests.engines.conftest import Script, Wait
from tests.engines.shared import plain

from billingbot.engines.child import Child, start
from billingbot.engines.errors import DirectoryBusyError, EngineError
from billingbot.engines.postgres import prepare_postgres
from billingbot.engines.processes import started_at
from billingbot.engines.supervisor import Supervisor
from billingbot.engines.valkey import prepare_valkey

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child that its parent died")

_SLEEP = "import time; time.sleep(60)"
# Says that it stops, in a file, and takes a moment over it, so that an overlap would show.
_ORDERLY = """
import signal, sys, time
def stop(*_):
    time.sleep(0.1)
    with open(sys.argv[1], "a") as log:
        log.write(sys.argv[2] + " ")
    sys.exit(0)
signal.signal(signal.SIGTERM, stop)
print("ready", flush=True)
time.sleep(60)
"""
_STUBBORN = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("deaf", flush=True)
time.sleep(60)
"""
# Two children; the second leaves a process of its own in a session of its own, deaf to the first signal.
_SUPERVISED = """
import subprocess, sys
from pathlib import Path
from billingbot.engines.child import Child
from billingbot.engines.supervisor import Supervisor
sleep = (sys.executable, "-c", "import time; time.sleep(60)")
parent = "import subprocess, sys, time; p = subprocess.Popen(sys.argv[1:], start_new_session=True); " \\
    "print('grandchild', p.pid, flush=True); time.sleep(60)"
children = [Child(name="one", argv=sleep), Child(name="two", argv=(sys.executable, "-c", parent, *sleep))]
sys.exit(Supervisor(children, state_dir=Path(sys.argv[1])).run())
"""


def _python(name: str, source: str, *arguments: object, **options: object) -> Child:
    argv = (sys.executable, "-u", "-c", source, *map(str, arguments))
    return Child(name=name, argv=argv, **options)  # type: ignore[arg-type]  # options are Child's own fields


def _said(output: io.StringIO, text: str) -> Callable[[], bool]:
    return lambda: text in output.getvalue()


def test_a_killed_child_is_back(tmp_path: Path, eventually: Wait) -> None:
    supervisor = Supervisor([_python("web", _SLEEP)], state_dir=tmp_path, output=io.StringIO())
    with supervisor.running():
        first = supervisor.pid("web")
        assert first is not None
        os.kill(first, signal.SIGKILL)
        eventually(lambda: supervisor.pid("web") not in {None, first})
        second = supervisor.pid("web")
    assert second is not None
    assert started_at(second) is None


def test_one_that_keeps_dying_is_started_less_and_less_often(tmp_path: Path, eventually: Wait) -> None:
    output = io.StringIO()
    with Supervisor([_python("web", "import time; time.sleep(0.2)")], state_dir=tmp_path, output=output).running():
        eventually(_said(output, "web has ended (exit code 0); again in 0.4 s"))
    delays = [line.rpartition("again in ")[2] for line in output.getvalue().splitlines() if "again in" in line]
    assert delays[:3] == ["0.1 s", "0.2 s", "0.4 s"]


def test_children_start_in_order_each_after_the_one_before_is_ready(tmp_path: Path) -> None:
    gate, proof = tmp_path / "gate", tmp_path / "proof"
    slow = "import sys, time; time.sleep(0.4); open(sys.argv[1], 'w'); time.sleep(60)"
    look = "import os, sys; open(sys.argv[2], 'w').write(str(os.path.exists(sys.argv[1])))"
    opens = _python("slow", slow, gate, ready=gate.exists)
    looks = _python("next", look, gate, proof, once=True)
    with Supervisor([opens, looks], state_dir=tmp_path, output=io.StringIO()).running():
        assert proof.read_text() == "True"


def test_a_step_that_runs_once_ends_before_the_next_child_starts(tmp_path: Path) -> None:
    output = io.StringIO()
    children = [_python("migrate", "import time; time.sleep(0.3); print('done')", once=True), _python("web", _SLEEP)]
    supervisor = Supervisor(children, state_dir=tmp_path, output=output)
    with supervisor.running():
        assert supervisor.pid("migrate") is None
        said = output.getvalue()
    assert said.index("migrate | done") < said.index("started web")


def test_everything_stops_in_reverse_order_one_after_the_other(tmp_path: Path, eventually: Wait) -> None:
    stopped, output = tmp_path / "stopped", io.StringIO()
    children = [_python(name, _ORDERLY, stopped, name) for name in ("first", "second", "third")]
    with Supervisor(children, state_dir=tmp_path, output=output).running():
        eventually(lambda: output.getvalue().count("| ready") == 3)
    assert stopped.read_text() == "third second first "


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_with_exit_code_zero(
    tmp_path: Path, script: Script, eventually: Wait, number: signal.Signals
) -> None:
    process = script(_SUPERVISED, tmp_path)
    pids = _children_of(process)
    process.send_signal(number)
    assert process.wait(10) == 0
    eventually(lambda: not any(started_at(pid) for pid in pids))


def test_who_ignores_the_signal_is_killed_when_its_grace_is_over(tmp_path: Path, eventually: Wait) -> None:
    output = io.StringIO()
    supervisor = Supervisor([_python("deaf", _STUBBORN, grace_seconds=0.3)], state_dir=tmp_path, output=output)
    with supervisor.running():
        eventually(_said(output, "| deaf"))
        pid, began = supervisor.pid("deaf"), time.monotonic()
    assert 0.3 < time.monotonic() - began < 3
    assert pid is not None
    assert started_at(pid) is None
    assert "deaf did not stop in time: killed" in output.getvalue()


def test_a_second_request_to_stop_cuts_the_grace_short(tmp_path: Path, eventually: Wait) -> None:
    output = io.StringIO()
    supervisor = Supervisor([_python("deaf", _STUBBORN, grace_seconds=60)], state_dir=tmp_path, output=output)
    with supervisor.running():
        eventually(_said(output, "| deaf"))
        supervisor.stop()
        supervisor.stop()
        eventually(_said(output, "stopped deaf"))


def test_lines_carry_the_name_of_who_said_them(tmp_path: Path, eventually: Wait) -> None:
    output = io.StringIO()
    talk = "import sys, time; print('to stdout'); print('to stderr', file=sys.stderr); sys.stdout.write('half'); "
    children = [
        _python("web", talk + _SLEEP),
        _python("scheduler", "import sys; sys.stdout.buffer.write(b'\\xff and no newline')", once=True),
    ]
    with Supervisor(children, state_dir=tmp_path, output=output).running():
        eventually(_said(output, "to stderr"))
    lines = output.getvalue().splitlines()
    assert {"web       | to stdout", "web       | to stderr", "web       | half"} <= set(lines)
    assert {"scheduler | \ufffd and no newline", "up        | everything is running"} <= set(lines)


def test_a_child_that_cannot_start_stops_the_others_and_is_an_error(tmp_path: Path) -> None:
    output = io.StringIO()
    children = [_python("good", _SLEEP), _python("bad", "import sys; sys.exit('port taken')", ready=lambda: False)]
    supervisor = Supervisor(children, state_dir=tmp_path, output=output)
    assert supervisor.run() == 1
    assert supervisor.pid("good") is None or started_at(supervisor.pid("good") or 0) is None
    assert "bad  | port taken" in output.getvalue()
    assert "up   | bad did not start: exit code 1" in output.getvalue()


def test_a_program_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    supervisor = Supervisor([Child(name="web", argv=("/nowhere/web",), ready=lambda: False)], state_dir=tmp_path)
    with pytest.raises(EngineError, match="could not be started"), supervisor.running():
        pass


def test_one_that_is_never_ready_is_an_error(tmp_path: Path) -> None:
    output = io.StringIO()
    child = _python("web", _SLEEP, ready=lambda: False, ready_seconds=0.3)
    assert Supervisor([child], state_dir=tmp_path, output=output).run() == 1
    assert "web was not ready after 0.3 s" in output.getvalue()


def test_one_whose_readiness_cannot_be_asked_is_not_left_behind(tmp_path: Path) -> None:
    pids = tmp_path / "pid"
    script = f"import os, time, pathlib; pathlib.Path({str(pids)!r}).write_text(str(os.getpid())); time.sleep(60)"

    def ready() -> bool:
        if not pids.exists() or not pids.read_text():
            return False
        raise OSError("no answer that can be read")

    with pytest.raises(OSError, match="no answer"):
        start(Child(name="engine", argv=(sys.executable, "-c", script), ready=ready))
    assert started_at(int(pids.read_text())) is None


def test_two_supervisors_do_not_share_a_directory(tmp_path: Path) -> None:
    first, second = (Supervisor([_python("web", _SLEEP)], state_dir=tmp_path, output=io.StringIO()) for _ in "12")
    with first.running(), pytest.raises(DirectoryBusyError, match="billingbot up is in use by another billingbot"):
        second.run()


@on_linux
def test_its_own_kill_leaves_no_orphan_and_the_next_start_ends_what_hid(
    tmp_path: Path, script: Script, eventually: Wait
) -> None:
    process = script(_SUPERVISED, tmp_path)
    one, two, grandchild = _children_of(process)
    process.kill()
    eventually(lambda: started_at(one) is None and started_at(two) is None)
    assert started_at(grandchild) is not None  # its parent is gone, and nothing told it
    output = io.StringIO()
    with Supervisor([_python("web", _SLEEP)], state_dir=tmp_path, output=output).running():
        assert started_at(grandchild) is None
    assert f"ended process {grandchild}, left over from an earlier run" in output.getvalue()


@on_linux
def test_descendants_of_a_killed_child_do_not_stay(tmp_path: Path, eventually: Wait) -> None:
    output = io.StringIO()
    source = f"import subprocess, sys, time; print(subprocess.Popen([sys.executable, '-c', {_SLEEP!r}]).pid); {_SLEEP}"
    supervisor = Supervisor([_python("workers", source)], state_dir=tmp_path, output=output)
    with supervisor.running():
        eventually(lambda: any(line.startswith("workers | ") for line in output.getvalue().splitlines()))
        descendant = int(output.getvalue().partition("workers | ")[2].split()[0])
        os.kill(supervisor.pid("workers") or 0, signal.SIGKILL)
        eventually(lambda: started_at(descendant) is None)


def test_a_stranger_under_a_recorded_process_id_is_left_alone(tmp_path: Path) -> None:
    stranger = subprocess.Popen(["sleep", "60"])
    try:
        entry = {"pid": stranger.pid, "began": "1", "stop_signal": int(signal.SIGTERM)}
        record = {"mark": "0" * 32, "children": {"web": entry}}
        (tmp_path / "children.json").write_text(json.dumps(record))
        with Supervisor([_python("web", _SLEEP)], state_dir=tmp_path, output=io.StringIO()).running():
            assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_output_that_nobody_reads_does_not_stop_it(tmp_path: Path, eventually: Wait) -> None:
    ours, theirs = os.pipe()
    os.close(ours)
    with io.TextIOWrapper(os.fdopen(theirs, "wb", buffering=0), write_through=True) as broken:
        supervisor = Supervisor([_python("web", "print('hello'); " + _SLEEP)], state_dir=tmp_path, output=broken)
        with supervisor.running():
            first = supervisor.pid("web")
            os.kill(first or 0, signal.SIGKILL)
            eventually(lambda: supervisor.pid("web") not in {None, first})


def test_killed_engines_come_back_under_the_same_urls(data_dir: Path, eventually: Wait) -> None:
    postgres, valkey = prepare_postgres(data_dir, fsync=False), prepare_valkey(data_dir)
    supervisor = Supervisor([postgres.child, valkey.child], state_dir=data_dir, output=io.StringIO())

    def answers() -> bool:
        try:
            with psycopg.connect(plain(postgres.owner_url)) as connection:
                connection.execute("CREATE TABLE IF NOT EXISTS kept ()")
            with redis.Redis.from_url(valkey.url) as client:
                return bool(client.ping())
        except (psycopg.OperationalError, redis.RedisError):
            return False

    with supervisor.running():
        assert answers()
        before = {name: supervisor.pid(name) for name in ("postgres", "valkey")}
        began = time.monotonic()
        for pid in before.values():
            os.kill(pid or 0, signal.SIGKILL)
        eventually(lambda: all(supervisor.pid(name) not in {None, pid} for name, pid in before.items()))
        eventually(answers)
        assert time.monotonic() - began < 5
    assert not answers()
    postgres.close()
    valkey.close()


def _children_of(process: "subprocess.Popen[str]") -> tuple[int, int, int]:
    """The process ids of the two children and the grandchild, out of what the supervisor says."""
    assert process.stdout is not None
    found: dict[str, int] = {}
    for line in process.stdout:
        words = line.rstrip(")\n").split()
        if "started" in words:
            found[words[3]] = int(words[-1])
        if "grandchild" in words:
            found["grandchild"] = int(words[-1])
        if len(found) == 3:
            break
    return found["one"], found["two"], found["grandchild"]
