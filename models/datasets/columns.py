"""From cells to typed columns: numbers, truths and dates where text holds them.

All columns of a file are typed together, since one tells what another leaves open: a decimal comma in one
makes `1.047` in the next a thousand. A column is what nearly all of its cells are; the others count as
missing, and are counted, shown and told.
"""

from __future__ import annotations

from functools import cached_property
from typing import Final, Literal

import polars as pl

from models.datasets import date_columns, number_columns, number_forms
from models.datasets.cells import truth
from models.datasets.column_notes import ColumnNotes
from models.datasets.dates import DateForm, looks_like_a_date
from models.datasets.description import TextForm
from models.datasets.distinct import Cells, markers_in, present_text
from models.datasets.frames import Form, LineOf, Strangers, TypedFrame
from models.datasets.headings import units
from models.datasets.number_forms import Evidence
from models.datasets.numbers import PERCENT, NumberForm, unit_beside
from models.datasets.values import ROUNDED, finite, note_large, shortened

_NEARLY: Final = 0.05
"""A column is of a kind where no larger share of its cells is of another."""
_SAMPLE: Final = 1000
_TRUTHS: Final = ["true", "false"]

_Kind = Literal["number", "percentage", "date", "truth"]
_WORDS: Final[dict[_Kind, tuple[str, str]]] = {
    "number": ("numbers", "no number"),
    "percentage": ("percentages", "no percentage"),
    "date": ("dates", "no date"),
    "truth": ("true or false", "neither true nor false"),
}
"""What a column of a kind holds, and what its other cells are."""


def typed_frame(text: pl.DataFrame, notes: list[str], *, delimiter: str, line_of: LineOf) -> TypedFrame:
    """Type the columns of a file that is text; `line_of` gives the line of a row, which counts from 0."""
    columns = _Columns(text, line_of, delimiter)
    if unit := columns.units():
        cell = text[unit][0].strip()
        notes.append(
            f"line {line_of(0)} is left out: it holds units and no values, as {cell!r} in column {unit!r}"
        )
        text = text.slice(1)
        columns = _Columns(text, lambda row: line_of(row + 1), delimiter)
    frame = pl.DataFrame([columns.typed(name) for name in text.columns])
    notes += columns.notes.findings.notes()
    rounded = columns.notes.findings.columns(ROUNDED)
    return TypedFrame(frame, columns.written, columns.strangers, columns.line_of, text, rounded=rounded)


class _Columns:
    """The columns of a table of text while they are typed.

    Each is sorted once: numbers that every program reads, nearly such, dates with the year in front, numbers
    or dates of a form that is to be chosen, and whatever else it is.
    """

    def __init__(self, text: pl.DataFrame, line_of: LineOf, delimiter: str) -> None:
        self.line_of = line_of
        self.notes = ColumnNotes(line_of)
        self.written: dict[str, Form] = {}
        self.strangers: dict[str, Strangers] = {}
        self._text = text
        self._delimiter = delimiter
        self._plain: dict[str, pl.Series] = {}
        self._nearly: dict[str, Cells] = {}
        self._zeros: dict[str, Cells] = {}
        self._odd: dict[str, Cells] = {}
        self._plain_dates: dict[str, pl.Series] = {}
        self._numbers: dict[str, number_forms.Survey] = {}
        self._dates: dict[str, date_columns.Survey] = {}
        # Most columns of most files are numbers and lack none: those need no second look.
        for column in text:
            numbers = number_columns.plain_numbers(column)
            if numbers is not None and not number_columns.has_leading_zeros(column):
                self._plain[column.name] = numbers
        others = [name for name in text.columns if name not in self._plain]
        present = text.select(present_text(pl.col(name)) for name in others)
        for name in others:
            self._sort(name, Cells(text[name], present[name]))

    def _sort(self, name: str, cells: Cells) -> None:
        numbers = number_columns.nearly_plain_numbers(cells)
        if numbers is not None and number_columns.has_leading_zeros(cells.text):
            self._zeros[name] = cells
            return
        if numbers is not None:
            self._plain[name] = numbers
            if numbers.null_count() > cells.text.null_count():
                self._nearly[name] = cells
            return
        self._odd[name] = cells
        if (found := number_forms.survey(cells)) is not None:
            self._numbers[name] = found
        elif (dates := date_columns.plain_dates(cells)) is not None:
            self._plain_dates[name] = dates
        elif (order := date_columns.survey(cells)) is not None:
            self._dates[name] = order

    def units(self) -> str | None:
        """The first column with a unit, where the first row holds units."""
        if any(numbers[0] is not None for numbers in self._plain.values()):
            return None
        odd = self._odd | self._nearly
        first = [cells.text[0] for cells in odd.values() if cells.text[0] is not None]
        if any(unit_beside(cell) is not None or looks_like_a_date(cell) for cell in first):
            return None
        rest = {name: Cells(self._text[name].slice(1, _SAMPLE)) for name in odd}
        numeric = [
            name
            for name, cells in rest.items()
            if cells.sample and not cells.are_few(lambda cell: unit_beside(cell) is not None)
        ]
        empty = [name for name in self._plain if name not in self._nearly]
        return units(self._text, [*numeric, *empty]) if numeric else None

    def typed(self, name: str) -> pl.Series:
        """The column of that name as numbers, truths, dates or text."""
        if name in self._plain:
            return self._plain_column(name)
        if name in self._plain_dates:
            return self._plain_dates[name]
        if name in self._zeros:
            return self._zeros_column(self._zeros[name])
        cells = self._odd[name]
        if name in self._numbers:
            column = self._number_column(cells, self._numbers[name])
        elif name in self._dates:
            column = self._date_column(cells, self._dates[name])
        else:
            column = self._truth_column(cells)
        return self._text_column(cells) if column is None else column

    # ── numbers ─────────────────────────────────────────────────────────────────────────────────────────────

    @cached_property
    def _evidence(self) -> Evidence:
        """What all columns tell of the decimal sign."""
        found = sum((each.evidence for each in self._numbers.values()), Evidence())
        return sum((self._plain_evidence(name) for name in self._plain), found)

    def _plain_evidence(self, name: str) -> Evidence:
        if not self._plain[name].dtype.is_float():
            return Evidence()
        text = self._text[name]
        return number_forms.plain_evidence(text.head(_SAMPLE)) or number_forms.plain_evidence(text)

    @cached_property
    def _has_decimal_commas(self) -> bool:
        """Whether all that tells the decimal sign of the file tells a comma."""
        commas = any(found.evidence.comma for found in self._numbers.values())
        return commas and self._evidence.decimal == ","

    def _keep_form(self, name: str, form: NumberForm | None) -> None:
        """Keep how the cells of a request are to be read; `form` is None for plain numbers.

        In a file of decimal commas 1.047 is a thousand, whether or not the column has such a cell itself.
        """
        if self._has_decimal_commas:
            form = form or NumberForm()
            form = form.model_copy(update={"decimal": ",", "thousands": form.thousands or "."})
        if form is not None:
            self.written[name] = form

    def _plain_column(self, name: str) -> pl.Series:
        numbers = self._plain[name]
        if name in self._nearly and not self._is_nearly(self._nearly[name], numbers, "number"):
            return self._text_column(self._nearly[name])
        if self._may_be_thousands(name):
            cells = Cells(self._text[name])
            found = number_forms.survey(cells)
            if found is not None and (again := self._number_column(cells, found)) is not None:
                return again
        note_large(numbers, self.notes.findings, self._text[name])
        if numbers.dtype.is_integer() and date_columns.calendar_numbers(numbers):
            self.notes.calendar(numbers)
        self._keep_form(name, None)
        return finite(numbers, self.notes.findings)

    def _may_be_thousands(self, name: str) -> bool:
        """Whether its `1.047` may be a thousand: in files with decimal commas, or free to have them."""
        if not self._plain[name].dtype.is_float():
            return False
        foreign = self._delimiter != "," or any(found.evidence.comma for found in self._numbers.values())
        return foreign and self._evidence.decimal != "." and not self._plain_evidence(name)

    def _number_column(self, cells: Cells, found: number_forms.Survey) -> pl.Series | None:
        """The column by the form that its cells and the file's tell; None where it is text."""
        if found.zeros.any():
            return self._zeros_column(cells)
        if found.notes:
            why = "for all its numbers stand in parentheses"
            said = f"{why}, and nothing tells that they are negative: write them with a minus sign"
            self.notes.text(cells, said, why, lambda: cells.first_of(found.numbers))
            return None
        form, doubt = number_forms.choose(found, self._evidence, self._delimiter)
        numbers = number_columns.read_numbers(cells.text, form)
        if not self._is_nearly(cells, numbers, "percentage" if form.unit == PERCENT else "number"):
            return None
        if form == NumberForm():
            plain = number_columns.plain_numbers(cells.text.set(numbers.is_null(), None))
            if plain is not None:
                if doubt is not None:
                    self.notes.form(cells, found, form, doubt)
                note_large(plain, self.notes.findings, cells.text)
                self._keep_form(cells.name, None)
                return finite(plain, self.notes.findings)
        self._keep_form(cells.name, form)
        is_usual = self._delimiter != "," and form == NumberForm(decimal=",")
        if doubt is not None or not is_usual or number_forms.is_told_by_others(found):
            self.notes.form(cells, found, form, doubt)
        numbers = finite(numbers, self.notes.findings)
        fractions = found.evidence.comma if form.decimal == "," else found.evidence.point
        whole = numbers.cast(pl.Int64, strict=False)
        return numbers if fractions or not (whole == numbers).all() else whole

    def _zeros_column(self, cells: Cells) -> pl.Series:
        """Numbers that are names, as they keep a zero before another digit."""
        why = "as a zero stands before another digit"
        zeros = cells.text.str.contains(number_columns.LEADING_ZERO)
        self.notes.text(cells, why, why, lambda: cells.first(zeros))
        self.written[cells.name] = TextForm(leading_zeros=True)
        return self._text_column(cells)

    # ── dates, truths and text ──────────────────────────────────────────────────────────────────────────────

    def _date_column(self, cells: Cells, found: date_columns.Survey) -> pl.Series | None:
        form, doubt = date_columns.choose(found, date_columns.orders_of(self._dates.values()))
        dates = date_columns.read_dates(cells.text, form or DateForm())
        if not self._is_nearly(cells, dates, "date"):
            return None
        if form is not None:
            self.written[cells.name] = form
            self.notes.order(cells, found, form, doubt=doubt)
        return dates

    def _truth_column(self, cells: Cells) -> pl.Series | None:
        if cells.are_few(lambda cell: truth(cell) is not None):
            return None
        lowered = cells.text.str.to_lowercase()
        truths = (lowered == "true").set(~lowered.is_in(_TRUTHS), None)
        return truths if self._is_nearly(cells, truths, "truth") else None

    def _text_column(self, cells: Cells) -> pl.Series:
        self.notes.digits(cells)
        self.notes.dropped_text(cells)
        self.notes.kept_markers(cells)
        return shortened(cells.text, self.notes.findings)

    def _is_nearly(self, cells: Cells, read: pl.Series, kind: _Kind) -> bool:
        """Whether a column is of a kind; either way it is told which cells are not."""
        unlike = read.is_null() & cells.text.is_not_null()
        if not unlike.any():
            return True
        missing = markers_in(cells.text, unlike)
        others = unlike & ~missing
        count, good = int(others.sum()), int(read.count())
        few = count < good and count <= _NEARLY * cells.present
        what, no = _WORDS[kind]
        if count:
            strange = cells.text.filter(others).head(_SAMPLE)
            if kind == "percentage" and all(unit_beside(cell) == "" for cell in strange):
                no = "without %"
            self.strangers[cells.name] = Strangers(what, no, few, count, *cells.first(others))
        if few:
            self.notes.missing(cells, others if count else missing, no, int(unlike.sum()))
        elif count < good:
            why = f"for {count:,} of {cells.present:,} cells are {no}"
            self.notes.text(cells, why, f"for too many cells are {no}", lambda: cells.first(others))
        return few
