"""A training as a file, from which another process goes on as if nothing had happened.

The file is safetensors: the tensors of `Training.state()`, and as JSON beside them its plain values, the spec
and what the data looked like, so that it goes on nowhere else. A digest covers all of it: a damaged file is
refused, never half believed. It is never a pickle. Where such files are kept, and which is the newest, is not
known here.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from models.errors import CheckpointError
from models.history import History
from models.tensors import write

if TYPE_CHECKING:
    from models.preprocessing import Prepared, Rows
    from models.spec import JobSpec
    from models.training import Training

FORMAT = "ridgeline-checkpoint-1"

State = dict[str, dict[str, Any]]
"""Part of a training → name → a tensor, or a value that JSON can hold."""

UNREADABLE = (SafetensorError, OSError, LookupError, TypeError, ValueError, RuntimeError)
"""What reading strange bytes may raise."""

LABELS = {"name", "metadata", "priority"}
"""What a spec says beside the training: it may be changed between two attempts."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """All that is needed to go on."""

    epoch: int
    """Epochs that were completed."""
    batch: int
    """Batches that were done within the epoch that had begun; 0 at an epoch's end."""
    runtime_seconds: float
    """Time that the training had taken."""
    spec: Mapping[str, Any]
    data: Mapping[str, Any]
    """The data's `fingerprint`."""
    state: State

    def require(self, spec: JobSpec, data: Mapping[str, Any]) -> None:
        """Raise `CheckpointError` unless it was taken under this spec, with data like these."""
        asked = spec.model_dump(mode="json")
        for what, kept, own in (("spec", self.spec, asked), ("data", self.data, data)):
            names = sorted((kept.keys() | own.keys()) - LABELS)
            if differing := [name for name in names if kept.get(name) != own.get(name)]:
                raise CheckpointError(f"the checkpoint is of another {what}: {', '.join(differing)} differ")


def save(path: Path, training: Training) -> None:
    """Write what the training needs to go on, and leave it as it is; `OSError` where that cannot be written.

    The file is replaced as a whole or not at all.
    """
    state = training.state()
    tensors = {
        f"{part}/{name}": value.detach().cpu().contiguous()
        for part, values in state.items()
        for name, value in values.items()
        if isinstance(value, Tensor)
    }
    plain = {
        part: {name: value for name, value in values.items() if not isinstance(value, Tensor)}
        for part, values in state.items()
    }
    told = {"spec": training.spec.model_dump(mode="json"), "data": training.fingerprint, "state": plain}
    words = json.dumps(told, sort_keys=True)
    metadata = {"format": FORMAT, "words": words, "digest": _digest(words, tensors)}
    write(path, tensors, metadata)


def load(path: Path) -> Checkpoint:
    """Read a checkpoint; `CheckpointError` where the file is damaged or of another format.

    Its tensors may lie in the file still, which is to be left alone until a training has resumed.
    """
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
        if metadata.get("format", FORMAT) != FORMAT:
            raise CheckpointError(f"the checkpoint's format is {metadata['format']}, not {FORMAT}")
        if metadata["digest"] != _digest(metadata["words"], tensors):
            raise CheckpointError("the checkpoint is damaged: its digest is another")
        return _checkpoint(json.loads(metadata["words"]), tensors)
    except UNREADABLE as error:
        raise CheckpointError("the checkpoint is damaged, or is no checkpoint") from error


def fingerprint(prepared: Prepared) -> dict[str, Any]:
    """By what data are known again: their shapes, and what preprocessing learnt from the training rows."""

    def shape(rows: Rows | None) -> list[int] | None:
        return None if rows is None else list(rows.x.shape)

    return {
        "task": prepared.task,
        "outputs": prepared.outputs,
        "train": shape(prepared.train),
        "validation": shape(prepared.validation),
        "test": shape(prepared.test),
        # Means, scales and levels of every column: other rows hardly ever have the same ones.
        "preprocessor": hashlib.sha256(prepared.preprocessor.to_json().encode()).hexdigest(),
    }


def history_state(history: History) -> dict[str, Any]:
    """The curve as one tensor, (epochs, series): quick for long ones, and it holds NaN and infinities."""
    names = history.series()
    rows = map(itemgetter(*names), (epoch.values for epoch in history.epochs)) if names else ()
    values = np.fromiter(chain.from_iterable(rows), np.float64, len(history) * len(names))
    return {"series": names, "values": torch.from_numpy(values).reshape(len(history), len(names))}


def history_of(state: dict[str, Any]) -> History:
    """The curve again."""
    return History.of(state["series"], state["values"].tolist())


def _checkpoint(told: dict[str, Any], tensors: Mapping[str, Tensor]) -> Checkpoint:
    state: State = told["state"]
    for key, tensor in tensors.items():
        part, _, name = key.partition("/")
        state[part][name] = tensor
    return Checkpoint(
        epoch=len(state["history"]["values"]),
        batch=state["batches"]["done"],
        runtime_seconds=state["ending"]["runtime_seconds"],
        spec=dict(told["spec"]),
        data=dict(told["data"]),
        state=state,
    )


def _digest(words: str, tensors: Mapping[str, Tensor]) -> str:
    digest = hashlib.sha256(words.encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"\n{name} {tensor.dtype} {list(tensor.shape)}\n".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
