"""Dropout masks of a stack, drawn for many steps at once; each member's from its own stream of bits.

A mask holds 0 with probability `rate` and 1/(1 − rate) else, so that the mean stays (inverted dropout,
Srivastava et al. 2014). The streams are consumed step by step and layer by layer, however many steps are
drawn ahead and whoever else is in the stack, so a member's masks are those of its network alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import NamedTuple, Self

import numpy as np
import torch
from torch import Tensor

from models.layers import Randomness, scale_of, threshold_of

AHEAD_BYTES = 2**20
"""Masks drawn ahead take about as much: many steps' of small networks, one step's of large ones."""


class Masks:
    """The masks of every dropout layer ("place") of K networks."""

    def __init__(
        self,
        streams: Sequence[Randomness],
        rates: Sequence[Sequence[float]],
        widths: Sequence[int],
        turned: Sequence[bool],
        *,
        like: Tensor,
    ) -> None:
        """`rates[place][member]`; `turned[place]`: rows before members in memory, as batch norm has it."""
        self._streams = list(streams)
        self._rates = rates
        self._widths = widths
        self._turned = turned
        self._like = like
        self._runs = self._runs_of(like)
        self._memories: dict[int, _Memory] = {}
        """By the rows of a step: those drawn last are overwritten when they are used up."""
        self._drawn: Sequence[Sequence[Tensor]] = []
        """For each place a mask a step, (K, rows, width)."""
        self._rows = self._steps = self._used = 0

    def next(self, rows: int, *, at_most: int = 1) -> None:
        """Go on to the next step, of so many rows; `at_most` steps from here on are known to be alike."""
        if self._used == self._steps or rows != self._rows:
            self.rewind()
            self._draw(rows, min(at_most, self._affordable(rows)))
        self._used += 1

    def of(self, place: int) -> Tensor:
        """This step's mask of a place, (K, rows, width)."""
        return self._drawn[place][self._used - 1]

    def rewind(self) -> None:
        """Put the streams back to where only the steps that were gone have been drawn."""
        if self._used < self._steps:
            for member, stream in enumerate(self._streams):
                stream.go_back(self._marks[member])
                stream.words(self._used * self._words(member, self._rows))
        self.forget()

    def forget(self) -> None:
        """Drop what is drawn ahead: the streams are elsewhere by now."""
        self._steps = self._used = 0

    def _affordable(self, rows: int) -> int:
        step = len(self._streams) * rows * sum(self._widths) * self._like.element_size()
        return max(1, AHEAD_BYTES // max(step, 1))

    def _words(self, member: int, rows: int) -> int:
        """64-bit words that a member's masks of one step take."""
        places = zip(self._rates, self._widths, strict=True)
        return sum(_words(rows * width) for rates, width in places if rates[member])

    def _runs_of(self, like: Tensor) -> list[_Run]:
        """Members beside each other that drop at the same places are drawn for together."""
        by_member = list(zip(*self._rates, strict=True))
        runs, end = [], 0
        for dropping, alike in groupby(tuple(map(bool, rates)) for rates in by_member):
            start, end = end, end + len(list(alike))
            places = {
                place: _Levels.of([rates[place] for rates in by_member[start:end]], like)
                for place, drops in enumerate(dropping)
                if drops
            }
            if places:
                runs.append(_Run(slice(start, end), places))
        return runs

    def _draw(self, rows: int, steps: int) -> None:
        """Where a member drops nothing its masks stay the ones that they are made of."""
        self._marks = [stream.mark() for stream in self._streams]
        self._rows, self._steps = rows, steps
        memory = self._memory(rows, steps)
        for run in self._runs:
            count = steps * self._words(run.members.start, rows)
            words = np.stack([stream.words(count) for stream in self._streams[run.members]])
            bits = torch.from_numpy(words.view(np.int16)).to(self._like.device).view(len(words), steps, -1)
            start = 0
            for place, levels in run.places.items():
                mask = memory.masks[place][:, run.members][:steps].transpose(0, 1)
                numbers = rows * self._widths[place]
                own = bits[..., start : start + numbers].view(mask.shape)
                torch.ge(own, levels.thresholds, out=mask).mul_(levels.scales)
                start += 4 * _words(numbers)
        self._drawn = memory.by_step

    def _memory(self, rows: int, steps: int) -> _Memory:
        if rows not in self._memories or self._memories[rows].steps < steps:
            places = zip(self._widths, self._turned, strict=True)
            masks = [self._ones((steps, len(self._streams), rows, width), turned) for width, turned in places]
            self._memories[rows] = _Memory(masks)
        return self._memories[rows]

    def _ones(self, shape: tuple[int, int, int, int], turned: bool) -> Tensor:
        steps, members, rows, width = shape
        with torch.inference_mode(False):
            if turned:
                return self._like.new_ones(steps, rows, members, width).transpose(1, 2)
            return self._like.new_ones(shape)


class _Memory:
    """Where the masks of some steps lie: (steps, K, rows, width) for each place."""

    def __init__(self, masks: Sequence[Tensor]) -> None:
        self.masks = masks
        self.steps = len(masks[0])
        self.by_step = [each.unbind(0) for each in masks]


class _Levels(NamedTuple):
    """What bits are held against at a place, and what is kept is multiplied by: (members, 1, 1, 1) each."""

    thresholds: Tensor
    scales: Tensor

    @classmethod
    def of(cls, rates: Sequence[float], like: Tensor) -> Self:
        thresholds = torch.tensor([threshold_of(rate) for rate in rates], dtype=torch.int16)
        scales = like.new_tensor([scale_of(rate) for rate in rates])
        return cls(thresholds.to(like.device).view(-1, 1, 1, 1), scales.view(-1, 1, 1, 1))


class _Run(NamedTuple):
    """Members beside each other that drop at the same places."""

    members: slice
    places: Mapping[int, _Levels]


def _words(count: int) -> int:
    """64-bit words that hold so many 16-bit numbers."""
    return (count + 3) // 4
