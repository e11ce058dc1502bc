"""THE loop: a stack of networks trained together, each step one step of all of them.

    stack = Stack([Training(spec, prepared) for spec in specs])
    for epochs in stack.pulses():
        for training, epoch in epochs:
            print(training.spec.name, epoch)

A training alone is a stack of one. Members share the data, the widths and the batch size (`models.stacking`
says who may), and nothing else: each has its own seed, order of the rows, masks, rates, strengths, learning
rate, early stopping and best weights, and its curve is the one that it would have had alone: on a CPU with
one thread to the last bit, on a GPU to rounding, since cuBLAS chooses kernels by the number of members. A
member that stops leaves the stack, and the rest go on, smaller and quicker. Whoever drives the loop may take
one out at any pulse (`release`): it is then a stack of one again, in the midst of its epoch if need be.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from models.batches import Batches
from models.evaluation import drained, evaluate
from models.fista import Fista
from models.history import Epoch
from models.optimizers import Descent, Stepper
from models.parameters import Snapshot
from models.pricing import priced
from models.running_loss import RunningLoss
from models.stacked import StackedNetwork
from models.stacking import stack_key
from models.weighing import Scale

if TYPE_CHECKING:
    from models.training import Training

Measured = list[tuple["Training", Epoch]]
"""The epochs that ended together, each with its training."""

PULSE_SECONDS = 0.2
"""The caller of `pulses()` is asked at least this often, but for a single batch that takes longer."""


class Stack:
    """Trainings on their way together."""

    def __init__(self, trainings: Sequence[Training], *, written: bool = True) -> None:
        """None may have begun; several must share `stack_key` and prepared dataset; else `ValueError`.

        Not `written`: every derivative is autograd's, a member at a time; slow, and what tests compare with.
        """
        _require_alike(trainings)
        self._written = written
        self._seat(trainings, {}, done=0)

    @property
    def members(self) -> list[Training]:
        """Those that are still being trained."""
        return [training for training in self.seats if training.stop_reason is None]

    def _seat(self, trainings: Sequence[Training], left: Mapping[Training, _Left], *, done: int) -> None:
        """Lay out the trainings' tensors beside each other, and go on from what they left, or begin."""
        self.seats = list(trainings)
        first = self.seats[0]
        self.data = first.data
        for training in self.seats:
            training.take_seat(self)
        self.network = StackedNetwork([training.network for training in self.seats], written=self._written)
        self.best = Snapshot(self.network.parameters)
        orders = [training.order for training in self.seats]
        self.batches = Batches(self.data.train, first.spec.training.batch_size or 32, orders, done=done)
        self._penalties = priced(self.seats, self.network.parameters)
        self._scale = Scale(self.network.parameters, self._penalties)
        self.stepper = self._make_stepper()
        self._hurried = any(training.spec.training.max_runtime_seconds for training in self.seats)
        self._running_loss = RunningLoss(self.seats, self.data.readout)
        self._results: list[dict[str, dict[str, float] | None]] = []
        for index, training in enumerate(self.seats):
            if training in left:
                self.stepper.resume(index, left[training].stepper)
                self.best.put(index, left[training].best)

    def _make_stepper(self) -> Stepper:
        specs, parameters = [training.spec.optimizer for training in self.seats], self.network.parameters
        penalties = [each for parts in self._penalties.values() for each in parts]
        if specs[0].kind == "fista":
            tolerance = specs[0].tolerance or 1e-10
            return Fista(parameters, penalties, self.data.train.x, self.data.readout, tolerance)
        schedules = [training.schedule for training in self.seats]
        return Descent(specs, parameters, penalties, schedules)

    # ── the loop ────────────────────────────────────────────────────────────────────────────────────────────

    def pulses(self) -> Iterator[Measured]:
        """The epochs as they end; an empty list every `PULSE_SECONDS` in the midst of longer ones.

        A training whose last epoch this was is no member any more by then, and holds its best weights.
        """
        last = time.monotonic()
        for measured in self.work(every=PULSE_SECONDS):
            if measured or time.monotonic() - last >= PULSE_SECONDS:
                yield measured
                last = time.monotonic()

    def work(self, *, every: float = 0.0) -> Generator[Measured, None, None]:
        """Train to the end. Yields an empty list after a batch: whoever drives it may stop there.

        That is after each batch, or only `every` so many seconds where nobody's runtime is limited.
        """
        for training in self.members:
            training.begin()
        yield from self._end_the_late()
        while self.members:
            while self.batches.left and self.members:
                self._steps(0.0 if self._hurried else every)
                yield []
                yield from self._end_the_late()
            if self.members:
                yield (yield from self.close_epoch())

    @torch.inference_mode()
    def _steps(self, seconds: float) -> None:
        """As many steps as the time and the epoch allow, one at least.

        Derivatives are written out, so autograd has nothing to record.
        """
        end = time.monotonic() + seconds
        for training in self.seats:
            training.company = len(self.seats) - 1
        self._step()
        while self.batches.left and time.monotonic() < end:
            self._step()

    def _step(self) -> None:
        """One step of everybody."""
        batch, readout = self.batches.next(), self.data.readout
        self.stepper.look_ahead()
        outputs = self.network.forward(batch.x, alike=batch.alike)
        self.network.backward(readout.gradient(outputs, batch.encoded, to=self.network.gradient))
        self.stepper.step()
        self._running_loss.take(outputs, batch.targets)

    def _end_the_late(self) -> Generator[Measured, None, None]:
        """Those whose time is up end here: what they have begun is measured, and no batch more is done."""
        for training in [each for each in self.members if each.is_out_of_time]:
            last = yield from self.release(training).cut_short()
            if training.stop_reason is None:
                training.stop_for_time()
                training.restore()
            yield last

    # ── the end of an epoch ─────────────────────────────────────────────────────────────────────────────────

    def cut_short(self) -> Generator[Measured, None, Measured]:
        """Close the epoch that has begun, if one has, or if nothing was measured yet at all."""
        if self.batches.done or not self.seats[0].history:
            return (yield from self.close_epoch())
        return []

    def close_epoch(self) -> Generator[Measured, None, Measured]:
        """Measure, record, keep the best, decide who goes on."""
        seats = self.seats
        values = yield from self._measure()
        # Whoever was released while this was measured closes the epoch alone.
        rows = [(each, own) for each, own in zip(seats, values, strict=True) if each in self.seats]
        measured = [(training, training.record(own)) for training, own in rows]
        self.best.take([index for index, training in enumerate(self.seats) if training.is_at_its_best])
        self.batches.next_epoch()
        self._running_loss.forget()
        self._leave([training for training, _ in measured if training.stop_reason])
        return measured

    def _measure(self) -> Generator[Measured, None, list[dict[str, float]]]:
        """Every series of this epoch, a dictionary a seat; one synchronization for all of them."""
        seats, count = self.seats, range(len(self.seats))
        # The batches as they went by, unless their gradient was taken at another point than the weights are.
        rows = 0 if self.stepper.looks_ahead else self.batches.rows_done
        of_batches = {_OF_BATCHES: self._running_loss.sums(self.network.parameters.weights)}
        rates = [self.stepper.learning_rate(index) for index in count]
        converged = [self.stepper.has_converged(index) for index in count]
        of_weights = self._scale.series()
        measured = yield from evaluate(self.network, self.data.watched, seats[0].spec.metrics or [])
        series = {f"{split}_{name}": own for split, each in measured.items() for name, own in each.items()}
        found = []
        for index, values in enumerate(_rows(series | of_weights | of_batches)):
            seats[index].has_converged = converged[index]
            of_rows = values.pop(_OF_BATCHES)
            loss = of_rows / rows if rows else values["train_loss"]
            penalties = sum(value for name, value in values.items() if name.startswith("penalty_"))
            found.append({"objective": loss + penalties} | values | {"learning_rate": rates[index]})
        return found

    # ── leaving ─────────────────────────────────────────────────────────────────────────────────────────────

    def release(self, training: Training) -> Stack:
        """Take one out where it is; from then on it is a stack of its own, which is returned."""
        return self._part([training])

    def _leave(self, ended: Sequence[Training]) -> None:
        if ended:
            self._part(ended)
            for training in ended:
                training.restore()

    @torch.no_grad()
    def _part(self, leaving: Sequence[Training]) -> Stack:
        """Give some a stack of their own; the others close ranks. Where nobody stays, this is that stack."""
        staying = [training for training in self.seats if training not in leaving]
        if not staying:
            return self
        self.settle()
        done = self.batches.done
        left = {each: _Left(self.stepper.state(i), self.best.state(i)) for i, each in enumerate(self.seats)}
        apart = Stack.__new__(Stack)
        apart._written = self._written
        apart._seat(leaving, left, done=done)
        self._seat(staying, left, done=done)
        return apart

    # ── what a training asks of its seat ────────────────────────────────────────────────────────────────────

    def settle(self) -> None:
        """Bring all that is worked out ahead or behind to the last step: for whoever looks from outside."""
        self._running_loss.settle(self.network.parameters.weights)
        self.network.masks.rewind()

    def forget(self) -> None:
        """Drop all that is worked out ahead or behind: another state follows."""
        self._running_loss.forget()
        self._results = []
        self.network.masks.forget()

    def restore(self, training: Training) -> None:
        """Give a training back the weights of its best epoch, where they were kept."""
        index = self.seats.index(training)
        if kept := self.best.state(index):
            self.network.parameters.overwrite(index, kept)

    # ── what came of it ─────────────────────────────────────────────────────────────────────────────────────

    def results(self, training: Training) -> dict[str, dict[str, float] | None]:
        """Loss, metrics and the loss's standard error on every split at the weights that a training holds.

        The test is touched here.
        """
        index = self.seats.index(training)
        found = self._results or self._recomputed()
        if not self.members:  # They hold what they will hold: once is enough for all of them.
            self._results = found
        return found[index]

    def _recomputed(self) -> list[dict[str, dict[str, float] | None]]:
        measured: dict[str, list[dict[str, float]]] = {}
        for splits in filter(None, (self.data.watched, self.data.test)):
            tensors = drained(
                evaluate(self.network, splits, self.seats[0].spec.metrics or [], with_errors=True)
            )
            measured |= {name: _rows(own) for name, own in tensors.items()}
        return [
            {name: measured[split][index] if split in measured else None for name, split in _SPLITS.items()}
            for index in range(len(self.seats))
        ]


_OF_BATCHES = "loss of batches"
"""Beside the series: the sum of the batches' losses, which comes back with them."""
_SPLITS = {"train": "train", "validation": "val", "test": "test"}
"""What a result calls the splits, and what a curve does."""


def _rows(series: Mapping[str, Tensor]) -> list[dict[str, float]]:
    """Series of (K,) as a dictionary a member."""
    table = torch.stack([each.double() for each in series.values()], dim=1).tolist()
    return [dict(zip(series, row, strict=True)) for row in table]


class _Left:
    """What a training leaves in one stack and finds again in the next, but for its weights."""

    def __init__(self, stepper: Mapping[str, Any], best: Mapping[str, Tensor]) -> None:
        self.stepper = stepper
        self.best = best


def _require_alike(trainings: Sequence[Training]) -> None:
    if any(each.has_begun for each in trainings):
        raise ValueError("a training that has begun goes on in the stack that it has")
    first, *others = trainings
    if not others:
        return
    key = stack_key(first.spec)
    if key is None or any(
        stack_key(each.spec) != key or each.prepared is not first.prepared for each in others
    ):
        raise ValueError("these trainings differ in what a stack shares")
    for each in others:
        each.share(first)
