"""The training rows in batches: each member's are slices of its own permutation of an epoch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from models.evaluation import TrainingRows

AHEAD_BYTES = 2**20
"""Rows gathered ahead take about as much: many batches of few columns, one of many."""


class Order:
    """One network's order of the rows, another one each epoch, from its own stream."""

    def __init__(self, seed: int) -> None:
        self._stream = torch.Generator().manual_seed(seed)
        self._drawn_from = self._stream.get_state()
        self._permutation: Tensor | None = None

    def of_epoch(self, rows: int) -> Tensor:
        """The running epoch's permutation, (rows,)."""
        if self._permutation is None:
            self._permutation = torch.randperm(rows, generator=self._stream).to(torch.int32)
        return self._permutation

    def next_epoch(self, rows: int) -> None:
        """Another permutation, also where nobody looked at this epoch's: a checkpoint lay at its end."""
        self.of_epoch(rows)
        self._permutation, self._drawn_from = None, self._stream.get_state()

    def state(self) -> Tensor:
        """Where the stream was when the running epoch began: taken up again, it has the same order."""
        return self._drawn_from

    def resume(self, drawn_from: Tensor) -> None:
        self._permutation, self._drawn_from = None, drawn_from.clone()
        self._stream.set_state(self._drawn_from)


class Batch(NamedTuple):
    """The same number of rows for each of K members."""

    x: Tensor
    """(K, rows, features)"""
    encoded: Tensor
    """(K, rows, outputs): targets in the form of outputs."""
    targets: Tensor
    """(K, rows)"""
    alike: int
    """How many batches from this one on have as many rows."""


class Run(NamedTuple):
    """Batches of equal size that follow each other."""

    first: int
    """The first one's number, from 0."""
    start: int
    """Its first row's place in the permutation."""
    size: int
    """Rows of a batch."""
    batches: int


class Batches:
    """Deals out the rows to K members; the full batch keeps its order."""

    def __init__(
        self, split: TrainingRows, batch_size: int, orders: Sequence[Order], *, done: int = 0
    ) -> None:
        self._split = split
        self._orders = list(orders)
        self._bounds = batch_bounds(len(split), batch_size)
        self.done = done
        """Batches of the running epoch that were dealt."""
        self._ahead: list[Batch] = []
        """Those that were gathered with the last one, the next at the end."""

    def __len__(self) -> int:
        """Batches an epoch."""
        return len(self._bounds)

    @property
    def left(self) -> int:
        """Batches of the running epoch that were not dealt yet."""
        return len(self._bounds) - self.done

    @property
    def rows_done(self) -> int:
        """Rows in the batches of the running epoch that were dealt."""
        return self._bounds[self.done - 1][1] if self.done else 0

    def next(self) -> Batch:
        """The next batch of the running epoch; it counts once it is handed out."""
        if not self._ahead:
            self._ahead = self._full() if len(self._bounds) == 1 else self._gathered()
        self.done += 1
        return self._ahead.pop()

    def next_epoch(self) -> None:
        self.done, self._ahead = 0, []
        if len(self._bounds) > 1:
            for order in self._orders:
                order.next_epoch(len(self._split))

    def resume(self, done: int) -> None:
        """Go on behind so many batches; the orders have been resumed."""
        self.done, self._ahead = done, []

    def _full(self) -> list[Batch]:
        members, split = len(self._orders), self._split
        # Not copied: every member reads the very same rows.
        x, encoded = split.x.expand(members, -1, -1), split.encoded.expand(members, -1, -1)
        return [Batch(x, encoded, split.targets.expand(members, -1), 1)]

    def _gathered(self) -> list[Batch]:
        """Some batches at once, the last one first."""
        split, members = self._split, len(self._orders)
        orders = [order.of_epoch(len(split)) for order in self._orders]
        runs = self._runs_ahead()
        rows = torch.cat([_dealt(orders, run) for run in runs]).to(split.x.device)
        gathered = [each.index_select(0, rows) for each in (split.x, split.encoded, split.targets)]
        batches, end = list[Batch](), 0
        for run in runs:
            start, end = end, end + run.batches * members * run.size
            shape = (run.batches, members, run.size)
            parts = [each[start:end].view(*shape, *each.shape[1:]).unbind(0) for each in gathered]
            alike = self._alike(run.first)
            for place, (x, encoded, targets) in enumerate(zip(*parts, strict=True)):
                batches.append(Batch(x, encoded, targets, alike - place))
        return batches[::-1]

    def _runs_ahead(self) -> list[Run]:
        """What is gathered next: as much as is to be had ahead, and a shorter last batch with it."""
        start, end = self._bounds[self.done]
        size, split = end - start, self._split
        row = (split.x.shape[1] + split.encoded.shape[1]) * split.x.element_size()
        alike = self._alike(self.done)
        count = min(alike, max(1, AHEAD_BYTES // (len(self._orders) * size * row)))
        runs = [Run(self.done, start, size, count)]
        if count == alike and self.done + count == len(self._bounds) - 1:
            start, end = self._bounds[-1]
            runs.append(Run(len(self._bounds) - 1, start, end - start, 1))
        return runs

    def _alike(self, first: int) -> int:
        """How many batches from this one on are of one size; only the last of all may be of another."""
        left, (start, end), (last_start, last_end) = len(self) - first, self._bounds[first], self._bounds[-1]
        return left if end - start == last_end - last_start else left - 1


def _dealt(orders: Sequence[Tensor], run: Run) -> Tensor:
    """The rows of a run, (count·K·size,): each batch's together, member by member."""
    chosen = torch.stack([each[run.start : run.start + run.batches * run.size] for each in orders])
    return chosen.view(len(orders), run.batches, run.size).transpose(0, 1).flatten()


def batch_bounds(rows: int, batch_size: int) -> list[tuple[int, int]]:
    """Where each batch starts and ends. A last batch of one row joins the one before: it has no variance."""
    starts = list(range(0, rows, batch_size))
    if len(starts) > 1 and rows - starts[-1] == 1:
        starts.pop()
    return list(zip(starts, [*starts[1:], rows], strict=True))
