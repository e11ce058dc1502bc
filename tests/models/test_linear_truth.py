"""Linear models against scikit-learn's tightly converged solutions (same columns, strengths converted)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import ElasticNet, Lasso, LogisticRegression, Ridge

from models.datasets import Table
from tests.models.building import ALL_ROWS, coefficients, table, trained

N, P, TRUE = 600, 200, 10
RAW: dict[str, Any] = {
    "preprocessing": {"numeric": "none", "target": "none"},
    "split": ALL_ROWS,
    "metrics": [],
}
FISTA: dict[str, Any] = RAW | {"network": {"hidden": []}, "optimizer": {"kind": "fista"}}


@pytest.fixture(scope="module")
def columns() -> np.ndarray:
    x = np.random.default_rng(0).standard_normal((N, P))
    return (x - x.mean(0)) / x.std(0)


@pytest.fixture(scope="module")
def signal(columns: np.ndarray) -> np.ndarray:
    """What ten of the columns say, with large and small weights."""
    return columns[:, :TRUE] @ np.linspace(1.0, 3.0, TRUE) * np.resize([1, -1], TRUE).mean() + columns[
        :, :TRUE
    ] @ (np.resize([1.0, -1.0], TRUE) * np.linspace(0.8, 1.6, TRUE))


@pytest.fixture(scope="module")
def binary(columns: np.ndarray, signal: np.ndarray) -> Table:
    noise = np.random.default_rng(1).logistic(size=N)
    return table(columns, (signal + noise > 0).astype(int))


@pytest.fixture(scope="module")
def multinomial(columns: np.ndarray, signal: np.ndarray) -> Table:
    rng = np.random.default_rng(2)
    scores = np.stack([signal, columns[:, :TRUE] @ rng.standard_normal(TRUE), np.zeros(N)], axis=1)
    return table(columns, (scores + rng.gumbel(size=scores.shape)).argmax(1))


@pytest.fixture(scope="module")
def regression(columns: np.ndarray, signal: np.ndarray) -> Table:
    return table(columns, 5 + 3 * signal + np.random.default_rng(3).standard_normal(N))


def data(given: Table) -> tuple[np.ndarray, np.ndarray]:
    return given.frame.drop("y").to_numpy(), given.frame["y"].to_numpy()


LOGISTIC = [(0.02, 1.0), (0.05, 1.0), (0.05, 0.0), (1.0, 0.0), (0.05, 0.5), (0.2, 0.8)]


@pytest.mark.parametrize(("c", "ratio"), LOGISTIC)
@pytest.mark.parametrize("kind", ["binary", "multinomial"])
def test_logistic_regression(c: float, ratio: float, kind: str, request: pytest.FixtureRequest) -> None:
    given: Table = request.getfixturevalue(kind)
    solver = "lbfgs" if ratio == 0 else "saga"
    theirs = LogisticRegression(C=c, l1_ratio=ratio, solver=solver, tol=1e-9, max_iter=20_000).fit(
        *data(given)
    )
    penalties = {"l1": ratio / (c * N), "l2": (1 - ratio) / (2 * c * N)}
    weights, intercepts = coefficients(trained(given, regularization=penalties, **FISTA))
    if kind == "multinomial":
        # Softmax is the same for intercepts shifted together; scikit-learn's sum to zero or drift with saga.
        intercepts, expected = intercepts - intercepts.mean(), theirs.intercept_ - theirs.intercept_.mean()
    else:
        expected = theirs.intercept_
    np.testing.assert_allclose(weights, theirs.coef_, atol=1e-4)
    np.testing.assert_allclose(intercepts, expected, atol=1e-4)
    if ratio > 0:
        np.testing.assert_array_equal(weights == 0, theirs.coef_ == 0)
        assert 0 < (weights == 0).sum() < weights.size


ESTIMATORS = [
    (Lasso(alpha=0.1, tol=1e-12, max_iter=100_000), {"l1": 0.2}),
    (Ridge(alpha=30.0, tol=1e-12), {"l2": 30.0 / N}),
    (ElasticNet(alpha=0.2, l1_ratio=0.6, tol=1e-12, max_iter=100_000), {"l1": 0.24, "l2": 0.08}),
]


@pytest.mark.parametrize(("estimator", "penalties"), ESTIMATORS, ids=lambda part: type(part).__name__)
def test_least_squares(estimator: Any, penalties: dict[str, float], regression: Table) -> None:
    theirs = estimator.fit(*data(regression))
    weights, intercepts = coefficients(trained(regression, regularization=penalties, **FISTA))
    np.testing.assert_allclose(weights[0], theirs.coef_, atol=1e-4)
    np.testing.assert_allclose(intercepts[0], theirs.intercept_, atol=1e-4)
    np.testing.assert_array_equal(weights[0] == 0, theirs.coef_ == 0)


def test_a_standardized_target_is_the_same_problem_with_l1_over_s(regression: Table) -> None:
    _, y = data(regression)
    standardized = FISTA | {"preprocessing": {"numeric": "none", "target": "standardize"}}
    raw, _ = coefficients(trained(regression, regularization={"l1": 0.2, "l2": 0.1}, **FISTA))
    scaled, _ = coefficients(
        trained(regression, regularization={"l1": 0.2 / y.std(), "l2": 0.1}, **standardized)
    )
    np.testing.assert_allclose(scaled * y.std(), raw, atol=1e-6)


@pytest.mark.parametrize("kind", ["binary", "regression"])
def test_lambda_max_is_where_the_last_weight_becomes_zero(kind: str, request: pytest.FixtureRequest) -> None:
    given: Table = request.getfixturevalue(kind)
    x, y = data(given)
    largest = np.abs(x.T @ (y - y.mean())).max() / N * (2 if kind == "regression" else 1)
    above, bias = coefficients(trained(given, regularization={"l1": largest * 1.001}, **FISTA))
    below, _ = coefficients(trained(given, regularization={"l1": largest * 0.98}, **FISTA))
    assert (above == 0).all()
    assert (below != 0).sum() >= 1
    expected = y.mean() if kind == "regression" else np.log(y.mean() / (1 - y.mean()))
    assert bias[0] == pytest.approx(expected, abs=1e-6)


def test_fista_stops_by_itself_at_its_tolerance(binary: Table) -> None:
    done = trained(binary, regularization={"l1": 0.03}, **FISTA)
    assert done.stop_reason == "converged"
    assert len(done.history) < 3000
    objective = [epoch.values["objective"] for epoch in done.history.epochs]
    assert objective[-1] == pytest.approx(min(objective), rel=1e-9)


@pytest.mark.parametrize(
    "optimizer", [{"kind": "adam", "learning_rate": 0.1}, {"kind": "sgd", "learning_rate": 0.1}]
)
def test_a_proximal_step_after_a_minibatch_optimizer_finds_the_lasso(
    optimizer: dict[str, Any], regression: Table
) -> None:
    """Full batch, so that what is left is the step itself: in Adam's metric for Adam."""
    theirs = Lasso(alpha=0.1, tol=1e-12, max_iter=100_000).fit(*data(regression))
    settings = RAW | {
        "network": {"hidden": []},
        "optimizer": optimizer | {"schedule": "cosine"},
        "training": {"max_epochs": 400, "batch_size": N},
    }
    weights, _ = coefficients(trained(regression, regularization={"l1": 0.2}, **settings))
    np.testing.assert_allclose(weights[0], theirs.coef_, atol=1e-3)
    zeros = theirs.coef_ == 0
    assert (weights[0][zeros] == 0).mean() >= 0.9
    assert (weights[0][~zeros] != 0).all()


def test_scope_and_feature_weights_reach_only_their_columns(regression: Table) -> None:
    """A column with weight 0 is not penalized, one with a huge weight is out; the rest as without."""
    distrusted = {"strength": 0.2, "feature_weights": {"x0": 0.0, "x1": 1000.0}}
    weights, _ = coefficients(trained(regression, regularization={"l1": distrusted}, **FISTA))
    plain, _ = coefficients(trained(regression, regularization={"l1": 0.2}, **FISTA))
    assert weights[0][1] == 0 != plain[0][1]
    assert abs(weights[0][0]) > abs(plain[0][0])
