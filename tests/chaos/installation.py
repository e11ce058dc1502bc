"""An installation in real processes, each known by its id, kept running as `ridgeline up` and systemd would.

Two of them. `sqlite` is what `ridgeline up` starts on a laptop: one API, one worker with two processes, its
reconciler, the embedded broker, SQLite. `postgresql` is what runs on several machines: two APIs, two workers
with a reconciler each, a broker and PostgreSQL. Whatever dies is started again half a second later, by whom
it would be in earnest: by the code that `ridgeline up` uses, whose growing pauses are kept short here.

The workers are the real ones, but for jobs named after a fault of their own: see `tests.worker.sabotaged`.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import psutil
import psycopg
import sqlalchemy as sa

from cli import broker
from cli.client import Client, RidgelineError
from cli.processes import Child, Program, room, run_once
from cli.up import address_of, with_free_port
from store import tables, workers
from store.errors import DatabaseUnavailable
from store.session import Database
from store.settings import Settings
from tests import servers
from tests.chaos.checker import Terms
from tests.chaos.specs import POISON

CONFIGURATIONS = ("sqlite", "postgresql")
START_SECONDS = 120.0
ALLOWANCE_SECONDS = 8.0
"""How much later than promised things may come on a machine that is busy, mostly for processes to start."""
SHORT: dict[str, float | str] = {
    "lease_seconds": 3.0,
    "reconcile_seconds": 0.5,
    "backoff_seconds": 1.0,
    "checkpoint_seconds": 1.5,
    "checkpoint_epochs": 25,
    "progress_seconds": 15.0,
    "drain_seconds": 10.0,
    "max_attempts": 4,
    "webhook_seconds": 5.0,
    "webhook_retries": ", ".join(["2s"] * 50),
    "webhook_private_hosts": "127.0.0.1",
}
"""What takes its time by default, in seconds instead of minutes; a receiver may stand on this machine."""
TEND_SECONDS = 0.05
SABOTAGED = [sys.executable, "-m", "celery", "-A", "tests.worker.sabotaged", "worker", "-Q", "cpu", "-c"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Trainer:
    """A process that trains a job now."""

    pid: int
    worker_id: str
    job_id: str
    attempt: int
    epoch: int

    @property
    def victim(self) -> dict[str, object]:
        return {"job_id": self.job_id, "attempt": self.attempt, "epoch": self.epoch}


@dataclass
class Installation:
    """A running Ridgeline, and what can be done to it."""

    name: str
    settings: Settings
    folder: Path
    apis: dict[str, str] = field(default_factory=dict)
    """Name of the process → its address."""
    parts: dict[str, Child] = field(default_factory=dict)
    said: list[str] = field(default_factory=list)
    _lock: threading.RLock = field(default_factory=threading.RLock)
    _database: Database | None = None

    @property
    def database(self) -> Database:
        if self._database is None:
            self._database = Database(self.settings.database, pool_size=4, busy_seconds=30)
        return self._database

    @property
    def files(self) -> Path:
        return self.settings.data_dir / "files"

    @property
    def terms(self) -> Terms:
        """What it promises."""
        told = ("lease_seconds", "reconcile_seconds", "backoff_seconds", "checkpoint_seconds", "max_attempts")
        return Terms(
            **{name: getattr(self.settings, name) for name in told},
            allowance_seconds=ALLOWANCE_SECONDS,
            poison=frozenset(POISON),
        )

    # ── processes ───────────────────────────────────────────────────────────────────────────────────────────

    def start(self, program: Program) -> None:
        with self._lock:
            self.parts[program.name] = Child(program, self.said.append)

    def tend(self) -> None:
        """Start again what has died; half a second after, however often it did."""
        with self._lock:
            for child in self.parts.values():
                child.tend()
                child.failures = 0

    def named(self, noun: str) -> list[str]:
        """The parts of a kind: `worker` → `worker-1`, `worker-2`."""
        return [name for name in self.parts if name.partition("-")[0] == noun]

    def signal(self, name: str, number: int, *, group: bool = False) -> None:
        """To a part, or to it and all that it forked."""
        with self._lock, suppress(ProcessLookupError):
            pid = self.parts[name].pid
            if pid is not None:
                (os.killpg if group else os.kill)(pid, number)

    @contextmanager
    def holding_off(self) -> Iterator[None]:
        """Nothing is started again meanwhile."""
        with self._lock:
            yield

    def await_ready(self, ready: Callable[[], bool]) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not ready():
            self.tend()
            if time.monotonic() > deadline:
                said = "\n".join(child.last_words(15) for child in self.parts.values())
                raise TimeoutError(f"the installation is not ready\n{said}")
            time.sleep(TEND_SECONDS)

    def stop(self) -> None:
        """End everything, the servers last."""
        with self._lock:
            for leaned_on in (False, True):
                wave = [one for one in self.parts.values() if one.program.others_lean_on_it is leaned_on]
                for child in wave:
                    child.ask_to_stop()
                deadline = time.monotonic() + 15
                for child in wave:
                    child.wait(deadline, hurry=lambda: False)
            self.parts.clear()
            if self._database:
                self._database.close()

    # ── jobs ────────────────────────────────────────────────────────────────────────────────────────────────

    def trainers(self) -> list[Trainer]:
        """Who trains what now, the jobs' rows decide; nobody where the database is away."""
        jobs = tables.jobs
        columns = (jobs.c.id, jobs.c.worker_id, jobs.c.attempt, jobs.c.epoch)
        try:
            with self.database.reading() as tx:
                pids = {each.id: each.pid for each in workers.alive(tx, 15)}
                running = tx.execute(sa.select(*columns).where(jobs.c.status == "running")).all()
        except DatabaseUnavailable:
            return []
        return [
            Trainer(pids[row.worker_id], row.worker_id, row.id, row.attempt, row.epoch)
            for row in running
            if row.worker_id in pids and psutil.pid_exists(pids[row.worker_id])
        ]

    def trainer_of(self, job_id: str) -> Trainer | None:
        return next((one for one in self.trainers() if one.job_id == job_id), None)

    def children_of(self, name: str) -> set[int]:
        """The processes in a part's group."""
        pid = self.parts[name].pid
        return {one.pid for one in self.trainers() if pid is not None and _group(one.pid) == pid}


def _group(pid: int) -> int | None:
    try:
        return os.getpgid(pid)
    except ProcessLookupError:
        return None


@contextmanager
def installed(configuration: str, folder: Path, **chosen: object) -> Iterator[Installation]:
    """An installation that is ready for jobs, tended until the end."""
    with ExitStack() as stack:
        making = _on_sqlite if configuration == "sqlite" else _on_postgresql
        made = making(stack, folder, {**SHORT, **chosen})
        stack.callback(made.stop)
        ended = threading.Event()
        tending = threading.Thread(target=_tend, args=(made, ended), name="tending")
        # What a thread has started dies with it (`cli.leash`), so this one stays until all are stopped.
        tending.start()
        stack.callback(tending.join)
        stack.callback(ended.set)
        made.await_ready(lambda: _is_ready(made))
        yield made
        made.stop()  # before the thread that started some of them ends


def _tend(made: Installation, ended: threading.Event) -> None:
    while not ended.wait(TEND_SECONDS):
        made.tend()


def _is_ready(made: Installation) -> bool:
    for address in made.apis.values():
        try:
            with Client(address) as client:
                client.get("/readyz")
        except RidgelineError:
            return False
    return True


def _on_sqlite(_: ExitStack, folder: Path, chosen: dict[str, object]) -> Installation:
    """What `ridgeline up` starts, in its order."""
    settings = with_free_port(Settings(data_dir=folder / "data", port=0, concurrency=2, **chosen))  # type: ignore[arg-type]
    made = Installation("sqlite", settings, folder)
    _broker(made)
    run_once(Program("upgrade", room("store.migrate"), settings.environment()))
    _api(made, "api-1", settings)
    made.start(_ours("worker-1", [*SABOTAGED, "2"], settings))
    made.start(_ours("reconciler-1", room("worker.reconciler"), settings))
    return made


def _on_postgresql(stack: ExitStack, folder: Path, chosen: dict[str, object]) -> Installation:
    """Each part by its own command, as on machines of their own."""
    command, url = stack.enter_context(servers.postgres_command(_THOROUGH))
    plain = Settings(data_dir=folder / "data", port=0, concurrency=1, database_url=url, **chosen)  # type: ignore[arg-type]
    settings = plain.model_copy(update={"broker_url": plain.broker})
    made = Installation("postgresql", settings, folder)
    log = settings.data_dir / "logs" / "database.log"
    program = Program("database", command, settings.environment(), Path("/"), log, others_lean_on_it=True)
    made.start(program)
    made.await_ready(lambda: _answers(url))
    _broker(made)
    run_once(Program("upgrade", room("store.migrate"), settings.environment()))
    for number in ("1", "2"):
        _api(made, f"api-{number}", with_free_port(settings))
        made.start(_ours(f"worker-{number}", [*SABOTAGED, "1"], settings))
        made.start(_ours(f"reconciler-{number}", room("worker.reconciler"), settings))
    return made


_THOROUGH = {"synchronous_commit": "on", "fsync": "on", "full_page_writes": "on"}
"""The test servers are told to forget; this one must not."""


def _answers(url: str) -> bool:
    try:
        psycopg.connect(url).close()
    except psycopg.OperationalError:
        return False
    return True


def _broker(made: Installation) -> None:
    """The embedded one in both: on PostgreSQL as a server of its own, with the queue in a file."""
    binary = broker.server()
    if binary is None:
        raise servers.ServerFailed("there is no broker that works here")
    log = made.settings.data_dir / "logs" / "broker.log"
    made.start(broker.program(binary, made.settings, log=log))
    made.await_ready(lambda: broker.answers(made.settings.broker_socket))


def _api(made: Installation, name: str, settings: Settings) -> None:
    made.start(_ours(name, room("api"), settings))
    made.apis[name] = address_of(settings)


def _ours(name: str, command: list[str], settings: Settings) -> Program:
    log = settings.data_dir / "logs" / f"{name}.log"
    return Program(name, command, settings.environment(), log=log, grace_seconds=settings.drain_seconds)


def eventually(ask: Callable[[], T | None], seconds: float, *, pause: float = 0.01) -> T | None:
    """What is answered first, or None when it takes too long."""
    deadline = time.monotonic() + seconds
    while not (answer := ask()):
        if time.monotonic() > deadline:
            return None
        time.sleep(pause)
    return answer


KILL = signal.SIGKILL
