"""Every metric: its name, its declared direction, the tasks it fits, its formula. Add one here.

A metric is a decorated function of the true targets, (n,), and the predictions of one network or of a stack
of them, (…, n); it gives one number for each network, (…). Functions use only tensors' methods, so this file
loads no torch and nothing synchronizes in the loop.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

Task = Literal["binary", "multiclass", "regression"]
Direction = Literal["higher", "lower"]


@dataclass(frozen=True, slots=True)
class Predictions:
    """What networks say of n rows, in the units people read; a stack's have a dimension more in front."""

    labels: Tensor | None = None
    """Class indices, shape (…, n), int64; None for regression."""
    probabilities: Tensor | None = None
    """Binary: P(class 1), (…, n). Multiclass: (…, n, classes), rows sum to 1. None for regression."""
    values: Tensor | None = None
    """Regression: predictions in the target's own units, (…, n), float64."""

    @property
    def is_binary(self) -> bool:
        """One probability a row."""
        labels, probabilities = self.labels, self.probabilities
        return labels is not None and probabilities is not None and probabilities.dim() == labels.dim()

    def of(self, rows: slice) -> Predictions:
        """Of some rows only."""
        if self.labels is None or self.probabilities is None:
            return Predictions(values=_given(self.values)[..., rows])
        chances = self.probabilities[..., rows] if self.is_binary else self.probabilities[..., rows, :]
        return Predictions(labels=self.labels[..., rows], probabilities=chances)


Undefined = Callable[["NDArray[Any]"], str | None]
"""From a split's truth to what about its rows leaves a metric undefined ("hold one class"), or None."""


@dataclass(frozen=True, slots=True)
class Metric:
    """A measure of predictions against the truth."""

    name: str
    better: Direction
    tasks: frozenset[Task]
    function: Callable[[Tensor, Predictions], Tensor]
    summary: str
    span: float
    """From its best value to its worst; infinite where nothing bounds it."""
    undefined: Undefined
    """Where its value says nothing, whatever the network answers."""


METRICS: dict[str, Metric] = {}


def _always_defined(_: NDArray[Any]) -> str | None:
    return None


def _one_class(truth: NDArray[Any]) -> str | None:
    return "hold one class" if truth.min() == truth.max() else None


def _no_second_class(truth: NDArray[Any]) -> str | None:
    return "hold no row of the second class" if not truth.any() else None


def _one_value(truth: NDArray[Any]) -> str | None:
    if len(truth) == 1:
        return "are a single one"
    return "hold one value of the target" if truth.min() == truth.max() else None


def metric(
    name: str,
    *,
    better: Direction,
    tasks: set[Task],
    span: float = math.inf,
    undefined: Undefined = _always_defined,
) -> Callable[[Callable[..., Tensor]], Callable[..., Tensor]]:
    """Register a function `(truth, predictions) -> (…)` under a name, with its direction declared."""

    def register(
        function: Callable[[Tensor, Predictions], Tensor],
    ) -> Callable[[Tensor, Predictions], Tensor]:
        summary = (function.__doc__ or "").strip()
        METRICS[name] = Metric(name, better, frozenset(tasks), function, summary, span, undefined)
        return function

    return register


def direction(series: str) -> Direction:
    """Whether `val_f1_macro`, `train_loss`, … is better high or low, as its metric declares."""
    split, _, name = series.partition("_")
    if split in ("train", "val") and name == "loss":
        return "lower"
    if split in ("train", "val") and name in METRICS:
        return METRICS[name].better
    known = ", ".join(["val_loss", *(f"val_{name}" for name in METRICS)])
    raise ValueError(f"there is no series {series!r} to watch; choose from {known}")


def _class_count(predictions: Predictions) -> int:
    """A binary network answers with one probability a row."""
    probabilities = predictions.probabilities
    return 2 if probabilities is None or predictions.is_binary else probabilities.shape[-1]


def _tally(truth: Tensor, predictions: Predictions) -> tuple[Tensor, Tensor, Tensor]:
    """Per class: rows of it that were recognized, rows of it, rows that were taken for it."""
    labels, classes = _given(predictions.labels), _class_count(predictions)
    # Missed rows are counted in a class of their own, which is cut off: nothing is gathered by a mask.
    recognized = _count(labels.masked_fill(truth != labels, classes), classes + 1)[..., :classes]
    return recognized, _count(truth, classes), _count(labels, classes)


def _count(labels: Tensor, classes: int) -> Tensor:
    """(…, n) → (…, classes): how often each class occurs.

    In whole numbers, whose sum does not depend on their order. `bincount` would do, but looks at the
    smallest and the largest label first, for which the host has to wait on a GPU.
    """
    ones = labels.new_ones(()).expand_as(labels)
    return labels.new_zeros(*labels.shape[:-1], classes).scatter_add_(-1, labels, ones).double()


def _given(part: Tensor | None) -> Tensor:
    if part is None:
        raise TypeError("this metric fits another task than these predictions")
    return part


def _errors(truth: Tensor, predictions: Predictions) -> tuple[Tensor, Tensor]:
    """Predictions less truth, (…, n), in a unit, (…, 1) or (), whose squares a double can hold: 1 mostly."""
    values, truth = _given(predictions.values).double(), truth.double()
    unit = _unit((values - truth).abs().amax(-1, keepdim=True))
    return values / unit - truth / unit, unit


def _unit(largest: Tensor) -> Tensor:
    """1, or `largest` where its square would leave the range of a double."""
    moderate = (largest > 1e-100) & (largest < 1e100) | (largest == 0)
    return largest.masked_fill(moderate, 1.0).clamp(max=1.7e308)


def _or_zero(ratio: Tensor) -> Tensor:
    """0/0 counts as 0, as in scikit-learn."""
    return ratio.nan_to_num(0.0)


@metric("accuracy", better="higher", tasks={"binary", "multiclass"}, span=1.0)
def accuracy(truth: Tensor, predictions: Predictions) -> Tensor:
    """Share of rows whose class is recognized."""
    return (truth == _given(predictions.labels)).double().mean(-1)


@metric("balanced_accuracy", better="higher", tasks={"binary", "multiclass"}, span=1.0)
def balanced_accuracy(truth: Tensor, predictions: Predictions) -> Tensor:
    """Mean over the classes that have rows of the share of those that is recognized."""
    recognized, actual, _ = _tally(truth, predictions)
    return (recognized / actual).nanmean(-1)


@metric("f1", better="higher", tasks={"binary"}, span=1.0, undefined=_no_second_class)
def f1(truth: Tensor, predictions: Predictions) -> Tensor:
    """Harmonic mean of precision and recall of the second class; 0 where neither is defined."""
    recognized, actual, predicted = _tally(truth, predictions)
    return _or_zero(2 * recognized[..., 1] / (actual[1] + predicted[..., 1]))


@metric("f1_macro", better="higher", tasks={"binary", "multiclass"}, span=1.0)
def f1_macro(truth: Tensor, predictions: Predictions) -> Tensor:
    """Mean of the classes' F1; a class that neither occurs nor is predicted is left out."""
    recognized, actual, predicted = _tally(truth, predictions)
    return (2 * recognized / (actual + predicted)).nanmean(-1)


@metric("precision", better="higher", tasks={"binary"}, span=1.0, undefined=_no_second_class)
def precision(truth: Tensor, predictions: Predictions) -> Tensor:
    """Of the rows taken for the second class, the share that is; 0 where none is taken for it."""
    recognized, _, predicted = _tally(truth, predictions)
    return _or_zero(recognized[..., 1] / predicted[..., 1])


@metric("recall", better="higher", tasks={"binary"}, span=1.0, undefined=_no_second_class)
def recall(truth: Tensor, predictions: Predictions) -> Tensor:
    """Of the rows of the second class, the share that is recognized; 0 where there are none."""
    recognized, actual, _ = _tally(truth, predictions)
    return _or_zero(recognized[..., 1] / actual[1])


def _thresholds(truth: Tensor, predictions: Predictions) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Walk every class's scores from high to low: true and false positives, now and before.

    Each is (…, classes, n), of a binary network (…, 1, n).
    Rows with equal scores are passed at once: only the last row of a tie differs from what was before.
    """
    scores = _given(predictions.probabilities)
    scores = scores.unsqueeze(-2) if predictions.is_binary else scores.transpose(-2, -1)
    ordered, order = scores.sort(dim=-1, descending=True)
    count = scores.shape[-2]
    classes = truth.new_ones(1) if predictions.is_binary else truth.new_ones(count).cumsum(0) - 1
    positive = (truth[order] == classes.unsqueeze(-1)).double()
    last = ordered != ordered.roll(-1, -1)
    last[..., -1] = True
    hits, rows = positive.cumsum(-1), positive.new_ones(positive.shape).cumsum(-1)
    hits, misses = (passed.masked_fill(~last, 0).cummax(-1).values for passed in (hits, rows - hits))
    return hits, misses, _before(hits), _before(misses)


def _before(count: Tensor) -> Tensor:
    earlier = count.roll(1, -1)
    earlier[..., 0] = 0
    return earlier


@metric("roc_auc", better="higher", tasks={"binary", "multiclass"}, span=1.0, undefined=_one_class)
def roc_auc(truth: Tensor, predictions: Predictions) -> Tensor:
    """Probability that a row of the class scores above a row of another, ties counting half.

    Multiclass: one class against the rest, averaged over the classes that have rows on both sides. NaN where
    no class has.
    """
    hits, misses, hits_before, misses_before = _thresholds(truth, predictions)
    area = ((misses - misses_before) * (hits + hits_before)).sum(-1) / 2
    return (area / (hits[..., -1] * misses[..., -1])).nanmean(-1)


@metric("average_precision", better="higher", tasks={"binary"}, span=1.0, undefined=_one_class)
def average_precision(truth: Tensor, predictions: Predictions) -> Tensor:
    """Area under precision over recall of the second class, in steps; 0 where it has no rows."""
    hits, misses, hits_before, _ = _thresholds(truth, predictions)
    gained = (hits - hits_before) / hits[..., -1:]
    return _or_zero(gained * hits / (hits + misses)).sum(-1).squeeze(-1)


@metric("log_loss", better="lower", tasks={"binary", "multiclass"})
def log_loss(truth: Tensor, predictions: Predictions) -> Tensor:
    """Mean of −log P(the row's class), probabilities held off 0 and 1 by the number format's epsilon."""
    chance = _given(predictions.probabilities)
    epsilon = 2.0 ** (-52 if chance.element_size() == 8 else -23)
    if predictions.is_binary:
        chance = chance.double().clamp(epsilon, 1 - epsilon)
        return -chance.where(truth == 1, 1 - chance).log().mean(-1)
    return -_of_truth(truth, chance).double().clamp(epsilon, 1 - epsilon).log().mean(-1)


def _of_truth(truth: Tensor, chance: Tensor) -> Tensor:
    """The probability of each row's own class, (…, n)."""
    return chance.gather(-1, truth.expand(chance.shape[:-1]).unsqueeze(-1)).squeeze(-1)


@metric("brier", better="lower", tasks={"binary", "multiclass"}, span=2.0)
def brier(truth: Tensor, predictions: Predictions) -> Tensor:
    """Mean squared distance of the probabilities from the truth; multiclass: summed over the classes."""
    chance = _given(predictions.probabilities).double()
    if predictions.is_binary:
        return (chance - truth).square().mean(-1)
    # Σ (p − y)² with y one-hot is Σ p² − 2·p(truth) + 1: the one-hot matrix is never made.
    return (chance.square().sum(-1) - 2 * _of_truth(truth, chance) + 1).clamp(min=0).mean(-1)


@metric("rmse", better="lower", tasks={"regression"})
def rmse(truth: Tensor, predictions: Predictions) -> Tensor:
    """Root of the mean squared error, in the target's units."""
    errors, unit = _errors(truth, predictions)
    return errors.square().mean(-1).sqrt() * unit.squeeze(-1)


@metric("mae", better="lower", tasks={"regression"})
def mae(truth: Tensor, predictions: Predictions) -> Tensor:
    """Mean absolute error, in the target's units."""
    errors, unit = _errors(truth, predictions)
    return errors.abs().mean(-1) * unit.squeeze(-1)


@metric("r2", better="higher", tasks={"regression"}, undefined=_one_value)
def r2(truth: Tensor, predictions: Predictions) -> Tensor:
    """1 − squared error / variance; of a constant target 1 where it is met, else 0; NaN of one row."""
    errors, unit = _errors(truth, predictions)
    truth = truth.double()
    # Of a constant the mean may be off by a rounding, which would be all the variance there is.
    is_constant = truth.amin() == truth.amax()
    own = _unit((truth.amax() / 2 - truth.amin() / 2).abs())
    spread = truth / own - (truth / own).mean()
    unexplained = errors.square().sum(-1)
    share = unexplained / spread.square().sum() * (unit.squeeze(-1) / own).square()
    score = (unexplained == 0).double().where(is_constant, 1 - share)
    return score if len(truth) > 1 else score * float("nan")
