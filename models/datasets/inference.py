"""From typed columns to a dataset: which column is the target, which task it sets, what is worth saying."""

from __future__ import annotations

from math import isfinite, isqrt
from typing import cast, get_args

import numpy as np
import polars as pl

from models.datasets.description import COMMON_ROWS, SHOWN_LEVELS, ClassCount, Column, Description, Kind, Task
from models.datasets.distinct import stripped_text
from models.datasets.findings import counted, some, some_columns
from models.datasets.frames import Form, TypedFrame
from models.datasets.labels import labels_of
from models.datasets.names import is_index, row_remarks, target_remarks
from models.datasets.rounding import round_within
from models.datasets.table import Table, as_array
from models.datasets.values import EXACT
from models.encoding import MAX_LEVELS
from models.errors import DatasetError
from models.suggestions import near_name

MAX_CLASSES = 1000
_FEW_VALUES = 20


def table(
    frame: TypedFrame | pl.DataFrame, *, target: str | None, task: str | None, notes: list[str]
) -> Table:
    """Describe a typed frame; rows without a target are dropped, a target that teaches nothing is refused."""
    read = TypedFrame(frame) if isinstance(frame, pl.DataFrame) else frame
    kept, index, left_out = _without_index(read, target)
    name = _target_name(kept.columns, target)
    _no_strangers(kept[name], read, task)
    written = None if read.text is None or name not in read.text else stripped_text(read.text[name])
    # Whatever else the file's text was needed for is done, and it is as large as the table.
    read.text = None
    present = kept[name].is_not_null()
    labelled = kept.filter(present)
    notes = [*notes, *left_out, *_unlabelled(present, written)]
    if not len(labelled):
        raise DatasetError(f"the target column {name!r} has no value in any row", pointer="/target")
    chosen, reason = _task(labelled[name], task)
    columns = [_column(series, read.written.get(series.name)) for series in labelled.drop(name)]
    described = _column(labelled[name], read.written.get(name))
    classes = None
    if chosen == "classification":
        labels, doubt = labels_of(labelled[name], None if written is None else written.filter(present))
        classes, notes = _classes(labelled[name], labels), [*notes, *doubt]
    remarks = [*_remarks(columns, len(labelled), read.rounded), *row_remarks(labelled.drop(name))]
    if target is None:
        remarks += target_remarks(labelled[name], chosen)
    description = Description(
        rows=len(labelled),
        columns=columns,
        target=described,
        task=chosen,
        task_reason=reason,
        classes=classes,
        notes=[*notes, *remarks, *_class_remarks(classes)],
        left_out=index,
    )
    return Table(labelled, description)


def _without_index(read: TypedFrame, target: str | None) -> tuple[pl.DataFrame, list[str], list[str]]:
    """The frame without the indexes that programs write, unless asked for; their names, and a note."""
    frame = read.frame
    index = [
        column.name
        for column in frame
        if column.name != target and (column.name in read.index or is_index(column))
    ]
    if not index or frame.width - len(index) < 2:
        return frame, [], []
    said = "the index that pandas wrote" if len(index) == 1 else "the indexes that pandas wrote"
    empty = [name for name in index if frame[name].null_count() == len(frame)]
    if empty:
        said = "empty, without a name of its own" if len(empty) == len(index) else f"{said}, or empty"
    return frame.drop(index), index, [f"{some_columns(index)} left out: {said}"]


def _no_strangers(target: pl.Series, read: TypedFrame, task: str | None) -> None:
    """Refuse a target of which most cells are of one kind and some are not, unless it is classes."""
    found = read.strangers.get(target.name)
    if found is None or (task == "classification" and not found.few):
        return
    if not found.few and target.n_unique() <= _FEW_VALUES:
        return
    are = "is" if found.count == 1 else "are"
    raise DatasetError(
        f"the target column {target.name!r} holds {found.what}, but {counted(found.count, 'cell')} {are} "
        f"{found.others}: {found.cell!r} in line {read.line_of(found.row)}",
        suggestion=f"write {found.what} there or leave them empty; if they are classes, use words for all",
        pointer="/target",
    )


def _unlabelled(present: pl.Series, written: pl.Series | None) -> list[str]:
    """How many rows have no target, and what they say instead."""
    missing = int((~present).sum())
    if not missing:
        return []
    said = f"{counted(missing, 'row')} without a target left out"
    cells = None if written is None else written.filter(~present)
    if cells is None or not len(cells := cells.filter((cells != "").fill_null(False))):
        return [said]
    usual = cells.value_counts(name="rows").sort("rows", cells.name, descending=[True, False]).head(3)
    each = [f"{count} say{'s' if count == 1 else ''} {cell[:40]!r}" for cell, count in usual.iter_rows()]
    return [f"{said}: {', '.join(each)}"]


def kind_of(series: pl.Series) -> Kind:
    """What a typed column holds."""
    if series.dtype == pl.String:
        return "categorical"
    if series.dtype == pl.Boolean:
        return "boolean"
    return "datetime" if series.dtype.is_temporal() else "numeric"


def _target_name(names: list[str], target: str | None) -> str:
    if len(names) < 2:
        raise DatasetError(
            "a dataset needs at least two columns, one of them the target",
            suggestion="separate the columns by commas, semicolons or tabs",
        )
    if target is None:
        return names[-1]
    if target not in names:
        near = near_name(target, names, likeness=0.0)
        shown = ", ".join(names[:20]) + (", …" if len(names) > 20 else "")
        raise DatasetError(
            f"there is no column {target!r}; the columns are {shown}", suggestion=near, pointer="/target"
        )
    return target


def _task(target: pl.Series, asked: str | None) -> tuple[Task, str]:
    """The task and why, after making sure that the target sets it."""
    if asked is not None and asked not in get_args(Task):
        near = near_name(asked, get_args(Task), likeness=0.0)
        raise DatasetError(
            f"there is no task {asked!r}; choose classification or regression",
            suggestion=near,
            pointer="/task",
        )
    inferred, reason = _inferred(target)
    task, reason = (cast(Task, asked), "as asked") if asked else (inferred, reason)
    _learnable(target, task)
    return task, reason


def _inferred(target: pl.Series) -> tuple[Task, str]:
    kind, distinct, name = kind_of(target), target.n_unique(), target.name
    if kind in ("categorical", "boolean"):
        held = "text" if kind == "categorical" else "true or false"
        return "classification", f"the target {name!r} holds {held}"
    if kind == "datetime":
        return "regression", f"the target {name!r} is a date, counted in days"
    if not (target % 1 == 0).all():
        return "regression", f"the target {name!r} has fractions"
    if distinct <= min(_FEW_VALUES, max(2, isqrt(len(target)))) and distinct < len(target):
        return "classification", f"the target {name!r} has {distinct} different whole numbers"
    return "regression", f"the target {name!r} has {distinct} different whole numbers, too many for classes"


def _learnable(target: pl.Series, task: Task) -> None:
    name, distinct = target.name, target.n_unique()
    if distinct == 1:
        kept = (
            " once rounded to about 16 digits" if target.dtype.is_float() and _is_rounded(target[0]) else ""
        )
        raise DatasetError(
            f"the target {name!r} is {target[0]!r} in every row{kept}: there is nothing to learn",
            suggestion="name another column as the target",
            pointer="/target",
        )
    if task == "regression" and kind_of(target) == "categorical":
        raise DatasetError(
            f"the target {name!r} holds text, which has no distances",
            suggestion="classification",
            pointer="/task",
        )
    if task == "classification" and (distinct > MAX_CLASSES or distinct == len(target)):
        raise DatasetError(
            f"the target {name!r} has {distinct} different values in {len(target)} rows: "
            f"classes must repeat, and at most {MAX_CLASSES} are allowed",
            suggestion="regression"
            if kind_of(target) != "categorical"
            else "name another column as the target",
            pointer="/task" if kind_of(target) != "categorical" else "/target",
        )


def _classes(target: pl.Series, labels: list[str]) -> list[ClassCount]:
    """Classes by size where they are numbers, by alphabet where they are text, false before true."""
    counts = target.value_counts(name="rows").sort(target.name)["rows"]
    return [ClassCount(label=label, count=rows) for label, rows in zip(labels, counts, strict=True)]


def _column(series: pl.Series, written: Form | None) -> Column:
    kind, present = kind_of(series), series.drop_nulls()
    distinct = present.n_unique()
    numbers = as_array(present, kind) if kind in ("numeric", "datetime") and len(present) else None
    return Column(
        name=series.name,
        kind=kind,
        missing=series.null_count(),
        cardinality=distinct,
        constant=distinct == 0 or (distinct == 1 and not series.null_count()),
        levels=present.unique().sort().head(SHOWN_LEVELS).to_list() if kind == "categorical" else None,
        minimum=None if numbers is None else float(numbers.min()),
        maximum=None if numbers is None else float(numbers.max()),
        typical=_typical(present, kind),
        written=written,
    )


def _typical(present: pl.Series, kind: Kind) -> float | str | None:
    """A value for examples that is nobody's own; see `Column.typical`."""
    if not len(present):
        return None
    if kind in ("numeric", "datetime"):
        # Of halves: the mean of the two in the middle may lie beyond what a float holds.
        numbers = as_array(present, kind)
        middle = 2.0 * float(np.median(numbers / 2.0))
        if not isfinite(middle):
            return None
        # Rounded, or the median of an odd number of rows would be one row's cell, to the last digit.
        return round_within(middle, float(numbers.min()), float(numbers.max()), whole=kind == "datetime")
    commonest = present.value_counts(name="rows").sort("rows", present.name, descending=[True, False])
    value, rows = commonest[present.name][0], int(commonest["rows"][0])
    if rows < COMMON_ROWS:
        return None
    return value if isinstance(value, str) else float(value)


def _remarks(columns: list[Column], rows: int, rounded: frozenset[str]) -> list[str]:
    """What happens to unusual columns, one sentence a kind however many columns there are.

    Columns that are `rounded` may be the same in every row only for that.
    """
    constant = [column for column in columns if column.constant and column.name not in rounded]
    alike = [column for column in columns if column.constant and column.name in rounded]
    dates = [column for column in columns if column.kind == "datetime"]
    texts = [column for column in columns if column.kind == "categorical"]
    unique = [
        column for column in texts if column.cardinality == rows - column.missing and column.cardinality > 50
    ]
    many = [column for column in texts if column.cardinality > MAX_LEVELS and column not in unique]
    findings = [
        (constant, "the same in every row, which carries no information"),
        (alike, "the same in every row once rounded to about 16 digits, which carries no information"),
        (dates, "a date: used as days since 1970-01-01"),
        (unique, "different in every row: as a category it says nothing that carries over to new rows"),
        (many, f"text with more than {MAX_LEVELS} levels: the rarest share one column"),
    ]
    return [f"{some_columns([one.name for one in found])}: {remark}" for found, remark in findings if found]


def _is_rounded(number: float | None) -> bool:
    """Whether so large a number may stand for several that the file tells apart."""
    return number is not None and abs(number) >= EXACT


def _class_remarks(classes: list[ClassCount] | None) -> list[str]:
    remarks = []
    if single := [repr(one.label) for one in classes or [] if one.count == 1]:
        remarks.append(
            f"class {some(single)}: a single row, which can be in only one of training, validation and test"
        )
    if classes is not None and len(classes) == 2:
        remarks.append(
            f"{classes[1].label!r} is the positive class: "
            "precision, recall, F1 and average precision are of it"
        )
    return remarks
