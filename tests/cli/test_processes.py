"""Children are restarted, stopped in order, and never outlive their parent."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from cli.processes import KEPT_LOG_BYTES, LEASH, Child, Program, StartError, run_once
from cli.supervisor import Supervisor

ROOT = Path(__file__).resolve().parents[2]
SLEEP = "import time; print('here', flush=True); time.sleep(60)"
STUBBORN = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {SLEEP}"
FORKING = "import os, time; print(os.fork(), flush=True); time.sleep(60)"


def program(tmp_path: Path, code: str, name: str = "child", **more: object) -> Program:
    command = [sys.executable, "-c", code]
    options = {"log": tmp_path / f"{name}.log", "folder": tmp_path, "grace_seconds": 5.0} | more
    return Program(name, command, dict(os.environ), **options)  # type: ignore[arg-type]


def eventually(condition: Callable[[], object], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "this never came true"
        time.sleep(0.02)


def is_alive(pid: int) -> bool:
    """A zombie has ended, whoever should have buried it."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def said(tmp_path: Path, name: str = "child") -> str:
    log = tmp_path / f"{name}.log"
    return log.read_text() if log.exists() else ""


def tended(child: Child) -> Child:
    child.tend()
    return child


def tell_nobody(_: str) -> None:
    pass


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tenth of what they are."""
    monkeypatch.setattr("cli.processes.FIRST_PAUSE", 0.05)


def test_a_child_that_dies_is_started_again_after_longer_and_longer_pauses(tmp_path: Path) -> None:
    told: list[str] = []
    child = Child(program(tmp_path, "print('hello'); raise SystemExit(3)"), told.append)

    began = time.monotonic()
    eventually(lambda: tended(child).failures == 3)
    assert time.monotonic() - began > 0.05 + 0.1
    assert said(tmp_path).count("hello") == 3
    assert told[0] == "child ended (exit code 3); starting it again in 0.05 s"
    assert "in 0.2 s" in told[2]


def test_a_child_that_was_killed_is_named_with_the_signal(tmp_path: Path) -> None:
    told: list[str] = []
    child = Child(program(tmp_path, SLEEP), told.append)
    assert child.pid is not None
    os.kill(child.pid, signal.SIGKILL)
    eventually(lambda: tended(child).failures)
    assert "SIGKILL" in told[0]
    assert child.pid is None


def test_what_a_dead_child_had_forked_goes_before_its_successor_comes(tmp_path: Path) -> None:
    child = Child(program(tmp_path, FORKING), tell_nobody)
    eventually(lambda: said(tmp_path).count("\n") == 2)
    forked = max(int(line) for line in said(tmp_path).split())
    assert child.pid is not None
    os.kill(child.pid, signal.SIGKILL)
    eventually(lambda: tended(child).failures)
    eventually(lambda: not is_alive(forked))


def test_leaving_the_supervisor_stops_its_children(tmp_path: Path) -> None:
    with Supervisor(tell_nobody) as supervisor:
        pid = supervisor.start(program(tmp_path, SLEEP)).pid
        assert pid is not None
        assert is_alive(pid)
    assert not is_alive(pid)


def test_one_that_others_lean_on_ends_last(tmp_path: Path) -> None:
    slow = """
import signal, sys, time
def stop(*_):
    time.sleep(0.15)
    print("", time.monotonic_ns(), flush=True)  # It may come between "here" and the end of its line.
    sys.exit()
signal.signal(signal.SIGTERM, stop)
print("here", flush=True)
time.sleep(60)
"""
    with Supervisor(tell_nobody) as supervisor:
        for name in ("broker", "worker"):
            supervisor.start(program(tmp_path, slow, name, others_lean_on_it=name == "broker"))
        eventually(lambda: all("here" in said(tmp_path, name) for name in ("broker", "worker")))
    ended = {name: int(said(tmp_path, name).split()[-1]) for name in ("broker", "worker")}
    assert ended["broker"] - ended["worker"] > 0.1e9


def test_a_child_that_does_not_stop_is_killed_after_its_grace(tmp_path: Path) -> None:
    told: list[str] = []
    with Supervisor(told.append) as supervisor:
        pid = supervisor.start(program(tmp_path, STUBBORN, grace_seconds=0.1)).pid
        eventually(lambda: "here" in said(tmp_path))
    assert pid is not None
    assert not is_alive(pid)
    assert told == ["child has not stopped yet; killing it"]


def test_a_signal_ends_the_run_and_a_second_one_kills(tmp_path: Path) -> None:
    with Supervisor(tell_nobody) as supervisor:
        supervisor.start(program(tmp_path, STUBBORN, grace_seconds=60))
        eventually(lambda: "here" in said(tmp_path))
        for _ in range(2):
            signal.raise_signal(signal.SIGTERM)
        began = time.monotonic()
        supervisor.run()
    assert time.monotonic() - began < 5


def test_signals_mean_again_what_they_meant_before(tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGTERM)
    with Supervisor(tell_nobody):
        assert signal.getsignal(signal.SIGTERM) != before
    assert signal.getsignal(signal.SIGTERM) == before


def test_a_child_that_cannot_start_is_given_up_with_its_last_words(tmp_path: Path) -> None:
    with Supervisor(tell_nobody) as supervisor:
        supervisor.start(program(tmp_path, "raise SystemExit('no such thing')", "api"))
        with pytest.raises(StartError, match=r"^api does not start\nno such thing"):
            supervisor.wait_until(lambda: False, 30, "Everything")


def test_waiting_in_vain_tells_what_the_children_said(tmp_path: Path) -> None:
    with Supervisor(tell_nobody) as supervisor:
        supervisor.start(program(tmp_path, SLEEP))
        eventually(lambda: "here" in said(tmp_path))
        with pytest.raises(StartError, match=r"not ready after 0\.1 s\nchild said last:\nhere"):
            supervisor.wait_until(lambda: False, 0.1, "Everything")


def test_a_program_run_once_tells_why_it_failed(tmp_path: Path) -> None:
    run_once(program(tmp_path, "print('fine')"))
    with pytest.raises(StartError, match="child failed\nthe disk is full"):
        run_once(program(tmp_path, "raise SystemExit('the disk is full')"))


def test_a_long_log_is_kept_once_and_started_afresh(tmp_path: Path) -> None:
    (tmp_path / "child.log").write_bytes(b"x" * (KEPT_LOG_BYTES + 1))
    child = Child(program(tmp_path, "print('new')"), tell_nobody)
    child.wait(time.monotonic() + 5, hurry=lambda: False)
    assert said(tmp_path) == "new\n"
    assert (tmp_path / "child.old.log").stat().st_size == KEPT_LOG_BYTES + 1


PARENT = """
import os, sys, time
from pathlib import Path
from cli import processes
processes.KERNEL_TIES = sys.argv[1] == "tied"
command = [sys.executable, "-c", sys.argv[2]]
child = processes.Child(
    processes.Program("child", command, dict(os.environ), log=Path(sys.argv[3])), print
)
print(child.pid, flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize("means", ["tied", "held"])
def test_nothing_outlives_a_parent_that_was_killed(tmp_path: Path, means: str) -> None:
    log = tmp_path / "child.log"
    code = "import os, time; print(os.getpid(), flush=True); time.sleep(60)"
    command = [sys.executable, "-c", PARENT, means, code, str(log)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        eventually(lambda: said(tmp_path))
        grandchild = int(said(tmp_path))
        assert (child == grandchild) is (means == "tied")
        parent.kill()
    eventually(lambda: not is_alive(child) and not is_alive(grandchild))


def test_a_child_whose_parent_is_gone_already_does_not_start() -> None:
    leashed = [sys.executable, str(LEASH), "tie", "1", sys.executable, "-c", "print('started')"]
    done = subprocess.run(leashed, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")


def test_the_leash_passes_signals_and_exit_codes_on() -> None:
    command = f"import signal, sys; signal.signal(15, lambda *_: sys.exit(7)); {SLEEP}"
    leashed = [sys.executable, str(LEASH), "hold", "0", sys.executable, "-c", command]
    with subprocess.Popen(leashed, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as leash:
        assert leash.stdout is not None
        leash.stdout.readline()
        leash.terminate()
        assert leash.wait(10) == 7
