"""Does a complete spec fit the data? Complaints about what does not, with what to write instead."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from models.complaints import pointer, printable, shown
from models.datasets import Description
from models.errors import Complaint
from models.metrics import METRICS, Task
from models.preprocessing import task_of
from models.regularizers import Regularization
from models.spec import JobSpec, SplitSpec
from models.splits import SPLITS, sizes
from models.suggestions import Effort, near_name


def monitored(regularization: Regularization) -> list[str]:
    """The series that early stopping watches."""
    early_stopping = regularization.early_stopping
    return [monitor.metric for monitor in early_stopping.monitors] if early_stopping else []


def complaints_about(
    spec: JobSpec, asked: JobSpec, description: Description, rows: int
) -> Iterator[Complaint]:
    """Everything in a complete spec (and in what was `asked`) that cannot be done with this data."""
    yield from _split_complaints(spec, description)
    yield from _metric_complaints(spec, task_of(description))
    yield from _technique_complaints(spec, rows)
    yield from _column_complaints(spec, description)
    if spec.optimizer.kind == "fista" and (asked.training.batch_size or rows) < rows:
        yield Complaint(
            "/training/batch_size", "fista works on the full batch", asked.training.batch_size, "leave it out"
        )


def _split_complaints(spec: JobSpec, description: Description) -> Iterator[Complaint]:
    split = spec.split
    if split.column is not None:
        yield from _split_column_complaints(split.column, description)
    elif description.task == "regression" and split.stratify:
        yield Complaint("/split/stratify", "a regression has no classes to stratify by", True, "false")
    yield from _size_complaints(split, description)
    if not has_validation_rows(split, description) and spec.regularization:
        none = f"column {split.column!r} has none" if split.column else "split.validation is 0"
        for index, series in enumerate(monitored(spec.regularization)):
            if series.startswith("val_"):
                pointer = f"/regularization/early_stopping/monitors/{index}/metric"
                instead = "set split.validation above 0, or early_stopping to null and choose max_epochs"
                yield Complaint(pointer, f"{series} needs validation rows, and {none}", series, instead)


def has_validation_rows(split: SplitSpec, description: Description) -> bool:
    """Whether any row validates, as far as is known without the rows."""
    if split.column is None:
        return bool(split.validation)
    column = description.column(split.column)
    return column is None or column.levels is None or "validation" in column.levels


def _size_complaints(split: SplitSpec, description: Description) -> Iterator[Complaint]:
    """The rows that there are must leave some to train on; of several classes, two at least."""
    dealt, rows = sizes(split, description.rows), description.rows
    least = 2 if description.classes else 1
    if dealt is None or dealt["train"] >= least:
        return
    name = "validation" if dealt["validation"] >= dealt["test"] else "test"
    left = "none is" if dealt["train"] < 1 else "one, which has a single class, is"
    detail = (
        f"of {rows} rows validation takes {dealt['validation']} and the test {dealt['test']}: {left} left"
    )
    yield Complaint(
        f"/split/{name}", f"{detail} to train on", getattr(split, name), "less of the rows, or more rows"
    )


def _split_column_complaints(name: str, description: Description) -> Iterator[Complaint]:
    column = description.column(name)
    if column is None:
        names = [each.name for each in description.columns]
        yield _unknown_column("/split/column", name, names, Effort())
    elif (
        column.missing
        or column.levels is None
        or not set(column.levels) <= set(SPLITS)
        or "train" not in column.levels
    ):
        detail = f"column {name!r} must say train, validation or test in every row"
        yield Complaint("/split/column", detail, name, "name such a column, or give fractions")


def _metric_complaints(spec: JobSpec, task: Task) -> Iterator[Complaint]:
    fitting = [name for name, metric in METRICS.items() if task in metric.tasks]
    for index, name in enumerate(spec.metrics or []):
        if name not in fitting:
            kind = "regression" if task == "regression" else f"{task} classification"
            instead = "choose from " + ", ".join(fitting)
            yield Complaint(f"/metrics/{index}", f"{name} does not measure {kind}", name, instead)


def _technique_complaints(spec: JobSpec, rows: int) -> Iterator[Complaint]:
    regularization = spec.regularization or Regularization()
    hidden = spec.network.hidden or []
    dropout = regularization.dropout
    if dropout and isinstance(dropout.hidden, list) and len(dropout.hidden) != len(hidden):
        detail = f"there are {len(dropout.hidden)} rates for {len(hidden)} hidden layers"
        yield Complaint(
            "/regularization/dropout/hidden",
            detail,
            suggestion="give one rate a hidden layer, or one number for all",
        )
    if spec.optimizer.kind == "fista" and dropout and dropout.input:
        detail = "fista needs an objective that stands still, and dropout is random"
        yield Complaint("/regularization/dropout", detail, suggestion="use l2, or another optimizer")
    if regularization.batch_norm and hidden and spec.training.batch_size == 1:
        detail = "one row has no variance to normalize by"
        yield Complaint(
            "/training/batch_size", detail, 1, "16 or more with batch norm, or set batch_norm to null"
        )
    elif regularization.batch_norm and hidden and rows == 1:
        detail = "there is one training row, which has no variance to normalize by"
        yield Complaint("/regularization/batch_norm", detail, suggestion="null")


def _column_complaints(spec: JobSpec, description: Description) -> Iterator[Complaint]:
    names = {column.name: None for column in description.columns}
    effort = Effort()
    for technique, penalty in (spec.regularization or Regularization()).penalties().items():
        for name in penalty.feature_weights:
            if name not in names:
                where = pointer(["regularization", technique, "feature_weights", name])
                yield _unknown_column(where, name, list(names), effort)


def _unknown_column(where: str, name: str, names: Sequence[str], effort: Effort) -> Complaint:
    near = near_name(name, names, effort=effort)
    return Complaint(where, f"the dataset has no feature column {printable(name)!r}", shown(name), near)
