"""What a benchmark says, and how rivals are measured in turn."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    what: str
    ours: str
    against: str
    ratio: str
    wanted: str
    met: bool


def seconds(act: Callable[[], object]) -> float:
    """How long it takes, once."""
    start = time.perf_counter()
    act()
    return time.perf_counter() - start


def in_turn(
    ours: Callable[[], object], rival: Callable[[], object], rounds: int
) -> tuple[float, float, float]:
    """Medians of both in seconds, and of rival/ours pair by pair: the machine's moods hit both alike."""
    ours(), rival()
    pairs = [(seconds(ours), seconds(rival)) for _ in range(rounds)]
    own, others = zip(*pairs, strict=True)
    return statistics.median(own), statistics.median(others), statistics.median(b / a for a, b in pairs)


def milliseconds(value: float) -> str:
    return f"{value * 1000:.1f} ms"
