"""What a reader makes of a file: typed columns, and what is known of how they were written."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import polars as pl

from models.datasets.dates import DateForm
from models.datasets.description import TextForm
from models.datasets.numbers import NumberForm

LineOf = Callable[[int], int]
Form = NumberForm | DateForm | TextForm


@dataclass(frozen=True, slots=True)
class Strangers:
    """Cells of a column that are not of the kind that most of its cells are."""

    what: str
    """What most are, `numbers`."""
    others: str
    """What these are, `no number`."""
    few: bool
    """They count as missing; else they made the column text."""
    count: int
    cell: str
    """The first of them …"""
    row: int
    """… and its row, which counts from 0."""


@dataclass(slots=True)
class TypedFrame:
    """What a reader makes of a file."""

    frame: pl.DataFrame
    written: dict[str, Form] = field(default_factory=dict)
    """By column, where a cell needs it to be read."""
    strangers: dict[str, Strangers] = field(default_factory=dict)
    line_of: LineOf = int
    """The line of a row in the file."""
    text: pl.DataFrame | None = None
    """The cells as they were written, where the file is text: of an archive, the columns that are."""
    index: frozenset[str] = frozenset()
    """Columns that the file itself names as numbers or names of its rows."""
    rounded: frozenset[str] = frozenset()
    """Columns of which it was said that their whole numbers are rounded."""
