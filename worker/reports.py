"""What an attempt tells of itself: where it ran, and how far it came when it did not come to its own end."""

from __future__ import annotations

import platform
import socket
from functools import cache
from importlib import metadata
from typing import Any

from models.training import Training


def environment(training: Training) -> dict[str, Any]:
    """Where a network was trained: versions, machine, threads, device."""
    own = {"ridgeline": version(), "python": platform.python_version(), "host": socket.gethostname()}
    return own | training.environment()


@cache
def version() -> str:
    """This installation's version; a checkout that was never installed has none."""
    try:
        return metadata.version("ridgeline")
    except metadata.PackageNotFoundError:
        return "0"


def has_best(training: Training) -> bool:
    """Whether a network that was stopped short holds the weights of its best epoch.

    Without `restore_best_weights` nobody kept them, and what it holds belongs to no epoch of the curve.
    """
    regularization = training.spec.regularization
    early_stopping = regularization.early_stopping if regularization else None
    restores = early_stopping is None or early_stopping.restore_best_weights
    return restores and training.best_epoch is not None


def so_far(training: Training) -> dict[str, Any] | None:
    """A result from the curve alone: nothing is computed, the test is not touched. None before epoch 1."""
    if not training.history.epochs:
        return None
    values = training.history.epochs[training.restored_epoch - 1].values
    train, validation = _of_split(values, "train_"), _of_split(values, "val_")
    return {
        "best_epoch": training.best_epoch,
        "last_epoch": len(training.history),
        "restored_epoch": training.restored_epoch,
        "parameters": training.network.parameter_count(),
        "train": train,
        "validation": validation,
        "test": None,
        "generalization_gap": validation["loss"] - train["loss"] if train and validation else None,
    }


def _of_split(values: dict[str, float], prefix: str) -> dict[str, float] | None:
    found = {name.removeprefix(prefix): value for name, value in values.items() if name.startswith(prefix)}
    return found or None
