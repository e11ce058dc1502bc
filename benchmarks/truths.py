"""What is true of a trained job, by fresh rows of its world and by training it again: no verdict is asked."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.draws import Draw, draw
from models.defaults import complete
from models.diagnosis.patches import merged
from models.preprocessing import Prepared, prepare
from models.spec import JobSpec
from models.stacks import Stack
from models.training import Training
from tests.models.diagnosis.cases import case_of

FRESH_ROWS = 10_000
TRACED_ROWS = 2_000
"""Fresh rows on which the loss of every epoch is measured, beside the 10,000 of the kept weights."""


class Fresh:
    """Rows that nobody trained on, as a job's network takes them."""

    def __init__(self, drawn: Draw, prepared: Prepared, training: Training, rows: int, stream: int) -> None:
        x, y = drawn.fresh(rows, stream)
        told = prepared.preprocessor
        inputs = told.transform({f"x{index}": x[:, index] for index in range(x.shape[1])})
        self._readout, floating = training.data.readout, training.data.train.x.dtype
        if told.classes is not None:
            y = np.searchsorted([int(label) for label in told.classes], y)
        elif told.target is not None:
            y = (y - told.target.mean) / told.target.sd
        self._x = torch.from_numpy(inputs).to(floating)
        self._y = torch.from_numpy(y).to(self._readout.target_dtype(floating))

    @torch.inference_mode()
    def losses(self, answer: Callable[[Tensor], Tensor]) -> Tensor:
        """Each row's, of each network that answers: (…, n)."""
        return self._readout.losses(answer(self._x), self._y).double()


def measured(number: int) -> dict[str, Any]:
    """A drawn job: its case as it is stored, and the truths. All of it JSON."""
    drawn = draw(number)
    prepared = prepare(drawn.spec, drawn.data)
    training = Training(drawn.spec, prepared)
    traced, trace = Fresh(drawn, prepared, training, TRACED_ROWS, 1), list[float]()
    for _ in training:
        trace.append(traced.losses(training.stack.network.evaluate)[0].mean().item())
    case = case_of(training, drawn.data)
    losses = Fresh(drawn, prepared, training, FRESH_ROWS, 0).losses(training.network)
    return {
        "number": number,
        "kind": drawn.kind,
        "spec": case.spec.model_dump(mode="json"),
        "series": {name: list(values) for name, values in case.series.items() if _is_looked_at(name)},
        "result": case.result,
        "stop_reason": case.stop_reason,
        "weights": case.weights,
        "fresh": losses.mean().item(),
        "fresh_se": losses.std().item() / math.sqrt(len(losses)),
        "trace": trace,
        "freed": _freed(drawn),
    }


def _is_looked_at(name: str) -> bool:
    return not name.startswith(("val_", "train_")) or name in ("val_loss", "train_loss", "train_r2")


def _freed(drawn: Draw) -> float | None:
    """Fresh loss of the same job with nothing that holds it back; None where nothing does."""
    on = drawn.spec.regularization
    free = {"regularization": {"l1": None, "l2": None, "dropout": None}}
    if drawn.spec.optimizer.weight_decay:
        free["optimizer"] = {"weight_decay": 0.0}  # type: ignore[dict-item]
    elif not on or not (on.l1 or on.l2 or on.dropout):
        return None
    return fresh_losses(drawn, free, [drawn.spec.training.seed])[0]


def fresh_losses(drawn: Draw, patch: dict[str, Any], seeds: Sequence[int]) -> list[float]:
    """Of the job as the patch leaves it, from each of these seeds, on the fresh rows."""
    changed = merged(drawn.spec.model_dump(mode="json"), patch)
    specs = [
        complete(
            JobSpec.model_validate(merged(changed, {"training": {"seed": seed}})), drawn.data.description
        ).spec
        for seed in seeds
    ]
    prepared = prepare(specs[0], drawn.data)
    trainings = [Training(spec, prepared) for spec in specs]
    # FISTA is never stacked, and starts from zero whatever the seed.
    stacks = [[each] for each in trainings] if specs[0].optimizer.kind == "fista" else [trainings]
    for stack in stacks:
        for _ in Stack(stack).pulses():
            pass
    fresh = Fresh(drawn, prepared, trainings[0], FRESH_ROWS, 0)
    return [fresh.losses(each.network).mean().item() for each in trainings]


def answering() -> Callable[[Any], Any]:
    """For a process of its own: a number is a job to measure, else (number, patch, seeds) a patch to try."""
    torch.set_num_threads(1)

    def answer(question: Any) -> Any:
        if isinstance(question, int):
            return measured(question)
        number, patch, seeds = question
        return fresh_losses(draw(number), patch, seeds)

    return answer
