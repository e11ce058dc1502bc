"""What is made of a table: kinds of columns, the target, its task and why, and the file that keeps it."""

from __future__ import annotations

import datetime
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from sklearn import datasets as sklearn_datasets

from models.datasets import BUNDLED, Table, bundled, bundled_csv, read
from models.errors import DataError, DatasetError


def of_csv(tmp_path: Path, text: str, **asked: Any) -> Table:
    path = tmp_path / "upload"
    path.write_bytes(text.encode())
    return read(path, filename="data.csv", **asked)


def kinds(table: Table) -> dict[str, str]:
    return {column.name: column.kind for column in table.description.columns}


# ── kinds of columns ────────────────────────────────────────────────────────────────────────────────────────


def test_columns_are_numbers_booleans_dates_or_text(tmp_path: Path) -> None:
    table = of_csv(
        tmp_path,
        "size,price,sold,when,colour,y\n"
        "1,2.5,true,2024-01-01,red,a\n"
        "2,1e3,FALSE,2024-01-02,blue,b\n"
        "3,-4,True,1969-12-31,red,a\n",
    )
    assert kinds(table) == {
        "size": "numeric",
        "price": "numeric",
        "sold": "boolean",
        "when": "datetime",
        "colour": "categorical",
    }
    np.testing.assert_array_equal(table.columns["price"], [2.5, 1000.0, -4.0])
    np.testing.assert_array_equal(table.columns["sold"], [1.0, 0.0, 1.0])
    np.testing.assert_array_equal(table.columns["when"], [19723.0, 19724.0, -1.0])
    assert table.columns["colour"].tolist() == ["red", "blue", "red"]
    assert table.description.column("colour").levels == ["blue", "red"]  # type: ignore[union-attr]


@pytest.mark.parametrize("blank", ["", "NA", "n/a", "NaN", "null", "NULL", "?", "None", "  "])
def test_missing_values_of_all_spellings(tmp_path: Path, blank: str) -> None:
    table = of_csv(tmp_path, f"a,b,c,y\n1,x,true,p\n{blank},{blank},{blank},q\n3,z,false,p\n")
    assert kinds(table) == {"a": "numeric", "b": "categorical", "c": "boolean"}
    assert [column.missing for column in table.description.columns] == [1, 1, 1]
    np.testing.assert_array_equal(table.columns["a"], [1.0, np.nan, 3.0])
    np.testing.assert_array_equal(table.columns["c"], [1.0, np.nan, 0.0])
    assert table.columns["b"].tolist() == ["x", None, "z"]


def test_none_in_small_letters_is_a_level(tmp_path: Path) -> None:
    table = of_csv(tmp_path, "insurance,y\nnone,p\nfull,q\nnone,p\n")
    assert table.columns["insurance"].tolist() == ["none", "full", "none"]


@pytest.mark.parametrize(
    ("cells", "days"),
    [
        (["2024-01-02", "2024-01-03"], [19724.0, 19725.0]),
        (["2024-01-02 12:00:00", "2024-01-03 00:00:00.000"], [19724.5, 19725.0]),
        (["2024-01-02T12:00", "2024-01-03T00:00"], [19724.5, 19725.0]),
        (["2024-01-02T12:00:00Z", "2024-01-03T02:00:00+02:00"], [19724.5, 19725.0]),
        (["2024/01/02", "2024/1/3"], [19724.0, 19725.0]),
        (["02.01.2024", "03.01.2024"], [19724.0, 19725.0]),
        (["01/02/2024", "01/03/2024"], [19724.0, 19725.0]),
        (["31/12/2023", "03/01/2024"], [19722.0, 19725.0]),
    ],
)
def test_dates_in_the_usual_ways_of_writing(tmp_path: Path, cells: list[str], days: list[float]) -> None:
    table = of_csv(tmp_path, "when,y\n" + "".join(f"{cell},{n}.5\n" for n, cell in enumerate(cells)))
    np.testing.assert_allclose(table.columns["when"], days, rtol=0, atol=1e-9)
    assert any("'when'" in note and "days since 1970-01-01" in note for note in table.description.notes)
    assert any("month/day/year" in note for note in table.description.notes) is (cells[0][:6] == "01/02/")


@pytest.mark.parametrize("cells", [["1.2.3", "4.5.6"], ["2024-13-01", "2024-01-01"], ["2024-01-01", "soon"]])
def test_what_is_no_date_throughout_stays_text(tmp_path: Path, cells: list[str]) -> None:
    table = of_csv(tmp_path, "v,y\n" + "".join(f"{cell},{n}.5\n" for n, cell in enumerate(cells)))
    assert kinds(table) == {"v": "categorical"}


def test_infinite_numbers_count_as_missing_and_are_noted(tmp_path: Path) -> None:
    table = of_csv(tmp_path, "a,y\n1,0.5\ninf,1.5\n-1e999,2.5\n")
    np.testing.assert_array_equal(table.columns["a"], [1.0, np.nan, np.nan])
    assert "column 'a': 2 infinite values count as missing" in table.description.notes


def test_constant_columns_are_noted_not_refused(tmp_path: Path) -> None:
    table = of_csv(tmp_path, "a,b,c,y\n1,x,,0.5\n1,x,,1.5\n1,,,2.5\n")
    assert [column.constant for column in table.description.columns] == [True, False, True]
    assert any(note.startswith("columns 'a', 'c': the same") for note in table.description.notes)


def test_identifiers_are_noted_and_their_levels_not_listed_in_full(tmp_path: Path) -> None:
    rows = "".join(f"user-{n:03},{n}.5\n" for n in range(100))
    description = of_csv(tmp_path, "id,y\n" + rows).description
    assert description.columns[0].cardinality == 100
    assert description.columns[0].levels == [f"user-{n:03}" for n in range(50)]
    assert any("'id'" in note and "different in every row" in note for note in description.notes)


# ── the target and its task ─────────────────────────────────────────────────────────────────────────────────


def target_csv(*values: object) -> str:
    return "x,y\n" + "".join(f"{n},{value}\n" for n, value in enumerate(values))


@pytest.mark.parametrize(
    ("values", "task", "labels", "why"),
    [
        (["b", "a", "b"], "classification", ["a", "b"], "text"),
        (["true", "false", "true"], "classification", ["false", "true"], "true or false"),
        ([10, 9, 10, 9], "classification", ["9", "10"], "2 different whole numbers"),
        ([2.0, 1.0, 2.0, 1.0], "classification", ["1.0", "2.0"], "2 different whole numbers"),
        ([0.5, 1.5, 0.5, 1.5], "regression", None, "fractions"),
        (list(range(30)), "regression", None, "too many for classes"),
        ([0, 1, 2, 3, 4, 5, 0, 1, 2, 3, 4, 5], "regression", None, "too many for classes"),
        (["2024-01-01", "2024-02-01", "2024-01-01"], "regression", None, "date"),
    ],
)
def test_the_task_is_inferred_and_said_why(
    tmp_path: Path, values: list[object], task: str, labels: list[str] | None, why: str
) -> None:
    description = of_csv(tmp_path, target_csv(*values)).description
    assert description.task == task
    assert why in description.task_reason
    assert (description.classes and [one.label for one in description.classes]) == labels


def test_the_asked_task_is_taken(tmp_path: Path) -> None:
    values = [0, 1, 0, 1]
    assert of_csv(tmp_path, target_csv(*values), task="regression").target.tolist() == [0.0, 1.0, 0.0, 1.0]
    description = of_csv(tmp_path, target_csv(0.5, 1.5, 0.5), task="classification").description
    assert [one.label for one in description.classes or []] == ["0.5", "1.5"]
    assert description.task_reason == "as asked"


def test_classes_are_counted_and_numbered_in_their_order(tmp_path: Path) -> None:
    table = of_csv(tmp_path, target_csv(10, 9, 10, 10, 9, 9, 10))
    assert [(one.label, one.count) for one in table.description.classes or []] == [("9", 3), ("10", 4)]
    assert table.target.tolist() == [1, 0, 1, 1, 0, 0, 1]
    assert table.target.dtype == np.int64


def test_huge_whole_numbers_are_classes_too(tmp_path: Path) -> None:
    table = of_csv(tmp_path, target_csv("1e300", "2e300", "1e300"))
    assert [one.label for one in table.description.classes or []] == ["1e300", "2e300"]
    assert table.target.tolist() == [0, 1, 0]


def test_long_text_is_cut_so_that_levels_and_classes_have_names(tmp_path: Path) -> None:
    table = of_csv(tmp_path, f"c,y\n{'x' * 5000},{'a' * 300}\nshort,b\nshort,b\n")
    assert table.columns["c"].tolist() == ["x" * 200, "short", "short"]
    assert [one.label for one in table.description.classes or []] == ["a" * 200, "b"]
    assert any("'c'" in note and "cut off after 200" in note for note in table.description.notes)


def test_any_column_can_be_the_target(tmp_path: Path) -> None:
    table = of_csv(tmp_path, "colour,size\nred,1.5\nblue,2.5\nred,3.5\n", target="colour")
    assert table.description.target.name == "colour"
    assert kinds(table) == {"size": "numeric"}


def test_rows_without_a_target_are_left_out_and_noted(tmp_path: Path) -> None:
    table = of_csv(tmp_path, "a,y\n1,0.5\n2,\n3,2.5\n4,NA\n")
    assert table.rows == 2
    assert table.columns["a"].tolist() == [1.0, 3.0]
    assert "2 rows without a target left out: 1 says 'NA'" in table.description.notes


def test_a_class_of_one_row_is_noted(tmp_path: Path) -> None:
    assert any("class 'b'" in note for note in of_csv(tmp_path, target_csv("a", "b", "a")).description.notes)


@pytest.mark.parametrize(
    ("text", "asked", "pointer", "said", "suggestion"),
    [
        ("a,y\n1,2\n2,3\n", {"target": "Y"}, "/target", "the columns are a, y", "y"),
        (
            "a,y\n1,2\n2,3\n",
            {"task": "regresion"},
            "/task",
            "choose classification or regression",
            "regression",
        ),
        ("a,y\n1,p\n2,q\n3,p\n", {"task": "regression"}, "/task", "text", "classification"),
        ("a,y\n1,p\n2,p\n", {}, "/target", "nothing to learn", "another column"),
        ("a,y\n1,2.5\n2,2.5\n", {}, "/target", "nothing to learn", "another column"),
        ("a,y\n1,\n2,\n", {}, "/target", "no value in any row", None),
        ("a,y\n1,p\n2,q\n", {}, "/target", "classes must repeat", "another column"),
        ("a,y\n1,1.5\n2,2.5\n", {"task": "classification"}, "/task", "classes must repeat", "regression"),
        ("y\n1\n2\n", {}, "/file", "at least two columns", "commas"),
    ],
)
def test_a_target_that_teaches_nothing_is_refused(
    tmp_path: Path, text: str, asked: dict[str, str], pointer: str, said: str, suggestion: str | None
) -> None:
    with pytest.raises(DatasetError, match=said) as refused:
        of_csv(tmp_path, text, **asked)
    assert refused.value.pointer == pointer
    assert (suggestion or "") in (refused.value.suggestion or "")


# ── the canonical file ──────────────────────────────────────────────────────────────────────────────────────


def test_the_canonical_file_gives_back_the_same_table(tmp_path: Path) -> None:
    first, last = "1.1,true,2024-01-01T01:02:03,ü,train,7", "-3e-300,false,2024-01-02T00:00:00,z,,7"
    table = of_csv(tmp_path, f"n,b,when,c,fold,y\n{first}\n,,,,test,8\n{last}\n")
    table.save(tmp_path / "table.parquet")
    again = Table.load(tmp_path / "table.parquet")
    assert again.description == table.description
    for name, values in table.columns.items():
        np.testing.assert_array_equal(again.columns[name], values)
        assert again.columns[name].dtype == values.dtype
    np.testing.assert_array_equal(again.target, table.target)


def test_what_is_not_a_canonical_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "table.parquet"
    path.write_bytes(b"PAR1 but no further")
    with pytest.raises(DataError, match="cannot be read"):
        Table.load(path)
    pl.DataFrame({"a": [1]}).write_parquet(path)
    with pytest.raises(DataError, match="not a dataset"):
        Table.load(path)


def test_a_look_at_the_first_rows_is_plain_json(tmp_path: Path) -> None:
    table = of_csv(tmp_path, "when,n,b,c,y\n2024-01-02,1.5,true,x,0.5\n,,,,1.5\n2024-01-04,2.5,false,z,2.5\n")
    rows = table.head(2)
    assert json.loads(json.dumps(rows, allow_nan=False)) == [
        {"when": "2024-01-02T00:00:00", "n": 1.5, "b": True, "c": "x", "y": 0.5},
        {"when": None, "n": None, "b": None, "c": None, "y": 1.5},
    ]


# ── bundled ─────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", BUNDLED)
def test_bundled_sets_are_scikit_learns(name: str) -> None:
    table = bundled(name)
    options = {"scaled": False} if name == "diabetes" else {}
    bunch = getattr(sklearn_datasets, f"load_{name}")(**options)
    x = np.column_stack([table.columns[column] for column in bunch.feature_names])
    np.testing.assert_array_equal(x, bunch.data)
    if name == "diabetes":
        assert table.description.task == "regression"
        np.testing.assert_array_equal(table.target, bunch.target)
        return
    labels = [one.label for one in table.description.classes or []]
    named = [str(bunch.target_names[index]) for index in bunch.target]
    assert [labels[index] for index in table.target] == named
    assert labels == sorted(labels)


@pytest.mark.parametrize("name", BUNDLED)
def test_a_bundled_set_reads_the_same_as_an_upload(name: str, tmp_path: Path) -> None:
    bundled_csv(name, tmp_path / "bundled.csv")
    uploaded, original = read(tmp_path / "bundled.csv", filename="x.csv"), bundled(name)
    np.testing.assert_array_equal(uploaded.target, original.target)
    for column, values in original.columns.items():
        np.testing.assert_array_equal(uploaded.columns[column], values)
    assert uploaded.description == original.description


@pytest.mark.parametrize("name", BUNDLED)
def test_where_scikit_learn_keeps_no_such_files_it_is_asked_itself(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from_files = bundled(name)
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    asked = bundled(name)
    assert asked.description == from_files.description
    np.testing.assert_array_equal(asked.target, from_files.target)
    for column, values in from_files.columns.items():
        np.testing.assert_array_equal(asked.columns[column], values)


def test_a_set_that_is_not_bundled_is_a_key_error(tmp_path: Path) -> None:
    with pytest.raises(KeyError):
        bundled("__class__")
    with pytest.raises(KeyError):
        bundled_csv("mnist", tmp_path / "x.csv")


def test_speaking_of_datasets_loads_nothing_heavy() -> None:
    light = "models.datasets, models.complaints, models.spec, models.preprocessing, models.describe"
    probe = f"import sys, {light}; print(*{{'torch', 'numpy', 'sklearn', 'polars'}} & set(sys.modules))"
    probe += f"; from models.datasets import BUNDLED, bundled; [bundled(name) for name in {BUNDLED}]"
    probe += "; print(*{'torch', 'sklearn', 'scipy'} & set(sys.modules))"
    found = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert found.stdout.split("\n") == ["", "", ""], "to read the bundled sets takes no scikit-learn"


def test_a_parquet_file_keeps_its_own_types(tmp_path: Path) -> None:
    frame = pl.DataFrame(
        {
            "day": [datetime.date(1970, 1, 2), None, datetime.date(1970, 1, 4)],
            "took": [datetime.timedelta(seconds=90), datetime.timedelta(0), None],
            "zip": ["00501", "00544", "?"],
            "level": pl.Series(["low", "high", "low"], dtype=pl.Enum(["low", "high"])),
            "small": pl.Series([1, 2, 3], dtype=pl.UInt8),
            "large": pl.Series([1, 2**64 - 1, None], dtype=pl.UInt64),
            "text": ["a\x00b", " c ", "\x00"],
            "nothing": pl.Series([None, None, None], dtype=pl.Null),
            "y": [True, False, True],
        }
    )
    frame.write_parquet(tmp_path / "upload")
    table = read(tmp_path / "upload", filename="data.parquet")
    assert kinds(table) == {
        "day": "datetime",
        "took": "numeric",
        "zip": "categorical",
        "level": "categorical",
        "small": "numeric",
        "large": "numeric",
        "text": "categorical",
        "nothing": "numeric",
    }
    np.testing.assert_array_equal(table.columns["day"], [1.0, np.nan, 3.0])
    np.testing.assert_array_equal(table.columns["took"], [90.0, 0.0, np.nan])
    assert table.columns["zip"].tolist() == ["00501", "00544", "?"]
    np.testing.assert_array_equal(table.columns["large"], [1.0, 2.0**64, np.nan])
    assert table.columns["text"].tolist() == ["ab", "c", None]
    assert np.isnan(table.columns["nothing"]).all()
    assert table.target.tolist() == [1, 0, 1]


def test_no_submodule_hides_a_function_of_the_package() -> None:
    """Importing a submodule sets its name on the package: a function of that name would be gone."""
    import pkgutil

    from models import datasets

    assert {module.name for module in pkgutil.iter_modules(datasets.__path__)} & set(
        datasets.__all__
    ) == set()
