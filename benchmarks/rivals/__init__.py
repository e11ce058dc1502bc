"""Who else trains such networks: the same network, data, cocktail, batch size and epochs, as far as they can.

Each module holds one class with `name`, `lacks` (techniques that it does not have), `parameters()` and
`train(epochs, seed)`, which starts from a fresh network and gives the last epoch's validation accuracy. All
measure the validation split once an epoch.
"""

from __future__ import annotations

from typing import Protocol


class Rival(Protocol):
    name: str
    lacks: str

    def parameters(self) -> int:
        """How many numbers its network learns."""
        ...

    def train(self, epochs: int, seed: int) -> float:
        """Train a fresh network; the last epoch's validation accuracy."""
        ...
