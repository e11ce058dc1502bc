"""Names of columns that can be used, and columns that only name or count the rows."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

import polars as pl

from models.datasets.findings import some_columns
from models.errors import DatasetError

MAX_NAME: Final = 200
_FEWEST: Final = 10
"""Rows; of fewer it may be chance that a column counts them."""
_MANY: Final = 50
_PANDAS: Final = re.compile(r"__index_level_[0-9]+__")
_UNNAMED: Final = re.compile(r"Unnamed: [0-9]+(\.[0-9]+)*")


def check_names(names: list[str]) -> None:
    """Refuse columns that could not be told apart, named in a spec or stored."""
    seen: set[str] = set()
    for position, name in enumerate(names, start=1):
        if not name:
            raise DatasetError(
                f"column {position} has no name", suggestion="name it in the first line of the file"
            )
        if name in seen:
            raise DatasetError(
                f"two columns are called {name!r}", suggestion="give every column a name of its own"
            )
        if len(name) > MAX_NAME:
            raise DatasetError(
                f"the name of column {position}, {name[:40]!r}…, has {len(name)} characters",
                suggestion=f"column names may have at most {MAX_NAME}; is the first line the column names?",
            )
        if any(unicodedata.category(character) in ("Cc", "Cs") for character in name):
            raise DatasetError(f"the name of column {position}, {name!r}, contains control characters")
        seen.add(name)


def index_of_rows(column: pl.Series) -> bool:
    """Whether a column only counts the rows, from 0 or 1, as programs add it when they write a table."""
    if not column.dtype.is_integer() or column.null_count() or not len(column):
        return False
    return column[0] in (0, 1) and bool((column.cast(pl.Int64).diff().drop_nulls() == 1).all())


def names_rows(column: pl.Series) -> bool:
    """Whether whole numbers, each different, stand for the rows, in any order."""
    if not column.dtype.is_integer() or column.null_count() or not len(column):
        return False
    return column.n_unique() == len(column)


def is_index(column: pl.Series) -> bool:
    """Whether a program wrote its index of the rows into this column, by what it is called."""
    if _PANDAS.fullmatch(column.name):
        return True
    if not _UNNAMED.fullmatch(column.name):
        return False
    # A comma too many on every line makes an empty column.
    return column.null_count() == len(column) or names_rows(column) or _counts_parts(column)


def _counts_parts(column: pl.Series) -> bool:
    """Whether it counts from 0 on, again and again, as the index of a few long frames put together does."""
    if not column.dtype.is_integer() or column.null_count():
        return False
    begins = column.diff().fill_null(0) != 1
    return bool((column.filter(begins) == 0).all()) and int(begins.sum()) * _FEWEST * 2 <= len(column)


def row_remarks(frame: pl.DataFrame) -> list[str]:
    """Inputs that count the rows, or are whole numbers that differ in every row."""
    counting = [column.name for column in frame if len(column) >= _FEWEST and index_of_rows(column)]
    unique = [
        column.name
        for column in frame
        if column.name not in counting and len(column) > _MANY and names_rows(column)
    ]
    findings = [
        (counting, "counts the rows, which says nothing of new ones: leave it out unless the order matters"),
        (unique, "whole numbers that differ in every row: leave it out if they only name the rows"),
    ]
    return [f"{some_columns(found)}: {remark}" for found, remark in findings if found]


def target_remarks(target: pl.Series, task: str) -> list[str]:
    """What to say of a target that nobody chose and that names the rows."""
    counting = len(target) >= _FEWEST and index_of_rows(target)
    if task != "regression" or not (counting or (len(target) > _MANY and names_rows(target))):
        return []
    what = "counts the rows" if counting else "is a whole number that differs in every row"
    return [
        f"the target {target.name!r} was taken because it is the last column, but it {what}: "
        "name another column as the target if it only names the rows"
    ]
