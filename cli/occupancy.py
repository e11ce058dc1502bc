"""Who runs on a data folder, and where it listens: a locked file in the folder says both.

The kernel drops the lock together with its holder, so what the file says counts only while somebody holds it.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

PATIENCE_SECONDS = 1.0


@dataclass(frozen=True)
class Occupant:
    """A running `ridgeline up`."""

    pid: int
    address: str | None = None
    """Its URL, once it listens."""


class OccupiedError(Exception):
    """Another Ridgeline runs on this data folder."""

    def __init__(self, folder: Path, occupant: Occupant | None) -> None:
        where = f" at {occupant.address}" if occupant and occupant.address else ""
        who = f" (process {occupant.pid})" if occupant else ""
        super().__init__(f"Ridgeline already runs on {folder}{where}{who}")


class Tenancy:
    """The right to run on a data folder, held for as long as the `with` block of `occupy` lasts."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._write(Occupant(os.getpid()))

    def announce(self, address: str) -> None:
        """Say where the server listens, for the commands that look for it."""
        self._write(Occupant(os.getpid(), address))

    def _write(self, occupant: Occupant) -> None:
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, json.dumps(asdict(occupant)).encode(), 0)


@contextmanager
def occupy(folder: Path) -> Iterator[Tenancy]:
    """Hold the folder, or raise `OccupiedError`. A look by `occupant` may be in the way for a moment."""
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(_file(folder), os.O_RDWR | os.O_CREAT, 0o600)
    try:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not _lock(descriptor, fcntl.LOCK_EX):
            if time.monotonic() > deadline:
                raise OccupiedError(folder, occupant(folder))
            time.sleep(0.05)
        yield Tenancy(descriptor)
    finally:
        os.close(descriptor)


def occupant(folder: Path) -> Occupant | None:
    """Who runs on the folder now."""
    try:
        with _file(folder).open("rb") as file:
            if _lock(file.fileno(), fcntl.LOCK_SH):
                return None
            return Occupant(**json.loads(file.read()))
    except (OSError, ValueError, TypeError):
        return None


def _file(folder: Path) -> Path:
    return folder / "up.lock"


def _lock(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
