"""A child process: started, started again when it dies, stopped when asked, never left behind.

Knows nothing of what the programs do. A child is on a leash (`cli.leash`) that ends it with its parent. Every
child leads a process group of its own: a Ctrl-C in the terminal then reaches only the parent, which stops the
others in order, and what a child forked can be ended with it.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

ROOMS = Path(__file__).resolve().parent.parent
"""Where `python -m api` finds its package, from a checkout as from an installed wheel."""

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0
STEADY_SECONDS = 60.0
"""A program that ran for this long may fail afresh: its next restart is quick again."""
KEPT_LOG_BYTES = 10 * 1024**2
LONGEST_LINE = 400
"""Of what a log said last; a line of JSON may carry a whole traceback."""
LEASH = Path(__file__).with_name("leash.py")
KERNEL_TIES = sys.platform == "linux"


class StartError(Exception):
    """A program does not come up; the message carries the last lines that it wrote."""


@dataclass(frozen=True)
class Program:
    """What to run, where, and how patiently to stop it."""

    name: str
    command: Sequence[str]
    environment: dict[str, str]
    folder: Path = ROOMS
    log: Path | None = None
    """Where its output goes; None for the terminal."""
    grace_seconds: float = 30.0
    """How long it may take to end after SIGTERM."""
    others_lean_on_it: bool = False
    """Stopped only when the others have ended."""


def room(name: str) -> list[str]:
    """The command that runs one of our packages as a program."""
    return [sys.executable, "-m", name]


class Child:
    """A program that is kept running."""

    def __init__(self, program: Program, tell: Callable[[str], None]) -> None:
        self.program = program
        self.failures = 0
        self._tell = tell
        self._due = 0.0
        self._start()

    @property
    def pid(self) -> int | None:
        """Its process, or None between two runs."""
        return self._process.pid if self._process else None

    def tend(self) -> None:
        """Start the program again if it has died; later and later if it keeps dying young."""
        if self._process is None:
            if time.monotonic() >= self._due:
                self._start()
        elif (code := self._process.poll()) is not None:
            self._bury(code)

    def ask_to_stop(self) -> None:
        """SIGTERM, to the program alone: what it forked is its own to stop."""
        if self._process and self._process.poll() is None:
            self._process.terminate()

    def wait(self, deadline: float, hurry: Callable[[], bool]) -> None:
        """Wait for the end; bring it about at the deadline, or when told to hurry."""
        while self._process and self._process.poll() is None:
            if time.monotonic() > deadline or hurry():
                self._tell(f"{self.program.name} has not stopped yet; killing it")
                break
            time.sleep(0.02)
        self._kill_group()

    def last_words(self, lines: int) -> str:
        """The end of its log."""
        if self.program.log is None or not self.program.log.exists():
            return ""
        said = self.program.log.read_text(errors="replace").splitlines()[-lines:]
        return "\n".join(line[:LONGEST_LINE] for line in said)

    def _start(self) -> None:
        with _output(self.program.log) as output:
            self._process: subprocess.Popen[bytes] | None = subprocess.Popen(  # noqa: S603 - our own commands
                _leashed(self.program.command),
                cwd=self.program.folder,
                env=self.program.environment,
                stdin=subprocess.DEVNULL if KERNEL_TIES else subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT if output else None,
                start_new_session=True,
            )
        self._started = time.monotonic()

    def _bury(self, code: int) -> None:
        self._kill_group()  # What it forked must not work on beside its successor.
        steady = time.monotonic() - self._started > STEADY_SECONDS
        self.failures = 1 if steady else self.failures + 1
        pause = min(FIRST_PAUSE * 2 ** (self.failures - 1), LONGEST_PAUSE)
        self._process, self._due = None, time.monotonic() + pause
        self._tell(f"{self.program.name} ended ({_meaning(code)}); starting it again in {pause:g} s")

    def _kill_group(self) -> None:
        if self._process:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()


def run_once(program: Program) -> str:
    """Run a program to its end and return what it wrote; raises `StartError` with that if it fails."""
    done = subprocess.run(  # noqa: S603 - our own commands
        program.command,
        cwd=program.folder,
        env=program.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    said = done.stdout.decode(errors="replace")
    if done.returncode != 0:
        raise StartError(f"{program.name} failed\n{said.strip()}")
    return said


def _leashed(command: Sequence[str]) -> list[str]:
    """Isolated and without site packages, since the leash needs neither and has to be quick."""
    mode = "tie" if KERNEL_TIES else "hold"
    return [sys.executable, "-IS", str(LEASH), mode, str(os.getpid()), *command]


@contextmanager
def _output(log: Path | None) -> Iterator[BinaryIO | None]:
    """The log to write on, started afresh when it has grown long; the one before is kept."""
    if log is None:
        yield None
        return
    log.parent.mkdir(parents=True, exist_ok=True)
    if log.exists() and log.stat().st_size > KEPT_LOG_BYTES:
        log.replace(log.with_suffix(".old.log"))
    with log.open("ab") as file:
        yield file


def _meaning(code: int) -> str:
    return signal.Signals(-code).name if code < 0 else f"exit code {code}"
