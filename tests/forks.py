"""Processes of a test's own, forked from one that has loaded what they need, which takes a second.

Only for tests to which a program's start is nothing but waiting: what a new process inherits, loads and is
kept from is not to be seen here.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.process import BaseProcess

LOADED = ("tests.store.processes", "tests.forking", "models.describe", "models.datasets.reading", "polars")
"""What no process has to load any more. Not torch, nor anything that has threads or files by then."""

FORKS = multiprocessing.get_context("forkserver")
"""Python has one server for all of this kind, which loads what was named before its first process."""
FORKS.set_forkserver_preload(list(LOADED))


@contextmanager
def forked(act: Callable[..., object], *given: str) -> Iterator[BaseProcess]:
    """A process that does this, which is a function of a module that loads little; killed at the end."""
    process = FORKS.Process(target=act, args=given, daemon=True)
    process.start()
    try:
        yield process
    finally:
        process.kill()
        process.join()
