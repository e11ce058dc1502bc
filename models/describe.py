"""Read a stranger's file in a process of its own: `python -m models.describe FILE --out TABLE`.

A parser that is fed on purpose can take all memory, all time or the process with it. So whoever serves others
runs this program and reads its one line of JSON: `{"description": {…}, "head": […]}`, with the canonical
table in `--out`, or `{"error": {"detail", "suggestion", "pointer"}}`. Both are exit status 0; 75 says that
there was no room on the disk, any other one that the file took the process down, as it would have the server.
"""

from __future__ import annotations

import argparse
import errno
import json
import math
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from models.datasets import BUNDLED, ReadLimits, Table, bundled, read
from models.errors import DatasetError

DISK_FULL = (errno.ENOSPC, errno.EDQUOT)
NO_ROOM = 75
"""The exit status where there was no room for the table; the least that may be told by a number alone."""
HEAD_CELLS = 20_000
"""A look at a dataset shows at most so many cells."""
_NICENESS = 5
"""Whoever waits for an answer comes first."""
_OPEN_FILES = 256
_PR_SET_NO_NEW_PRIVS = 38
_CLONE_NEWUSER = 0x10000000
_CLONE_NEWNET = 0x40000000


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    _confine(options)
    try:
        answer = _answer(options)
    except OSError as error:
        if error.errno in DISK_FULL:
            return NO_ROOM
        raise
    sys.stdout.write(json.dumps(answer, allow_nan=False) + "\n")
    return 0


def _answer(options: argparse.Namespace) -> dict[str, Any]:
    try:
        table = _table(options)
        table.save(options.out)
    except DatasetError as error:
        return {"error": {"detail": str(error), "suggestion": error.suggestion, "pointer": error.pointer}}
    except MemoryError:
        detail = f"reading the file takes more than {options.memory_bytes:,} bytes of memory"
        return {"error": {"detail": detail, "suggestion": "send a sample of the rows", "pointer": "/file"}}
    return {"description": table.description.model_dump(mode="json"), "head": look(table, options.head)}


def look(table: Table, rows: int) -> list[dict[str, Any]]:
    """The first rows as JSON has them: fewer of a very wide table, and null for what is no number."""
    fewer = max(1, min(rows, HEAD_CELLS // (len(table.description.columns) + 1)))
    return [{name: _finite(value) for name, value in row.items()} for row in table.head(fewer)]


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _table(options: argparse.Namespace) -> Table:
    if options.bundled:
        return bundled(options.bundled)
    filename = options.filename or options.file.name
    limits = ReadLimits.model_validate_json(options.limits)
    return read(options.file, filename=filename, target=options.target, task=options.task, limits=limits)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m models.describe", description=(__doc__ or "").split("\n")[0]
    )
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("file", nargs="?", type=Path, help="the file to read")
    source.add_argument("--bundled", choices=BUNDLED, help="a bundled dataset instead of a file")
    parser.add_argument("--out", type=Path, required=True, help="where the canonical table goes")
    parser.add_argument("--filename", help="what its owner called the file")
    parser.add_argument("--target", help="the column to predict; the last one unless named")
    parser.add_argument("--task", help="classification or regression; inferred unless given")
    parser.add_argument("--head", type=int, default=0, help="so many rows are printed too, as a look")
    parser.add_argument("--limits", default="{}", help="ReadLimits as JSON")
    parser.add_argument("--memory-bytes", type=int, default=4 * 2**30, help="address space of this process")
    parser.add_argument("--cpu-seconds", type=int, default=300, help="processor time of this process")
    parser.add_argument("--file-bytes", type=int, default=4 * 2**30, help="largest file it may write")
    return parser


def _confine(options: argparse.Namespace) -> None:
    """Let the kernel end this process where it takes more than its share, and keep it off the network."""
    # Where memory ends, one thread of polars dies of it and others wait for that one for ever, and threads
    # take address space. Its allocator complains without end where it gets no more.
    os.putenv("POLARS_MAX_THREADS", "1")
    os.putenv("_RJEM_MALLOC_CONF", "background_thread:false")
    os.nice(_NICENESS)
    _cut_off()
    try:
        import resource
    except ImportError:  # Windows has no such limits.
        return
    for limit, most in (
        (resource.RLIMIT_AS, options.memory_bytes),
        (resource.RLIMIT_CPU, options.cpu_seconds),
        (resource.RLIMIT_FSIZE, options.file_bytes),
        (resource.RLIMIT_NOFILE, _OPEN_FILES),
        (resource.RLIMIT_CORE, 0),
    ):
        _, hard = resource.getrlimit(limit)
        least = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(limit, (least, least))


def _cut_off() -> None:
    """A network of its own, which leads nowhere; where the kernel grants none, things stay as they are."""
    if sys.platform != "linux":
        return
    import ctypes

    library = ctypes.CDLL(None)
    library.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    # Root may take a network alone; a user namespace would cost it the folders that belong to others.
    library.unshare(_CLONE_NEWNET if os.geteuid() == 0 else _CLONE_NEWUSER | _CLONE_NEWNET)


if __name__ == "__main__":
    sys.exit(main())
