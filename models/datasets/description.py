"""What is known of a dataset without its rows: enough to choose defaults, to cost a job, to show people."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from models.datasets.dates import DateForm
from models.datasets.numbers import NumberForm
from models.frozen import Frozen

Kind = Literal["numeric", "categorical", "boolean", "datetime"]
Task = Literal["classification", "regression"]

SHOWN_LEVELS = 50
COMMON_ROWS = 5
"""Rows that a level has at least to be shown as usual: what fewer share may name one of them."""


class TextForm(Frozen):
    """How a column of text is read where not as text of a delimited file usually is."""

    kind: Literal["text"] = "text"
    verbatim: bool = False
    """Every text but the empty one is a value: `NA` and `None` are levels."""
    leading_zeros: bool = False
    """The column would be numbers but for zeros in front: `02134` and `2134` are two levels."""


class Column(Frozen):
    """One column of the file."""

    name: str
    kind: Kind
    missing: int
    """Cells without a value."""
    cardinality: int
    """Distinct values, missing ones aside."""
    constant: bool
    """It says the same in every row, so it says nothing."""
    levels: list[str] | None = None
    """Categorical only: the first fifty levels in alphabetical order."""
    minimum: float | None = None
    """Smallest value of a number; dates count in days since 1970-01-01."""
    maximum: float | None = None
    typical: float | str | None = None
    """What an example shows, and no row's own: of numbers and dates (in days) the rounded median; of text and
    truths (1, 0) the commonest, where five rows share it. None in descriptions from before there was this."""
    written: NumberForm | DateForm | TextForm | None = None
    """How the column's cells are written, by which a prediction's rows are read too; null for plain ones."""


class ClassCount(Frozen):
    """A class of the target and how many rows have it."""

    label: str
    count: int


class Description(Frozen):
    """A dataset in words."""

    rows: int
    columns: list[Column]
    """The features, in the order of the file."""
    target: Column
    task: Task
    task_reason: str
    """Why this task was inferred."""
    classes: list[ClassCount] | None
    """In the order of the network's classes: numbers by size, text by alphabet. None for regression."""
    notes: list[str]
    """What was made of the file, said so that nobody is surprised."""
    left_out: list[str] = Field(default_factory=list)
    """Columns of the file that are no data, such as an index: rows to be predicted may have them."""

    @property
    def positive_class(self) -> str | None:
        """Of two classes the later one, which precision, recall, F1 and average precision are of."""
        return self.classes[1].label if self.classes is not None and len(self.classes) == 2 else None

    def column(self, name: str) -> Column | None:
        """The feature of that name."""
        return next((column for column in self.columns if column.name == name), None)
