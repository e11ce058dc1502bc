"""What every reader does to a typed column: infinite numbers, long text and long whole numbers."""

from __future__ import annotations

from typing import Final, cast

import polars as pl

from models.datasets.cells import MAX_TEXT
from models.datasets.distinct import are_markers, present_text, stripped_text
from models.datasets.findings import Findings, counted

EXACT: Final = 2**53
"""Whole numbers beyond are not all numbers of double precision."""
ROUNDED: Final = "whole numbers beyond 2^53 are rounded to about 16 digits"


def note_large(numbers: pl.Series, findings: Findings, text: pl.Series | None = None) -> None:
    """Say where whole numbers are too long for a network's input, or for being told apart."""
    if not len(numbers) or not numbers.dtype.is_numeric():
        return
    least, most = numbers.min(), numbers.max()
    if least is None or max(-cast(float, least), cast(float, most)) < EXACT:
        return
    large = (numbers.cast(pl.Float64).abs() >= EXACT).fill_null(False)
    if text is not None and numbers.dtype.is_float() and large.any():
        large &= text.str.contains("^ *[-+]?[0-9]+ *$").fill_null(False)
    if large.any():
        cell = (numbers if text is None else text)[int(large.arg_max() or 0)]
        findings.add(
            ROUNDED,
            numbers.name,
            lambda: (
                f"whole numbers beyond 2^53, such as {cell}, are rounded to about 16 digits: "
                "leave the column out if they are names"
            ),
        )


def finite(column: pl.Series, findings: Findings) -> pl.Series:
    """Null for NaN and infinities; the latter are worth a note."""
    if not column.dtype.is_float() or column.is_finite().all():
        return column
    infinite = int(column.is_infinite().sum())
    if infinite:
        findings.add(
            "infinite values count as missing",
            column.name,
            lambda: (
                f"{counted(infinite, 'infinite value')} {'counts' if infinite == 1 else 'count'} as missing"
            ),
        )
    return column.set((~column.is_finite()).fill_null(False), None)


def shortened(column: pl.Series, findings: Findings) -> pl.Series:
    """Text whose cells make bearable names of classes and levels."""
    if column.dtype != pl.String or not (column.str.len_chars() > MAX_TEXT).any():
        return column
    say = f"text is cut off after {MAX_TEXT} characters"
    findings.add(say, column.name)
    return column.str.head(MAX_TEXT)


def verbatim(column: pl.Series, findings: Findings, missing: str = "null") -> pl.Series:
    """Text in which everything but empty text is a value; `missing` says how the file writes none."""
    text = stripped_text(column)
    text = text.set((text == "").fill_null(False), None)
    levels = text.drop_nulls().unique().to_frame("c")
    marking = levels.filter(are_markers(pl.col("c")) | present_text(pl.col("c")).is_null()).to_series()
    if len(marking):
        findings.add(
            "text such as 'None' or 'NA' is a value like any other",
            column.name,
            lambda: f"{marking.sort()[0]!r} is a value like any other; what is missing is {missing}",
        )
    return shortened(text, findings)
