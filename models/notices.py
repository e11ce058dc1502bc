"""What the asker should know although the job runs, as far as spec and description tell.

What only the rows themselves tell is in `models.row_notices`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from models.datasets import Column, Description
from models.errors import Notice
from models.metrics import METRICS
from models.regularizers import EarlyStopping, Monitor, Regularization
from models.spec import JobSpec
from models.splits import SPLITS, USUAL_SHARE, sizes

FEW_ROWS = 10
"""What is measured on fewer rows is mostly chance: a share of ten moves in steps of a tenth."""
SMALL_BATCH = 16
"""Below it the statistics of batch norm are noise (a mean of b rows is off by σ/√b)."""
FAR = 1000.0
"""A column so many times its range from zero keeps four digits of single precision's seven."""
FAR_TARGET = 100.0
"""A target so far from zero has to be walked to, step by step, before anything else is learned."""
USUAL_SPAN = (1e-3, 1e3)
"""Of an unscaled target: learning rates are made for numbers near 1."""
_SHOWN_COLUMNS = 3


def notices_about(spec: JobSpec, asked: JobSpec, description: Description, rows: int) -> Iterator[Notice]:
    """Notices on a complete spec with so many training rows; `asked` is the spec before it was complete."""
    yield from _split_notices(spec, asked, description)
    yield from _technique_notices(spec, asked, rows)
    yield from _penalty_notices(spec)
    yield from _unit_notices(spec, description)
    yield from _stopping_notices(spec, asked, description)
    yield from _schedule_notices(spec)
    size = asked.training.batch_size or 0
    if size > rows and spec.optimizer.kind != "fista" and not spec.split.column:
        yield Notice(
            "/training/batch_size", f"{size} is more than the {rows} training rows: every step takes all"
        )


# ── rows ────────────────────────────────────────────────────────────────────────────────────────────────────


def _split_notices(spec: JobSpec, asked: JobSpec, description: Description) -> Iterator[Notice]:
    for name, other in (("test", "validation"), ("validation", "test")):
        share = getattr(spec.split, name)
        if getattr(asked.split, name) is None and share is not None and share != USUAL_SHARE:
            taken = getattr(asked.split, other)
            why = (
                f"{other} takes {taken:g} of the rows"
                if share and taken
                else "there are too few rows for more"
            )
            part = f"{share:g} of the rows" if share else "no rows"
            detail = f"the {name} gets {part} instead of the usual {USUAL_SHARE:g}: {why}"
            yield Notice(f"/split/{name}", detail)
    if dealt := sizes(spec.split, description.rows):
        yield from few_rows(dealt)


def few_rows(dealt: dict[str, int]) -> Iterator[Notice]:
    """Splits that have some rows, but few; `dealt` says how many each has."""
    few = [f"{name} has {dealt[name]}" for name in SPLITS if 0 < dealt[name] < FEW_ROWS]
    if few:
        detail = f"of the rows {', '.join(few)}: what fewer than {FEW_ROWS} rows say is mostly chance"
        yield Notice("/split", detail)


# ── techniques ──────────────────────────────────────────────────────────────────────────────────────────────


def _technique_notices(spec: JobSpec, asked: JobSpec, rows: int) -> Iterator[Notice]:
    regularization = spec.regularization or Regularization()
    linear, batch = not spec.network.hidden, min(spec.training.batch_size or 0, rows)
    if regularization.batch_norm and not linear and batch < SMALL_BATCH:
        detail = (
            f"batch statistics of {batch} rows are noisy; use batches of 16 and more, or leave batch norm out"
        )
        yield Notice("/regularization/batch_norm", detail)
    if regularization.batch_norm and linear:
        yield Notice(
            "/regularization/batch_norm", "a linear model has no hidden layer to normalize: no effect"
        )
    dropped = asked.regularization.dropout if asked.regularization else None
    if linear and dropped and isinstance(dropped.hidden, float) and dropped.hidden:
        detail = "a linear model has no hidden layer to drop units of: no effect; dropout.input drops columns"
        yield Notice("/regularization/dropout/hidden", detail)


def _penalty_notices(spec: JobSpec) -> Iterator[Notice]:
    regularization, linear = spec.regularization or Regularization(), not spec.network.hidden
    if regularization.l1 and regularization.l1.strength and linear and spec.optimizer.kind != "fista":
        detail = (
            "which weights are zero is approximate with mini-batches; optimizer.kind fista finds it exactly"
        )
        yield Notice("/regularization/l1", detail)
    for name, penalty in regularization.penalties().items():
        if penalty.strength and spec.preprocessing.numeric == "none":
            detail = "without standardization a penalty weighs columns by their units"
            yield Notice(f"/regularization/{name}", detail)


# ── units ───────────────────────────────────────────────────────────────────────────────────────────────────


def _unit_notices(spec: JobSpec, description: Description) -> Iterator[Notice]:
    """What is trained on in its own units, in single precision and by steps made for numbers near 1."""
    if spec.optimizer.kind == "fista":  # in double precision, and its steps follow the data
        return
    preprocessing = spec.preprocessing
    if preprocessing.numeric == "none":
        far = [each for each in description.columns if each.name != spec.split.column and _is_far(each, FAR)]
        if far:
            shown = ", ".join(_range(each) for each in far[:_SHOWN_COLUMNS])
            more = f" and {len(far) - _SHOWN_COLUMNS} more" if len(far) > _SHOWN_COLUMNS else ""
            detail = (
                f"far from zero single precision has few digits for what differs: {shown}{more}; standardize"
            )
            yield Notice("/preprocessing/numeric", detail)
    if preprocessing.target == "none" and description.task == "regression":
        yield from _target_notices(description.target)


def _target_notices(target: Column) -> Iterator[Notice]:
    low, high = target.minimum, target.maximum
    if low is None or high is None or low == high:
        return
    span, pointer = high - low, "/preprocessing/target"
    if _is_far(target, FAR_TARGET):
        step = max(abs(low), abs(high)) * 2.0**-23
        detail = (
            f"{_range(target)}, far from zero, and the network trains in the target's own units: it begins "
            f"near 0, and single precision tells numbers there apart by {step:.2g}; standardize"
        )
        yield Notice(pointer, detail)
    elif not USUAL_SPAN[0] <= span <= USUAL_SPAN[1]:
        detail = (
            f"{_range(target)}, and the network trains in the target's own units: "
            "learning rates are made for numbers near 1; standardize"
        )
        yield Notice(pointer, detail)


def _is_far(column: Column, times: float) -> bool:
    low, high = column.minimum, column.maximum
    return low is not None and high is not None and max(abs(low), abs(high)) >= times * (high - low) > 0


def _range(column: Column) -> str:
    return f"{column.name} lies between {column.minimum:g} and {column.maximum:g}"


# ── when training ends ──────────────────────────────────────────────────────────────────────────────────────


def _stopping_notices(spec: JobSpec, asked: JobSpec, description: Description) -> Iterator[Notice]:
    technique = asked.regularization.early_stopping if asked.regularization else None
    if technique is None:
        return
    pointer, most = "/regularization/early_stopping", spec.training.max_epochs or 1
    never = [index for index, each in enumerate(technique.monitors) if each.patience >= most]
    if never and (technique.combine == "all" or len(never) == len(technique.monitors)):
        patience = technique.monitors[never[0]].patience
        detail = (
            f"with a patience of {patience} early stopping ends nothing before max_epochs, {most}; "
            "the best epoch is kept all the same"
        )
        yield Notice(f"{pointer}/monitors/{never[0]}/patience", detail)
    elif technique.min_epochs >= most:
        detail = (
            f"early stopping waits for epoch {technique.min_epochs}, and training ends at {most}: no effect"
        )
        yield Notice(f"{pointer}/min_epochs", detail)
    for index, monitor in enumerate(technique.monitors):
        if monitor.min_delta and monitor.min_delta >= (reach := _reach(monitor, spec, description)):
            detail = (
                f"{monitor.metric} can hardly improve by more than {monitor.min_delta:g}, for from best to "
                f"worst are {reach:.2g}: after the first epoch nothing counts as better"
            )
            yield Notice(f"{pointer}/monitors/{index}/min_delta", detail)


def _reach(monitor: Monitor, spec: JobSpec, description: Description) -> float:
    """How far a series may move: over its metric's whole range, or from knowing nothing to a loss of 0."""
    name = monitor.metric.partition("_")[2]
    if name != "loss":
        return METRICS[name].span
    if description.classes:
        return math.log(len(description.classes))
    return 1.0 if spec.preprocessing.target == "standardize" else math.inf


# ── schedules ───────────────────────────────────────────────────────────────────────────────────────────────


def _schedule_notices(spec: JobSpec) -> Iterator[Notice]:
    optimizer, most = spec.optimizer, spec.training.max_epochs or 1
    technique = spec.regularization.early_stopping if spec.regularization else None
    warmup, pointer = optimizer.warmup_epochs, "/optimizer/warmup_epochs"
    if warmup >= most:
        detail = (
            f"the learning rate rises for {warmup} epochs, and training ends at {most}: it never gets there"
        )
        yield Notice(pointer, detail)
    elif warmup and technique and technique.min_epochs <= warmup and _quickest(technique) <= warmup:
        detail = (
            f"early stopping may end training after {_quickest(technique)} epochs, while the learning rate "
            f"rises for {warmup}: early_stopping.min_epochs lets it get there"
        )
        yield Notice(pointer, detail)
    if warmup and optimizer.schedule == "one_cycle":
        yield Notice(pointer, "one_cycle rises by itself: the warm-up takes the place of its rise")
    if optimizer.schedule == "reduce_on_plateau":
        yield from _plateau_notices(optimizer.plateau_patience or 5, warmup, most, technique, spec)


def _quickest(technique: EarlyStopping) -> int:
    """Epochs that all (or any) of the monitors wait for, at least."""
    waits = [monitor.patience for monitor in technique.monitors]
    return max(waits) if technique.combine == "all" else min(waits)


def _plateau_notices(
    patience: int, warmup: int, most: int, technique: EarlyStopping | None, spec: JobSpec
) -> Iterator[Notice]:
    pointer = "/optimizer/plateau_patience"
    if warmup + patience >= most:
        detail = (
            f"the rate falls after {patience} epochs without improvement, and training ends at {most}: never"
        )
        yield Notice(pointer, detail)
    elif technique and technique.min_epochs <= patience:
        watched = "train_loss" if spec.split.column is None and not spec.split.validation else "val_loss"
        # Only what watches the same series is sure to have ended training by then.
        ends = [each.patience for each in technique.monitors if each.metric == watched]
        alone = technique.combine == "any" or len(technique.monitors) == 1
        if ends and alone and min(ends) <= patience:
            detail = (
                f"early stopping ends training after {min(ends)} epochs without a better {watched}, and the "
                f"rate would fall after {patience}: never; let it fall sooner"
            )
            yield Notice(pointer, detail)
