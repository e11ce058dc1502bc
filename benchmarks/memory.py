"""Memory: of a worker's child at rest, and of a stack while it trains against its estimate."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks import ours, peaks
from benchmarks.errands import Errand
from benchmarks.jobs import iris, through
from benchmarks.measuring import Row
from benchmarks.peaks import MEGABYTE
from benchmarks.workloads import WORKLOADS, description
from models.cost import estimate
from store import workers
from store.session import Database
from tests.stacks import Stack, embedded

STACKS = (("W1", 1), ("W1", 4), ("W2", 1), ("W3", 16), ("W3", 64))
"""Workloads and members."""


def measure() -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as folder, embedded(Path(folder), concurrency=1) as stack:
        through(stack.client, [iris(5)] * 5)
        time.sleep(1.0)
        yield _at_rest("worker's child at rest", _trainer(stack), 350)
    for name, members in STACKS:
        with Errand("benchmarks.memory:training") as errand:
            yield _against_estimate(name, members, *errand.ask([name, members]))


def _at_rest(what: str, pid: int, most: int) -> Row:
    rss, pss = (size / MEGABYTE for size in peaks.of_process(pid))
    return Row(what, f"RSS {rss:.0f} MB", f"PSS {pss:.0f} MB", "", f"RSS ≤ {most} MB", rss <= most)


def _trainer(stack: Stack) -> int:
    with Database(stack.settings.database) as database, database.reading() as tx:
        return workers.alive(tx, 10)[0].pid


def training() -> Callable[[Any], tuple[int, int]]:
    """In a process that has trained something small before: bytes that a stack took, and its estimate."""
    ours.together(ours.variants(WORKLOADS[-1], 2), 1, 0)

    def act(question: tuple[str, int]) -> tuple[int, int]:
        name, members = question
        workload = next(each for each in WORKLOADS if each.name == name)
        # The table is read now, which takes more for a moment.
        table = peaks.of_table(description(workload.dataset))
        peaks.give_back_what_is_free()
        before = peaks.resident()
        peaks.forget_peak()
        ours.trained(ours.variants(workload, members), 2, 0)
        taken = peaks.peak() - before + table
        return taken, estimate(workload.spec(2, 0), description(workload.dataset)).stack_bytes(members)

    return act


def _against_estimate(name: str, members: int, taken: int, said: int) -> Row:
    ratio = taken / said
    return Row(
        f"{name}, stack of {members} while it trains",
        f"{taken / MEGABYTE:.0f} MB",
        f"estimate {said / MEGABYTE:.0f} MB",
        f"{ratio:.2f}×",
        "0.75–1.25×",
        0.75 <= ratio <= 1.25,
    )
