"""What only the dealt rows tell the asker: classes without rows, undefined metrics, λ_max, data problems."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from models.errors import Notice
from models.metrics import METRICS
from models.notices import few_rows
from models.regularizers import Penalty, Regularization
from models.repeated_rows import repeated_rows
from models.splits import Split
from models.telling_columns import telling_columns

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from models.datasets import Table
    from models.preprocessing import Prepared, Rows
    from models.spec import JobSpec

_SHOWN_CLASSES = 5
_ROWS = 1_000
"""So many are added up at once."""


def data_problems(spec: JobSpec, table: Table, prepared: Prepared) -> list[Notice]:
    """What makes scores on these splits look better than they are: the same for all jobs on them."""
    train, validation, test = (rows.indices if rows else _none() for rows in _splits(prepared).values())
    repeated = repeated_rows(table, Split(train, validation, test), exclude=spec.split.column)
    return [*([repeated] if repeated else []), *telling_columns(table, exclude=spec.split.column)]


def row_notices(spec: JobSpec, prepared: Prepared) -> Iterator[Notice]:
    """Notices on a complete spec and its splits, as they will be trained on."""
    yield from _class_notices(prepared)
    yield from _monitor_notices(spec, prepared)
    yield from _metric_notices(spec, prepared)
    yield from _strength_notices(spec, prepared)
    if spec.split.column is not None:  # else the spec has told
        splits = _splits(prepared)
        yield from few_rows({name: len(rows.x) if rows else 0 for name, rows in splits.items()})


def undefined_series(spec: JobSpec, prepared: Prepared) -> dict[str, str]:
    """Series of the curve that say nothing on these rows, whatever is learned, and why.

    `{"val_roc_auc": "the validation rows hold one class"}`
    """
    found = {}
    for prefix, name, rows in (
        ("train", "training", prepared.train),
        ("val", "validation", prepared.validation),
    ):
        for metric in spec.metrics or () if rows else ():
            assert rows is not None  # noqa: S101 - nothing is gone through else
            if why := METRICS[metric].undefined(rows.target):
                found[f"{prefix}_{metric}"] = f"the {name} rows {why}"
    return found


def _splits(prepared: Prepared) -> dict[str, Rows | None]:
    return {"train": prepared.train, "validation": prepared.validation, "test": prepared.test}


def _none() -> NDArray[np.int64]:
    import numpy as np

    return np.empty(0, np.int64)


# ── classes ─────────────────────────────────────────────────────────────────────────────────────────────────


def _class_notices(prepared: Prepared) -> Iterator[Notice]:
    import numpy as np

    labels = prepared.preprocessor.classes
    if labels is None:
        return
    counts = {
        name: np.bincount(rows.target, minlength=len(labels))
        for name, rows in _splits(prepared).items()
        if rows
    }
    everywhere: NDArray[np.int64] = np.sum(list(counts.values()), axis=0)
    unseen = np.flatnonzero((counts["train"] == 0) & (everywhere > 0))
    if len(unseen):
        rows = int(everywhere[unseen].sum())
        word = "it can never be learned" if len(unseen) == 1 else "they can never be learned"
        detail = f"{_named(unseen, labels)} no training row: {word}, and {rows} rows elsewhere will be missed"
        yield Notice("/split", detail)
    empty = np.flatnonzero(everywhere == 0)
    if len(empty):
        yield Notice("/split", f"{_named(empty, labels)} no row at all")
    for name in ("validation", "test"):
        if name in counts and len(absent := np.flatnonzero((counts[name] == 0) & (counts["train"] > 0))):
            what = "early stopping and the best epoch" if name == "validation" else "the test scores"
            yield Notice("/split", f"{_named(absent, labels)} no {name} row: {what} know nothing of it")


def _named(chosen: NDArray[np.int64], labels: Sequence[str]) -> str:
    """`class 'a' has`, `3 of 10 classes ('a', 'b', 'c') have`"""
    if len(chosen) == 1:
        return f"class {labels[chosen[0]]!r} has"
    shown = ", ".join(repr(labels[index]) for index in chosen[:_SHOWN_CLASSES])
    more = ", …" if len(chosen) > _SHOWN_CLASSES else ""
    return f"{len(chosen)} of {len(labels)} classes ({shown}{more}) have"


# ── metrics ─────────────────────────────────────────────────────────────────────────────────────────────────


def _monitor_notices(spec: JobSpec, prepared: Prepared) -> Iterator[Notice]:
    technique = spec.regularization.early_stopping if spec.regularization else None
    undefined = undefined_series(spec, prepared)
    monitors = technique.monitors if technique else []
    telling = [each for each in monitors if each.metric not in undefined]
    for index, monitor in enumerate(monitors):
        if why := undefined.get(monitor.metric):
            rest = "it ends nothing" if telling else "nothing ends training before max_epochs"
            if index == 0:
                best = "of the lowest val_loss" if prepared.validation else "the last one"
                rest += f", and the best epoch is {'that ' if prepared.validation else ''}{best}"
            pointer = f"/regularization/early_stopping/monitors/{index}/metric"
            yield Notice(pointer, f"{monitor.metric} is undefined: {why}; {rest}", kind="undefined")


def _metric_notices(spec: JobSpec, prepared: Prepared) -> Iterator[Notice]:
    """Of metrics that are not monitored; a test's too, which has no series."""
    technique = spec.regularization.early_stopping if spec.regularization else None
    monitored = {each.metric for each in technique.monitors} if technique else set()
    undefined = undefined_series(spec, prepared)
    for index, metric in enumerate(spec.metrics or ()):
        test = prepared.test
        for series in (f"train_{metric}", f"val_{metric}"):
            if series in undefined and series not in monitored:
                detail = f"{series} is undefined: {undefined[series]}"
                yield Notice(f"/metrics/{index}", detail, kind="undefined")
        if test and (why := METRICS[metric].undefined(test.target)):
            detail = f"the test's {metric} is undefined: the test rows {why}"
            yield Notice(f"/metrics/{index}", detail, kind="undefined")


# ── strengths ───────────────────────────────────────────────────────────────────────────────────────────────


def _strength_notices(spec: JobSpec, prepared: Prepared) -> Iterator[Notice]:
    """An L1 at or above λ_max keeps every weight of a linear model at zero, and leaves the bias alone."""
    l1 = (spec.regularization or Regularization()).l1
    if spec.network.hidden or l1 is None or not l1.strength:
        return
    largest = _lambda_max(l1, prepared)
    if l1.strength >= largest:
        detail = (
            f"{l1.strength:g} is not below λ_max, {largest:.3g}: at the optimum every weight is zero and the "
            "answer always the same; a path begins at a third of it"
        )
        yield Notice("/regularization/l1/strength", detail)


def _lambda_max(l1: Penalty, prepared: Prepared) -> float:
    """The least strength that keeps all weights at zero: max|Xᵀ(y − ȳ)|/n, twice that for squared errors."""
    import numpy as np

    x, y = prepared.train.x, prepared.train.y
    if prepared.task == "multiclass":  # Xᵀ(Y − P) is, for each class, its rows less its share of all rows
        sums, counts = _sums(x, y)
        slopes = np.abs(sums - np.outer(counts / len(y), sums.sum(axis=0))).max(axis=0)
    else:
        slopes = np.abs(x.T @ (y - y.mean()))
    slopes = slopes / len(x)
    factors = np.array([l1.feature_weights.get(each.column, 1.0) for each in prepared.preprocessor.features])
    if ((factors == 0) & (slopes > 0)).any():
        return float("inf")
    largest = float((slopes[factors > 0] / factors[factors > 0]).max(initial=0.0))
    return 2 * largest if prepared.task == "regression" else largest


def _sums(x: NDArray[Any], y: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """(classes, columns) sums of the rows of each class, and their numbers; few rows are copied at a time."""
    import numpy as np

    order, counts = np.argsort(y, kind="stable"), np.bincount(y)
    sums = np.zeros((len(counts), x.shape[1]))
    for start in range(0, len(order), _ROWS):
        block = order[start : start + _ROWS]
        starts = np.flatnonzero(np.diff(y[block], prepend=-1))
        sums[y[block[starts]]] += np.add.reduceat(x[block], starts, dtype=np.float64)
    return sums, counts
