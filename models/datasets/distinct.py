"""The distinct cells of a column of text: what a column holds is found out of these, each looked at once."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Final

import polars as pl

from models.datasets.cells import MARKER_FORMS, MARKERS, MISSING, is_marker
from models.datasets.numbers import LOOKALIKES, SPACES

_SAMPLE: Final = 200
_LONGEST_MARKER: Final = 40


class Cells:
    """A column of text with its distinct cells."""

    def __init__(self, raw: pl.Series, text: pl.Series | None = None) -> None:
        """`text` is `raw` without missing values, where that is known."""
        self.raw = raw
        self.name = raw.name
        self.text = without_missing(raw) if text is None else text
        """Cells without the space around them; null where they hold no value in any column."""

    @cached_property
    def present(self) -> int:
        """How many cells are not empty, markers of missing values among them."""
        return int((self.raw.str.strip_chars() != "").sum())

    @cached_property
    def values(self) -> pl.DataFrame:
        """`cell` and `count` of the distinct cells, in no order."""
        return self.text.drop_nulls().alias("cell").value_counts(name="count")

    @property
    def cells(self) -> pl.Series:
        return self.values["cell"]

    @cached_property
    def sample(self) -> list[str]:
        """Some cells, drawn at random, without markers: enough to see of what kind most are not."""
        present = self.text.drop_nulls()
        drawn: list[str] = (present if len(present) <= _SAMPLE else present.sample(_SAMPLE, seed=0)).to_list()
        return [cell for cell in drawn if not is_marker(cell)]

    def are_few(self, like: Callable[[str], object]) -> bool:
        """Whether so few cells of the sample are like this that most of the column are not."""
        return sum(bool(like(cell)) for cell in self.sample) * 4 < len(self.sample)

    @cached_property
    def markers(self) -> pl.Series:
        """Which distinct cells say that there is no value where a column is otherwise no text."""
        return self.cells.to_frame("c").select(are_markers(pl.col("c"))).to_series()

    def count(self, which: pl.Series) -> int:
        """How many cells of the column are among these distinct ones."""
        return int(self.values["count"].filter(which).sum())

    def first_of(self, which: pl.Series) -> tuple[str, int]:
        """The first cell of the column among these distinct ones, and its row."""
        return self.first(self.text.is_in(self.cells.filter(which).to_list()))

    def first(self, rows: pl.Series) -> tuple[str, int]:
        """The first cell in these rows (a mask), and its row."""
        row = int(rows.fill_null(False).arg_max() or 0)
        return str(self.text[row]), row

    def first_dropped(self) -> tuple[str, int]:
        """The first cell that is not empty and holds no value, and its row."""
        row = int((self.text.is_null() & (self.raw.str.strip_chars() != "")).fill_null(False).arg_max() or 0)
        return self.raw[row].strip(), row


def are_markers(text: pl.Expr) -> pl.Expr:
    """Which cells say that there is no value, as `cells.is_marker` says it of one."""
    plain = plain_marks(text)
    formed = (plain.str.len_chars() <= _LONGEST_MARKER) & plain.str.contains(MARKER_FORMS)
    return text.str.to_lowercase().is_in(list(MARKERS)) | formed


def markers_in(text: pl.Series, rows: pl.Series) -> pl.Series:
    """Which of these rows (a mask of few) hold markers."""
    marked = text.filter(rows).to_frame("c").select(are_markers(pl.col("c"))).to_series()
    none = pl.repeat(False, len(text), eager=True, dtype=pl.Boolean)
    return none.scatter(rows.arg_true().filter(marked.fill_null(False)), True)


def without_missing(text: pl.Series) -> pl.Series:
    """Text without the space around it or NUL in it, and null for what means that there is no value."""
    return text.to_frame("c").select(present_text(pl.col("c"))).to_series().alias(text.name)


def present_text(text: pl.Expr) -> pl.Expr:
    """As `without_missing`."""
    stripped = text.str.replace_all("\x00", "", literal=True).str.strip_chars()
    missing = stripped.str.to_lowercase().is_in(list(MISSING)) | (stripped == "None")
    return pl.when(~missing).then(stripped)


def stripped_text(text: pl.Series) -> pl.Series:
    """Text without the space around it or NUL in it."""
    return text.str.replace_all("\x00", "", literal=True).str.strip_chars()


def plain_marks(text: pl.Expr) -> pl.Expr:
    """Text with plain spaces, minus signs and apostrophes, as `numbers.plain_marks` makes it of a cell."""
    plain = text.str.replace_many(list(LOOKALIKES), list(LOOKALIKES.values()))
    return plain.str.replace_all(SPACES, " ").str.strip_chars(" ")
