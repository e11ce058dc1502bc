"""Programs in forked processes (see `tests.forks`) instead of started anew: `python -m …` as it stands."""

from __future__ import annotations

import asyncio
import os
import runpy
import sys
import warnings
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from multiprocessing import reduction
from pathlib import Path
from typing import Any

from api import describing
from store.settings import Settings
from tests.forks import FORKS

PYTHON = sys.executable


class Fork:
    """`python -m MODULE ARGUMENTS` in a forked process; it ends with this process at the latest."""

    def __init__(
        self,
        module: str,
        arguments: Sequence[str] = (),
        *,
        environment: Mapping[str, str],
        output: int,
        complaints: int,
        folder: Path | None = None,
    ) -> None:
        streams = (_Descriptor(output), _Descriptor(complaints))
        given = (module, [*arguments], dict(environment), folder, *streams)
        self.process = FORKS.Process(target=_run, args=given, daemon=True)
        self.process.start()

    @property
    def pid(self) -> int:
        assert self.process.pid is not None
        return self.process.pid

    @property
    def returncode(self) -> int | None:
        return self.process.exitcode


class _Descriptor:
    """An open file on its way into another process."""

    def __init__(self, number: int) -> None:
        self.number = number

    def __reduce__(self) -> Any:
        return _take, (reduction.DupFd(self.number),)


def _take(sent: Any) -> int:
    number: int = sent.detach()
    return number


def _run(
    module: str,
    arguments: list[str],
    environment: dict[str, str],
    folder: Path | None,
    output: int,
    complaints: int,
) -> None:
    os.setsid()
    for sent, place in ((output, 1), (complaints, 2)):
        os.dup2(sent, place)
        os.close(sent)
    os.chdir(folder or Path.cwd())
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = [module, *arguments]
    warnings.filterwarnings("ignore", "'.*' found in sys.modules", RuntimeWarning)
    runpy.run_module(module, run_name="__main__", alter_sys=True)


# ── the child that reads a stranger's file ──────────────────────────────────────────────────────────────────


class _ReadingFork:
    """What `api.describing` wants to see of a child."""

    def __init__(self, fork: Fork, stdout: asyncio.StreamReader, stderr: asyncio.StreamReader) -> None:
        self.fork, self.stdout, self.stderr = fork, stdout, stderr

    @property
    def returncode(self) -> int | None:
        return self.fork.returncode

    async def wait(self) -> None:
        await asyncio.to_thread(self.fork.process.join)


start_anew = describing._child
"""A child as the API has it."""


@asynccontextmanager
async def reading_child(command: Sequence[str]) -> AsyncIterator[Any]:
    """In place of `api.describing._child`: forks what it would start; other programs than that it starts."""
    if [*command[:3]] != [PYTHON, "-m", "models.describe"]:
        async with start_anew(command) as child:
            yield child
        return
    readers = [await _pipe() for _ in range(2)]
    outer = [write for _, _, write in readers]
    home = Path(describing.models.__path__[0]).parent
    try:
        fork = Fork(
            command[2],
            command[3:],
            environment=Settings.bare_environment(),
            output=outer[0],
            complaints=outer[1],
            folder=home,
        )
    finally:
        for write in outer:
            os.close(write)
    try:
        yield _ReadingFork(fork, readers[0][0], readers[1][0])
    finally:
        fork.process.kill()
        await asyncio.to_thread(fork.process.join)
        for _, transport, _ in readers:
            transport.close()


async def _pipe() -> tuple[asyncio.StreamReader, asyncio.ReadTransport, int]:
    """A pipe that this loop reads, and where to write into it."""
    read, write = os.pipe()
    reader = asyncio.StreamReader()
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(read, "rb")
    )
    return reader, transport, write
