"""The loop that textbooks teach: DataLoader, Adam, penalties by autograd, validation once an epoch."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from benchmarks.workloads import LEARNING_RATE, Workload


class Textbook:
    name = "textbook loop"
    lacks = ""

    def __init__(self, workload: Workload) -> None:
        self._workload = workload

    def parameters(self) -> int:
        return count(network(self._workload))

    def train(self, epochs: int, seed: int) -> float:
        workload = self._workload
        torch.set_num_threads(1)  # With two it is many times slower where something else wants a core.
        torch.manual_seed(seed)
        x, y, x_held_out, y_held_out = workload.splits
        loader = DataLoader(TensorDataset(x, y), batch_size=workload.batch, shuffle=True)
        checking = DataLoader(TensorDataset(x_held_out, y_held_out), batch_size=workload.batch)
        model, criterion = network(workload), criterion_for(workload)
        optimizer = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE)
        accuracy = 0.0
        for _ in range(epochs):
            model.train()
            total = 0.0
            for batch, targets in loader:
                optimizer.zero_grad()
                loss = criterion(model(batch), targets) + penalty(model, workload)
                loss.backward()
                optimizer.step()
                total += loss.item()
            model.eval()
            with torch.no_grad():
                found = sum(hits(model(batch), targets).item() for batch, targets in checking)
            accuracy = found / len(x_held_out)
        return accuracy


def network(workload: Workload) -> nn.Sequential:
    """The workload's network as torch's own layers; two classes share one logit, a vector."""
    layers: list[nn.Module] = []
    columns, *_, outputs = workload.widths
    for width, rate in zip(workload.hidden, workload.rates, strict=True):
        layers += [nn.Linear(columns, width), nn.BatchNorm1d(width), nn.ReLU(), nn.Dropout(rate)]
        columns = width
    layers.append(nn.Linear(columns, outputs))
    return nn.Sequential(*layers, *([nn.Flatten(0)] if outputs == 1 else []))


def criterion_for(workload: Workload) -> nn.Module:
    return nn.BCEWithLogitsLoss() if workload.widths[-1] == 1 else nn.CrossEntropyLoss()


def penalty(model: nn.Module, workload: Workload) -> Tensor:
    """L1 and L2 over all weights; biases and norm parameters are spared."""
    weights = [layer.weight for layer in model.modules() if isinstance(layer, nn.Linear)]
    absolute, squared = sum(w.abs().sum() for w in weights), sum((w * w).sum() for w in weights)
    return torch.as_tensor(workload.l1 * absolute + workload.l2 * squared)


def hits(answers: Tensor, targets: Tensor) -> Tensor:
    """How many answers are right."""
    chosen = answers.argmax(1) if answers.dim() == 2 else (answers > 0).float()
    return (chosen == targets).sum()


def count(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())
