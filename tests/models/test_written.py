"""How single cells are read: numbers and dates by the form of their column, and what holds no value."""

from __future__ import annotations

import pytest

from models.datasets import Column, Description
from models.datasets.cells import days, is_marker
from models.datasets.dates import DateForm
from models.datasets.description import TextForm
from models.datasets.numbers import NumberForm

DOLLARS = NumberForm(thousands=",", unit="$")
EUROS = NumberForm(decimal=",", thousands=".", unit="€")
FRENCH = NumberForm(decimal=",", thousands=" ")
SWISS = NumberForm(thousands="'")
SHARES = NumberForm(unit="%")
PLAIN = NumberForm()

NUMBERS: list[tuple[NumberForm, str, float | None]] = [
    (DOLLARS, "$1,234.50", 1234.5),
    (DOLLARS, "1234.5", 1234.5),
    (DOLLARS, "USD 12", 12),
    (DOLLARS, "(1,234.00)", -1234),
    (DOLLARS, "$(5)", -5),
    (DOLLARS, "-$5", -5),
    (DOLLARS, "$ -5", -5),
    (DOLLARS, "$    1,234.50", 1234.5),
    (DOLLARS, "1,23", None),
    (DOLLARS, "€5", None),
    (DOLLARS, "((5))", None),
    (DOLLARS, "(-5)", None),
    (DOLLARS, "(5", None),
    (DOLLARS, "$5$", None),
    (DOLLARS, "12,34,567", 1234567),
    (EUROS, "€ 1.234,50", 1234.5),
    (EUROS, "1.234,50 €", 1234.5),
    (EUROS, "1234,5 EUR", 1234.5),
    (EUROS, "5,-", 5),
    (EUROS, "5,— €", 5),
    (EUROS, "1.234,50-", -1234.5),
    (EUROS, "1.23", None),
    (FRENCH, "1\u202f234,50", 1234.5),
    (FRENCH, "1\u00a0234", 1234),
    (FRENCH, "12 34", None),
    (SWISS, "1’234’567.5", 1234567.5),
    (SHARES, "45%", 45),
    (SHARES, "\N{MINUS SIGN}4.5 %", -4.5),
    (SHARES, "45", None),
    (SHARES, "0", 0),
    (SHARES, "0.00", 0),
    (PLAIN, "\N{MINUS SIGN}5", -5),
    (PLAIN, "5-", -5),
    (PLAIN, "1e3", 1000),
    (PLAIN, "5 kg", None),
    (PLAIN, "٣", None),
    (PLAIN, "", None),
    (PLAIN, "5\n", None),
    (PLAIN, " " * 100_000 + "5", None),
]


@pytest.mark.parametrize(("form", "cell", "wanted"), NUMBERS)
def test_a_number_is_read_by_the_form_of_its_column(
    form: NumberForm, cell: str, wanted: float | None
) -> None:
    assert form.parse(cell) == wanted


DATES: list[tuple[DateForm, str, float | None]] = [
    (DateForm(), "1970-01-02", 1),
    (DateForm(), "1970/1/2 12:00", 1.5),
    (DateForm(), "1970-01-02T12:00:00Z", 1.5),
    (DateForm(), "1970-01-02T12:00:00.000000123+12:00", 1),
    (DateForm(), "02.01.1970 06:00", 1.25),
    (DateForm(), "02.01.1970, 06:00", 1.25),
    (DateForm(), "2/1/1970 6:00 PM", 1.75),
    (DateForm(order="mdy"), "1/2/1970 12:00 a.m.", 1),
    (DateForm(order="mdy"), "13/1/1970", None),
    (DateForm(), "1/13/1970", None),
    (DateForm(), "2-Jan-1970", 1),
    (DateForm(), "02JAN1970:12:00:00", 1.5),
    (DateForm(), "Jan 2, 1970", 1),
    (DateForm(), "2. März 1970", 60),
    (DateForm(), "2 août 1970", 213),
    (DateForm(), "Fri, 02 Jan 1970 00:00:00 +0000", 1),
    (DateForm(), "2 Foo 1970", None),
    (DateForm(), "2-Jan-70", None),
    (DateForm(short_years=True), "2-Jan-70", 1),
    (DateForm(short_years=True), "2.1.70", 1),
    (DateForm(order="mdy", short_years=True), "1/2/70", 1),
    (DateForm(order="ymd", short_years=True), "70-01-02", 1),
    (DateForm(order="ymd"), "2/1/1970", 1),
    (DateForm(short_years=True), "01.01.68", 35794),
    (DateForm(), "1970-02-30", None),
    (DateForm(), "1970-01-02 24:00", None),
    (DateForm(), "1970-01-02 13:00 PM", None),
    (DateForm(), "2-1/1970", None),
    (DateForm(), "0000-00-00", None),
    (DateForm(), "0001-01-01T00:00:00+10:00", None),
    (DateForm(), "1970-01-02T00:00:00+24:00", None),
    (DateForm(), "192.168.1.10", None),
    (DateForm(), "1970-01-02\n", None),
]


@pytest.mark.parametrize(("form", "cell", "wanted"), DATES)
def test_a_date_is_read_by_the_form_of_its_column(form: DateForm, cell: str, wanted: float | None) -> None:
    assert form.parse(cell) == wanted


def test_the_form_of_descriptions_stored_earlier_is_day_first_unless_noted() -> None:
    assert days("3/1/1970") == 2
    assert days("3/1/1970", month_first=True) == 59


@pytest.mark.parametrize(
    "cell",
    [
        *("-", "--", "—", ".", "..", ".A", "*", "#DIV/0!", "#N/A", "#VALUE!", "#REF!", "#NAME?", "#NUM!"),
        *(
            "#NULL!",
            "#WERT!",
            "<NA>",
            r"\N",
            "(null)",
            "nil",
            "None",
            "none",
            "Missing",
            "n.a.",
            "k.A.",
            "NaT",
        ),
        *("-nan", "1.#QNAN", "-1.#IND", "not available", "keine Angabe", "$ -", "-   €", "0000-00-00"),
        *("0000-00-00 00:00:00", "00.00.0000", "0/0/0000", "NA", ""),
    ],
)
def test_what_says_that_there_is_no_value(cell: str) -> None:
    assert is_marker(cell)


@pytest.mark.parametrize("cell", ["0", "-1", "abc", "<5", "low<5", "00", "1.#", "no", "A.", "2000-00-01"])
def test_what_says_something(cell: str) -> None:
    assert not is_marker(cell)


def test_forms_are_kept_with_a_description_and_older_ones_stay_valid() -> None:
    plain = {"name": "a", "kind": "numeric", "missing": 0, "cardinality": 2, "constant": False}
    assert Column.model_validate(plain).written is None
    about: dict[str, object] = {"rows": 2, "task": "regression", "task_reason": "", "classes": None}
    for form in (EUROS, DateForm(order="mdy"), TextForm(verbatim=True)):
        column = Column.model_validate(plain | {"written": form})
        described = Description.model_validate(about | {"columns": [column], "target": column, "notes": []})
        again = Description.model_validate_json(described.model_dump_json())
        assert again.target.written == again.columns[0].written == form
        assert Description.model_validate(described.model_dump(mode="json")) == described
