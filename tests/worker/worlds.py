"""What a worker that dies leaves behind: the database and the files, as they are before each side effect.

One attempt shows them all. Each is put back in turn, and others go on from there.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from store.engines import sqlite_driver
from tests.worker.building import Workshop
from tests.worker.mishaps import Fate


@dataclass(frozen=True)
class World:
    """All that outlives the processes of a workshop on SQLite."""

    database: bytes
    files: dict[Path, bytes]

    @classmethod
    def of(cls, workshop: Workshop) -> World:
        """As another process finds it: what is not committed is not there."""
        root = Path(workshop.files.url)
        with _scratch() as path, _opened(workshop.database.url.database) as source:
            with _opened(path) as target:
                source.backup(target)
            return cls(path.read_bytes(), {one: one.read_bytes() for one in root.rglob("*") if one.is_file()})

    def put_back(self, workshop: Workshop) -> None:
        """Whatever has become of it since."""
        shutil.rmtree(workshop.files.url)
        for path, content in self.files.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        with _scratch() as path:
            path.write_bytes(self.database)
            with _opened(path) as source, _opened(workshop.database.url.database) as target:
                source.backup(target)


@contextmanager
def _scratch() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder) / "world.db"


def _opened(path: Any) -> Any:
    return closing(sqlite_driver().connect(str(path)))


@dataclass
class Unharmed(Fate):
    """A worker to whom nothing happens; what it would leave is kept from before each of its side effects."""

    workshop: Workshop = field(kw_only=True)
    left: dict[int, World] = field(default_factory=dict)
    """By the number of the effect that did not come about any more; what several would leave is kept once."""

    def step(self, name: str) -> None:
        super().step(name)
        world = World.of(self.workshop)
        if world not in self.left.values():
            self.left[len(self.steps)] = world
