"""What is said of how a column was read: a cell, its line, how to write it if it means another thing."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

import polars as pl

from models.datasets import date_columns, number_forms
from models.datasets.cells import month_first_note
from models.datasets.dates import MONTHS, DateForm
from models.datasets.description import SHOWN_LEVELS
from models.datasets.distinct import Cells
from models.datasets.findings import Findings, counted
from models.datasets.frames import LineOf
from models.datasets.number_forms import Mark
from models.datasets.numbers import NumberForm, unit_beside
from models.datasets.values import EXACT

_UNITED: Final = re.compile(r"^[-+]?[0-9]+(?:[.,][0-9]+)? ?[A-Za-zµμ°Ω\"'/²³]{1,8}$")
_BESIDE: Final = "|".join((*MONTHS, *("am", "pm", "uhr", "h", "n", "s", "e", "w", "o", "x", "to", "bis")))
_MADE_OF_NUMBERS: Final = rf"^(?i:[\W\d_]*(?:(?:{_BESIDE})(?:[\W\d_]+(?:{_BESIDE}))*[\W\d_]*)?)$"
"""`8:05 PM`, `3/5`, `1-10`, `Mar-19`, `48°12' N`: no letters but months, hours, directions."""
_ORDERS: Final = {"mdy": "month/day/year", "dmy": "day/month/year", "ymd": "year-month-day"}


class ColumnNotes:
    """Says of columns what became of their cells; all are kept in `findings`."""

    def __init__(self, line_of: LineOf) -> None:
        self.findings = Findings()
        self._line_of = line_of

    def where(self, example: tuple[str, int]) -> str:
        """A cell and its line."""
        cell, row = example
        return f"{cell[:40]!r} in line {self._line_of(row)}"

    def missing(self, cells: Cells, rows: pl.Series, what: str, count: int) -> None:
        """Cells that count as missing as they are of another kind; one of these rows (a mask) is shown."""
        are, verb = ("is", "counts") if count == 1 else ("are", "count")
        said = f"{counted(count, 'cell')} that {are} {what} {verb} as missing"
        self.findings.add(
            f"cells that are {what} count as missing",
            cells.name,
            lambda: f"{said}: {self.where(cells.first(rows))}",
        )

    def text(self, cells: Cells, why: str, which: str, example: Callable[[], tuple[str, int]]) -> None:
        """A column that is text because of cells such as this one; `which` says it of many columns."""
        self.findings.add(f"text, {which}", cells.name, lambda: f"is text, {why}: {self.where(example())}")

    def dropped_text(self, cells: Cells) -> None:
        """Cells of a column of text that count as missing, such as `NA`."""
        if cells.text.null_count() == cells.raw.null_count():
            return
        if count := cells.present - cells.text.count():
            self.findings.add(
                "cells such as 'NA' and 'None' count as missing",
                cells.name,
                lambda: (
                    f"{counted(count, 'cell')} such as {self.where(cells.first_dropped())} "
                    f"{'counts' if count == 1 else 'count'} as missing; where that is a value, "
                    "write it otherwise or send Parquet"
                ),
            )

    def kept_markers(self, cells: Cells) -> None:
        """Cells of a category, such as `-`, that would be missing among numbers."""
        if len(set(cells.sample)) > SHOWN_LEVELS or not cells.markers.any():
            return
        count = cells.count(cells.markers)
        self.findings.add(
            "cells such as '-' are a level like any other",
            cells.name,
            lambda: (
                f"{counted(count, 'cell')} such as {self.where(cells.first_of(cells.markers))} "
                f"{'is' if count == 1 else 'are'} a level like any other; "
                "where that is no value, leave it empty"
            ),
        )

    def digits(self, cells: Cells) -> None:
        """Text such as `5 kg`, `$5` beside `€5`, or `8:05`, of which nothing else was said."""
        if self.findings.has(cells.name):
            return
        beside = [unit_beside(cell) for cell in cells.sample]
        if any(beside) and sum(unit is not None for unit in beside) * 2 >= len(beside):
            cell = next(cell for cell, unit in zip(cells.sample, beside, strict=True) if unit)
            why = "for its numbers have not all one unit"
            self.text(cells, why, why, lambda: cells.first(cells.text == cell))
        elif not cells.are_few(_UNITED.fullmatch):
            united = cells.cells.str.contains(_UNITED.pattern)
            count = cells.count(united)
            if count * 2 > cells.text.count():
                which = "for its numbers have units"
                why = f"{which} in {counted(count, 'cell')}"
                self.text(cells, f"{why}; write numbers alone", which, lambda: cells.first_of(united))
        if not self.findings.has(cells.name) and not cells.are_few(_is_made_of_numbers):
            made = cells.cells.str.contains(_MADE_OF_NUMBERS) & cells.cells.str.contains("[0-9]")
            if cells.count(made) * 2 > cells.text.count():
                why = "although its cells are made of numbers"
                self.text(cells, why, why, lambda: cells.first_of(made))

    def form(self, cells: Cells, found: number_forms.Survey, form: NumberForm, doubt: Mark | None) -> None:
        """How numbers that are not plain were read."""
        if doubt is not None:
            kind = "numbers of which nothing tells whether 1.047 is a thousand"
            self.findings.add(kind, cells.name, lambda: self._doubt(cells, found, form, doubt))
        else:
            kind = "numbers with marks or units are read as numbers"
            self.findings.add(kind, cells.name, lambda: self._reading(cells, found, form))

    def _reading(self, cells: Cells, found: number_forms.Survey, form: NumberForm) -> str:
        plain = cells.cells.cast(pl.Float64, strict=False)
        example = cells.first_of(found.numbers & plain.is_null() if plain.null_count() else found.numbers)
        return f"{self.where(example)} is read as {_number(form.parse(example[0]))}"

    def _doubt(self, cells: Cells, found: number_forms.Survey, form: NumberForm, doubt: Mark) -> str:
        example = cells.first_of(found.either[doubt])
        other = _number(number_forms.other_reading(form, doubt).parse(example[0]))
        sign = {",": "comma", ".": "point"}[doubt]
        what = f"decimal {sign}" if form.decimal == doubt else f"{sign} between thousands"
        return (
            f"{self.where(example)} is read as {_number(form.parse(example[0]))}, with a {what}, "
            f"though nothing else in the file tells it; if it is {other}, write {other}"
        )

    def order(self, cells: Cells, found: date_columns.Survey, form: DateForm, *, doubt: bool) -> None:
        """How dates were read whose order or century their cells do not tell."""
        if form.order == "mdy":
            self.findings.add(month_first_note(cells.name).partition(": ")[2], cells.name)
        if form.short_years:
            said = f"years of two digits, written {_ORDERS[form.order]}, are years from 1969 to 2068"
            self.findings.add(said, cells.name)
        if doubt:
            taken = f"is taken for {_ORDERS[form.order]}"
            self.findings.add(
                f"nothing tells whether the month is first; it {taken}",
                cells.name,
                lambda: (
                    f"nothing tells whether {self.where(cells.first_of(found.open))} has the month "
                    f"first; it {taken}: write 2019-03-27"
                ),
            )

    def calendar(self, numbers: pl.Series) -> None:
        """Whole numbers that look like dates."""
        self.findings.add(
            "numbers that look like dates stay numbers",
            numbers.name,
            lambda: (
                f"numbers such as {numbers.drop_nulls()[0]} stay numbers; a date is written as 2019-03-27"
            ),
        )


def _is_made_of_numbers(cell: str) -> bool:
    return any(map(str.isdecimal, cell)) and re.search(_MADE_OF_NUMBERS, cell) is not None


def _number(number: float | None) -> str:
    """A number as people write it."""
    if number is None:
        return "no number"
    return str(int(number)) if number.is_integer() and abs(number) < EXACT else repr(number)
