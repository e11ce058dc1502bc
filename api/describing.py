"""Reading a file in a process of its own, limited in memory and time, and expendable: a file may be a bomb.

The child (`python -m models.describe`) loads polars, this process never does. It writes the
table and prints a description, or says what is wrong with the file; if it dies, the file was too much for it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import orjson
import structlog

import models
from models.datasets import Description, ReadLimits
from models.errors import DatasetError
from store.errors import FilesFull
from store.settings import Settings

AT_ONCE: Final = 2
"""Children that may read at the same time."""
HEAD_ROWS: Final = 100
"""First rows that are kept beside a description, as a look."""
_NO_ROOM: Final = 75
"""The exit status of a child that found the disk full."""
WALL_FACTOR: Final = 2
"""A child limits its own processor time; one that sleeps instead is killed after this many times as long."""

MOST_SAID: Final = 64 * 1024**2
"""A description of a very wide table with many classes takes a few MiB."""
MOST_COMPLAINED: Final = 64 * 1024

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Described:
    """What a child found, and where it wrote the table."""

    description: Description
    head: list[dict[str, Any]]
    """The first rows."""
    table: Path


class Describer:
    """Runs the children, a few at a time."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._turns = asyncio.Semaphore(AT_ONCE)

    async def file(
        self, path: Path, *, filename: str, target: str | None, task: str | None, table: Path
    ) -> Described:
        """Read a file; `DatasetError` where it is none that can be trained on."""
        said = {"filename": filename, "target": target, "task": task}
        options = [f"--{name}={value}" for name, value in said.items() if value is not None]
        output = await self._run(["models.describe", str(path), *options, f"--out={table}", *self._limits()])
        answer = orjson.loads(output)
        if error := answer.get("error"):
            pointer = error.get("pointer") or "/file"
            raise DatasetError(error["detail"], suggestion=error.get("suggestion"), pointer=pointer)
        return _described(answer, table)

    async def bundled(self, names: Sequence[str], folder: Path) -> dict[str, Described]:
        """Write bundled datasets as tables into a folder."""
        output = await self._run(["models.bundle", f"--head={HEAD_ROWS}", str(folder), *names])
        lines = [orjson.loads(line) for line in output.splitlines()]
        return {said["name"]: _described(said, folder / f"{said['name']}.parquet") for said in lines}

    def _limits(self) -> list[str]:
        settings = self._settings
        limits = ReadLimits(
            max_rows=settings.max_rows, max_columns=settings.max_columns, max_cells=settings.max_cells
        )
        return [
            f"--limits={limits.model_dump_json()}",
            f"--memory-bytes={settings.describe_bytes}",
            f"--cpu-seconds={settings.describe_seconds}",
            f"--file-bytes={settings.describe_bytes}",
            f"--head={HEAD_ROWS}",
        ]

    async def _run(self, arguments: Sequence[str]) -> bytes:
        """What a child prints; `DatasetError` where it does not live to print it."""
        async with self._turns, _child([sys.executable, "-m", *arguments]) as child:
            try:
                limit = WALL_FACTOR * self._settings.describe_seconds
                output, complaints = await asyncio.wait_for(_said_by(child), limit)
            except TimeoutError:
                raise DatasetError("reading the file took too long", suggestion=_SMALLER) from None
        if child.returncode == 0 and len(output) < MOST_SAID:
            return output
        if child.returncode == _NO_ROOM:
            raise FilesFull("there is no space left for the table of this file")
        said = complaints[-2000:].decode(errors="replace")
        log.warning("describing child died", status=child.returncode, said=said)
        raise DatasetError("reading the file took more memory or time than is allowed", suggestion=_SMALLER)


async def _said_by(child: asyncio.subprocess.Process) -> list[bytes]:
    """What a child writes, and its complaints."""
    pipes = (child.stdout, MOST_SAID), (child.stderr, MOST_COMPLAINED)
    said = await asyncio.gather(*(_read(pipe, most) for pipe, most in pipes if pipe is not None))
    await child.wait()
    return said


async def _read(pipe: asyncio.StreamReader, most: int) -> bytes:
    """What comes out of a pipe; what is more than `most` is dropped, for a child may write without end."""
    taken = bytearray()
    while piece := await pipe.read(64 * 1024):
        taken += piece[: most - len(taken)]
    return bytes(taken)


def _described(said: Mapping[str, Any], table: Path) -> Described:
    return Described(Description.model_validate(said["description"]), said["head"], table)


_SMALLER = "upload a smaller file, or fewer of its columns"


@asynccontextmanager
async def _child(command: Sequence[str]) -> AsyncIterator[asyncio.subprocess.Process]:
    """A child in a session of its own, which is gone when the block ends, however it ends."""
    # Its working directory is where `models` lies, so that it finds the room installed or not.
    home = Path(models.__path__[0]).parent
    child = await asyncio.create_subprocess_exec(
        *command,
        cwd=home,
        env=Settings.bare_environment(),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    try:
        yield child
    finally:
        if child.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
            await child.wait()
