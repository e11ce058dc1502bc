"""Rows in two splits and columns that alone tell the target are found; chance and nature are let be."""

from __future__ import annotations

import time
import weakref
from typing import Any

import numpy as np
import polars as pl
import pytest

from models import telling_columns as telling_columns_module
from models.datasets import Column, Table
from models.repeated_rows import repeated_rows
from models.spec import SplitSpec
from models.splits import Split, split_rows
from models.telling_columns import telling_columns
from tests.models.building import table

Columns = dict[str, np.ndarray]


def made(columns: Columns, y: np.ndarray) -> Table:
    """A table of numbers and words."""
    numbers = table(np.zeros((len(y), 1)), y)
    described = [
        Column(
            name=name,
            kind="categorical" if values.dtype == object else "numeric",
            missing=0,
            cardinality=len(set(values.tolist())),
            constant=False,
        )
        for name, values in columns.items()
    ]
    frame = pl.DataFrame({name: values.tolist() for name, values in columns.items()})
    description = numbers.description.model_copy(update={"columns": described})
    return Table(frame.with_columns(y=pl.Series(y)), description)


def noise(rows: int, columns: int = 5, *, seed: int = 0) -> Columns:
    stream = np.random.default_rng(seed)
    return {f"x{index}": stream.normal(size=rows) for index in range(columns)}


def coin(rows: int, share: float = 0.5, *, seed: int = 1) -> np.ndarray:
    return (np.random.default_rng(seed).random(rows) < share).astype(int)


def split(data: Table, seed: int = 0) -> Split:
    stratify = data.description.classes is not None
    return split_rows(SplitSpec(validation=0.2, test=0.2, seed=seed, stratify=stratify), data)


# ── rows in two splits ──────────────────────────────────────────────────────────────────────────────────────


def repeat(columns: Columns, rows: int) -> Columns:
    return {name: np.concatenate([values, values[:rows]]) for name, values in columns.items()}


@pytest.mark.parametrize("task", ["classes", "values"])
def test_rows_that_occur_twice_are_told_with_their_numbers(task: str) -> None:
    y = coin(300) if task == "classes" else noise(300, 1, seed=5)["x0"]
    data = made(repeat(noise(300), 40), np.concatenate([y, y[:40]]))
    dealt = split(data)
    notice = repeated_rows(data, dealt)
    assert notice is not None
    assert (notice.pointer, notice.kind) == ("/dataset", "data_problem")
    trained = set(dealt.train.tolist())
    heldout = [*dealt.validation.tolist(), *dealt.test.tolist()]
    seen = [
        row for row in heldout if (row < 40 and row + 300 in trained) or (row >= 300 and row - 300 in trained)
    ]
    assert f"{len(seen)} of the {len(heldout)} rows outside training" in notice.detail
    first = min(seen)
    like = first + 300 if first < 40 else first - 300
    assert f"row {first} " in notice.detail
    assert f"is row {like} (train)" in notice.detail


def test_a_single_row_that_occurs_twice_is_told_where_nothing_is_nearly_alike() -> None:
    columns, y = repeat(noise(200), 1), np.append(coin(200), coin(200)[0])
    data = made(columns, y)
    split_ = Split(np.arange(100), np.arange(100, 150), np.arange(150, 201))
    notice = repeated_rows(data, split_)
    assert notice is not None
    assert "row 200 (test) is row 0 (train)" in notice.detail


def test_rows_of_the_test_that_only_validation_has_are_told() -> None:
    columns, y = repeat(noise(200), 5), np.append(coin(200), coin(200)[:5])
    notice = repeated_rows(made(columns, y), Split(np.arange(50, 200), np.arange(50), np.arange(200, 205)))
    assert notice is not None
    assert notice.detail.startswith("5 of the 5 test rows occur in validation as well")


def test_repeats_within_a_split_are_nobodys_business() -> None:
    data = made(repeat(noise(200), 20), np.append(coin(200), coin(200)[:20]))
    inside = np.concatenate([np.arange(100), np.arange(200, 220)])
    assert repeated_rows(data, Split(inside, np.arange(100, 150), np.arange(150, 200))) is None


def test_the_same_row_with_another_target_is_another_row() -> None:
    data = made(repeat(noise(300), 40), np.append(coin(300), 1 - coin(300)[:40]))
    assert repeated_rows(data, split(data)) is None


def test_a_key_does_not_hide_rows_that_are_alike() -> None:
    columns = repeat(noise(300), 40)
    for key in (np.arange(340), np.array([f"u{row}" for row in range(340)], dtype=object)):
        data = made({"key": key, **columns}, np.append(coin(300), coin(300)[:40]))
        assert repeated_rows(data, split(data)) is not None


def test_one_columns_hashes_are_held_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """They take as much memory as the table: of all columns at once it would be that much again."""
    held: list[weakref.ref[pl.Series]] = []
    most, hashed = 0, pl.Series.hash

    def watched(series: pl.Series, *args: Any, **more: Any) -> pl.Series:
        nonlocal most
        made = hashed(series, *args, **more)
        held.append(weakref.ref(made))
        most = max(most, sum(each() is not None for each in held))
        return made

    monkeypatch.setattr(pl.Series, "hash", watched)
    data = made(repeat(noise(300, 30), 40), np.append(coin(300), coin(300)[:40]))
    assert repeated_rows(data, split(data)) is not None
    assert 0 < most <= 2


def _coarse(kind: str, seed: int, rows: int = 1000) -> Columns:
    stream = np.random.default_rng(seed)
    if kind == "coins":
        return {f"b{index}": stream.integers(0, 2, rows) for index in range(6)}
    if kind == "rare flags":
        return {f"b{index}": (stream.random(rows) < 0.05).astype(int) for index in range(12)}
    if kind == "correlated":
        hidden = stream.integers(0, 5, rows)
        other = stream.integers(0, 5, (rows, 8))
        return {
            f"c{index}": np.where(stream.random(rows) < 0.7, hidden, other[:, index]) for index in range(8)
        }
    if kind == "passengers":
        cabin = stream.choice([1, 2, 3], rows, p=[0.24, 0.2, 0.56])
        return {
            "cabin": cabin,
            "sex": (stream.random(rows) < 0.35).astype(int),
            "age": np.round(stream.normal(29, 14, rows).clip(1)),
            "siblings": stream.poisson(0.4, rows),
            "fare": np.round(np.exp(stream.normal(4 - 0.9 * cabin, 0.5))),
        }
    return {f"x{index}": np.round(stream.normal(size=rows), 1) for index in range(3)}


@pytest.mark.parametrize("kind", ["coins", "rare flags", "correlated", "passengers", "rounded"])
@pytest.mark.parametrize("seed", range(4))
def test_coarse_data_repeat_themselves_by_chance(kind: str, seed: int) -> None:
    data = made(_coarse(kind, seed), coin(1000, seed=seed + 9))
    assert repeated_rows(data, split(data, seed)) is None


def _correlated(kind: str, seed: int, rows: int = 2000) -> tuple[Columns, np.ndarray]:
    """Rows that are drawn independently of each other, of columns that are not."""
    stream = np.random.default_rng(seed)
    hidden = stream.normal(size=rows)
    if kind.startswith("likert"):
        count = int(kind.split()[1])
        answers = 3 + 1.2 * (0.8 * hidden[:, None] + 0.6 * stream.normal(size=(rows, count)))
        columns = {f"q{index}": each for index, each in enumerate(np.clip(np.round(answers), 1, 5).T)}
        return columns, (answers.mean(axis=1) + stream.normal(size=rows) > 3).astype(int)
    count, scale = int(kind.split()[1]), int(kind.split()[3])
    values = np.round(scale * (hidden[:, None] + stream.normal(size=(rows, count)) / 3))
    columns = {f"n{index}": each for index, each in enumerate(values.T)}
    if kind.endswith("coded"):
        columns |= {f"double{index}": 2 * each for index, each in enumerate(values.T)}
    return columns, (hidden > 0).astype(int)


CORRELATED = [f"likert {count}" for count in (2, 3, 5, 8, 12)] + [
    f"integers {count} by {scale}{coded}"
    for count in (2, 3, 4)
    for scale in (3, 10)
    for coded in ("", " coded")
]


@pytest.mark.parametrize("kind", CORRELATED)
@pytest.mark.parametrize("seed", range(2))
def test_correlated_columns_repeat_themselves_by_chance_more_often(kind: str, seed: int) -> None:
    columns, y = _correlated(kind, seed)
    data = made(columns, y)
    assert repeated_rows(data, split(data, seed)) is None


def test_one_hot_codes_and_tables_of_codes_repeat_themselves_by_chance() -> None:
    stream = np.random.default_rng(0)
    drawn = stream.integers(0, 5, (2000, 3))
    one_hot = {f"c{place}{level}": (drawn[:, place] == level) * 1 for place in range(3) for level in range(5)}
    data = made(one_hot, coin(2000))
    assert repeated_rows(data, split(data)) is None
    data = made({"code": drawn[:, 0], "weight": 2 * drawn[:, 0], "size": drawn[:, 0] ** 2}, drawn[:, 0] % 2)
    assert repeated_rows(data, split(data)) is None


@pytest.mark.parametrize("copies", [30, 150])
def test_copied_rows_are_told_where_values_are_rounded_or_follow_from_each_other(copies: int) -> None:
    stream = np.random.default_rng(0)
    values = np.round(stream.normal(size=(150, 4)), 1)
    columns = {f"x{index}": each for index, each in enumerate(values.T)}
    columns["in other units"] = values[:, 0] * 10
    data = made(repeat(columns, copies), np.concatenate([coin(150), coin(150)[:copies]]))
    assert repeated_rows(data, split(data)) is not None


def test_long_questionnaires_sent_in_twice_are_told() -> None:
    columns, y = _correlated("likert 30", 0, rows=500)
    data = made(repeat(columns, 500), np.concatenate([y, y]))
    assert repeated_rows(data, split(data)) is not None


# ── columns that tell ───────────────────────────────────────────────────────────────────────────────────────

ROWS = 400
WORDS = np.array(["ja", "nein", "vielleicht"], dtype=object)


def telling(columns: Columns, y: np.ndarray, **more: Any) -> list[str]:
    """What is told of each column."""
    notices = list(telling_columns(made(columns, y), **more))
    assert all((each.pointer, each.kind) == ("/dataset", "data_problem") for each in notices)
    return [each.detail for each in notices]


THREE = np.random.default_rng(7).integers(0, 3, ROWS)
SIZE = np.exp(np.random.default_rng(8).normal(size=ROWS))
LEAKS: dict[str, tuple[np.ndarray, np.ndarray]] = {
    "the class itself": (THREE.astype(float), THREE),
    "a code of the class": (np.array([7.0, 3.0, 5.0])[THREE], THREE),
    "a word for the class": (WORDS[THREE], THREE),
    "many words, each of one class": (
        np.array([f"{one}{row % 20}" for row, one in enumerate(THREE)], dtype=object),
        THREE,
    ),
    "a threshold": (np.random.default_rng(9).random(ROWS) + THREE, THREE),
    "two ends": (np.where(coin(ROWS) == 1, 1.0, np.resize([0.0, 2.0], ROWS)) + SIZE / 1e4, coin(ROWS)),
    "known only of one class": (np.where(coin(ROWS) == 1, SIZE, np.nan), coin(ROWS)),
    "a rare class": (coin(ROWS, 0.05) + SIZE / 1e4, coin(ROWS, 0.05)),
    "the value itself": (SIZE, SIZE),
    "the value in another unit": (1.8 * SIZE + 32, SIZE),
    "the value rounded a little": (np.round(SIZE, 3), SIZE),
    "a monotone function": (np.log(SIZE), SIZE),
    "a falling one": (-(SIZE**3), SIZE),
    "a square": ((np.log(SIZE)) ** 2 * np.sign(np.log(SIZE)), np.log(SIZE)),
    "a word for a price": (WORDS[THREE], np.array([1.5, 2.5, 9.0])[THREE] + np.zeros(ROWS)),
}


@pytest.mark.parametrize("name", LEAKS)
def test_a_column_that_alone_tells_the_target_is_told(name: str) -> None:
    column, y = LEAKS[name]
    (detail,) = telling({**noise(ROWS), "leak": column}, y)
    assert detail.startswith("column 'leak' alone tells the target in ")
    assert f"of {ROWS} rows: was it known when the prediction is wanted?" in detail


def test_nearly_always_is_told_too_and_often_is_not() -> None:
    stream = np.random.default_rng(3)
    for wrong, is_told in ((0, True), (2, True), (30, False)):
        column = THREE.astype(float)
        column[stream.choice(ROWS, wrong, replace=False)] = stream.integers(0, 3, wrong)
        assert bool(telling({**noise(ROWS), "leak": column}, THREE)) is is_told


NATURAL: dict[str, tuple[np.ndarray, np.ndarray]] = {
    "a strong feature": (THREE + 0.4 * np.random.default_rng(1).normal(size=ROWS), THREE),
    "a strong measurement": (SIZE + 0.1 * np.random.default_rng(2).normal(size=ROWS), SIZE),
    "a key": (np.array([f"id{row}" for row in range(ROWS)], dtype=object), coin(ROWS)),
    "a number of its own in each row": (np.random.default_rng(4).permutation(ROWS).astype(float), coin(ROWS)),
    "nearly always the same": ((np.arange(ROWS) == 3).astype(float), coin(ROWS, 0.01)),
    "few positives": (SIZE, coin(ROWS, 0.01)),
    "mostly zero": (coin(ROWS, 0.03) * SIZE, np.where(coin(ROWS, 0.03, seed=5) == 1, SIZE, 0.0)),
}


@pytest.mark.parametrize("name", NATURAL)
def test_what_is_merely_good_or_says_nothing_is_let_be(name: str) -> None:
    column, y = NATURAL[name]
    assert telling({**noise(ROWS), "column": column}, y) == []


@pytest.mark.parametrize(("levels", "each"), [(400, 5), (2000, 5), (400, 100), (8000, 5), (10_000, 3)])
@pytest.mark.parametrize("task", ["classes", "values"])
def test_text_of_many_levels_is_found_though_a_sample_has_few_rows_of_each(
    levels: int, each: int, task: str
) -> None:
    stream = np.random.default_rng(0)
    level = stream.permutation(np.repeat(np.arange(levels), each))
    y = (stream.integers(0, 3, levels) if task == "classes" else stream.normal(size=levels))[level]
    words = np.array([f"household {one}" for one in level], dtype=object)
    (detail,) = telling({**noise(len(y)), "household": words}, y)
    assert detail.startswith("column 'household' alone tells the target in ")
    unrelated = stream.permutation(y)
    assert telling({**noise(len(y)), "household": words}, unrelated) == []


def test_columns_that_are_not_looked_at_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(telling_columns_module, "MOST_COLUMNS", 4)
    (notice,) = telling_columns(made({**noise(ROWS, 6), "leak": THREE + 0.0}, THREE))
    assert (notice.pointer, notice.kind) == ("/dataset", "spec")
    assert notice.detail.startswith("3 of 7 columns, the last, were not looked at")
    assert list(telling_columns(made(noise(ROWS, 4), THREE))) == []


def test_the_only_column_and_the_one_that_deals_the_rows_are_not_blamed() -> None:
    assert telling({"only": THREE.astype(float)}, THREE) == []
    columns = {**noise(ROWS), "split": WORDS[THREE]}
    assert telling(columns, THREE, exclude="split") == []


def test_many_columns_that_tell_are_told_together() -> None:
    details = telling({**noise(ROWS), **{f"leak{index}": THREE + index / 10 for index in range(6)}}, THREE)
    assert len(details) == 4
    assert details[-1] == "3 more columns alone tell the target: 'leak3', 'leak4', 'leak5'"


def test_of_large_tables_some_rows_are_looked_at_and_it_takes_no_time() -> None:
    """A sample that has as many rows of the rare class as it can; generous for a machine that is busy."""
    rows = 100_000
    y = coin(rows, 0.01)
    columns = noise(rows, 50)
    columns["x17"] = y + columns["x17"] / 100
    data = table(np.column_stack(list(columns.values())), y)
    dealt = split(data)
    assert data.columns
    began = time.perf_counter()
    (notice,) = telling_columns(data)
    assert repeated_rows(data, dealt) is None
    assert time.perf_counter() - began < 2.0
    assert "column 'x17' alone tells the target in 20,000 of 20,000 rows that were looked at" in notice.detail


@pytest.mark.parametrize("scale", [1e-300, 1e-30, 1e300])
def test_values_of_any_size_are_compared(scale: float) -> None:
    normal = np.log(SIZE)
    assert telling({**noise(ROWS), "leak": 2 * normal}, normal * scale)
    assert telling({**noise(ROWS), "column": noise(ROWS, 1, seed=6)["x0"]}, normal * scale) == []
