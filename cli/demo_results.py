"""What the demo compares: recipes, each with one technique more, over seeds; a table and true words."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

SEEDS: Final = 5
EPOCHS: Final = 40
STOP: Final = {"monitor": "val_loss", "patience": 10, "restore_best_weights": True}
LAST_WEIGHTS: Final = {"monitor": "val_loss", "patience": EPOCHS, "restore_best_weights": False}
"""Never stops and restores nothing: training as it is done where nobody looks at validation rows."""
DROPOUT: Final = {"dropout": [0.5, 0.5]}
PENALTIES: Final = {"l1": 1e-5, "l2": 1e-3}

RECIPES: Final[dict[str, dict[str, Any]]] = {
    "nothing": {"early_stopping": LAST_WEIGHTS},
    "early stopping": {"early_stopping": STOP},
    "+ dropout": {"early_stopping": STOP, **DROPOUT},
    "+ L1 and L2": {"early_stopping": STOP, **DROPOUT, **PENALTIES},
    "+ batch norm": {"early_stopping": STOP, **DROPOUT, **PENALTIES, "batch_norm": True},
}
"""Each is the one above it and one thing more."""
FIRST, LAST = next(iter(RECIPES)), list(RECIPES)[-1]

Result = Mapping[str, Any]
Read = Callable[[Result], float]


@dataclass(frozen=True, slots=True)
class Spread:
    """What several seeds came to."""

    mean: float
    sd: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Their mean and standard deviation; 0 of a single one."""
        return cls(statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else 0.0)


@dataclass(frozen=True, slots=True)
class Measure:
    """A column of the table."""

    head: str
    read: Read
    shown: str
    """A format of Python, for mean and deviation."""
    better: Callable[[Sequence[float]], float] | None
    """Which of several means is the best one; None where none is."""
    times: float = 1.0


def _accuracy(result: Result) -> float:
    return float(result["test"]["accuracy"])


MEASURES: Final = (
    Measure("test accuracy", _accuracy, ".1f", max, times=100.0),
    Measure("test loss", lambda result: float(result["test"]["loss"]), ".2f", min),
    Measure("val − train", lambda result: float(result["generalization_gap"]), ".2f", None),
    Measure("epoch kept", lambda result: float(result["restored_epoch"]), ".0f", None),
)


def comparison(results: Mapping[str, Sequence[Result]]) -> Table:
    """A row a recipe, mean ± standard deviation over its seeds, the best cell of a measure marked."""
    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, header_style="dim")
    table.add_column("", no_wrap=True)
    columns = []
    for measure in MEASURES:
        table.add_column(measure.head, justify="right", no_wrap=True)
        spreads = [Spread.of([measure.read(each) for each in found]) for found in results.values()]
        means = [spread.mean for spread in spreads]
        best = measure.better(means) if measure.better else None
        columns.append([_cell(measure, spread, is_best=spread.mean == best) for spread in spreads])
    for name, *cells in zip(results, *columns, strict=True):
        table.add_row(Text(name), *cells)
    return table


def _cell(measure: Measure, spread: Spread, *, is_best: bool) -> Text:
    mean, sd = (format(measure.times * value, measure.shown) for value in (spread.mean, spread.sd))
    unit = " %" if measure.times != 1 else ""
    return Text(f"{'● ' if is_best else ''}{mean} ± {sd}{unit}", "bold green" if is_best else "")


def conclusion(results: Mapping[str, Sequence[Result]], *, wrong_share: float) -> str:
    """A few sentences that are true whatever the numbers are."""
    accuracy = {name: Spread.of([_accuracy(each) for each in found]) for name, found in results.items()}
    learned = {
        name: statistics.fmean(float(each["train"]["accuracy"]) for each in found)
        for name, found in results.items()
    }
    return " ".join(
        (
            f"Of the labels to train on, {wrong_share:.0%} are wrong. Without regularization the networks "
            f"answer {learned[FIRST]:.1%} of these rows as labelled, with all of it {learned[LAST]:.1%}.",
            _difference(accuracy[FIRST], accuracy[LAST], min(len(found) for found in results.values())),
            _largest_step(accuracy),
        )
    )


def _difference(without: Spread, with_all: Spread, seeds: int) -> str:
    points = 100 * (with_all.mean - without.mean)
    scores = f"{with_all.mean:.1%} are right with all of it and {without.mean:.1%} without"
    said = f"Of the test rows, whose labels are right, {scores}"
    error = 100 * math.sqrt((without.sd**2 + with_all.sd**2) / seeds)
    if abs(points) <= 2 * error:
        return f"{said}: a difference that may be the seeds' luck."
    word = "more" if points > 0 else "fewer"
    return f"{said}: {abs(points):.1f} points {word}, where the seeds leave an error of {error:.1f}."


def _largest_step(accuracy: Mapping[str, Spread]) -> str:
    names = list(accuracy)
    steps = {name: accuracy[name].mean - accuracy[above].mean for above, name in pairwise(names)}
    name = max(steps, key=lambda each: steps[each])
    if steps[name] <= 0:
        return "No step by itself raised it."
    return f"The largest step was {name.removeprefix('+ ')} ({100 * steps[name]:+.1f} points)."
