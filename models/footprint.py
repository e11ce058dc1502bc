"""What a job holds at its worst moment, of the host's memory and of a GPU's: an estimate from above.

A tensor is as large on the one as on the other, so one count of them serves both. A job that asks for `cuda`
leaves the host its table, and what is copied there for its checkpoints; any other job may be trained there.

The numbers of tensors below were counted on a pretended device, and tests hold the sums to what it holds. Not
counted is what CUDA takes for itself: its context, and what its allocator keeps back.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

from models.spec import JobSpec
from models.splits import sizes

_TABLE_BYTES = 3 * 8
"""A cell as read, as transformed, and what is between the two."""
_OBJECTS_BYTES = 160 * 1024
"""What a training takes of the host besides tensors: objects, views, and what `malloc` cannot give back."""
_AHEAD_BYTES = 2**20
"""Rows, and masks, that a stack works out ahead (`models.batches`, `models.masks`)."""
_CHUNK_ROWS = 1_024
"""Rows that are evaluated at a time (`models.evaluation`)."""
_LOSS_ROWS = 4_096
"""Rows whose outputs wait to be added up (`models.running_loss`), and a batch more."""
_LANES = 32
"""Units are filled up to a multiple of these for batch norm (`models.lanes`, which loads torch)."""
_RANKING = {"roc_auc", "average_precision"}
"""Metrics that sort every class's scores."""


@dataclass(frozen=True, slots=True)
class Footprint:
    """Bytes at the peak; what is a network's own, each further member of a stack takes as well."""

    host_bytes: int
    host_member_bytes: int
    device_bytes: int
    """0 for a job that asks for the CPU."""
    device_member_bytes: int


def footprint(spec: JobSpec, rows: int, widths: list[int], parameters: int) -> Footprint:
    """Of a complete spec on so many rows; `widths` from the inputs to the outputs."""
    dealt = sizes(spec.split, rows) or {"train": rows, "validation": 0, "test": 0}
    number = 8 if spec.optimizer.kind == "fista" else 4
    resident = _resident(spec, rows, dealt["train"], widths, number)
    own = _network(spec, dealt["train"], max(rows - dealt["test"], dealt["test"]), widths, parameters, number)
    table, besides = rows * widths[0] * _TABLE_BYTES, 4 * rows + _OBJECTS_BYTES
    alone = Footprint(table + resident + own + besides, own + besides, 0, 0)
    if spec.training.device == "cpu":
        return alone
    # Where some of a stack leave, the others move to new memory, and the old is not free yet.
    member = own + _state(spec, parameters, number)
    on_device = replace(alone, device_bytes=resident + own, device_member_bytes=member)
    if spec.training.device == "auto":
        return on_device
    kept = (1 + _kept(spec)) * parameters * number + besides
    return replace(on_device, host_bytes=table + rows * widths[0] * 4 + kept, host_member_bytes=kept)


def _resident(spec: JobSpec, rows: int, train: int, widths: list[int], number: int) -> int:
    """The rows where they are trained on, their targets in three forms, and what is worked out ahead."""
    features, outputs = widths[0], widths[-1]
    held = rows * (number * (features + outputs) + 16) + min(2 * _AHEAD_BYTES, 2 * train * features * number)
    if (
        spec.optimizer.kind == "fista"
    ):  # for its step size: the rows with a column of ones, and their products
        held += number * (train * (features + 1) + 2 * min(train, features + 1) ** 2)
    return held + (3 * _AHEAD_BYTES // 2 if spec.regularization and spec.regularization.dropout else 0)


def _network(spec: JobSpec, train: int, watched: int, widths: list[int], parameters: int, number: int) -> int:
    """A network's own: what it is made of, places for a batch, and the most that comes beside these.

    `watched` rows are measured at once.
    """
    batch = min(spec.training.batch_size or train, train)
    outputs = widths[-1]
    chunk = min(watched, _CHUNK_ROWS) * max(map(sum, pairwise(widths[1:])), default=0)
    passing = number * (chunk + 2 * watched * outputs)
    # Outputs, losses and predictions; to rank them, nine numbers of 8 bytes for each row and class besides.
    measuring = watched * (32 + 26 * outputs) * number // 4
    if _RANKING & {*(spec.metrics or [])}:
        measuring += 72 * train * outputs
    adding_up = min(train, _LOSS_ROWS + batch) * (32 + 3 * number * outputs)
    copies = _kept(spec) * parameters * number
    # Where a column deals the rows, the last batch may be of any size.
    last = train % batch if spec.split.column is None else batch
    state, places = _state(spec, parameters, number), _places(spec, batch, last, widths) * number
    return state + places + max(passing, measuring, adding_up, copies)


def _kept(spec: JobSpec) -> int:
    """Copies of all parameters in a checkpoint: weights, the best so far, what the rule remembers."""
    remembered = {"sgd": 1 if spec.optimizer.momentum else 0, "fista": 2}
    return 2 + remembered.get(spec.optimizer.kind, 2)


def _state(spec: JobSpec, parameters: int, number: int) -> int:
    """These, gradients, what a step works out beside them, and strengths that differ by weight."""
    beside = {"sgd": 1, "fista": 4}.get(spec.optimizer.kind, 2)
    penalties = spec.regularization.penalties().values() if spec.regularization else ()
    uneven = sum(bool(penalty.feature_weights) or penalty.scope != "all" for penalty in penalties)
    return (_kept(spec) + beside + uneven) * parameters * number


def _places(spec: JobSpec, batch: int, last: int, widths: list[int]) -> int:
    """Numbers that layers write a batch into, and the last one of an epoch, which may be shorter."""
    regularization, hidden = spec.regularization, widths[1:-1]
    dropout = regularization.dropout if regularization else None
    # A unit's answer and its gradient; its input where the activation is curved; masks, or norm and masks.
    a_unit, filled = 2 + (spec.network.activation != "relu"), 0
    if regularization and regularization.batch_norm:
        filled = sum(width + -width % _LANES for width in hidden)
    elif dropout and (any(dropout.hidden) if isinstance(dropout.hidden, list) else dropout.hidden):
        a_unit += 3
    an_input = 3 if dropout and dropout.input else 1
    a_row = a_unit * sum(hidden) + 6 * filled + an_input * widths[0] + 8 * widths[-1]
    return (batch + last) * a_row
