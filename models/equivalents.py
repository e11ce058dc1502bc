"""What a job's penalties are called elsewhere: scikit-learn's `C` and `alpha` for the same objective."""

from __future__ import annotations

from typing import Any

from models.datasets import Description
from models.regularizers import Penalty
from models.spec import JobSpec


def equivalents(spec: JobSpec, description: Description, rows: int) -> dict[str, Any]:
    """The scikit-learn estimator that minimizes the same objective on the same preprocessed columns.

    Ours is the mean loss + l1·Σ|w| + l2·Σw² over `rows` training rows; scikit-learn's logistic regression
    sums the loss and its ElasticNet halves the squared error. Empty where there is no such estimator.
    """
    penalties = spec.regularization.penalties() if spec.regularization else {}
    scoped = spec.network.hidden and any(penalty.scope != "all" for penalty in penalties.values())
    if scoped or any(penalty.feature_weights for penalty in penalties.values()):
        return {}
    l1, l2 = _strength(penalties.get("l1")), _strength(penalties.get("l2"))
    if spec.network.hidden:
        return _perceptron(spec, description, l1, l2)
    if not (l1 or l2):
        return {}
    if description.task == "classification":
        return _logistic(l1, l2, rows)
    return _least_squares(l1, l2, rows, standardized=spec.preprocessing.target == "standardize")


def _strength(penalty: Penalty | None) -> float:
    return penalty.strength if penalty else 0.0


def _logistic(l1: float, l2: float, rows: int) -> dict[str, Any]:
    total = l1 + 2 * l2
    return {"estimator": "LogisticRegression", "C": 1 / (total * rows), "l1_ratio": l1 / total}


def _least_squares(l1: float, l2: float, rows: int, *, standardized: bool) -> dict[str, Any]:
    space = "the standardized target" if standardized else "the target's own units"
    if not l1:
        return {"estimator": "Ridge", "alpha": l2 * rows, "space": space}
    if not l2:
        return {"estimator": "Lasso", "alpha": l1 / 2, "space": space}
    alpha = l1 / 2 + l2
    return {"estimator": "ElasticNet", "alpha": alpha, "l1_ratio": l1 / 2 / alpha, "space": space}


def _perceptron(spec: JobSpec, description: Description, l1: float, l2: float) -> dict[str, Any]:
    if l1 or not l2:
        return {}
    batch = spec.training.batch_size or 32
    if description.task == "classification":
        return {"estimator": "MLPClassifier", "alpha": 2 * batch * l2}
    return {"estimator": "MLPRegressor", "alpha": batch * l2}
