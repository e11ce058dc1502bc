"""The training rows in batches, slices of one permutation an epoch, and how far the epoch has come."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from models.evaluation import SplitTensors


class Batches:
    """Deals out the rows, in another order each epoch; the full batch keeps its order."""

    def __init__(self, split: SplitTensors, batch_size: int, seed: int) -> None:
        self._split = split
        self._bounds = batch_bounds(len(split), batch_size)
        self._order = torch.Generator().manual_seed(seed)
        self.done = 0
        """Batches of the running epoch that were dealt."""
        self._drawn_from = self._order.get_state()

    def __len__(self) -> int:
        """Batches an epoch."""
        return len(self._bounds)

    @property
    def rows_done(self) -> int:
        """Rows in the batches of the running epoch that were dealt."""
        return self._bounds[self.done - 1][1] if self.done else 0

    def rest(self) -> Iterator[tuple[Tensor, Tensor]]:
        """The batches of the running epoch that were not dealt yet; each counts once it is handed out."""
        x, targets = self._split.x, self._split.targets
        if len(self._bounds) > 1:
            # Drawn from where this epoch first drew: an epoch that is taken up again has the same order.
            self._order.set_state(self._drawn_from)
            permutation = torch.randperm(len(x), generator=self._order).to(x.device)
            x, targets = x[permutation], targets[permutation]
        for start, end in self._bounds[self.done :]:
            self.done += 1
            yield x[start:end], targets[start:end]

    def next_epoch(self) -> None:
        self.done, self._drawn_from = 0, self._order.get_state()

    def state(self) -> dict[str, Any]:
        return {"done": self.done, "drawn_from": self._drawn_from}

    def resume(self, state: dict[str, Any]) -> None:
        self.done, self._drawn_from = state["done"], state["drawn_from"].clone()
        self._order.set_state(self._drawn_from)


def batch_bounds(rows: int, batch_size: int) -> list[tuple[int, int]]:
    """Where each batch starts and ends. A last batch of one row joins the one before: it has no variance."""
    starts = list(range(0, rows, batch_size))
    if len(starts) > 1 and rows - starts[-1] == 1:
        starts.pop()
    return list(zip(starts, [*starts[1:], rows], strict=True))
