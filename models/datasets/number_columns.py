"""A column of text as numbers: plain ones, or by the form that the column writes them in."""

from __future__ import annotations

from typing import Final

import polars as pl

from models.datasets.cells import number
from models.datasets.distinct import Cells, plain_marks
from models.datasets.numbers import CLOSING, LONGEST, OPENING, SIGNS, NumberForm, canonical_unit, shape

LEADING_ZERO: Final = "^[^0-9.,]*0[0-9]"
"""Cells with a zero before another digit."""
_CELL: Final = pl.col("cell")


def read_numbers(text: pl.Series, form: NumberForm) -> pl.Series:
    """A column by its form, as `NumberForm.parse` reads a cell; null for what is no number of the form."""
    if form.unit is None and (simple := _read_simple(text, form)) is not None:
        return simple
    parts = text.to_frame("cell").lazy().with_columns(parts=number_parts(_CELL, form.body())).unnest("parts")
    parted = parts.with_columns(unit=units_beside()).collect()
    digits = pl.col("body").str.strip_chars_end("-")
    numbers = _cast(digits, form, pl.col("exponent").fill_null(""))
    negative = (_signs() == "-") | (count_groups(OPENING) > 0)
    taken = are_taken(parted["unit"], form.unit) | ((pl.col("unit") == "") & (numbers == 0))
    valid = are_one_number() & (_CELL.str.len_chars() <= LONGEST) & taken
    read = pl.when(valid).then(pl.when(negative).then(-numbers).otherwise(numbers))
    return parted.select(read).to_series().alias(text.name)


def _read_simple(text: pl.Series, form: NumberForm) -> pl.Series | None:
    """A column of nothing but signs and digits, in a fifth of the time; None where there is more."""
    pattern = f"^[-+]?(?:{form.body()})(?:[eE][-+]?[0-9]+)?$"
    simple = _CELL.str.contains(pattern) & ~_CELL.str.ends_with("-") & (_CELL.str.len_chars() <= LONGEST)
    frame = text.to_frame("cell")
    if not frame.select(simple.all()).item():
        return None
    return frame.select(_cast(_CELL, form, pl.lit(""))).to_series().alias(text.name)


def _cast(digits: pl.Expr, form: NumberForm, exponents: pl.Expr) -> pl.Expr:
    if form.thousands is not None:
        digits = digits.str.replace_all(form.thousands, "", literal=True)
    return (digits.str.replace(form.decimal, ".", literal=True) + exponents).cast(pl.Float64, strict=False)


def plain_numbers(text: pl.Series) -> pl.Series | None:
    """A column of numbers that every program reads, whole ones as such; None where a cell is none."""
    for kind in (pl.Int64(), pl.Float64()):
        cast = text.cast(kind, strict=False)
        if cast.null_count() == text.null_count():
            return cast
    return None


def nearly_plain_numbers(column: Cells) -> pl.Series | None:
    """Plain numbers among a few cells without a digit, which are numbers of no form; null for those."""
    if column.are_few(lambda cell: number(cell) is not None):
        return None
    text = column.text
    numbers = plain_numbers(text)
    if numbers is not None:
        return numbers
    unlike = text.cast(pl.Float64, strict=False).is_null() & text.is_not_null()
    if int(unlike.sum()) * 20 > len(text) or text.filter(unlike).str.contains("[0-9]").any():
        return None
    return plain_numbers(text.set(unlike, None))


def has_leading_zeros(text: pl.Series) -> bool:
    """Whether a cell of a column of plain numbers has a zero before another digit."""
    return bool(text.str.contains(LEADING_ZERO).any())


def number_parts(cell: pl.Expr, body: str) -> pl.Expr:
    """The groups of `shape`, all null where a cell has not this shape."""
    return plain_marks(cell).str.extract_groups(shape(body))


def are_one_number() -> pl.Expr:
    opened, closed = count_groups(OPENING), count_groups(CLOSING)
    one_unit = (pl.col("prefix").fill_null("") == "") | (pl.col("suffix").fill_null("") == "")
    one_sign = opened + _signs().str.len_chars() <= 1
    return pl.col("body").is_not_null() & (opened == closed) & one_sign & one_unit


def count_groups(names: tuple[str, ...]) -> pl.Expr:
    return pl.sum_horizontal((pl.col(name).fill_null("") != "").cast(pl.Int32) for name in names)


def _signs() -> pl.Expr:
    return pl.concat_str(SIGNS, ignore_nulls=True)


def units_beside() -> pl.Expr:
    return pl.concat_str("prefix", "suffix", ignore_nulls=True)


def are_taken(units: pl.Series, unit: str | None) -> pl.Expr:
    """As `NumberForm.takes` says of a cell; `units` are those that occur."""
    form = NumberForm(unit=unit)
    return pl.col("unit").is_in([each for each in units.unique() if form.takes(canonical_unit(each))])
