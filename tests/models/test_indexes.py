"""Columns that are no data: the index that pandas wrote, row numbers; and what a file calls a category."""

from __future__ import annotations

import base64
import io
import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from models.datasets import Table, read
from models.datasets.arrow import categories, index_columns
from models.datasets.description import TextForm
from models.datasets.numbers import NumberForm
from models.datasets.rows import Reader
from models.errors import DatasetError

ROWS = 60
SHUFFLED = random.Random(0).sample(range(ROWS), ROWS)
CLASSES = ["None", "NA"] * (ROWS // 2)


def of(tmp_path: Path, data: bytes, **asked: Any) -> Table:
    path = tmp_path / "upload"
    path.write_bytes(data)
    return read(path, filename="data", **asked)


def parquet(frame: pl.DataFrame, **pandas: Any) -> bytes:
    file = io.BytesIO()
    frame.write_parquet(file, metadata={"pandas": json.dumps(pandas)} if pandas else None)
    return file.getvalue()


def names(table: Table) -> list[str]:
    return [column.name for column in table.description.columns]


def frame(**columns: Any) -> pl.DataFrame:
    return pl.DataFrame({"a": np.linspace(0.5, 9.5, ROWS), "y": CLASSES, **columns})


# ── indexes ─────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("values", [SHUFFLED, list(range(ROWS)), [0, *range(ROWS - 1)]])
@pytest.mark.parametrize("suffix", ["parquet", "csv"])
def test_pandas_index_is_left_out_and_never_the_target(
    tmp_path: Path, values: list[int], suffix: str
) -> None:
    data = frame(__index_level_0__=values)
    table = of(
        tmp_path,
        parquet(data) if suffix == "parquet" else data.write_csv(quote_style="always").encode(),
        target="a",
    )
    assert names(table) == ["y"]
    assert "column '__index_level_0__' left out: the index that pandas wrote" in table.description.notes
    if suffix == "parquet":
        assert of(tmp_path, parquet(data)).description.target.name == "y"
    asked = of(tmp_path, parquet(data), target="__index_level_0__")
    assert asked.description.target.name == "__index_level_0__"


def test_an_index_with_a_name_is_told_by_the_files_metadata(tmp_path: Path) -> None:
    data = frame(customer=SHUFFLED, visit=SHUFFLED)
    table = of(tmp_path, parquet(data, index_columns=["customer", {"kind": "range", "name": "a"}, "visit"]))
    assert (names(table), table.description.target.name) == (["a"], "y")
    assert "columns 'customer', 'visit' left out: the indexes that pandas wrote" in table.description.notes
    assert names(of(tmp_path, parquet(data[["customer", "y"]], index_columns=["customer"]))) == ["customer"]


@pytest.mark.parametrize("name", ["Unnamed: 0", "Unnamed: 0.1", ""])
def test_row_numbers_without_a_name_are_left_out_in_any_order(tmp_path: Path, name: str) -> None:
    lines = [f"{name},a,y", *(f"{number},{n}.5,{'pq'[n % 2]}" for n, number in enumerate(SHUFFLED))]
    table = of(tmp_path, "\n".join(lines).encode())
    assert names(table) == ["a"]
    assert any("left out" in note and (repr(name) in note or not name) for note in table.description.notes)


def test_the_numbers_of_frames_put_together_are_left_out_and_may_come_with_a_request(tmp_path: Path) -> None:
    lines = ["Unnamed: 0,a,y", *(f"{n % 40},{n}.5,{'pq'[n % 2]}" for n in range(2 * 40))]
    table = of(tmp_path, "\n".join(lines).encode())
    assert (names(table), table.description.left_out) == (["a"], ["Unnamed: 0"])
    reader = Reader(table.description, ["a"], {}, most_rows=100, most_cells=1000)
    assert reader.delimited("\n".join(lines).encode()).count == 80


def test_names_of_rows_and_columns_of_nothing_are_left_out(tmp_path: Path) -> None:
    """As R writes the one; and a comma too many on every line, which pandas has named."""
    lines = [",mpg,y,Unnamed: 32", *(f"car {n},{n}.5,{'pq'[n % 2]}," for n in range(ROWS))]
    table = of(tmp_path, "\n".join(lines).encode())
    assert (names(table), table.description.target.name) == (["mpg"], "y")
    assert any("'Unnamed: 32' left out: empty" in note for note in table.description.notes)
    assert any("names of rows" in note for note in table.description.notes)


def test_what_pandas_named_but_is_no_index_stays(tmp_path: Path) -> None:
    lines = ["Unnamed: 0,a,y", *(f"{n % 7},{n}.5,{'pq'[n % 2]}" for n in range(ROWS))]
    assert names(of(tmp_path, "\n".join(lines).encode())) == ["Unnamed: 0", "a"]


def test_columns_that_count_or_name_the_rows_are_pointed_out(tmp_path: Path) -> None:
    columns = {"n": range(1, ROWS + 1), "id": [1000 + n for n in SHUFFLED], "a": [n % 9 for n in range(ROWS)]}
    notes = " ".join(of(tmp_path, parquet(pl.DataFrame({**columns, "y": CLASSES}))).description.notes)
    assert "column 'n': counts the rows" in notes
    assert "column 'id': whole numbers that differ in every row" in notes
    assert "'a'" not in notes
    for target, what in (("n", "counts the rows"), ("id", "differs in every row")):
        data = pl.DataFrame({"a": columns["a"], target: columns[target]})
        (note,) = [
            note for note in of(tmp_path, parquet(data)).description.notes if "the last column" in note
        ]
        assert f"the target {target!r} was taken" in note
        assert what in note
        asked = of(tmp_path, parquet(data), target=target)
        assert not any("the last column" in note for note in asked.description.notes)


# ── text and categories ─────────────────────────────────────────────────────────────────────────────────────


def npz(**arrays: Any) -> bytes:
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


def test_all_text_is_a_value_where_the_file_has_its_own_way_to_say_missing(tmp_path: Path) -> None:
    texts = ["None", "NA", "nan", "?", "-", "", " x ", None] * 3
    table = of(tmp_path, parquet(pl.DataFrame({"t": texts, "y": ["None", "nan"] * 12})))
    assert table.columns["t"][:8].tolist() == ["None", "NA", "nan", "?", "-", None, "x", None]
    assert [one.label for one in table.description.classes or []] == ["None", "nan"]
    assert table.description.columns[0].written == TextForm(verbatim=True)
    assert "column 't': '-' is a value like any other; what is missing is null" in table.description.notes
    arrays = {"X": np.array([["None"], ["a"], ["NA"], ["a"]]), "y": np.array(["None", "b", "None", "b"])}
    table = of(tmp_path, npz(**arrays))
    assert table.columns["x0"].tolist() == ["None", "a", "NA", "a"]
    assert [(one.label, one.count) for one in table.description.classes or []] == [("None", 2), ("b", 2)]


def archive(tmp_path: Path, x: Any, y: Any) -> Table:
    return of(tmp_path, npz(X=np.array(x), y=np.array(y)))


def test_numbers_that_numpy_made_text_of_are_numbers(tmp_path: Path) -> None:
    x = [["1.5", "001", "1", "-", ""], ["nan", "002", "NA", "2", "x"], ["3", "001", "2", "3", "nan"]]
    table = archive(tmp_path, x, [0.5, 1.5, 2.5])
    kinds = [column.kind for column in table.description.columns]
    assert kinds == ["numeric", *["categorical"] * 4]
    np.testing.assert_array_equal(table.columns["x0"], [1.5, np.nan, 3])
    assert table.columns["x1"].tolist() == ["001", "002", "001"]
    assert table.columns["x2"].tolist() == ["1", "NA", "2"]
    assert table.columns["x4"].tolist() == [None, "x", "nan"]
    notes = table.description.notes
    assert "column 'x2': is text, for 1 cell is no number: 'NA' in line 2" in notes
    assert "column 'x3': is text, for 1 cell is no number: '-' in line 1" in notes
    assert not any("count as missing" in note or "counts as missing" in note for note in notes)


@pytest.mark.parametrize("labels", [["1", "2", "None"], ["NA", "None"], ["1.0", "0.0"], ["True", "False"]])
def test_labels_of_an_archive_are_as_they_were_written_and_lose_no_row(
    tmp_path: Path, labels: list[str]
) -> None:
    y = labels * 12
    description = archive(tmp_path, np.arange(float(len(y)))[:, None], y).description
    assert {one.label: one.count for one in description.classes or []} == dict.fromkeys(labels, 12)
    assert description.rows == len(y)


def test_a_target_of_numbers_with_a_word_is_refused_by_the_cell(tmp_path: Path) -> None:
    y = [*(str(row + 0.5) for row in range(29)), "None"]
    with pytest.raises(DatasetError, match="1 cell is no number: 'None' in line 30"):
        archive(tmp_path, np.arange(30.0)[:, None], y)


def test_money_and_dates_of_an_archive_are_read_as_those_of_text(tmp_path: Path) -> None:
    x = [["$1,200.50", "27.03.2019", "5 kg"], ["$900", "", "6 kg"], ["$3", "28.03.2019", "7 kg"]]
    table = archive(tmp_path, x, [0.5, 1.5, 2.5])
    assert [column.kind for column in table.description.columns] == ["numeric", "datetime", "categorical"]
    assert table.columns["x0"].tolist() == [1200.5, 900, 3]
    np.testing.assert_array_equal(table.columns["x1"], [17982, np.nan, 17983])
    assert isinstance(table.description.columns[0].written, NumberForm)
    assert any("'$1,200.50' in line 1 is read as 1200.5" in note for note in table.description.notes)
    assert any("'x2': is text, for its numbers have units" in note for note in table.description.notes)


def test_a_row_of_units_is_a_row_of_values_in_an_archive(tmp_path: Path) -> None:
    table = archive(tmp_path, [["kg", "a"], *[["1.5", "a"], ["2", "b"]] * 10], np.arange(21) + 0.5)
    assert table.rows == 21
    assert table.columns["x0"][:2].tolist() == ["kg", "1.5"]
    assert "column 'x0': is text, for 1 cell is no number: 'kg' in line 1" in table.description.notes


def test_long_doubles_are_read_as_doubles(tmp_path: Path) -> None:
    x = np.array([[np.longdouble("1.5")], [np.longdouble("1e4000")], [np.longdouble("nan")]])
    table = archive(tmp_path, x, np.array([0.5, 1.5, 2.5], np.longdouble))
    np.testing.assert_array_equal(table.columns["x0"], [1.5, np.nan, np.nan])
    assert table.target.tolist() == [0.5, 1.5, 2.5]
    assert "column 'x0': 1 infinite value counts as missing" in table.description.notes


def test_a_category_of_whole_numbers_is_a_category(tmp_path: Path) -> None:
    data = pl.DataFrame(
        {"c": [1, 2, 10, None], "f": [1.5, 2.0, 2.0, 1.5], "n": [1, 2, 3, 4], "y": [1, 0, 1, 0]}
    )
    told = [{"name": name, "field_name": name, "pandas_type": "categorical"} for name in "cf"]
    table = of(tmp_path, parquet(data, columns=told))
    assert {column.name: column.kind for column in table.description.columns} == {
        "c": "categorical",
        "f": "categorical",
        "n": "numeric",
    }
    assert table.columns["c"].tolist() == ["1", "2", "10", None]
    assert table.columns["f"].tolist() == ["1.5", "2.0", "2.0", "1.5"]


ARROW_SCHEMA = (
    "/////9AAAAAQAAAAAAAKAAwABgAFAAgACgAAAAABBAAEAAAAfP///wQAAAACAAAAVAAAABQAAAAQABQACAAGAAcADAAAABAA"
    "EAAAAAAAAQMQAAAAGAAAAAQAAAAAAAAAAQAAAHkABgAIAAYABgAAAAAAAgAQABgACAAGAAcADAAQABQAEAAAAAAAAQIUAAAA"
    "PAAAABwAAAAEAAAAAAAAAAEAAABjAAAACAAIAAAABAAIAAAABAAAAPT///8AAAABIAAAAAgADAAIAAcACAAAAAAAAAFAAAAA"
)
"""The schema of `pyarrow.table({"c": pyarrow.array([1, 2, 10]).dictionary_encode(), "y": [1.5, 2, 3]})`."""


def test_arrows_dictionaries_are_categories_without_pandas() -> None:
    assert categories({"ARROW:schema": ARROW_SCHEMA}) == {"c"}


@pytest.mark.parametrize(
    "pandas", ["", "[", "[]", '{"columns": 5}', '{"columns": [5]}', '{"index_columns": [5]}', "[" * 10_000]
)
def test_metadata_that_are_damaged_say_nothing(pandas: str) -> None:
    whole = base64.b64decode(ARROW_SCHEMA)
    for cut in range(0, len(whole), 3):
        for damaged in (whole[:cut], whole[:cut] + b"\xff" + whole[cut + 1 :], whole[cut:]):
            told = {"pandas": pandas, "ARROW:schema": base64.b64encode(damaged).decode()}
            assert isinstance(categories(told), frozenset)
            assert index_columns(told) == frozenset()
    assert categories({"pandas": pandas, "ARROW:schema": "no base64"}) == frozenset()
    hostile = [{"field_name": name, "pandas_type": "categorical"} for name in (["a"], {"a": 1}, None, 5, "b")]
    assert categories({"pandas": json.dumps({"columns": hostile})}) == {"b"}
    assert index_columns({"pandas": json.dumps({"index_columns": [["a"], {"kind": "range"}, "i"]})}) == {"i"}
