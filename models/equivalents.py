"""What a job's penalties are called elsewhere: scikit-learn's `C` and `alpha` for the same objective.

Claimed only where nothing else acts: whatever is not known here to be harmless, a technique that is added
later included, leaves a job without an equivalent.
"""

from __future__ import annotations

from typing import Any, Final

from models.datasets import Description
from models.regularizers import BatchNorm, Dropout, Penalty, Regularizer
from models.spec import JobSpec

EXPRESSED: Final = ("l1", "l2")
"""Techniques that scikit-learn has a word for."""
ACTIVATIONS: Final = ("relu", "tanh", "sigmoid")
"""Those that scikit-learn's perceptrons have."""


def equivalents(spec: JobSpec, description: Description, rows: int) -> dict[str, Any]:
    """The scikit-learn estimator that minimizes the same objective on the same preprocessed columns.

    Ours is the mean loss + l1·Σ|w| + l2·Σw² over `rows` training rows; scikit-learn's logistic regression
    sums the loss and its ElasticNet halves the squared error. Empty where there is no such estimator, where
    anything else acts on the weights, and where the rows that its number depends on are not known.
    """
    penalties = spec.regularization.penalties() if spec.regularization else {}
    if _acts_otherwise(spec) or any(penalty.feature_weights for penalty in penalties.values()):
        return {}
    l1, l2 = _strength(penalties.get("l1")), _strength(penalties.get("l2"))
    if spec.network.hidden:
        scoped = any(penalty.strength and penalty.scope != "all" for penalty in penalties.values())
        return {} if l1 or not l2 or scoped else _perceptron(spec, description, l2, rows)
    if not (l1 or l2):
        return {}
    counted = spec.split.column is None  # A column decides on the rows, and only the data tell how.
    if description.task == "classification":
        return _logistic(l1, l2, rows) if counted else {}
    found = _least_squares(l1, l2, rows, _space(spec))
    return found if counted or found["estimator"] != "Ridge" else {}


def _acts_otherwise(spec: JobSpec) -> bool:
    """Whether weights are acted on by more than the loss and the penalties that are expressed.

    Weight decay is no part of the objective and moves its optimum; early stopping ends before the optimum,
    and is a ridge of a strength of its own.
    """
    techniques = spec.regularization.techniques() if spec.regularization else {}
    others = [technique for name, technique in techniques.items() if name not in EXPRESSED]
    return bool(spec.optimizer.weight_decay) or any(_acts(each, spec) for each in others)


def _acts(technique: Regularizer, spec: JobSpec) -> bool:
    kind = type(technique)  # What is made of it may act where it does not.
    if isinstance(technique, Dropout) and kind is Dropout:
        hidden = technique.hidden if isinstance(technique.hidden, list) else [technique.hidden]
        return bool(technique.input) or bool(spec.network.hidden and any(hidden))
    return bool(spec.network.hidden) or kind is not BatchNorm


def _strength(penalty: Penalty | None) -> float:
    return penalty.strength if penalty else 0.0


def _logistic(l1: float, l2: float, rows: int) -> dict[str, Any]:
    total = l1 + 2 * l2
    return {"estimator": "LogisticRegression", "C": 1 / (total * rows), "l1_ratio": l1 / total}


def _space(spec: JobSpec) -> str:
    standardized = spec.preprocessing.target == "standardize"
    return "the standardized target" if standardized else "the target's own units"


def _least_squares(l1: float, l2: float, rows: int, space: str) -> dict[str, Any]:
    if not l1:
        return {"estimator": "Ridge", "alpha": l2 * rows, "space": space}
    if not l2:
        return {"estimator": "Lasso", "alpha": l1 / 2, "space": space}
    alpha = l1 / 2 + l2
    return {"estimator": "ElasticNet", "alpha": alpha, "l1_ratio": l1 / 2 / alpha, "space": space}


def _perceptron(spec: JobSpec, description: Description, l2: float, rows: int) -> dict[str, Any]:
    """Of batches of B rows; where a column decides on the rows they may be fewer than a batch takes."""
    batch = spec.training.batch_size or 32
    if spec.network.activation not in ACTIVATIONS or (spec.split.column is not None and batch > rows):
        return {}
    alpha = min(batch, rows) * l2
    if description.task == "classification":
        return {"estimator": "MLPClassifier", "alpha": 2 * alpha}
    return {"estimator": "MLPRegressor", "alpha": alpha, "space": _space(spec)}
