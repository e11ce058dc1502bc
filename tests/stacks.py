"""The whole of Ridgeline in real processes: `ridgeline up`, or its parts started by hand on given servers."""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from cli.client import Client, RidgelineError
from cli.occupancy import occupant
from cli.processes import Child, Program, room, run_once
from cli.up import address_of, with_free_port
from store import workers
from store.session import Database
from store.settings import Settings

START_SECONDS = 90
STOP_SECONDS = 30

T = TypeVar("T")

COMMANDS = (("database", "upgrade"), ("api",), ("worker",))
"""What runs on each machine of a real deployment, after `ridgeline`."""

QUICK = {"concurrency": 1, "lease_seconds": 2.0, "reconcile_seconds": 0.5, "backoff_seconds": 0.0}
"""A lost worker is noticed in seconds instead of minutes."""


@dataclass
class Stack:
    """A running Ridgeline."""

    settings: Settings
    address: str
    client: Client

    def trainer(self, job_id: str) -> int | None:
        """The process that trains a job now."""
        with Database(self.settings.database) as database, database.reading() as tx:
            return next((each.pid for each in workers.alive(tx, 10) if each.job_id == job_id), None)

    def kill_trainer(self, job_id: str) -> None:
        """SIGKILL to the one process that trains the job."""
        os.kill(_eventually(lambda: self.trainer(job_id), lambda: "nobody trains this job"), signal.SIGKILL)


@contextmanager
def embedded(
    folder: Path, *, prepared: Path | None = None, killed: bool = False, **chosen: object
) -> Iterator[Stack]:
    """`ridgeline up` on SQLite and a broker of its own.

    `prepared` is a data folder to be copied. `killed`: it need not end well, which takes seconds.
    """
    if prepared:
        shutil.copytree(prepared, folder / "data")
    settings = Settings(data_dir=folder / "data", port=0, **{**QUICK, **chosen})  # type: ignore[arg-type]
    with _running(settings, "up", [*room("cli"), "up"], folder, killed=killed) as up:

        def address() -> str | None:
            up.tend()
            found = occupant(settings.data_dir)
            return found.address if found and not up.failures else None

        found = _eventually(address, lambda: up.last_words(40))
        with Client(found) as client:
            yield Stack(settings, found, client)


@contextmanager
def by_hand(folder: Path, *, database_url: str, broker_url: str, **chosen: object) -> Iterator[Stack]:
    """API and worker each started by its own command, as on machines of their own."""
    given = {"data_dir": folder / "data", "database_url": database_url, "broker_url": broker_url}
    settings = with_free_port(Settings(port=0, **{**given, **QUICK, **chosen}))  # type: ignore[arg-type]
    upgrade, *servers = COMMANDS
    run_once(Program("upgrade", [*room("cli"), *upgrade], settings.environment()))
    with ExitStack() as running:
        children = [
            running.enter_context(_running(settings, words[0], [*room("cli"), *words], folder))
            for words in servers
        ]
        client = running.enter_context(Client(address_of(settings)))
        _eventually(lambda: _is_ready(client), lambda: "\n".join(child.last_words(20) for child in children))
        yield Stack(settings, client.server, client)


@contextmanager
def second_api(stack: Stack, folder: Path, **chosen: object) -> Iterator[str]:
    """Another API on the database and broker of a stack, by settings of its own; its address."""
    settings = with_free_port(stack.settings.model_copy(update={"port": 0, **chosen}))
    command = room("api")  # what `ridgeline api` becomes
    with _running(settings, "api", command, folder) as child, Client(address_of(settings)) as client:
        _eventually(lambda: _is_ready(client), lambda: child.last_words(20))
        yield client.server


@contextmanager
def _running(
    settings: Settings, name: str, command: list[str], folder: Path, *, killed: bool = False
) -> Iterator[Child]:
    child = Child(Program(name, command, settings.environment(), log=folder / f"{name}.log"), print)
    try:
        yield child
    finally:
        if not killed:
            child.ask_to_stop()
        child.wait(time.monotonic() + STOP_SECONDS, hurry=lambda: killed)


def _is_ready(client: Client) -> bool:
    try:
        return bool(client.get("/readyz"))
    except RidgelineError:
        return False


def _eventually(ask: Callable[[], T | None], excuse: Callable[[], str]) -> T:
    deadline = time.monotonic() + START_SECONDS
    while not (answer := ask()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"the stack did not come up\n{excuse()}")
        time.sleep(0.05)
    return answer
