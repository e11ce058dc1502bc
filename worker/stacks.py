"""Trainings on their way together, as whoever drives them sees it: pulses, and a way out for each."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from models.history import Epoch
from models.training import PULSE_SECONDS, Training

Measured = list[tuple[Training, Epoch]]
"""The epochs that ended together, each with its training; empty in the midst of epochs."""


class Stack(Protocol):
    """Some trainings, one step after another of all of them."""

    def pulses(self) -> Iterator[Measured]:
        """The epochs as they end, and something at least every 0.2 seconds, until none is left.

        One that has stopped by itself is no part of it any more when its last epoch is handed out.
        """

    def release(self, training: Training) -> object:
        """Take one out where it is; from then on it is a training of its own."""


Stacking = Callable[[Sequence[Training]], Stack]
"""How the trainings of a claim are brought on their way."""


def stacked(trainings: Sequence[Training]) -> Stack:
    """All of them: fresh ones, or a single one that may have begun."""
    return Turns(trainings)


class Turns:
    """One after another, a batch each: what they share is whoever drives them."""

    def __init__(self, trainings: Sequence[Training]) -> None:
        self._work = {training: training._work() for training in trainings}

    def pulses(self) -> Iterator[Measured]:
        last = time.monotonic()
        for measured in self.work():
            if measured or time.monotonic() - last >= PULSE_SECONDS:
                yield measured
                last = time.monotonic()

    def work(self) -> Iterator[Measured]:
        """As `pulses`, and something after every batch."""
        while self._work:
            measured: Measured = []
            for training, steps in list(self._work.items()):
                if epoch := next(steps):
                    measured.append((training, epoch))
                if training.stop_reason is not None:
                    self.release(training)
                    training.restore()
            yield measured

    def release(self, training: Training) -> None:
        self._work.pop(training, None)
