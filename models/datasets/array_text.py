"""Text of arrays → typed columns: as text of a file, save that every text but the empty one is a value.

NumPy writes what stands beside text as text: numbers, truths and dates are such where all are.
"""

from __future__ import annotations

from typing import Final, Literal

import polars as pl

from models.datasets.columns import typed_frame
from models.datasets.description import TextForm
from models.datasets.distinct import present_text, stripped_text
from models.datasets.findings import Findings
from models.datasets.frames import Form, Strangers, TypedFrame
from models.datasets.values import verbatim

_NO_NUMBER: Final = ("nan", "inf", "-inf")
"""As NumPy writes numbers that are missing or infinite."""
_NO_DATE: Final = ("NaT",)


def typed_text(text: pl.DataFrame, notes: list[str]) -> TypedFrame:
    """Type columns of text, none of them null; the first row is line 1.

    A column is numbers, truths or dates only where each of its cells is one, or is what NumPy writes for a
    missing one; else it stays text, and a note tells the cell because of which it does.
    """
    raw = text.select(stripped_text(column) for column in text)
    # In a column of text "NA" is a level, and not to be told as missing.
    usual = raw.select(present_text(pl.col(name)).fill_null("").alias(name) for name in raw.columns)
    findings, refused = Findings(), dict[str, Strangers | None]()
    names = list(raw.columns)
    while True:
        said: list[str] = []
        typed = typed_frame(usual[names], said, delimiter=",", line_of=_line) if names else TypedFrame(usual)
        unlike = _unlike(raw, typed, names)
        if not unlike:
            break
        for name, rows in unlike.items():
            refused[name] = _refuse(raw[name], rows, typed.frame[name], findings)
        # One column tells how another is written: the others are typed again without these.
        names = [name for name in names if name not in unlike]
    texts = [name for name in raw.columns if name in refused or typed.frame[name].dtype == pl.String]
    columns = {name: verbatim(raw[name], findings, missing="empty text") for name in texts}
    written: dict[str, Form] = dict(typed.written)
    for name in texts:
        form = written.get(name)
        zeros = isinstance(form, TextForm) and form.leading_zeros
        written[name] = TextForm(verbatim=True, leading_zeros=zeros)
    strangers = typed.strangers | {name: found for name, found in refused.items() if found is not None}
    notes += dict.fromkeys([*said, *findings.notes()])
    frame = pl.DataFrame([columns[name] if name in columns else typed.frame[name] for name in raw.columns])
    return TypedFrame(frame, written, strangers, _line, raw)


def _line(row: int) -> int:
    return row + 1


def _unlike(raw: pl.DataFrame, typed: TypedFrame, names: list[str]) -> dict[str, pl.Series]:
    """By column that is no text: which rows (a mask) hold a value that is not of the column's kind."""
    found = {}
    # A first row that was taken for units is a row of values.
    skipped = len(raw) - len(typed.frame) if names else 0
    for name in names:
        column, cells = typed.frame[name], raw[name]
        if column.dtype == pl.String:
            continue
        allowed = _NO_DATE if column.dtype.is_temporal() else _NO_NUMBER if column.dtype.is_numeric() else ()
        absent = pl.concat([pl.repeat(True, skipped, dtype=pl.Boolean, eager=True), column.is_null()])
        rows = absent & ~cells.is_in(["", *allowed])
        if rows.any():
            found[name] = rows
    return found


def _refuse(cells: pl.Series, rows: pl.Series, column: pl.Series, findings: Findings) -> Strangers | None:
    """Say that a column is text because of these rows (a mask), and what they are among."""
    if column.null_count() == len(column):
        return None
    row, count = int(rows.arg_max() or 0), int(rows.sum())
    kind: Literal["number", "date"] = "date" if column.dtype.is_temporal() else "number"
    what = "neither true nor false" if column.dtype == pl.Boolean else f"no {kind}"
    cell = str(cells[row])
    are = "cell is" if count == 1 else "cells are"
    findings.add(
        f"text, for not all cells are {kind}s",
        cells.name,
        lambda: f"is text, for {count:,} {are} {what}: {cell[:40]!r} in line {row + 1}",
    )
    return None if column.dtype == pl.Boolean else Strangers(f"{kind}s", what, False, count, cell, row)
