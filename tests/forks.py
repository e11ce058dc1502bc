"""Processes of a test's own, forked from one that has loaded the store: a fresh one takes a second for it.

Only for tests to which a program's start is nothing but waiting.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.process import BaseProcess

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(["tests.store.processes"])


@contextmanager
def forked(act: Callable[..., object], *given: str) -> Iterator[BaseProcess]:
    """A process that does this, which is a function of a module that loads little; killed at the end."""
    process = _context.Process(target=act, args=given, daemon=True)
    process.start()
    try:
        yield process
    finally:
        process.kill()
        process.join()
