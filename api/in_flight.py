"""Requests with an `Idempotency-Key` that this process is still answering: their keys are held.

Every few seconds all of them are renewed. A process that was killed renews nothing, so a repetition takes
over a few seconds later; at once, where it comes to a process that can see the other is dead. One that was
only paused finds its place given up when it comes back, and creates nothing.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Final
from uuid import uuid4

import structlog

from store import idempotency
from store.errors import StoreError
from store.idempotency import Ticket
from store.session import Database

RENEW_SECONDS: Final = 2.0
"""Four times while a place is held."""

log = structlog.get_logger(__name__)


class InFlight:
    """Of one server, from `start` to `stop`: what it is answering, and who it is."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._tickets: set[Ticket] = set()
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to renew."""
        self._stopping.clear()
        self._thread = threading.Thread(target=self._renew_all, name="in-flight", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Nothing is being answered any more."""
        self._stopping.set()

    @contextmanager
    def holding(self, ticket: Ticket | None) -> Iterator[None]:
        """Hold the ticket's place meanwhile; None where the request has no key."""
        if ticket is None:
            yield
            return
        with self._lock:
            self._tickets.add(ticket)
        try:
            yield
        finally:
            with self._lock:
                self._tickets.discard(ticket)

    def renew(self) -> None:
        """Renew every place once; while the database is away, nobody else can take one either."""
        with self._lock:
            tickets = sorted(self._tickets, key=lambda ticket: (ticket.project_id, ticket.key))
        if not tickets:
            return
        try:
            with self._database.writing() as tx:
                idempotency.renew(tx, tickets)
        except StoreError as error:
            log.warning("keys in flight cannot be renewed", keys=len(tickets), reason=str(error))

    def _renew_all(self) -> None:
        while not self._stopping.wait(RENEW_SECONDS):
            self.renew()


# ── which process this is ───────────────────────────────────────────────────────────────────────────────────


@cache
def this_process() -> str:
    """A name that no other process has, anywhere, at any time."""
    pid = os.getpid()
    return f"{_space()}/{pid}/{_started(pid)}/{uuid4().hex}"


def is_dead(name: str) -> bool:
    """Whether the process of this name is gone for certain; False for those that cannot be seen from here.

    Hosts and containers may have equal names and equal process ids, so a process is looked for only in the
    space of ids, of this boot of this machine, that it was in.
    """
    space, pid, started = name.split("/")[:3]
    if not space or space != _space():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except OSError:
        pass  # Somebody else's; it may be hidden from us, too.
    return _started(int(pid)) not in (started, _HIDDEN)


@cache
def _space() -> str:
    """The boot of the machine and the space of process ids, on Linux; empty where nobody can be seen."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot}:{Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return ""


_HIDDEN: Final = ""


def _started(pid: int) -> str:
    """When a process began, in the kernel's ticks; `dead` before its burial."""
    try:
        # The name of the program comes before, in brackets, and may contain anything.
        state, *fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return _HIDDEN
    return "dead" if state in ("Z", "X") else fields[18]
