"""What the network sees: fitted on training rows alone, finite whatever comes, kept to the last bit."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray
from sklearn.preprocessing import RobustScaler, StandardScaler

from models.datasets import Table, bundled
from models.datasets.inference import table as described
from models.encoding import MAX_LEVELS
from models.errors import DataError
from models.preprocessing import Preprocessor, fit, most_features, prepare
from models.spec import JobSpec, PreprocessingSpec, SplitSpec
from models.splits import sizes, split_rows

WAYS = ("standardize", "robust", "quantile", "none")


def of(y: Sequence[Any] | None = None, **columns: Sequence[Any]) -> Table:
    """A table of these columns; the target is a running fraction unless given."""
    rows = len(next(iter(columns.values())))
    target = [n + 0.5 for n in range(rows)] if y is None else y
    frame = pl.DataFrame({**columns, "y": target}, strict=False)
    return described(frame, target="y", task=None, notes=[])


def rows_of(table: Table) -> NDArray[np.int64]:
    return np.arange(table.rows)


def fitted(table: Table, rows: Sequence[int] | None = None, **asked: Any) -> Preprocessor:
    chosen = rows_of(table) if rows is None else np.array(rows)
    return fit(PreprocessingSpec.model_validate(asked), table, chosen)


def inputs(table: Table, **asked: Any) -> dict[str, list[float]]:
    """Feature name → values, fitted and applied on all rows."""
    preprocessor = fitted(table, **asked)
    x = preprocessor.transform(table.columns)
    assert x.dtype == np.float64
    assert x.shape == (table.rows, len(preprocessor.features))
    return {feature.name: x[:, index].tolist() for index, feature in enumerate(preprocessor.features)}


def complete_spec(**asked: Any) -> JobSpec:
    split = {"validation": 0.2, "test": 0.2, "seed": 0, "stratify": True}
    return JobSpec.model_validate({"dataset": "given", "split": split, **asked})


# ── numbers ─────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("numeric", "scaler"), [("standardize", StandardScaler()), ("robust", RobustScaler())]
)
def test_scaling_is_scikit_learns(numeric: str, scaler: Any) -> None:
    table, train = bundled("wine"), np.arange(0, 178, 2)
    x = np.column_stack(list(table.columns.values()))
    preprocessor = fit(PreprocessingSpec.model_validate({"numeric": numeric}), table, train)
    expected = scaler.fit(x[train]).transform(x)
    np.testing.assert_allclose(preprocessor.transform(table.columns), expected, rtol=1e-10, atol=1e-12)


def test_none_leaves_numbers_alone() -> None:
    assert inputs(of(a=[1.5, -2.0, 7.0]), numeric="none") == {"a": [1.5, -2.0, 7.0]}


def test_quantiles_make_any_column_normal() -> None:
    skewed = np.exp(np.random.default_rng(0).normal(size=5000) * 3)
    values = np.array(inputs(of(a=skewed), numeric="quantile")["a"])
    assert values.mean() == pytest.approx(0, abs=0.01)
    assert values.std() == pytest.approx(1, abs=0.01)
    assert (np.argsort(values, kind="stable") == np.argsort(skewed, kind="stable")).all()


def test_quantiles_are_normal_scores_of_middle_ranks_flat_outside() -> None:
    table = of(a=[1.0, 2.0, 2.0, 4.0])
    preprocessor = fitted(table, numeric="quantile")
    got = preprocessor.transform({"a": np.array([-9.0, 1.0, 2.0, 3.0, 4.0, 99.0])})[:, 0]
    outer = 1.1503493803760079  # Φ⁻¹(7/8)
    np.testing.assert_allclose(got, [-outer, -outer, 0.0, outer / 2, outer, outer], rtol=1e-12, atol=1e-15)


def test_robust_falls_back_to_the_sd_where_the_quartiles_coincide() -> None:
    values = [3.0] * 9 + [13.0]
    assert inputs(of(a=values), numeric="robust")["a"] == pytest.approx([0.0] * 9 + [10 / np.std(values)])


@pytest.mark.parametrize("numeric", ["standardize", "robust", "quantile"])
def test_a_column_constant_in_training_is_zero_for_good(numeric: str) -> None:
    table = of(a=[0.1, 0.1, 0.1, 5.0], b=["x", "x", "x", "z"], c=[None, None, None, 2.0])
    preprocessor = fitted(table, [0, 1, 2], numeric=numeric)
    np.testing.assert_array_equal(preprocessor.transform(table.columns), np.zeros((4, 3)))
    assert [feature.scale for feature in preprocessor.features] == (
        [0.0, 0.0, 0.0] if numeric != "quantile" else [None, 0.0, None]
    )


@pytest.mark.parametrize("numeric", WAYS)
@pytest.mark.parametrize(
    "values",
    [
        [1e300, -1e300, 1.7e308, -1.7e308],
        [1e308] * 3 + [-1e308],
        [5e-324, 0.0, 1e-310, -5e-324],
        [1e-200, 2e-200, 3e-200, 4e-200],
        [1.0, 1.0 + 1e-15, 1.0, 1.0],
        [0.0, 1e-300, 1e300, 1.0],
        [1e16, 1e16 + 2, 1e16, 1e16 + 4],
    ],
)
def test_nothing_infinite_ever_comes_out(numeric: str, values: list[float]) -> None:
    table = of(a=values)
    preprocessor = fitted(table, numeric=numeric)
    seen = np.array([*values, np.nan, np.inf, -np.inf, 1.7e308, -1.7e308, 0.0])
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        x = preprocessor.transform({"a": seen}).astype(np.float32)
    assert np.isfinite(x).all()
    assert np.isfinite(np.square(x)).all()


def test_small_numbers_are_scaled_like_others() -> None:
    plain = inputs(of(a=[1.0, 2.0, 3.0, 5.0]))["a"]
    for unit in (1e-200, 1e200):
        assert inputs(of(a=[unit, 2 * unit, 3 * unit, 5 * unit]))["a"] == pytest.approx(plain, rel=1e-12)


def test_outliers_beyond_a_million_sd_are_held_there() -> None:
    preprocessor = fitted(of(a=[0.0, 1.0, 2.0]))
    assert preprocessor.transform({"a": np.array([1e12, -1e12])})[:, 0].tolist() == [1e6, -1e6]


# ── missing values ──────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("missing", "fill"), [("median", 2.0), ("mean", 4.0), ("zero", 0.0)])
def test_missing_numbers_are_filled_and_indicated(missing: str, fill: float) -> None:
    table = of(a=[1.0, 2.0, None, 9.0])
    assert inputs(table, missing=missing, numeric="none") == {
        "a": [1.0, 2.0, fill, 9.0],
        "a (missing)": [0.0, 0.0, 1.0, 0.0],
    }


def test_the_scale_is_that_of_the_filled_column() -> None:
    filled = inputs(of(a=[1.0, 2.0, None, 9.0]), missing="zero")["a"]
    assert filled == inputs(of(a=[1.0, 2.0, 0.0, 9.0]))["a"]


def test_missing_only_outside_training_is_filled_without_an_indicator() -> None:
    table = of(a=[1.0, 3.0, None])
    preprocessor = fitted(table, [0, 1])
    assert [feature.name for feature in preprocessor.features] == ["a"]
    assert preprocessor.transform(table.columns)[2].tolist() == [0.0]


# ── text ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_levels_become_inputs_rare_ones_share_one() -> None:
    table = of(colour=["red", "blue", "red", None, "blue", "teal", "pink"])
    assert inputs(table) == {
        "colour=blue": [0, 1, 0, 0, 1, 0, 0],
        "colour=red": [1, 0, 1, 0, 0, 0, 0],
        "colour (rare)": [0, 0, 0, 0, 0, 1, 1],
        "colour (missing)": [0, 0, 0, 1, 0, 0, 0],
    }


def test_unknown_levels_are_rare_where_there_is_such_an_input_else_nothing() -> None:
    seen = {"c": np.array(["new", None, "a"], dtype=object)}
    with_rare = fitted(of(c=["a", "a", "b"]))
    assert with_rare.transform(seen).tolist() == [[0, 1], [0, 0], [1, 0]]
    without = fitted(of(c=["a", "a", "b", "b"]))
    assert without.transform(seen).tolist() == [[0, 0], [0, 0], [1, 0]]


def test_rare_below_says_what_is_rare() -> None:
    table = of(c=["a"] * 3 + ["b"] * 2 + ["d"])
    assert list(inputs(table, rare_below=1)) == ["c=a", "c=b", "c=d"]
    assert list(inputs(table, rare_below=3)) == ["c=a", "c (rare)"]


def test_a_column_of_countless_levels_does_not_explode() -> None:
    levels = [f"v{n}" for n in range(MAX_LEVELS + 5) for _ in range(2)] + ["v7"]
    preprocessor = fitted(of(c=levels))
    assert len(preprocessor.features) == MAX_LEVELS + 1
    assert preprocessor.features[-1].kind == "rare"
    assert "c=v7" in [feature.name for feature in preprocessor.features]


def test_identifiers_become_one_input_that_says_nothing() -> None:
    assert inputs(of(id=[f"user-{n}" for n in range(5)])) == {"id (rare)": [0.0] * 5}


def test_no_two_inputs_have_the_same_name() -> None:
    table = of(**{"a (missing)": [1.0, 2.0, 3.0], "a": [1.0, None, 3.0]})
    assert list(inputs(table)) == ["a (missing)", "a", "a (missing) (2)"]


def test_booleans_and_dates_are_numbers() -> None:
    days = pl.Series(["2024-01-01", "2024-01-02", "2024-01-05"]).str.to_datetime()
    table = of(b=[True, False, True], when=days)
    assert inputs(table, numeric="none") == {"b": [1, 0, 1], "when": [19723, 19724, 19727]}


# ── the whole ───────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("numeric", WAYS)
def test_a_preprocessor_survives_json_to_the_last_bit(numeric: str) -> None:
    generator = np.random.default_rng(3)
    table = of(
        a=np.exp(generator.normal(size=200) * 50),
        b=[None if n % 7 == 0 else n / 3 for n in range(200)],
        c=generator.choice(["x", "ü\n", "", "z"], 200).tolist(),
    )
    preprocessor = fitted(table, numeric=numeric)
    again = Preprocessor.from_json(preprocessor.to_json())
    assert again == preprocessor
    assert again.features == preprocessor.features
    assert again.transform(table.columns).tobytes() == preprocessor.transform(table.columns).tobytes()


def test_a_column_that_is_gone_is_named() -> None:
    with pytest.raises(DataError, match="'b'"):
        fitted(of(a=[1.0, 2.0], b=[1.0, 2.0])).transform({"a": np.zeros(1)})


@pytest.mark.parametrize("numeric", WAYS)
@pytest.mark.parametrize("missing", ["median", "mean", "zero"])
def test_changing_rows_that_are_not_trained_on_changes_nothing_fitted(numeric: str, missing: str) -> None:
    """The leak that makes test scores lie: statistics, levels, fills or target scale from held-out rows."""
    generator = np.random.default_rng(0)
    columns: dict[str, list[Any]] = {
        "a": generator.normal(size=100).tolist(),
        "b": [None if n % 9 == 0 else float(n) for n in range(100)],
        "c": generator.choice(["x", "y", "z"], 100).tolist(),
    }
    y = generator.normal(size=100).tolist()
    spec = complete_spec(
        split={"validation": 0.2, "test": 0.2, "seed": 1, "stratify": False},
        preprocessing={"numeric": numeric, "missing": missing},
    )
    before = prepare(spec, of(y=y, **columns))
    assert before.validation is not None
    assert before.test is not None
    for row in np.concatenate([before.validation.indices, before.test.indices]):
        columns["a"][row], columns["b"][row], columns["c"][row], y[row] = 1e6, None, "never seen", -1e6
    after = prepare(spec, of(y=y, **columns))
    assert after.preprocessor.to_json() == before.preprocessor.to_json()
    assert after.train.x.tobytes() == before.train.x.tobytes()
    assert after.train.y.tobytes() == before.train.y.tobytes()
    # … and had the test row been trained on, this would have noticed.
    row = before.train.indices[0]
    columns["a"][row] = 1e6
    assert prepare(spec, of(y=y, **columns)).train.x.tobytes() != before.train.x.tobytes()


def test_prepared_rows_are_the_tables_rows() -> None:
    table = bundled("iris")
    prepared = prepare(complete_spec(), table)
    assert prepared.validation is not None
    assert prepared.test is not None
    parts = (prepared.train, prepared.validation, prepared.test)
    assert [len(part.x) for part in parts] == [90, 30, 30]
    assert sorted(np.concatenate([part.indices for part in parts]).tolist()) == list(range(150))
    for part in parts:
        np.testing.assert_array_equal(part.y, table.target[part.indices])
        original = np.column_stack([column[part.indices] for column in table.columns.values()])
        scales = np.array([feature.scale for feature in prepared.preprocessor.features])
        centers = np.array([feature.center for feature in prepared.preprocessor.features])
        np.testing.assert_allclose(part.x * scales + centers, original, rtol=1e-12)


@pytest.mark.parametrize(
    ("name", "task", "outputs"),
    [("iris", "multiclass", 3), ("breast_cancer", "binary", 1), ("diabetes", "regression", 1)],
)
def test_the_task_decides_the_networks_outputs(name: str, task: str, outputs: int) -> None:
    prepared = prepare(complete_spec(), bundled(name))
    assert (prepared.task, prepared.outputs) == (task, outputs)


def test_a_regression_target_is_standardized_by_the_training_rows() -> None:
    table = bundled("diabetes")
    prepared = prepare(complete_spec(), table)
    scale = prepared.preprocessor.target
    assert scale is not None
    assert prepared.train.y.mean() == pytest.approx(0, abs=1e-12)
    assert prepared.train.y.std() == pytest.approx(1)
    np.testing.assert_allclose(prepared.train.y * scale.sd + scale.mean, table.target[prepared.train.indices])
    plain = prepare(complete_spec(preprocessing={"target": "none"}), table)
    assert plain.preprocessor.target is None
    np.testing.assert_array_equal(plain.train.y, table.target[plain.train.indices])


def test_no_fit_makes_more_features_than_were_costed() -> None:
    generator = np.random.default_rng(5)
    for trial in range(20):
        rows = int(generator.integers(4, 40))
        table = of(
            c=generator.choice(["a", "b", "d", "e", "f", None], rows).tolist(),
            n=generator.choice([1.0, 2.0, None], rows).tolist(),
            id=[f"u{n}" for n in range(rows)],
        )
        for rare_below in (1, 2, 5):
            spec = PreprocessingSpec(rare_below=rare_below)
            train = np.sort(generator.choice(rows, rows // 2, replace=False))
            assert len(fit(spec, table, train).features) <= most_features(spec, table.description), trial


# ── splits ──────────────────────────────────────────────────────────────────────────────────────────────────


def split(table: Table, **asked: Any) -> dict[str, list[int]]:
    filled = (
        asked if "column" in asked else {"validation": 0.2, "test": 0.2, "seed": 0, "stratify": True} | asked
    )
    dealt = split_rows(SplitSpec.model_validate(filled), table)
    return {name: getattr(dealt, name).tolist() for name in ("train", "validation", "test")}


@pytest.mark.parametrize("stratify", [True, False])
def test_every_row_is_dealt_once_by_the_seed(stratify: bool) -> None:
    table = bundled("wine")
    dealt = split(table, stratify=stratify)
    assert sorted(row for rows in dealt.values() for row in rows) == list(range(178))
    assert all(rows == sorted(rows) for rows in dealt.values())
    assert [len(rows) for rows in dealt.values()] == [106, 36, 36]
    assert split(table, stratify=stratify) == dealt
    assert split(table, stratify=stratify, seed=1) != dealt


@pytest.mark.parametrize(("validation", "test"), [(0.2, 0.2), (0, 0.3), (0.001, 0), (0.33, 0.33)])
def test_how_many_rows_a_split_gets_is_known_without_the_data(validation: float, test: float) -> None:
    dealt = split(bundled("wine"), validation=validation, test=test)
    asked = SplitSpec(validation=float(validation), test=float(test))
    assert sizes(asked, 178) == {name: len(rows) for name, rows in dealt.items()}
    assert sizes(SplitSpec(column="fold"), 178) is None


@pytest.mark.parametrize("name", ["iris", "wine", "breast_cancer", "digits"])
def test_stratified_splits_keep_the_classes_proportions(name: str) -> None:
    table = bundled(name)
    counts = np.bincount(table.target)
    for rows in split(table).values():
        expected = counts * len(rows) / table.rows
        assert np.abs(np.bincount(table.target[rows], minlength=len(counts)) - expected).max() <= 1


def test_rare_classes_are_trained_on_first() -> None:
    table = of(y=["a"] * 40 + ["b"] * 2 + ["c"], x=range(43))
    dealt = split(table)
    assert 42 in dealt["train"]
    assert {40, 41} & set(dealt["train"])


def test_a_fraction_of_zero_is_no_rows_and_any_other_at_least_one() -> None:
    table = of(x=[1.0, 2.0, 3.0, 4.0])
    assert split(table, validation=0, test=0) == {"train": [0, 1, 2, 3], "validation": [], "test": []}
    assert len(split(table, validation=0.01, test=0)["validation"]) == 1
    assert prepare(complete_spec(split={"validation": 0.0, "test": 0.0, "seed": 0}), table).test is None


def test_a_column_may_deal_the_rows_and_is_no_feature() -> None:
    fold = ["train", "test", "train", "validation", "train"]
    table = of(fold=fold, a=[1.0, 2.0, 3.0, 4.0, 5.0])
    assert split(table, column="fold") == {"train": [0, 2, 4], "validation": [3], "test": [1]}
    prepared = prepare(complete_spec(split={"column": "fold"}), table)
    assert [feature.name for feature in prepared.preprocessor.features] == ["a"]


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"column": "folds"}, "did you mean 'fold'"),
        ({"column": "other"}, "'holdout'"),
        ({"column": "gaps"}, "nothing"),
        ({"column": "number"}, "not train, validation or test"),
        ({"column": "untrained"}, "no rows are left to train on"),
        ({"validation": 0.5, "test": 0.49}, "no rows are left to train on"),
    ],
)
def test_splits_that_leave_nothing_to_train_on_are_refused(asked: dict[str, Any], said: str) -> None:
    table = of(
        fold=["train", "test"],
        other=["train", "holdout"],
        gaps=["train", None],
        number=[0, 1],
        untrained=["test", "validation"],
    )
    with pytest.raises(DataError, match=said):
        split(table, **asked)


def test_training_rows_of_one_class_are_refused() -> None:
    table = of(y=["a", "a", "a", "b"], fold=["train", "train", "train", "test"], x=[1, 2, 3, 4])
    with pytest.raises(DataError, match="single class"):
        split(table, column="fold")


def test_a_dataset_of_nothing_but_the_split_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no columns are left"):
        prepare(complete_spec(split={"column": "fold"}), of(fold=["train", "test"]))
