"""Lightning: the textbook's module and penalties in a LightningModule, its trainer without logs and bars."""

from __future__ import annotations

import logging
import warnings
from typing import Any

import lightning as L
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from benchmarks.rivals.textbook import count, criterion_for, hits, network, penalty
from benchmarks.workloads import LEARNING_RATE, Workload

logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)


class Lightning:
    name = "Lightning"
    lacks = ""

    def __init__(self, workload: Workload) -> None:
        self._workload = workload

    def parameters(self) -> int:
        return count(network(self._workload))

    def train(self, epochs: int, seed: int) -> float:
        torch.manual_seed(seed)
        workload = self._workload
        x, y, x_held_out, y_held_out = workload.splits
        loader = DataLoader(TensorDataset(x, y), batch_size=workload.batch, shuffle=True)
        checking = DataLoader(TensorDataset(x_held_out, y_held_out), batch_size=workload.batch)
        with warnings.catch_warnings():
            # It advises loaders with processes of their own, which lose on data that lie in memory.
            warnings.simplefilter("ignore")
            trainer = L.Trainer(
                max_epochs=epochs,
                accelerator="cpu",
                devices=1,
                logger=False,
                enable_checkpointing=False,
                enable_progress_bar=False,
                enable_model_summary=False,
                num_sanity_val_steps=0,
            )
            trainer.fit(_Module(workload), loader, checking)
        return float(trainer.callback_metrics["val_accuracy"])


class _Module(L.LightningModule):
    def __init__(self, workload: Workload) -> None:
        super().__init__()
        self._workload = workload
        self.network: nn.Module = network(workload)
        self.criterion = criterion_for(workload)

    def training_step(self, batch: Any, _: int) -> Tensor:
        x, y = batch
        loss: Tensor = self.criterion(self.network(x), y) + penalty(self.network, self._workload)
        return loss

    def validation_step(self, batch: Any, _: int) -> None:
        x, y = batch
        accuracy = hits(self.network(x), y) / len(y)
        self.log("val_accuracy", accuracy, on_step=False, on_epoch=True, batch_size=len(y))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters(), lr=LEARNING_RATE)
