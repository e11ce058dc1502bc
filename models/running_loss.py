"""What the batches of a running epoch lose as they go by, added up where the networks are.

Nothing is read back for it within an epoch: on a GPU the host would wait each time.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from models.losses import Readout

if TYPE_CHECKING:
    from models.training import Training

AT_ONCE_ROWS = 4_096
"""So many rows' outputs are kept before their losses are added up: a few operations instead of many."""


class RunningLoss:
    """The sum over the rows of each member's batches; it goes on from the trainings' `loss_sum`."""

    def __init__(self, trainings: Sequence[Training], readout: Readout) -> None:
        self._trainings = trainings
        self._readout = readout
        self.forget()

    def forget(self) -> None:
        """Drop what was added up: what the trainings say is what counts."""
        self._pending: list[tuple[Tensor, Tensor]] = []
        self._sums: Tensor | None = None
        self._is_settled = True

    def take(self, outputs: Tensor, targets: Tensor) -> None:
        """A batch's outputs, (K, rows, outputs), and targets, (K, rows)."""
        self._pending.append((outputs, targets))
        self._is_settled = False
        if len(self._pending) * outputs.shape[1] >= AT_ONCE_ROWS:
            self._add_up(outputs)

    def sums(self, like: Tensor) -> Tensor:
        """The sums up to the last batch, (K,), float64, on the device of `like`."""
        if self._pending:
            self._add_up(like)
        return self._begun(like) if self._sums is None else self._sums

    def settle(self, like: Tensor) -> None:
        """Let every training's `loss_sum` be what has been added up."""
        if self._is_settled:
            return
        for training, own in zip(self._trainings, self.sums(like).tolist(), strict=True):
            training.loss_sum = own
        self._is_settled = True

    def _begun(self, like: Tensor) -> Tensor:
        begun = [training.loss_sum for training in self._trainings]
        if any(begun):
            return torch.tensor(begun, dtype=torch.float64, device=like.device)
        return like.new_zeros(len(begun), dtype=torch.float64)

    def _add_up(self, like: Tensor) -> None:
        """In float64 and batch by batch: the same sums however many batches are added up at once."""
        pending = self._pending
        sums = self._begun(like) if self._sums is None else self._sums
        outputs, targets = (torch.cat(parts, dim=1) for parts in zip(*pending, strict=True))
        losses, start = self._readout.losses(outputs, targets).double(), 0
        for rows, alike in groupby(targets.shape[1] for _, targets in pending):
            end = start + rows * len(list(alike))
            by_batch = losses[:, start:end].reshape(len(losses), -1, rows).sum(-1)
            sums = torch.cat([sums.unsqueeze(1), by_batch], dim=1).cumsum(1)[:, -1]
            start = end
        # Only now: where memory runs out before, nothing is lost, and the next look adds the same again.
        self._sums, self._pending = sums, []
