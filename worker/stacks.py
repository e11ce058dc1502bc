"""Trainings on their way together, as whoever drives them sees it: pulses, and a way out for each."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from models.stacks import Measured
from models.stacks import Stack as Together
from models.training import Training


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
    """All of them: fresh ones, or a single one, which may have begun and sits in a stack of its own."""
    return trainings[0].stack if len(trainings) == 1 else Together(trainings)
