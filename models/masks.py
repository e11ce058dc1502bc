"""Dropout masks of a stack, drawn for many steps at once; each member's from its own stream of bits.

A mask holds 0 with probability `rate` and 1/(1 − rate) else, so that the mean stays (inverted dropout,
Srivastava et al. 2014). The streams are consumed step by step and layer by layer, however many steps are
drawn ahead and whoever else is in the stack, so a member's masks are those of its network alone.
"""

from __future__ import annotations

from collections.abc import Sequence

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

    def _draw(self, rows: int, steps: int) -> None:
        self._marks = [stream.mark() for stream in self._streams]
        self._rows, self._steps = rows, steps
        memory = self._memory(rows, steps)
        for member, stream in enumerate(self._streams):
            words = stream.words(steps * self._words(member, rows)).view(np.int16).reshape(steps, -1)
            self._fill(member, torch.from_numpy(words).to(self._like.device), memory)
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

    def _fill(self, member: int, bits: Tensor, memory: _Memory) -> None:
        """Where a member drops nothing its masks stay ones."""
        start, steps = 0, len(bits)
        for rates, masks in zip(self._rates, memory.by_member, strict=True):
            if rate := rates[member]:
                mask = masks[member] if steps == memory.steps else masks[member][:steps]
                _, rows, width = mask.shape
                own = bits[:, start : start + rows * width].view(mask.shape)
                torch.ge(own, threshold_of(rate), out=mask).mul_(scale_of(rate))
                start += 4 * _words(rows * width)


class _Memory:
    """Where the masks of some steps lie, (steps, K, rows, width) for each place, looked at in two ways."""

    def __init__(self, masks: Sequence[Tensor]) -> None:
        self.steps = len(masks[0])
        self.by_step = [each.unbind(0) for each in masks]
        self.by_member = [each.unbind(1) for each in masks]


def _words(count: int) -> int:
    """64-bit words that hold so many 16-bit numbers."""
    return (count + 3) // 4
