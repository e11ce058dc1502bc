"""The jobs that visitors ask for: some seconds long, of many epochs, each with something else to go on with.

Whatever a checkpoint has to carry is in one of them: the optimizer's moments, the schedule's place, the order
of the rows, dropout's stream, running means, early stopping's patience, the best weights so far.
"""

from __future__ import annotations

from typing import Any

HEALTHY: dict[str, dict[str, Any]] = {
    "cocktail": {
        "dataset": "wine",
        "network": {"hidden": [32, 16]},
        "regularization": {"l1": 1e-5, "l2": 1e-4, "dropout": [0.3, 0.2], "batch_norm": True},
        "optimizer": {"kind": "adam", "schedule": "cosine"},
        "training": {"max_epochs": 150, "batch_size": 16, "seed": 1},
    },
    "momentum": {
        "dataset": "breast_cancer",
        "network": {"hidden": [24]},
        "regularization": {"l2": 1e-3, "dropout": 0.1},
        "optimizer": {
            "kind": "sgd",
            "learning_rate": 0.01,
            "momentum": 0.9,
            "schedule": "reduce_on_plateau",
        },
        "training": {"max_epochs": 90, "batch_size": 16, "seed": 2},
    },
    "patient": {
        "dataset": "diabetes",
        "network": {"hidden": [16, 16]},
        "regularization": {
            "dropout": {"input": 0.1, "hidden": [0.2, 0.2]},
            "early_stopping": {"monitor": "val_loss", "patience": 20},
        },
        "optimizer": {"kind": "adamw", "weight_decay": 0.01},
        "training": {"max_epochs": 120, "batch_size": 16, "seed": 3},
    },
    "long epochs": {
        "dataset": "digits",
        "network": {"hidden": [32]},
        "regularization": {"dropout": 0.2},
        "optimizer": {"kind": "adam", "schedule": "one_cycle"},
        "training": {"max_epochs": 4, "batch_size": 1, "seed": 4},
    },
}
POISON: dict[str, dict[str, Any]] = {
    "segfault": {"name": "segfault", "dataset": "iris", "training": {"max_epochs": 50, "seed": 5}},
    "hang": {"name": "hang", "dataset": "iris", "training": {"max_epochs": 50, "seed": 5}},
}
"""Known by name to `tests.worker.sabotaged`: in the first epoch their process dies, or stands still."""

PREY: dict[str, Any] = {
    "dataset": "breast_cancer",
    "network": {"hidden": [24]},
    "regularization": {"l2": 1e-3, "dropout": 0.1},
    "training": {"max_epochs": 200, "batch_size": 16, "seed": 6},
}
"""Long enough for several checkpoints: what the aimed faults are tried on."""
