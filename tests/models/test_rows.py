"""Rows of a request are read as the file was: the same cells, the same values, whichever way they come."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.datasets import ClassCount, Column, Description, Table, read
from models.datasets.dates import DateForm
from models.datasets.description import Kind, TextForm
from models.datasets.levels import Levels
from models.datasets.numbers import NumberForm
from models.datasets.rows import Reader
from models.errors import Complaint, RowsError

FILE = {
    "number": ["1", "2.5", "?", "-3e2", "+.5", "1e400", "inf", "7", "", "NA"],
    "truth": ["true", "FALSE", "", "True", "false", "n/a", "true", "true", "false", "true"],
    "day": ["2026-01-31", "", "1969-12-31", "2026-2-3", *["2000-02-29"] * 6],
    "moment": ["2026-01-31 10:00:00.25", *["2026-01-31 23:59:59"] * 9],
    "zoned": ["2026-01-31T10:00:00+02:00", *["2026-01-31T10:00:00Z"] * 9],
    "american": ["3/4/2026", "12/31/2025", *["1/2/2026"] * 8],
    "german": ["3.4.2026", "31.12.2025 10:11:12"[:10], *["1.2.2026"] * 8],
    "british": ["3/4/2026", "31/12/2025", *["1/2/2026"] * 8],
    "colour": ["red", " red ", "1.0", "none", "None", "x" * 300, "", "NULL", "a,b", 'say "hi"'],
    "target": ["a", "b"] * 5,
}
NAMES = [name for name in FILE if name != "target"]


def csv_of(columns: dict[str, list[str]], delimiter: str = ",") -> bytes:
    quoted = {
        name: ['"' + cell.replace('"', '""') + '"' for cell in cells] for name, cells in columns.items()
    }
    lines = [delimiter.join(columns), *(delimiter.join(row) for row in zip(*quoted.values(), strict=True))]
    return "\n".join(lines).encode()


def table_of(folder: Path, columns: dict[str, list[str]], delimiter: str = ",") -> Table:
    path = folder / "file.csv"
    path.write_bytes(csv_of(columns, delimiter))
    return read(path, filename="file.csv", target="target")


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Table:
    return table_of(tmp_path_factory.mktemp("rows"), FILE)


@pytest.fixture(scope="module")
def reader(table: Table) -> Reader:
    return reader_of(table.description)


def reader_of(
    description: Description,
    names: list[str] = NAMES,
    levels: dict[str, list[str]] | None = None,
    **limits: int,
) -> Reader:
    return Reader(description, names, levels or {}, **{"most_rows": 100, "most_cells": 10_000, **limits})


def same(found: dict[str, Any], table: Table) -> None:
    assert list(found) == [column.name for column in table.description.columns if column.name in found]
    for name, values in found.items():
        wanted = table.columns[name]
        if wanted.dtype == object:
            assert values.tolist() == ["" if value is None else value for value in wanted]
        else:
            np.testing.assert_array_equal(np.where(np.isfinite(values), values, np.nan), wanted, err_msg=name)


def test_a_file_is_read_as_it_was_for_training(table: Table, reader: Reader) -> None:
    kinds = {column.name: column.kind for column in table.description.columns}
    assert set(kinds.values()) == {"numeric", "boolean", "datetime", "categorical"}
    assert [name for name, kind in kinds.items() if kind == "datetime"] == NAMES[2:8]
    same(reader.delimited(csv_of(FILE)).columns, table)


def test_text_in_json_means_what_it_means_in_a_file(table: Table, reader: Reader) -> None:
    rows = [dict(zip(FILE, row, strict=True)) for row in zip(*FILE.values(), strict=True)]
    same(reader.objects(rows).columns, table)


@pytest.mark.parametrize("delimiter", [";", "\t", "|"])
def test_decimal_commas_are_read_where_commas_separate_nothing(delimiter: str, tmp_path: Path) -> None:
    columns = {
        "number": ["1,5", "-2,25e3", ",5", ""],
        "whole": ["1", "2", "3", "4"],
        "target": ["a", "b", "a", "b"],
    }
    table = table_of(tmp_path, columns, delimiter)
    found = reader_of(table.description, ["number", "whole"]).delimited(csv_of(columns, delimiter))
    same(found.columns, table)
    assert found.columns["number"][:3].tolist() == [1.5, -2250, 0.5]


def test_single_dates_keep_the_order_of_the_whole_column(reader: Reader, table: Table) -> None:
    """3/4/2026 alone is ambiguous; what the file's column said is in the notes."""
    row: dict[str, Any] = dict.fromkeys(NAMES)
    for name in ("american", "british"):
        found = reader.objects([{**row, name: "3/4/2026"}]).columns[name]
        assert found[0] == table.columns[name][0]


JSON_VALUES: list[tuple[str, Any, Any]] = [
    ("number", 1, 1.0),
    ("number", 2.5, 2.5),
    ("number", 10**18, 1e18),
    ("number", None, None),
    ("truth", True, 1.0),
    ("truth", False, 0.0),
    ("truth", 1, 1.0),
    ("truth", 0, 0.0),
    ("truth", None, None),
    ("day", "1970-01-02", 1.0),
    ("day", "1970-01-01T12:00:00Z", 0.5),
    ("day", None, None),
    ("colour", None, ""),
    ("colour", "  ", ""),
    ("colour", "\x00red", "red"),
    ("colour", 1.0, "1.0"),
    ("colour", 5, "5"),
]


@pytest.mark.parametrize(("name", "value", "wanted"), JSON_VALUES)
def test_json_has_values_of_its_own(reader: Reader, name: str, value: Any, wanted: Any) -> None:
    found = reader.objects([{**dict.fromkeys(NAMES), name: value}]).columns[name].tolist()
    assert found == [wanted] if wanted is not None else np.isnan(found).all()


WRONG: list[tuple[str, Any, str]] = [
    ("number", "abc", "numbers"),
    ("number", "1_000", "numbers"),
    ("number", "1,5", "numbers"),
    ("number", "٣", "numbers"),
    ("number", True, "numbers"),
    ("number", [1], "numbers"),
    ("truth", "yes", "true or false"),
    ("truth", 2, "true or false"),
    ("day", 19_000, "dates"),
    ("day", "yesterday", "dates"),
    ("day", "2026-02-30", "dates"),
    ("day", "31/31/2026", "dates"),
    ("colour", True, "text"),
    ("colour", {"a": 1}, "text"),
]


@pytest.mark.parametrize(("name", "value", "holds"), WRONG)
def test_a_cell_that_does_not_fit_its_column_is_pointed_to(
    reader: Reader, name: str, value: Any, holds: str
) -> None:
    good: dict[str, Any] = dict.fromkeys(NAMES)
    complaints = refused(reader, [good, {**good, name: value}])
    assert [complaint.pointer for complaint in complaints] == [f"/rows/1/{name}"]
    assert f"{name!r} holds {holds}, not " in complaints[0].detail
    assert complaints[0].suggestion


def refused(reader: Reader, rows: Any) -> list[Complaint]:
    with pytest.raises(RowsError) as found:
        reader.delimited(rows) if isinstance(rows, bytes) else reader.objects(rows)
    return found.value.complaints


# ── names ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_an_unknown_column_is_refused_with_the_nearest_name(reader: Reader) -> None:
    good = dict.fromkeys(NAMES)
    assert refused(reader, [good, good, good, {**good, "nunber": 1}]) == [
        Complaint("/rows/3/nunber", "the data have no column 'nunber'", "nunber", "number")
    ]
    body = csv_of({**{name: FILE[name] for name in NAMES}, "nunber": FILE["number"]})
    assert [(each.pointer, each.suggestion) for each in refused(reader, body)] == [
        ("/rows/0/nunber", "number")
    ]


def test_a_column_that_is_left_out_is_not_taken_for_missing(reader: Reader) -> None:
    """Whoever forgets one would get an answer for a median."""
    (complaint,) = refused(reader, [{name: None for name in NAMES if name not in ("day", "colour")}])
    assert complaint.pointer == "/rows/0"
    assert "'day', 'colour'" in complaint.detail
    (complaint,) = refused(reader, csv_of({"number": ["1"], "target": ["a"]}))
    assert "and 3 more" in complaint.detail


def test_what_else_was_in_the_file_may_come_along(table: Table) -> None:
    """The target, and a column that no network was trained on."""
    reader = reader_of(table.description, ["number"])
    assert reader.objects([{"number": 1, "target": [], "colour": {}}]).columns.keys() == {"number"}
    assert reader.delimited(b"colour,target,number\n,,5").columns["number"].tolist() == [5.0]


def test_row_numbers_without_a_name_are_passed_over(table: Table) -> None:
    reader = reader_of(table.description, ["number", "colour"])
    found = reader.delimited(b",number,colour\n0,1,red\n\n1,2,blue\n")
    assert (found.count, found.columns["number"].tolist()) == (2, [1.0, 2.0])


def test_blank_lines_before_the_names_are_no_rows(table: Table) -> None:
    reader = reader_of(table.description, ["number", "colour"])
    found = reader.delimited(b"\n" * 200 + b"colour,number\nred,1\n")
    assert (found.count, found.columns["colour"].tolist()) == (1, ["red"])


def test_an_empty_line_of_a_single_column_is_a_value_that_is_missing(table: Table) -> None:
    reader = reader_of(table.description, ["number"], most_rows=4)
    found = reader.delimited(b"\nnumber\n1\n\n\n2\n\n\n\n").columns["number"]
    np.testing.assert_array_equal(found, [1, np.nan, np.nan, 2])
    assert "at most 4 rows" in refused(reader, b"number\n1\n\n\n\n2\n")[0].detail


def test_columns_that_are_called_as_numbers_are(tmp_path: Path) -> None:
    columns = {"2019": ["1", "2"] * 2, "2020": ["3", "4"] * 2, "target": ["a", "b"] * 2}
    reader = reader_of(table_of(tmp_path, columns).description, ["2019", "2020"])
    for body in (b"2019,2020\n1,3\n", b",2020,2019\n0,3,1\n"):
        assert reader.delimited(body).columns["2020"].tolist() == [3.0]
    assert "numbers only" in refused(reader, b"1,3\n2,4")[0].detail


def test_no_rows_are_no_mistake(reader: Reader) -> None:
    assert reader.objects([]).count == 0
    assert reader.delimited(",".join(NAMES).encode()).count == 0


BODIES: dict[bytes, str] = {
    b"": "the body is empty",
    b"\xff\xfe": "not UTF-8",
    b"1.5,2\n3,4": "numbers only",
    b"number,number,colour\n1,2,3": "two columns are called 'number'",
    b"number,colour\n1": "line 2 has 1 cells where there are 2 columns",
    b'number,colour\n1,"a': "line 2 cannot be read",
    b"\n" * 101 + b"a": "the data have no column 'a'",
}


@pytest.mark.parametrize("body", BODIES, ids=BODIES.values())
def test_text_that_is_no_table_is_refused(table: Table, body: bytes) -> None:
    complaints = refused(reader_of(table.description, ["number", "colour"]), body)
    assert BODIES[body] in complaints[0].detail


LONG = {
    b"number,colour\n1," + b"x" * 2000: "line 2 cannot be read: field larger than field limit (1000)",
    b"x" * 2000: "the first line cannot be read: a cell has more than 1,000 characters",
}


@pytest.mark.parametrize("body", LONG, ids=LONG.values())
def test_a_cell_that_is_too_long_is_told_as_that(table: Table, body: bytes) -> None:
    usual = csv.field_size_limit(1000)
    try:
        (complaint,) = refused(reader_of(table.description, ["number", "colour"]), body)
    finally:
        csv.field_size_limit(usual)
    assert LONG[body] in complaint.detail


@pytest.mark.parametrize("rows", [None, {}, "rows", 5])
def test_rows_are_a_list_of_objects(reader: Reader, rows: Any) -> None:
    assert refused(reader, rows)[0].pointer == "/rows"
    assert refused(reader, [rows] if not isinstance(rows, dict) else [[]])[0].pointer == "/rows/0"


# ── levels ──────────────────────────────────────────────────────────────────────────────────────────────────

KNOWN: dict[str, list[str]] = {
    "numbers": ["1", "2", "10", "2.5", "-3", "other"],
    "one and the same": ["1", "1.0", "a"],
    "codes": ["02134", "10115", "001"],
    "truths": ["True", "False", "maybe"],
    "absent": ["None", "NA", "x"],
}
MEANT: list[tuple[str, Any, str]] = [
    ("numbers", 2, "2"),
    ("numbers", 2.0, "2"),
    ("numbers", "2", "2"),
    ("numbers", "2.0", "2"),
    ("numbers", " 2e0 ", "2"),
    ("numbers", "+2", "2"),
    ("numbers", 2.5, "2.5"),
    ("numbers", "2.50", "2.5"),
    ("numbers", -3.0, "-3"),
    ("numbers", "OTHER", "OTHER"),
    ("numbers", "02", "02"),
    ("one and the same", 1, "1"),
    ("one and the same", 1.0, "1.0"),
    ("one and the same", "1.00", "1.00"),
    ("codes", "02134", "02134"),
    ("codes", 2134, "2134"),
    ("codes", "10115.0", "10115"),
    ("codes", 10115, "10115"),
    ("codes", "1", "1"),
    ("truths", True, "True"),
    ("truths", "true", "True"),
    ("truths", False, "False"),
    ("absent", "None", "None"),
    ("absent", "NA", "NA"),
    ("absent", "null", ""),
    ("absent", None, ""),
    ("absent", "", ""),
]


def column_of(name: str, kind: Kind = "categorical", written: Written | None = None) -> Column:
    return Column(name=name, kind=kind, missing=0, cardinality=3, constant=False, written=written)


def reader_for(*columns: Column, levels: dict[str, list[str]] | None = None) -> Reader:
    description = Description(
        rows=9,
        columns=list(columns),
        target=column_of("target"),
        task="classification",
        task_reason="the test says so",
        classes=[ClassCount(label=label, count=1) for label in "ab"],
        notes=[],
    )
    return reader_of(description, [column.name for column in columns], levels)


def of_levels() -> Reader:
    """A reader of columns with the levels of `KNOWN`."""
    return reader_for(*map(column_of, KNOWN), levels=KNOWN)


@pytest.mark.parametrize(("column", "given", "meant"), MEANT)
def test_a_cell_is_the_level_that_it_says_however_it_is_written(column: str, given: Any, meant: str) -> None:
    """2.0 is level 2; but 2134 is not 02134, and which of 1 and 1.0 is `1.00` nobody knows."""
    found = of_levels().objects([{**dict.fromkeys(KNOWN), column: given}])
    assert found.columns[column].tolist() == [meant]
    told = [] if meant in ("", *KNOWN[column]) else [f"/rows/0/{column}"]
    assert [notice.pointer for notice in found.notices] == told
    if isinstance(given, str):
        assert Levels(KNOWN[column]).level_of(given.strip()) == (meant if meant in KNOWN[column] else None)


def test_levels_that_training_did_not_know_are_told_once_a_column() -> None:
    reader, row = of_levels(), {**dict.fromkeys(KNOWN), "truths": "maybe"}
    codes = ("10115", 2134, "99999", None, "2134")
    (notice,) = reader.objects([{**row, "codes": code} for code in codes]).notices
    assert notice.pointer == "/rows/1/codes"
    assert (
        "'2134' is no level of column 'codes' that the network knows, nor are those of 2 more rows"
        in notice.detail
    )
    assert "did you mean '02134'?" in notice.detail
    names = ",".join(KNOWN).encode()
    (notice,) = reader.delimited(names + b"\n1,1,10115,True,x\n,,,Truee,\n").notices
    assert notice.pointer == "/rows/1/truths"
    assert notice.detail.endswith("that the network knows; did you mean 'True'?")


# ── as the file was written ─────────────────────────────────────────────────────────────────────────────────

Written = NumberForm | DateForm | TextForm
GERMAN, SWISS = NumberForm(decimal=",", thousands="."), NumberForm(thousands="'")
DOLLARS, SHARE = NumberForm(thousands=",", unit="$"), NumberForm(unit="%")
AMERICAN, SHORT = DateForm(order="mdy"), DateForm(order="dmy", short_years=True)
READ: list[tuple[Kind, Written | None, Any, Any]] = [
    ("numeric", GERMAN, "1.047,5", 1047.5),
    ("numeric", GERMAN, "1.047", 1047),
    ("numeric", GERMAN, "1,047", 1.047),
    ("numeric", GERMAN, "2.5", 2.5),
    ("numeric", GERMAN, 1.047, 1.047),
    ("numeric", NumberForm(thousands=","), "2,288", 2288),
    ("numeric", NumberForm(thousands=","), "2288", 2288),
    ("numeric", SWISS, "1'234'567.5", 1234567.5),
    ("numeric", DOLLARS, "$1,234.50", 1234.5),
    ("numeric", DOLLARS, "($1,234.50)", -1234.5),
    ("numeric", DOLLARS, "1234.5", 1234.5),
    ("numeric", SHARE, "45 %", 45),
    ("numeric", SHARE, 45, 45),
    ("numeric", None, "-", None),
    ("numeric", None, "#DIV/0!", None),
    ("numeric", DOLLARS, "$ -", None),
    ("boolean", None, "n.a.", None),
    ("datetime", None, "0000-00-00", None),
    ("datetime", AMERICAN, "3/4/2026", 20516),
    ("datetime", DateForm(order="dmy"), "3/4/2026", 20546),
    ("datetime", AMERICAN, "3/4/2026 12:00 PM", 20516.5),
    ("datetime", SHORT, "04.03.26", 20516),
    ("datetime", None, "31/12/2025", 20453),
    ("datetime", None, "4/4/2026", 20547),
    ("datetime", None, "3.4.2026", 20546),
    ("categorical", TextForm(verbatim=True), "NA", "NA"),
    ("categorical", None, "NA", ""),
    ("categorical", TextForm(verbatim=True), "", ""),
    ("categorical", None, "-", "-"),
]


@pytest.mark.parametrize(("kind", "written", "cell", "wanted"), READ)
def test_a_cell_is_read_as_its_column_was_written(
    kind: Kind, written: Written | None, cell: Any, wanted: Any
) -> None:
    """By JSON and by CSV, whatever separates the cells there."""
    reader = reader_for(column_of("v", kind, written), column_of("w"))
    bodies = [f'v{comma}w\n"{cell}"{comma}x\n'.encode() for comma in ",;\t" if isinstance(cell, str)]
    for found in (reader.objects([{"v": cell, "w": "x"}]), *map(reader.delimited, bodies)):
        (value,) = found.columns["v"].tolist()
        assert value == wanted if wanted is not None else np.isnan(value)


@pytest.mark.parametrize("cell", ["1" * 200_000 + "x", "1" * 200_000, "1," * 100_000, "-" * 200_000])
@pytest.mark.parametrize("kind", ["numeric", "datetime", "boolean", "categorical"])
def test_a_cell_that_goes_on_for_ever_takes_no_time(kind: Kind, cell: str) -> None:
    """A pattern that tries every split of the digits would be at it for an hour."""
    reader = reader_for(column_of("v", kind), column_of("w"), levels={"w": ["1", "2"]})
    row = {"v": cell, "w": cell}
    if kind == "categorical":
        assert reader.objects([row]).columns["v"].tolist() == [cell[:200]]
    else:
        assert refused(reader, [row])[0].pointer == "/rows/0/v"


AMBIGUOUS: list[tuple[Kind, Written | None, str, str]] = [
    ("numeric", None, "2,288", "'v' may be 2288 or 2.288"),
    ("numeric", None, "-1,047", "'v' may be -1047 or -1.047"),
    ("numeric", None, "$5", "holds numbers"),
    ("numeric", SHARE, "$5", "holds percentages"),
    ("numeric", SHARE, "0.45", "holds percentages"),
    ("numeric", GERMAN, "1,047.5", "holds numbers"),
    ("numeric", NumberForm(decimal=","), "1.047", "'v' may be 1047 or 1.047"),
    ("numeric", None, "low<5", "holds numbers"),
    ("datetime", None, "04.03.26", "holds dates"),
    ("datetime", AMERICAN, "13/4/2026", "holds dates"),
    ("datetime", None, "3/4/2026", "'v' may have the month first or the day"),
    ("datetime", None, "3-4-2026 10:00", "'v' may have the month first or the day"),
    ("boolean", None, "yes", "holds true or false"),
]


@pytest.mark.parametrize(("kind", "written", "cell", "why"), AMBIGUOUS)
@pytest.mark.parametrize("comma", [",", ";", "\t"])
def test_a_cell_that_could_be_two_things_is_neither(
    kind: Kind, written: Written | None, cell: str, why: str, comma: str
) -> None:
    reader = reader_for(column_of("v", kind, written), column_of("w"))
    (complaint,) = refused(reader, f'v{comma}w\n"{cell}"{comma}x\n'.encode())
    assert complaint.pointer == "/rows/0/v"
    assert why in complaint.detail
    assert refused(reader, [{"v": cell, "w": "x"}]) == [complaint]


# ── limits ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_more_rows_than_are_taken_at_once_are_refused(table: Table) -> None:
    few = reader_of(table.description, ["number"], most_rows=2)
    assert few.objects([{"number": 1}] * 2).count == 2
    for rows in ([{"number": 1}] * 3, b"number,target\n1,\n2,\n3,"):
        (complaint,) = refused(few, rows)
        assert "RIDGELINE_MAX_PREDICT_ROWS" in complaint.detail
    narrow = reader_of(table.description, ["number", "colour"], most_cells=4)
    (complaint,) = refused(narrow, [dict.fromkeys(["number", "colour"])] * 3)
    assert "at most 2 rows" in complaint.detail
    assert "RIDGELINE_MAX_PREDICT_CELLS" in complaint.detail


def test_an_answer_of_many_classes_has_as_many_cells(table: Table) -> None:
    """A thousand classes make a thousand numbers of a row with one."""
    classes = [ClassCount(label=str(label), count=1) for label in range(1000)]
    many = table.description.model_copy(update={"classes": classes})
    reader = reader_of(many, ["number"], most_cells=5_000)
    assert reader.delimited(b"number,target\n" + b"1,\n" * 5).count == 5
    assert "at most 5 rows" in refused(reader, b"number,target\n" + b"1,\n" * 6)[0].detail


def test_complaints_about_a_hostile_body_are_few(reader: Reader) -> None:
    wrong = {**dict.fromkeys(NAMES), "number": "abc", "day": "x"}
    for rows in ([wrong] * 90, [{f"unknown{n}": 1 for n in range(10_000)}] * 3, [5] * 90):
        complaints = refused(reader, rows)
        assert 20 <= len(complaints) <= 21
        assert "there is more" in complaints[-1].detail
