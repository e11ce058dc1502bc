"""What becomes of a spec that nobody disturbs: trained here, in one go, once for each spec.

The same code with the same seed on one thread: what a worker was killed over ten times has to end with these
very epochs, this result, and these bytes in its weights.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open

from models.datasets import bundled
from models.preprocessing import prepare
from models.spec import JobSpec
from models.training import Training
from models.weights import save

NOT_REPEATED = "epoch_seconds"
"""The one series of a curve that is about the machine."""


@dataclass(frozen=True, slots=True)
class Undisturbed:
    """One training from end to end."""

    epochs: list[dict[str, float]]
    """The values of each epoch, from the first."""
    stop_reason: str
    result: dict[str, Any]
    tensors: dict[str, str]
    """Each tensor of the weights file → sha256 of its bytes."""


class Trainings:
    """Trainings by spec."""

    def __init__(self) -> None:
        self._known: dict[str, Undisturbed] = {}

    def of(self, spec: dict[str, Any], dataset: str) -> Undisturbed:
        """`spec` is complete, as the row has it; `dataset` is the bundled one that its id stands for."""
        told_apart = {name: part for name, part in spec.items() if name not in _LABELS}
        known = json.dumps([told_apart, dataset], sort_keys=True)
        if known not in self._known:
            self._known[known] = _train(spec, dataset)
        return self._known[known]


_LABELS = ("name", "dataset", "metadata", "priority")


def _train(spec: dict[str, Any], dataset: str) -> Undisturbed:
    torch.set_num_threads(1)
    table, asked = bundled(dataset), JobSpec.model_validate(spec)
    prepared = prepare(asked, table)
    training = Training(asked, prepared)
    epochs = [dict(epoch.values) for epoch in training]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "weights.safetensors"
        save(
            path,
            network_state=training.network.state_dict(),
            spec=asked,
            preprocessor=prepared.preprocessor,
            description=table.description,
        )
        tensors = digests(path)
    return Undisturbed(epochs, str(training.stop_reason), training.result(), tensors)


def digests(path: Path) -> dict[str, str]:
    """Each tensor of a file → sha256 of its type, shape and bytes."""
    with safe_open(path, framework="numpy") as file:
        arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no mapping
    return {
        name: hashlib.sha256(f"{array.dtype} {array.shape} ".encode() + array.tobytes()).hexdigest()
        for name, array in arrays.items()
    }
