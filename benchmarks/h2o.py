"""H2O-3, the one rival that trains such networks over REST too: the same work through both, in turn.

It trains with ADADELTA, row by row (its mini_batch_size has no effect), on all cores, and has no batch norm.
Its frames are in its memory before the clock starts, as our dataset is on our disk.
"""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.jobs import GRID_ROWS, Settings, digits_uploaded, grid, iris, through
from benchmarks.measuring import Row, seconds
from benchmarks.workloads import W1, mnist
from cli.client import Client
from models.datasets import bundled
from tests.stacks import embedded

ROUNDS = 3


def measure() -> Iterator[Row]:
    torch.set_num_threads(1)
    import h2o

    with ExitStack() as running:
        folder = Path(running.enter_context(tempfile.TemporaryDirectory()))
        client = running.enter_context(embedded(folder, concurrency=2)).client
        h2o.init(ip="127.0.0.1", port=54421, nthreads=-1, max_mem_size="2G", verbose=False)
        running.callback(lambda: h2o.cluster().shutdown())
        h2o.no_progress()
        yield from _rows(client, digits_uploaded(client, folder))


def _rows(client: Client, dataset: str) -> Iterator[Row]:
    digits, flowers = _digits(), _iris()
    through(client, [iris(1)] * 20)
    _train(flowers, iris_settings())

    one = W1.settings(10, 0, dataset)
    own, other = _in_turn(client, [one], lambda: _train(digits, _seed_network()))
    yield _row(
        f"{W1.shape} with L1, 10 epochs, {GRID_ROWS:,} rows", own, other, "≤ a tenth", own <= other / 10
    )

    def fifty() -> None:
        for _ in range(50):
            _train(flowers, iris_settings())

    own, other = _in_turn(client, [iris(1)] * 50, fifty)
    yield Row(
        "50 iris jobs of one epoch",
        f"{50 / own:.0f} jobs/s",
        f"H2O-3 {50 / other:.1f} jobs/s",
        f"{other / own:.1f}×",
        "≥ 50 jobs/s",
        50 / own >= 50,
    )
    own, other = _in_turn(client, grid(dataset, 0), lambda: _grid(digits))
    yield _row("grid of 12: L1 × dropout, 5 epochs", own, other, "≤ 4 s", own <= 4.0)


def _in_turn(client: Client, sent: list[Settings], rival: Callable[[], object]) -> tuple[float, float]:
    pairs = [(through(client, sent)[0], seconds(rival)) for _ in range(ROUNDS)]
    own, other = (statistics.median(times) for times in zip(*pairs, strict=True))
    return own, other


def _row(what: str, own: float, other: float, wanted: str, met: bool) -> Row:
    return Row(what, f"{own:.2f} s", f"H2O-3 {other:.2f} s", f"{other / own:.1f}×", wanted, met)


def _digits() -> Any:
    pixels, digits = mnist()
    return _frame(pixels[:GRID_ROWS], digits[:GRID_ROWS])


def _iris() -> Any:
    table = bundled("iris")
    columns = [table.columns[column.name] for column in table.description.columns]
    return _frame(np.column_stack(columns), table.target)


def _frame(x: np.ndarray, y: np.ndarray) -> Any:
    """A frame whose last column, `y`, is a factor."""
    import h2o
    import pandas as pd

    frame = h2o.H2OFrame(pd.DataFrame(x, columns=[f"x{index}" for index in range(x.shape[1])]).assign(y=y))
    frame["y"] = frame["y"].asfactor()
    return frame


def _seed_network() -> dict[str, Any]:
    return {
        "hidden": list(W1.hidden),
        "epochs": 10,
        "activation": "rectifier_with_dropout",
        "hidden_dropout_ratios": list(W1.rates),
        "l1": W1.l1,
        "l2": W1.l2,
    }


def iris_settings() -> dict[str, Any]:
    return {"hidden": [16], "epochs": 1, "activation": "rectifier", "l2": 1e-4}


def _train(frame: Any, settings: dict[str, Any]) -> None:
    from h2o.estimators import H2ODeepLearningEstimator

    H2ODeepLearningEstimator(**settings, stopping_rounds=0).train(y="y", training_frame=frame)


def _grid(frame: Any) -> None:
    from h2o.estimators import H2ODeepLearningEstimator
    from h2o.grid import H2OGridSearch

    chosen = _seed_network() | {"epochs": 5}
    varied = {
        "l1": [0.0, 1e-6, 1e-5, 1e-4],
        "hidden_dropout_ratios": [[rate] * 2 for rate in (0.1, 0.3, 0.5)],
    }
    fixed = {name: value for name, value in chosen.items() if name not in varied}
    search = H2OGridSearch(
        H2ODeepLearningEstimator(**fixed, stopping_rounds=0), hyper_params=varied, parallelism=2
    )
    search.train(y="y", training_frame=frame)
