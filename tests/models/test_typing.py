"""What is made of a column of text: its kind, its values, and what is said of cells unlike the others."""

from __future__ import annotations

import datetime
import io
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.datasets import Table, read
from models.datasets.cells import MARKERS, MISSING, is_marker
from models.datasets.date_columns import read_dates
from models.datasets.dates import DateForm
from models.datasets.description import TextForm
from models.datasets.distinct import Cells, are_markers
from models.datasets.number_columns import plain_numbers, read_numbers
from models.datasets.numbers import NumberForm
from models.errors import DatasetError

PLAIN = [f"{n * 37 % 100}.5" for n in range(100)]


def text_of(columns: dict[str, list[str]], delimiter: str) -> str:
    def quoted(cell: str) -> str:
        return '"' + cell.replace('"', '""') + '"' if delimiter in cell or '"' in cell else cell

    rows = [list(columns), *zip(*columns.values(), strict=True)]
    return "\n".join(delimiter.join(map(quoted, row)) for row in rows) + "\n"


def table_of(tmp_path: Path, columns: dict[str, list[str]], delimiter: str = ",", **asked: Any) -> Table:
    """The table of a file with these columns and, unless it has one, a target of two classes, `y`."""
    if "y" not in columns:
        columns = columns | {"y": ["p", "q"] * (len(next(iter(columns.values()))) // 2)}
    path = tmp_path / "upload"
    path.write_text(text_of(columns, delimiter))
    return read(path, filename="data.csv", **asked)


def values_of(table: Table, name: str = "v") -> list[Any]:
    return [None if value != value else value for value in table.columns[name].tolist()]


def notes_of(table: Table, name: str = "v") -> list[str]:
    return [note for note in table.description.notes if repr(name) in note and "a date: used" not in note]


# ── one column ──────────────────────────────────────────────────────────────────────────────────────────────

NUMBERS: list[tuple[list[str], str, list[float | None], str]] = [
    (["$1,234.50", "$5", "($3.20)", "-$2"], ",", [1234.5, 5, -3.2, -2], "is read as 1234.5"),
    (
        [" $1,234.00 ", " $-   ", " $(5.00)", "$1"],
        ",",
        [1234, None, -5, 1],
        "10 cells that are no",
    ),
    (["USD 12", "USD 1,000.5"], ",", [12, 1000.5], "'USD 12' in line 2 is read as 12"),
    (["€ 1.234,50", "€ 3,5"], ";", [1234.5, 3.5], "1234.5"),
    (["1 234,50 €", "7 €"], ";", [1234.5, 7], "1234.5"),
    (["20.000 €", "1.500 €"], ";", [20000, 1500], "if it is 20, write 20"),
    (["CHF 5.-", "CHF 1'200.50"], ";", [5, 1200.5], "is read as 5"),
    (["5,-", "12,50"], ";", [5, 12.5], ""),
    (["45%", "3.5 %"], ",", [45, 3.5], "'45%' in line 2 is read as 45"),
    (["45%", "0", "0.0", "3%"], ",", [45, 0, 0, 3], "'45%' in line 2 is read as 45"),
    (["2,156,624,900", "1,001,234"], ",", [2156624900, 1001234], "is read as 2156624900"),
    (["1'234'567", "1’234"], ",", [1234567, 1234], "is read as 1234567"),
    (["1 234", "12\u202f345\u00a0678"], ",", [1234, 12345678], "is read as 1234"),
    (["12,34,567", "5"], ",", [1234567, 5], "is read as 1234567"),
    (["1.047,50", "998,00"], ";", [1047.5, 998], "is read as"),
    (["1,5", "-2,25", ",5", "1,5E+03"], ";", [1.5, -2.25, 0.5, 1500], ""),
    (["0,123", "12,5"], ",", [0.123, 12.5], "'0,123' in line 2 is read as 0.123"),
    (["1234,567", "2,288"], ",", [1234.567, 2.288], "is read as 1234.567"),
    (["2,288", "998"], "\t", [2288, 998], "if it is 2.288, write 2.288"),
    (["2,288", "1,998"], "\t", [2288, 1998], "if it is 2.288"),
    (["2,288", "1,998"], ",", [2288, 1998], "if it is 2.288"),
    (["2,288", "1,998"], ";", [2.288, 1.998], "if it is 2288, write 2288"),
    (["2,288", "1998"], "\t", [2.288, 1998], "if it is 2288, write 2288"),
    (["1.047", "998"], ",", [1.047, 998], ""),
    (["1.047", "998"], ";", [1.047, 998], "if it is 1047, write 1047"),
    (["1.040", "998"], ";", [1040, 998], "if it is 1.04, write 1.04"),
    (["5-", "\N{MINUS SIGN}4.5", "3", "3"], ",", [-5, -4.5, 3, 3], "is read as -5"),
    (["3", "(110)", "(5.5)"], ",", [3, -110, -5.5], "'(110)' in line 3 is read as -110"),
    (["(1,110)", "0", "(5)", "(7)", "(9)"], ",", [-1110, 0, -5, -7, -9], "is read as -1110"),
    (["$(5.00)", "$(7.00)"], ",", [-5, -7], "'$(5.00)' in line 2 is read as -5"),
    (["(5,00 €)", "(7,00) €"], ";", [-5, -7], "is read as -5"),
    (["(5%)", "0", "(7%)"], ",", [-5, 0, -7], "is read as -5"),
    (["inf", "1.5"], ",", [None, 1.5], "10 infinite values"),
]


@pytest.mark.parametrize(("cells", "delimiter", "wanted", "said"), NUMBERS)
def test_numbers_are_read_as_people_write_them(
    tmp_path: Path, cells: list[str], delimiter: str, wanted: list[float | None], said: str
) -> None:
    table = table_of(tmp_path, {"v": cells * 10}, delimiter)
    column = table.description.columns[0]
    assert (column.kind, values_of(table)) == ("numeric", wanted * 10)
    notes = notes_of(table)
    assert any(said in note for note in notes) if said else notes == []
    if isinstance(column.written, NumberForm):
        assert [column.written.parse(cell) for cell in cells] == wanted


DATES: list[tuple[list[str], str, str]] = [
    (["27.03.2019 00:01", "1.4.2019 00:00"], "2019-03-27T00:01:00", ""),
    (["3/27/2019 8:01", "4/1/2019"], "2019-03-27T08:01:00", "month/day/year"),
    (["3/27/2019 8:01 PM", "4/1/2019 8:00 AM"], "2019-03-27T20:01:00", "month/day/year"),
    (["27/03/2019", "1/4/2019"], "2019-03-27T00:00:00", ""),
    (["2019/03/27", "2019-3-27 10:00"], "2019-03-27T00:00:00", ""),
    (["27-03-2019", "01-04-2019"], "2019-03-27T00:00:00", ""),
    (["27-Mar-2019", "1-Apr-2019"], "2019-03-27T00:00:00", ""),
    (["Mar 27, 2019", "April 1, 2019"], "2019-03-27T00:00:00", ""),
    (["27MAR2019:10:00:00", "01APR2019:00:00:00"], "2019-03-27T10:00:00", ""),
    (["2019-03-27", "2019-04-01 10:00:00.25Z", "2019-04-01T10:00:00+02:00"], "2019-03-27T00:00:00", ""),
    (["27.03.19", "01.04.20"], "2019-03-27T00:00:00", "1969 to 2068"),
    (["27.03.19 00:00:00.1234", "01.04.20 10:00:00.5678"], "2019-03-27T00:00:00", "1969 to 2068"),
    (["27/03/19T00:00+0000", "01/04/20T10:00+0200"], "2019-03-27T00:00:00", "1969 to 2068"),
    (["3/27/19", "12/5/45"], "2019-03-27T00:00:00", "1969 to 2068"),
    (["3/4/2019", "3/5/2019"], "2019-03-04T00:00:00", "'3/4/2019' in line 2 has the month first"),
    (["03-04-2019", "03-05-2019"], "2019-04-03T00:00:00", "'03-04-2019' in line 2 has the month first"),
    (["03.04.2019", "03.05.2019"], "2019-04-03T00:00:00", ""),
]


@pytest.mark.parametrize(("cells", "first", "said"), DATES)
def test_dates_are_read_as_people_write_them(tmp_path: Path, cells: list[str], first: str, said: str) -> None:
    table = table_of(tmp_path, {"v": cells * 10})
    column = table.description.columns[0]
    assert (column.kind, table.head(1)[0]["v"]) == ("datetime", first)
    notes = notes_of(table)
    assert any(said in note for note in notes) if said else notes == []
    form = column.written or DateForm()
    assert isinstance(form, DateForm)
    assert [form.parse(cell) for cell in cells] == values_of(table)[: len(cells)]


TEXTS: list[tuple[list[str], str]] = [
    (["02134", "12345"], "a zero stands before another digit: '02134' in line 2"),
    (["-01", "5"], "a zero stands before another digit"),
    (["00.5", "1.5"], "a zero stands before another digit"),
    (["5 kg", "3.5 kg"], "units in 20 cells; write numbers alone: '5 kg' in line 2"),
    (["$5", "€5"], "have not all one unit"),
    (["45%", "3.5"], "have not all one unit: '45%' in line 2"),
    (["true", "false", "true", "maybe"], "10 of 40 cells are neither true nor false: 'maybe' in line 5"),
    (["1", "2", "3", "abc"], "10 of 40 cells are no number: 'abc' in line 5"),
    (["2020-01-01", "2020-01-02", "soon"], "10 of 30 cells are no date: 'soon' in line 4"),
    (["a", "NA"], "10 cells such as 'NA' in line 3 count as missing"),
    (["1.2.3", "10.4.12"], "although its cells are made of numbers: '1.2.3' in line 2"),
    (["10.14.06", "10.13.02"], "made of numbers"),
    (["192.168.1.1", "10.0.0.1"], "made of numbers"),
    (["12345-6789", "12345-1111"], "made of numbers"),
    (["555-123-4567", "555-123-4568"], "made of numbers"),
    (["10:00", "11:30"], "is text, although its cells are made of numbers: '10:00' in line 2"),
    (["8:05 PM", "8:10 am"], "made of numbers: '8:05 PM'"),
    (["3/5", "1/2"], "made of numbers: '3/5'"),
    (["1-10", "11-20", "21+"], "made of numbers: '1-10'"),
    (["3-2", "0:1", "-"], "made of numbers: '3-2'"),
    (["Mar-19", "Apr-19"], "made of numbers: 'Mar-19'"),
    (["48°12'5\"N", "16° 22' E"], "made of numbers"),
    (["48.2, 16.4", "48.3, 16.5"], "made of numbers"),
    (["<5", ">10", "7"], "made of numbers: '<5' in line 2"),
    (["5 kg", "1-10", "2-3"], "made of numbers: '1-10' in line 3"),
    (["A12", "B7"], ""),
    (["12 Main St", "7 Elm St"], ""),
    (["DE89370400440532013000", "FR1420041010050500013M02606"], ""),
    (["news", "sex"], ""),
    (["(1)", "(2)"], "all its numbers stand in parentheses, and nothing tells that they are negative"),
    (["(1)", "-", "(2)"], "write them with a minus sign: '(1)' in line 2"),
    (["-", "a"], "10 cells such as '-' in line 2 are a level like any other"),
    (["yes", "no", "NA", "n.a."], "10 cells such as 'n.a.' in line 5 are a level like any other"),
    (["-", "--"], "20 cells such as '-' in line 2 are a level"),
]


@pytest.mark.parametrize(("cells", "said"), TEXTS)
def test_what_is_no_number_and_no_date_is_text_and_said_so(
    tmp_path: Path, cells: list[str], said: str
) -> None:
    table = table_of(tmp_path, {"v": cells * 10})
    assert table.description.columns[0].kind == "categorical"
    assert values_of(table)[: len(cells)] == [None if cell == "NA" else cell for cell in cells]
    notes = notes_of(table)
    assert any(said in note for note in notes) if said else notes == []


def test_leading_zeros_are_known_to_whoever_reads_a_cell(tmp_path: Path) -> None:
    """A single one among a hundred numbers makes them names."""
    table = table_of(tmp_path, {"v": [*PLAIN, "007", "8"]})
    assert table.description.columns[0].written == TextForm(leading_zeros=True)
    assert table.columns["v"][-2:].tolist() == ["007", "8"]


# ── nearly ──────────────────────────────────────────────────────────────────────────────────────────────────

ODD = [
    *(
        "-",
        "--",
        "—",
        ".",
        "..",
        "*",
        "#DIV/0!",
        "#VALUE!",
        "<NA>",
        r"\N",
        "(null)",
        "nil",
        "none",
        "missing",
    ),
    *("n.a.", "k.A.", "1.#QNAN", "not available", "low<5", "abc", "<5"),
]


@pytest.mark.parametrize("odd", ODD)
def test_a_cell_that_is_no_number_counts_as_missing_and_is_shown(tmp_path: Path, odd: str) -> None:
    table = table_of(tmp_path, {"v": [*PLAIN[:70], odd, *PLAIN[71:]]})
    assert (table.description.columns[0].kind, table.description.columns[0].missing) == ("numeric", 1)
    assert notes_of(table) == [f"column 'v': 1 cell that is no number counts as missing: {odd!r} in line 72"]


def test_markers_are_missing_whatever_their_share_and_others_below_a_twentieth(tmp_path: Path) -> None:
    table = table_of(tmp_path, {"v": ["-"] * 90 + PLAIN[:10], "w": ["abc"] * 5 + PLAIN[:95]})
    assert [column.missing for column in table.description.columns] == [90, 5]
    assert "'-' in line 2" in notes_of(table)[0]
    assert "5 cells that are no number count as missing: 'abc' in line 2" in notes_of(table, "w")[0]
    table = table_of(tmp_path, {"v": ["-"] * 100, "w": ["abc"] * 6 + PLAIN[:94]})
    assert [column.kind for column in table.description.columns] == ["categorical"] * 2


def test_nearly_dates_and_nearly_truths(tmp_path: Path) -> None:
    days = [f"2020-01-{n % 28 + 1:02}" for n in range(97)]
    truths = ["true", "FALSE"] * 49
    table = table_of(
        tmp_path,
        {
            "v": [*days, "0000-00-00", "00.00.0000", "soon"],
            "w": [*truths, "-", "n.a."],
            "x": ["ture", *truths, "-"],
        },
    )
    assert [(column.kind, column.missing) for column in table.description.columns] == [
        ("datetime", 3),
        ("boolean", 2),
        ("boolean", 2),
    ]
    assert (
        "2 cells that are neither true nor false count as missing: 'ture' in line 2"
        in notes_of(table, "x")[0]
    )
    assert "3 cells that are no date count as missing: 'soon' in line 101" in notes_of(table)[0]
    assert (
        "2 cells that are neither true nor false count as missing: '-' in line 100" in notes_of(table, "w")[0]
    )


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ([*PLAIN[:99], "abc"], "holds numbers, but 1 cell is no number: 'abc' in line 101"),
        ([*PLAIN[:70], *["abc"] * 30], "holds numbers, but 30 cells are no number: 'abc' in line 72"),
        (
            ["true", "FALSE"] * 49 + ["-", "ture"],
            "holds true or false, but 1 cell is neither true nor false: 'ture'",
        ),
    ],
)
def test_a_target_that_is_nearly_numbers_is_not_guessed_at(
    tmp_path: Path, target: list[str], said: str
) -> None:
    with pytest.raises(DatasetError, match=said) as refused:
        table_of(tmp_path, {"v": PLAIN, "y": target})
    assert (refused.value.pointer, bool(refused.value.suggestion)) == ("/target", True)


def test_a_bare_number_among_percentages_is_missing_for_it_is_without_percent(tmp_path: Path) -> None:
    percentages = [f"{n}%" for n in range(1, 98)]
    table = table_of(tmp_path, {"v": [*percentages, "0.45", "0", "3.5"], "y": ["p", "q"] * 50})
    assert values_of(table)[-3:] == [None, 0, None]
    assert any(
        "2 cells that are without % count as missing: '0.45' in line 99" in note for note in notes_of(table)
    )
    with pytest.raises(DatasetError, match="holds percentages, but 1 cell is without %: '5' in line 100"):
        table_of(tmp_path, {"v": PLAIN, "y": [*percentages, "0", "5", "0"]})


def test_a_target_of_losses_in_parentheses_is_numbers(tmp_path: Path) -> None:
    losses = [f"({n})" if n % 3 else str(n) for n in range(1, 101)]
    table = table_of(tmp_path, {"v": PLAIN, "y": losses})
    assert (table.description.task, table.target[:3].tolist()) == ("regression", [-1, -2, 3])


def test_rows_whose_target_is_a_marker_are_left_out_and_counted(tmp_path: Path) -> None:
    table = table_of(tmp_path, {"v": PLAIN, "y": [*PLAIN[:96], "-", "-", "NA", ""]})
    assert (table.description.task, table.rows) == ("regression", 96)
    assert "4 rows without a target left out: 2 say '-', 1 says 'NA'" in table.description.notes


def test_a_target_of_few_values_beside_a_word_is_classes(tmp_path: Path) -> None:
    table = table_of(tmp_path, {"v": PLAIN, "y": ["1", "2", "3", "4", "high"] * 20})
    assert [one.label for one in table.description.classes or []] == ["1", "2", "3", "4", "high"]
    assert "'high' in line 6" in notes_of(table, "y")[0]


# ── several columns ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("cells", "beside", "wanted"),
    [
        (["1,047", "2,288"], ["12,5", "0,25"], [1.047, 2.288]),
        (["1.047", "998"], ["12,5", "0,25"], [1047, 998]),
        (["1.047", "99.5"], ["12,5", "0,25"], [1.047, 99.5]),
        (["1,047", "2,288"], ["12.5", "0.25"], [1047, 2288]),
        (["1.047", "2.288"], ["12.5", "0.25"], [1.047, 2.288]),
    ],
)
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_one_column_tells_another_what_a_comma_is(
    tmp_path: Path, cells: list[str], beside: list[str], wanted: list[float], delimiter: str
) -> None:
    table = table_of(tmp_path, {"v": cells * 10, "w": beside * 10}, delimiter)
    assert values_of(table) == wanted * 10
    assert not any("nothing else in the file" in note for note in table.description.notes)


@pytest.mark.parametrize(
    ("cells", "written", "wanted"),
    [
        (["1", "998"], "1.047", 1047),
        (["1", "998"], "1.047,5", 1047.5),
        (["1e3", "998"], "1.047", 1047),
        (["12,5", "0,25"], "1.047", 1047),
        (["5 €", "7 €"], "1.047 €", 1047),
        (["45%", "3%"], "1.047,5%", 1047.5),
        (["5-", "3"], "1.047", 1047),
        (["5", "-"], "1.047", 1047),
    ],
)
def test_a_request_means_what_the_file_means(
    tmp_path: Path, cells: list[str], written: str, wanted: float
) -> None:
    """One column of decimal commas tells of all others what a point is, also of those without one."""
    for beside, delimiter in ((["12,5", "0,25"], ";"), (["12,5", "0,25"], ",")):
        table = table_of(tmp_path, {"v": cells * 10, "w": beside * 10}, delimiter)
        form = table.description.columns[0].written
        assert isinstance(form, NumberForm)
        assert form.parse(written) == wanted
        values = [form.parse(cell) for cell in cells]
        assert values == values_of(table)[:2]
    for beside in (["12.5", "0.25"], ["12,5", "0.25"], ["1", "2"]):
        table = table_of(tmp_path, {"v": ["1", "998"] * 10, "w": beside * 10}, ";")
        assert table.description.columns[0].written is None


def test_a_year_of_two_digits_is_where_the_numbers_vary_less(tmp_path: Path) -> None:
    days = ["19-03-27", "19-04-01", "20-12-31", "20-06-30"]
    table = table_of(tmp_path, {"v": days, "w": ["-".join(reversed(day.split("-"))) for day in days]})
    assert table.head(3)[2] == {"v": "2020-12-31T00:00:00", "w": "2020-12-31T00:00:00", "y": "p"}
    assert any("'v': years of two digits, written year-month-day" in note for note in notes_of(table))


def test_grades_are_no_signs(tmp_path: Path) -> None:
    """1- and 1+ are no numbers, and 2 is not the same as 2+."""
    table = table_of(tmp_path, {"v": ["1-", "1", "1+", "2-", "2", "2+"] * 5})
    assert sorted(set(values_of(table))) == ["1", "1+", "1-", "2", "2+", "2-"]
    assert values_of(table_of(tmp_path, {"v": ["5.00-", "6.00", "7.00", "8.00"]})) == [-5, 6, 7, 8]


def test_lists_of_answers_make_no_fractions_of_thousands(tmp_path: Path) -> None:
    """`1,2` looks like a decimal comma; 900 beside 52,000 says what that is, and else it is told."""
    answers = ["1,2", "2,3", "3"] * 10
    table = table_of(tmp_path, {"v": ["52,000", "148,250", "900"] * 10, "q": answers}, "\t")
    assert values_of(table)[:3] == [52000, 148250, 900]
    table = table_of(tmp_path, {"v": ["52,000", "61,500", "148,250"] * 10, "q": answers}, "\t")
    assert any(note.startswith("column 'v': '52,000' in line 2 is read as 52") for note in notes_of(table))


def test_one_column_tells_another_whether_the_day_is_first(tmp_path: Path) -> None:
    table = table_of(tmp_path, {"v": ["3/4/2019"] * 10, "w": ["13/4/2019"] * 10})
    assert table.head(1)[0]["v"] == "2019-04-03T00:00:00"
    assert notes_of(table) == ["columns 'v', 'w': the same in every row, which carries no information"]


@pytest.mark.parametrize("units", [["kg", "[m/s]", ""], ["(s)", "", "x"], ["DAYS", "", "a"]])
def test_a_row_of_units_is_left_out(tmp_path: Path, units: list[str]) -> None:
    columns = {"v": ["1", "2", "3", "5"], "w": ["0.5", "", "1.5", "2"], "n": ["a", "b", "a", "b"]}
    columns = {name: [unit, *cells] for unit, (name, cells) in zip(units, columns.items(), strict=True)}
    table = table_of(tmp_path, columns | {"y": ["", "p", "q", "p", "q"]})
    assert values_of(table) == [1, 2, 3, 5]
    assert f"line 2 is left out: it holds units and no values, as {units[0]!r} in column 'v'" in notes_of(
        table
    )


@pytest.mark.parametrize("beside", ["-", "", "--", "n/a"])
@pytest.mark.parametrize("name", ["w", "y"])
def test_a_row_of_units_may_lack_some_of_them(tmp_path: Path, name: str, beside: str) -> None:
    first = {"v": "kg", "w": "cm", "x": "[s]", "y": "%"} | {name: beside}
    columns = {each: [unit, *PLAIN] for each, unit in first.items()}
    table = table_of(tmp_path, columns)
    assert (table.rows, table.description.task) == (100, "regression")
    assert table.description.notes[0].startswith("line 2 is left out: it holds units and no values, as 'kg'")
    assert not any("count" in note for note in table.description.notes)


def test_a_word_beside_a_marker_is_no_unit_where_either_recurs(tmp_path: Path) -> None:
    assert table_of(tmp_path, {"v": ["-", *PLAIN[:48], "-"], "w": ["abc", *PLAIN[:49]]}).rows == 50
    assert table_of(tmp_path, {"v": ["-", *PLAIN[:49]], "w": ["abc", *PLAIN[:48], "abc"]}).rows == 50
    assert table_of(tmp_path, {"v": ["-", *PLAIN[:49]], "w": ["kg", *PLAIN[:49]]}).rows == 49


@pytest.mark.parametrize("first", [["-", "NA"], ["-", "--"], ["1", "abc"], ["abc", "1"], ["-", "1"]])
def test_a_first_row_that_holds_values_is_a_row(tmp_path: Path, first: list[str]) -> None:
    table = table_of(tmp_path, {"v": [first[0], *PLAIN[:49]], "w": [first[1], *PLAIN[:49]]})
    assert table.rows == 50


def test_names_that_are_repeated_are_no_row(tmp_path: Path) -> None:
    columns = {"v": ["1", "v", "3", "3"], "n": ["b", "n", "a", "a"], "y": ["p", "y", "q", "q"]}
    table = table_of(tmp_path, columns)
    assert values_of(table) == [1, 3, 3]
    assert "line 3, that repeats the names of the columns, left out" in table.description.notes
    with pytest.raises(DatasetError, match="no rows"):
        table_of(tmp_path, {"a": ["a"], "y": ["y"]})


def test_a_thousand_columns_do_not_make_a_thousand_notes(tmp_path: Path) -> None:
    table = table_of(tmp_path, {f"v{n}": [*PLAIN[:39], "-"] for n in range(60)})
    notes = [note for note in table.description.notes if "no number" in note]
    assert len(notes) == 6
    assert notes[-1].startswith("columns 'v5', 'v6', 'v7', 'v8', 'v9' and 50 more: cells that are no number")


@pytest.mark.parametrize("cell", [2**53 + 1, 2**60, 2**63, 2**64 - 1])
def test_whole_numbers_that_are_rounded_are_noted_in_every_format(tmp_path: Path, cell: int) -> None:
    cells = [cell - n for n in range(3)] + [1]
    frame = pl.DataFrame({"v": pl.Series(cells, dtype=pl.UInt64), "y": ["p", "q", "p", "q"]})
    archive = io.BytesIO()
    np.savez(archive, X=np.array(cells, np.uint64).reshape(-1, 1), y=np.array([0, 1, 0, 1]))
    packed = io.BytesIO()
    frame.write_parquet(packed)
    files = {"v": [frame.write_csv().encode(), packed.getvalue()], "x0": [archive.getvalue()]}
    for name, data in ((name, data) for name, kept in files.items() for data in kept):
        (tmp_path / "upload").write_bytes(data)
        table = read(tmp_path / "upload", filename="data")
        assert any("beyond 2^53" in note for note in notes_of(table, name))


@pytest.mark.parametrize("kind", ["csv", "parquet", "npz"])
def test_names_that_rounding_makes_one_are_not_called_the_same(tmp_path: Path, kind: str) -> None:
    cells = [2**63 + n for n in range(300)]
    frame = pl.DataFrame({"x0": pl.Series(cells, dtype=pl.UInt64), "z": [1e300] * 300, "y": ["p", "q"] * 150})
    packed = io.BytesIO()
    if kind == "csv":
        packed.write(frame.write_csv().encode())
    elif kind == "parquet":
        frame.write_parquet(packed)
    else:
        np.savez(packed, X=np.array(cells, np.uint64).reshape(-1, 1), y=np.array([0, 1] * 150))
    (tmp_path / "upload").write_bytes(packed.getvalue())
    notes = notes_of(read(tmp_path / "upload", filename="data"), "x0")
    assert "rounded to about 16 digits: " in notes[0]
    assert [note for note in notes if "the same in every row" in note] == [
        "column 'x0': the same in every row once rounded to about 16 digits, which carries no information"
    ]


@pytest.mark.parametrize(
    ("count", "said"), [(1, "1 infinite value counts as"), (3, "3 infinite values count as")]
)
def test_infinite_values_are_counted(tmp_path: Path, count: int, said: str) -> None:
    table = table_of(tmp_path, {"v": [*["inf"] * count, *PLAIN[count:]]})
    assert notes_of(table) == [f"column 'v': {said} missing"]


def test_calendar_days_without_marks_stay_numbers(tmp_path: Path) -> None:
    table = table_of(tmp_path, {"v": ["20190327", "20200229"] * 2, "w": ["20190328", "20190230"] * 2})
    assert "numbers such as 20190327 stay numbers" in notes_of(table)[0]
    assert [column.kind for column in table.description.columns] == ["numeric"] * 2
    assert notes_of(table, "w") == []


# ── labels ──────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("cells", "labels"),
    [
        (["010", "001"], ["001", "010"]),
        (["1.0", "0.0"], ["0.0", "1.0"]),
        (["+1", "-1"], ["-1", "+1"]),
        (["TRUE", "FALSE"], ["FALSE", "TRUE"]),
        (["10", "9"], ["9", "10"]),
        (["$10", "$9"], ["$9", "$10"]),
        (["Yes", "No"], ["No", "Yes"]),
    ],
)
def test_labels_come_back_as_they_were_written(tmp_path: Path, cells: list[str], labels: list[str]) -> None:
    table = table_of(tmp_path, {"v": PLAIN, "y": cells * 50})
    assert [one.label for one in table.description.classes or []] == labels
    assert table.target[:2].tolist() == [1, 0]
    table.save(tmp_path / "kept")
    assert Table.load(tmp_path / "kept").target.tolist() == table.target.tolist()
    assert f"{labels[1]!r} is the positive class" in " ".join(table.description.notes)


def test_a_class_that_is_written_in_two_ways_is_one(tmp_path: Path) -> None:
    table = table_of(tmp_path, {"v": PLAIN, "y": ["1", "0", "1.0", "0"] * 25})
    assert [(one.label, one.count) for one in table.description.classes or []] == [("0", 50), ("1", 50)]
    assert "'1' and '1.0' in the target column 'y' are one class, '1'" in notes_of(table, "y")


def test_a_class_called_none_is_missing_and_the_note_says_how_to_keep_it(tmp_path: Path) -> None:
    table = table_of(tmp_path, {"v": PLAIN, "y": ["None", "Apnea", "Insomnia", "Apnea"] * 25})
    assert "25 rows without a target left out: 25 say 'None'" in table.description.notes
    assert "'None' in line 2 count as missing; where that is a value" in notes_of(table, "y")[0]


# ── properties ──────────────────────────────────────────────────────────────────────────────────────────────

PIECES = st.sampled_from(
    [
        *[
            "1",
            "12",
            "234",
            "0",
            "007",
            ",",
            ".",
            "'",
            "’",
            "-",
            "−",
            "+",
            "(",
            ")",
            "$",
            "€",
            "EUR",
            "CHF",
            "%",
            "e3",
            "E-2",
            "kg",
            "5",
            ",-",
            ",234",
            ".234",
            "1.234,5",
        ],
        *(" ", "\u00a0", "1,234.5"),
    ]
)
WRITTEN = st.lists(PIECES, min_size=1, max_size=6).map("".join)
FORMS = st.builds(
    NumberForm,
    decimal=st.sampled_from([".", ","]),
    thousands=st.sampled_from([None, ",", ".", " ", "'"]),
    unit=st.sampled_from([None, "$", "€", "%", "CHF"]),
).filter(lambda form: form.decimal != form.thousands)


@settings(max_examples=60, deadline=None)
@given(cells=st.lists(WRITTEN, min_size=1, max_size=8), form=FORMS)
def test_a_column_of_numbers_and_a_cell_of_it_are_read_alike(cells: list[str], form: NumberForm) -> None:
    text = pl.Series("v", [cell.strip() for cell in cells])
    assert read_numbers(text, form).to_list() == [form.parse(cell) for cell in text]


DAYS = st.sampled_from(
    [
        *[
            "27.03.2019",
            "3/4/2026",
            "3/4/26",
            "2019-03-27",
            "2019/3/7",
            "27-Mar-2019",
            "31-12-1999",
            "30.02.2019",
            "13/13/2019",
        ],
        *[
            "2/29/1900",
            "29.2.2000",
            "99-12-31",
            "0001-01-01",
            "9999-12-31",
            "27MAR2019",
            "1/2-2019",
            "27-Mar-19",
            "1.2.3",
        ],
        *("Mar 7, 2019", "7. Mai 2019", "Fri, 1 Feb 2019", "3 Foo 2019"),
    ]
)
CLOCKS = st.sampled_from(
    [
        *("", " 10:00", "T10:00:01", " 23:59:59.123456789", ":10:00:00", ", 8:01 PM", " 0:01 AM", " 24:00"),
        *(" 10:00 Uhr", "T00:00:00Z", " 10:00:00+02:00", "T10:00-0530", " 10:00:00.5 UTC"),
        *(" 8:01:00 AM GMT+2", " 10:00 UTC-03:30", " 10:00+5", " 10:00 +123"),
        *("T23:00:00-23:59", "T00:00:00+24:00"),
    ]
)


@pytest.mark.parametrize("cell", ["3/4/26 23:59:59.123456789", "9999-12-31T23:00:00-23:59"])
def test_columns_of_dates_that_are_written_alike_are_held_to_the_same_rule(cell: str) -> None:
    form = DateForm(order="ymd")
    assert read_dates(pl.Series("v", [cell] * 3), form).to_list() == [form.moment(cell)] * 3 == [None] * 3


@settings(max_examples=60, deadline=None)
@given(
    cells=st.lists(st.tuples(DAYS, CLOCKS).map("".join), min_size=1, max_size=8),
    form=st.builds(DateForm, order=st.sampled_from(["ymd", "dmy", "mdy"]), short_years=st.booleans()),
)
def test_a_column_of_dates_and_a_cell_of_it_are_read_alike(cells: list[str], form: DateForm) -> None:
    assert read_dates(pl.Series("v", cells), form).to_list() == [form.moment(cell) for cell in cells]


FORMATS = {
    "%Y-%m-%dT%H:%M:%S.%f": DateForm(),
    "%d.%m.%Y %H:%M": DateForm(),
    "%m/%d/%Y %I:%M %p": DateForm(order="mdy"),
}


@settings(max_examples=50, deadline=None)
@given(moment=st.datetimes(datetime.datetime(1000, 1, 1)), format_=st.sampled_from(list(FORMATS)))  # noqa: DTZ001
def test_any_moment_is_read_as_it_was_written(moment: datetime.datetime, format_: str) -> None:
    written, form = moment.strftime(format_), FORMATS[format_]
    wanted = datetime.datetime.strptime(written, format_)  # noqa: DTZ007
    assert read_dates(pl.Series("v", [written]), form).to_list() == [form.moment(written)] == [wanted]


@settings(max_examples=50, deadline=None)
@given(cell=WRITTEN | st.sampled_from([*MARKERS, *MISSING, "0000-00-00", "$ -", "—"]).map(str.upper))
def test_a_marker_is_one_in_a_column_as_in_a_cell(cell: str) -> None:
    cell = cell.strip()
    frame = pl.DataFrame({"c": [cell]})
    assert (frame.select(are_markers(pl.col("c"))).item() or cell.lower() in MISSING) == is_marker(cell)


@settings(max_examples=50, deadline=None)
@given(value=st.floats(-1e18, 1e18), thousands=st.sampled_from([",", ".", " ", "'"]))
def test_a_number_with_thousands_is_the_number(value: float, thousands: Any) -> None:
    decimal: Any = "," if thousands == "." else "."
    written = f"{value:_.3f}".replace(".", decimal).replace("_", thousands)
    form = NumberForm(decimal=decimal, thousands=thousands)
    of_column = read_numbers(pl.Series("v", [written]), form)[0]
    assert form.parse(written) == of_column == float(f"{value:.3f}")


@settings(max_examples=50, deadline=None)
@given(
    cells=st.lists(WRITTEN | st.text(max_size=4), min_size=1, max_size=12),
    delimiter=st.sampled_from([",", ";"]),
)
def test_whatever_is_read_as_numbers_is_read_by_its_cells_too(
    tmp_path_factory: pytest.TempPathFactory, cells: list[str], delimiter: str
) -> None:
    """The form that a description keeps reads each cell of the file as the file was read."""
    cells = [" ".join(cell.split()).replace('"', "").replace("\x00", "") for cell in cells]
    folder = tmp_path_factory.mktemp("alike")
    frame = {"v": ["x", *cells, *["12"] * 9], "y": [*["p", "q"] * 20][: len(cells) + 10]}
    try:
        table = table_of(folder, frame, delimiter)
    except DatasetError:
        return
    column = table.description.columns[0]
    if column.kind != "numeric" or table.rows != len(frame["v"]):
        return
    form = column.written
    for cell, value in zip(frame["v"], values_of(table), strict=True):
        if isinstance(form, NumberForm):
            assert form.parse(cell) == value
        elif value is not None:
            assert plain_numbers(Cells(pl.Series([cell])).text) is not None
