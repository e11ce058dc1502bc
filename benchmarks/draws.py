"""Jobs drawn at random: a world, some rows of it, and a spec, each fixed by the number of the draw."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.worlds import WORLDS, World
from models.datasets import Table
from models.defaults import complete
from models.spec import JobSpec
from tests.models.building import table

SEED = 20_261_130
TRAINED_ROWS = (40, 80, 160, 500, 1_000)
VALIDATION_ROWS = (200, 400, 800, 1_600)
"""Either is drawn by itself: few rows to learn from make a gap, and few to look at hide one."""
SHAPES = ([], [8], [16], [32], [64], [64], [32, 16], [64, 32], [64, 64])
ACTIVATIONS = ("relu", "relu", "relu", "leaky_relu", "elu", "gelu", "silu", "tanh", "sigmoid")
USUAL = {"adam": 3e-3, "adamw": 3e-3, "sgd": 0.05}


@dataclass(frozen=True)
class Draw:
    """One job, and where its data come from."""

    number: int
    kind: str
    world: World
    data: Table
    spec: JobSpec
    """Complete."""

    def fresh(self, rows: int, stream: int) -> tuple[Any, Any]:
        """Rows that the job has not seen: (rows, columns) and targets as the world says them."""
        return self.world(np.random.default_rng([SEED, self.number, 1 + stream]), rows)


def draw(number: int) -> Draw:
    """The same number, the same job; of each twenty in a row two have the same kind of world."""
    random = np.random.default_rng([SEED, number])
    kind = list(WORLDS)[number // 2 % len(WORLDS)]
    world = WORLDS[kind](random)
    rows, validated = int(random.choice(TRAINED_ROWS)), int(random.choice(VALIDATION_ROWS))
    given = table(*world(random, rows + validated))
    split = {"validation": validated / (rows + validated), "test": 0, "seed": _seed(random)}
    asked = JobSpec.model_validate({"dataset": "given", "split": split, **_settings(random)})
    return Draw(number, kind, world, given, complete(asked, given.description).spec)


def _settings(random: np.random.Generator) -> dict[str, Any]:
    exact = random.random() < 0.1
    hidden = [] if exact else list(SHAPES[random.integers(len(SHAPES))])
    return {
        "network": {"hidden": hidden, "activation": _one(random, *ACTIVATIONS)},
        "regularization": _cocktail(random, hidden, exact=exact),
        "optimizer": {"kind": "fista"} if exact else _optimizer(random),
        "training": {"max_epochs": 300, "seed": 0} if exact else _training(random),
    }


def _cocktail(random: np.random.Generator, hidden: list[int], *, exact: bool) -> dict[str, Any]:
    chosen: dict[str, Any] = {}
    if random.random() < 0.2:
        chosen["l1"] = _power(random, -5, -1)
    if random.random() < 0.3:
        chosen["l2"] = _power(random, -5, -0.5)
    if exact:
        return chosen
    if hidden and random.random() < 0.3:
        inside, entering = round(random.uniform(0.1, 0.6), 2), _one(random, 0.0, 0.0, 0.1, 0.3)
        chosen["dropout"] = {"input": entering, "hidden": inside}
    if hidden and random.random() < 0.35:
        chosen["batch_norm"] = True
    if random.random() < 0.5:
        chosen["early_stopping"] = {
            "patience": int(random.integers(2, 20)),
            "restore_best_weights": bool(random.random() < 0.5),
        }
    return chosen


def _optimizer(random: np.random.Generator) -> dict[str, Any]:
    """Rates around the usual ones, and one in four far beyond or far below."""
    kind = _one(random, "adam", "adam", "adamw", "sgd")
    usual, where = USUAL[kind], random.random()
    if where < 0.8:
        rate = usual * _power(random, -0.6, 0.6)
    else:
        rate = usual * (_power(random, 0.8, 2.8) if where < 0.9 else _power(random, -3.0, -1.0))
    chosen = {"kind": kind, "learning_rate": float(f"{min(rate, 50.0):.2g}")}
    if kind == "adamw" and random.random() < 0.5:
        chosen["weight_decay"] = _power(random, -2, 1)
    chosen["schedule"] = _one(random, *["constant"] * 5, "cosine", "one_cycle")
    return chosen


def _training(random: np.random.Generator) -> dict[str, Any]:
    few = random.random() < 0.08
    return {
        "max_epochs": int(random.integers(2, 9) if few else random.integers(15, 101)),
        "batch_size": _one(random, 8, 16, 32, 32, 64),
        "seed": _seed(random),
    }


def _one(random: np.random.Generator, *choices: Any) -> Any:
    return choices[random.integers(len(choices))]


def _power(random: np.random.Generator, low: float, high: float) -> float:
    return float(f"{10 ** random.uniform(low, high):.2g}")


def _seed(random: np.random.Generator) -> int:
    return int(random.integers(1_000_000))
