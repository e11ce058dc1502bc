"""What a benchmark says, and how rivals are measured in turn."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

ALIKE = 0.03
"""Two validation accuracies that are no further apart than this are called the same result."""


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    what: str
    ours: str
    against: str
    ratio: str
    wanted: str
    met: bool | None
    """None: nothing in particular was wanted."""
    accuracy: str = ""
    """Ours and the rival's, on the rows held out."""
    floor: str = ""
    """The share that is reached of what the arithmetic alone would allow."""

    @property
    def mark(self) -> str:
        return "" if self.met is None else "✓" if self.met else "✗"


@dataclass(frozen=True)
class Contender:
    """Someone who trains the same thing; given the round's seed, asked for the accuracy that came of it."""

    act: Callable[[int], float | None]
    samples: int
    """Rows that go by in a round: contenders may train longer or shorter, and are compared by samples/s."""


@dataclass(frozen=True)
class Rounds:
    """Seconds and accuracies of several contenders, round by round."""

    samples: Mapping[str, int]
    seconds: Mapping[str, list[float]]
    accuracies: Mapping[str, list[float]]

    def rate(self, name: str) -> float:
        """Samples a second, the median of the rounds."""
        return statistics.median(self._rates(name))

    def ratio(self, ours: str, rival: str) -> float:
        """How many times as fast: the median over pairs of one round. The machine's moods hit both alike."""
        pairs = zip(self._rates(ours), self._rates(rival), strict=True)
        return statistics.median(own / other for own, other in pairs)

    def accuracy(self, name: str) -> float:
        """The mean of the rounds, each of which had a seed of its own."""
        return statistics.fmean(self.accuracies[name])

    def alike(self, ours: str, rival: str) -> bool:
        """Whether ours is no worse than the rival's: a speed counts only where the result is the same."""
        return self.accuracy(ours) >= self.accuracy(rival) - ALIKE

    def _rates(self, name: str) -> list[float]:
        return [self.samples[name] / spent for spent in self.seconds[name]]


def interleaved(contenders: Mapping[str, Contender], rounds: int) -> Rounds:
    """All contenders in turn, round after round; one round before that warms them up and is not counted."""
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    accuracies: dict[str, list[float]] = {name: [] for name in contenders}
    for number in range(-1, rounds):
        # Every other round backwards, so that nobody always runs after the same neighbour.
        for name in list(contenders)[:: 1 if number % 2 else -1]:
            start = time.perf_counter()
            accuracy = contenders[name].act(max(number, 0))
            spent = time.perf_counter() - start
            if number >= 0:
                seconds[name].append(spent)
                accuracies[name] += [] if accuracy is None else [accuracy]
    return Rounds({name: one.samples for name, one in contenders.items()}, seconds, accuracies)


def seconds(act: Callable[[], object]) -> float:
    """How long it takes, once."""
    start = time.perf_counter()
    act()
    return time.perf_counter() - start


def milliseconds(value: float) -> str:
    return f"{value * 1000:.1f} ms"
