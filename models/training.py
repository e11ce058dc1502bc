"""THE loop: iterate a Training to train.

    for epoch in Training(spec, prepared):
        print(epoch)

The caller owns the loop. To cancel is to cease iterating; to be asked now and then during long epochs,
iterate `pulses()`. There are no callbacks and no flags to set. When the iterator has ended by itself it has
restored the best weights and `stop_reason` says why; a caller who ceased earlier calls `finish()` or
`restore()`.
"""

from __future__ import annotations

import math
import time
from collections.abc import Generator, Iterator
from typing import Any, Literal, TypeVar

import torch
from torch import Tensor

from models.evaluation import SplitTensors, evaluate
from models.fista import Fista
from models.flat import FlatParameters
from models.history import Epoch, History
from models.losses import Readout
from models.metrics import direction
from models.network import Network, build
from models.optimizers import Descent, Schedule, Stepper
from models.preprocessing import Prepared, Rows
from models.spec import JobSpec

StopReason = Literal["max_epochs", "early_stopping", "max_runtime", "finished", "converged", "diverged"]

_T = TypeVar("_T")

PULSE_SECONDS = 0.2
"""The caller of `pulses()` is asked at least this often, but for a single batch that takes longer."""


class Training:
    """One network being trained. After the iteration: `network`, `history`, `stop_reason`, `result()`."""

    def __init__(self, spec: JobSpec, prepared: Prepared, *, device: str = "cpu") -> None:
        """`spec` is complete (see `models.defaults`); `prepared` are the preprocessed splits."""
        self.spec = spec
        self.history = History()
        self.stop_reason: StopReason | None = None
        self.stop_detail = ""
        self.readout = readout_of(prepared)
        self.train, self.validation, self.test = self._splits(prepared, device)
        self.network: Network = build(spec, prepared.train.x.shape[1], prepared.outputs, spec.training.seed)
        self.network.to(device=device, dtype=self.train.x.dtype)
        self._order = torch.Generator().manual_seed(spec.training.seed)
        self._flat = FlatParameters(self.network)
        columns = [feature.column for feature in prepared.preprocessor.features]
        self._techniques = spec.regularization.techniques() if spec.regularization else {}
        penalties = spec.regularization.penalties() if spec.regularization else {}
        self._penalties = {
            name: (part, self._flat.strength(part, columns)) for name, part in penalties.items()
        }
        self._bounds = batch_bounds(len(self.train), spec.training.batch_size or 32)
        self._stepper = self._make_stepper()
        self._best: dict[str, Tensor] = {}
        self.best_epoch: int | None = None
        self._started: float | None = None
        self._begin_epoch()

    def _splits(
        self, prepared: Prepared, device: str
    ) -> tuple[SplitTensors, SplitTensors | None, SplitTensors | None]:
        # FISTA's tolerance lies below what float32 can tell apart.
        floating = torch.float64 if self.spec.optimizer.kind == "fista" else torch.float32

        def resident(rows: Rows) -> SplitTensors:
            return SplitTensors.of(rows, readout=self.readout, floating=floating, device=device)

        return (
            resident(prepared.train),
            resident(prepared.validation) if prepared.validation else None,
            resident(prepared.test) if prepared.test else None,
        )

    def _make_stepper(self) -> Stepper:
        optimizer, penalties = self.spec.optimizer, list(self._penalties.values())
        if optimizer.kind == "fista":
            return Fista(self._flat, penalties, self.train.x, self.readout, optimizer.tolerance or 1e-10)
        schedule = Schedule(optimizer, len(self._bounds), self._max_epochs)
        return Descent(optimizer, self._flat, penalties, schedule)

    # ── the loop ────────────────────────────────────────────────────────────────────────────────────────────

    def __iter__(self) -> Iterator[Epoch]:
        """The epochs, each as soon as it has been measured."""
        return (epoch for epoch in self.pulses() if epoch is not None)

    def pulses(self) -> Iterator[Epoch | None]:
        """The epochs, and None every `PULSE_SECONDS` in the midst of epochs that take longer."""
        last = time.monotonic()
        for measured in self._work():
            if measured is not None or time.monotonic() - last >= PULSE_SECONDS:
                yield measured
                last = time.monotonic()

    def _work(self) -> Generator[Epoch | None, None, None]:
        """Train to the end. Yields None after every batch, so that whoever drives it may stop there."""
        self._started = self._started or time.monotonic()
        while self.stop_reason is None:
            for x, targets in self._batches():
                self._step(x, targets)
                yield None
                if self._out_of_time():
                    break
            yield (yield from self._close_epoch())
        self.restore()

    def _batches(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Slices of one permutation of the rows; the full batch keeps its order."""
        x, targets = self.train.x, self.train.targets
        if len(self._bounds) > 1:
            permutation = torch.randperm(len(x), generator=self._order).to(x.device)
            x, targets = x[permutation], targets[permutation]
        return ((x[start:end], targets[start:end]) for start, end in self._bounds)

    def _step(self, x: Tensor, targets: Tensor) -> None:
        self._stepper.look_ahead()
        self._flat.zero_gradients()
        loss = self.readout.loss(self.network(x), targets)
        loss.backward()  # type: ignore[no-untyped-call]
        self._stepper.step()
        self._loss_sum += loss.detach() * len(x)
        self._rows_seen += len(x)

    # ── the end of an epoch ─────────────────────────────────────────────────────────────────────────────────

    def _begin_epoch(self) -> None:
        self._loss_sum = torch.zeros((), dtype=self.train.x.dtype, device=self.train.x.device)
        self._rows_seen = 0
        self._epoch_began = time.monotonic()

    def _close_epoch(self) -> Generator[None, None, Epoch]:
        """Measure, record, keep the best, decide whether to go on."""
        values = yield from self._measure()
        epoch = Epoch(len(self.history) + 1, values)
        self.history.append(epoch)
        self._keep_if_best(epoch)
        self._stepper.epoch_ended(self.history)
        self._decide(epoch)
        self._begin_epoch()
        return epoch

    def _measure(self) -> Generator[None, None, dict[str, float]]:
        """Every series of this epoch; one synchronization for all of them."""
        names = self.spec.metrics or []
        measured = yield from evaluate(self.network, self.train, names, prefix="train_")
        if self.validation:
            measured |= yield from evaluate(self.network, self.validation, names, prefix="val_")
        weights = self._flat.weights.detach()
        penalties = {f"penalty_{name}": weights.new_zeros(()) for name in ("l1", "l2")}
        for name, (penalty, strength) in self._penalties.items():
            value = penalty.penalty(weights, strength)
            penalties[f"penalty_{name}"] = weights.new_zeros(()) if value is None else value
        seen = self._loss_sum / max(self._rows_seen, 1)
        objective = (measured["train_loss"] if self._stepper.looks_ahead else seen) + sum(penalties.values())
        own = {"weight_norm": weights.norm(), "sparsity": (weights == 0).double().mean()}
        tensors = {"objective": objective} | measured | penalties | own
        numbers = torch.stack([tensor.double() for tensor in tensors.values()]).tolist()
        return dict(zip(tensors, numbers, strict=True)) | {
            "learning_rate": self._stepper.learning_rate,
            "epoch_seconds": time.monotonic() - self._epoch_began,
        }

    def _keep_if_best(self, epoch: Epoch) -> None:
        if not self._is_best(epoch):
            return
        self.best_epoch = epoch.number
        if self._restores:
            self._best = {name: tensor.detach().clone() for name, tensor in self.network.state_dict().items()}

    def _is_best(self, epoch: Epoch) -> bool:
        """Ties go to the earlier epoch; an epoch that is not a finite number is never the best."""
        judge = self._judge
        value = epoch.values.get(judge or "train_loss", math.nan)
        if not math.isfinite(value):
            return False
        if judge is None or self.best_epoch is None:
            return True
        champion = self.history.epochs[self.best_epoch - 1].values[judge]
        return value > champion if direction(judge) == "higher" else value < champion

    @property
    def _judge(self) -> str | None:
        """The series that says which epoch is best; None where the last one is."""
        early_stopping = self.spec.regularization.early_stopping if self.spec.regularization else None
        if early_stopping:
            return early_stopping.monitors[0].metric
        # FISTA was asked for the optimum, not for a stop on the way to it.
        return "val_loss" if self.validation and self.spec.optimizer.kind != "fista" else None

    @property
    def _restores(self) -> bool:
        early_stopping = self.spec.regularization.early_stopping if self.spec.regularization else None
        return early_stopping is None or early_stopping.restore_best_weights

    @property
    def _max_epochs(self) -> int:
        return self.spec.training.max_epochs or 1

    def _decide(self, epoch: Epoch) -> None:
        stalled = [reason for part in self._techniques.values() if (reason := part.should_stop(self.history))]
        if not (math.isfinite(epoch.values["objective"]) and math.isfinite(epoch.values["train_loss"])):
            self._stop("diverged", f"the objective was no longer a finite number in epoch {epoch.number}")
        elif stalled:
            self._stop("early_stopping", "; ".join(stalled))
        elif self._stepper.converged:
            self._stop("converged", f"no coefficient moves any more after {epoch.number} iterations")
        elif epoch.number >= self._max_epochs:
            self._stop("max_epochs", f"all {epoch.number} epochs are done")
        elif self._out_of_time():
            self._stop("max_runtime", f"{self.spec.training.max_runtime_seconds:g} seconds were up")

    def _stop(self, reason: StopReason, detail: str) -> None:
        self.stop_reason, self.stop_detail = reason, detail

    def _out_of_time(self) -> bool:
        limit = self.spec.training.max_runtime_seconds
        return limit is not None and self._started is not None and time.monotonic() - self._started >= limit

    # ── ending it from outside ──────────────────────────────────────────────────────────────────────────────

    def finish(self) -> Epoch | None:
        """End here and keep what is best: an epoch that has begun is cut short, measured and returned.

        For a caller who has ceased to iterate. Training that was not yet measured at all is measured now.
        """
        last = None
        if self.stop_reason is None:
            if self._rows_seen or not self.history:
                last = _drain(self._close_epoch())
            if self.stop_reason != "diverged":
                self._stop("finished", f"finished by request after epoch {len(self.history)}")
        self.restore()
        return last

    @torch.no_grad()
    def restore(self) -> None:
        """Go back to the best epoch's weights, where one was kept."""
        if self._best:
            # Copied into the tensors that are there: the flat parameters lie under them.
            self.network.load_state_dict(self._best)
        self.network.eval()

    # ── what came of it ─────────────────────────────────────────────────────────────────────────────────────

    @property
    def restored_epoch(self) -> int:
        """The epoch whose weights the network holds at the end; 0 before the first."""
        return self.best_epoch if self._best and self.best_epoch else len(self.history)

    def result(self) -> dict[str, Any]:
        """Metrics of all splits at the restored weights; the test split is touched here and nowhere else."""
        train = self._recomputed(self.train)
        validation = self._recomputed(self.validation)
        return {
            "best_epoch": self.best_epoch,
            "last_epoch": len(self.history),
            "restored_epoch": self.restored_epoch,
            "parameters": self.network.parameter_count(),
            "train": train,
            "validation": validation,
            "test": self._recomputed(self.test),
            "generalization_gap": validation["loss"] - train["loss"] if train and validation else None,
        }

    def _recomputed(self, split: SplitTensors | None) -> dict[str, float] | None:
        if split is None:
            return None
        measured = _drain(evaluate(self.network, split, self.spec.metrics or [], prefix=""))
        return {name: float(value) for name, value in measured.items()}

    def environment(self) -> dict[str, Any]:
        """Where it was trained, as far as it bears on the numbers."""
        return {
            "torch": torch.__version__.split("+")[0],
            "threads": torch.get_num_threads(),
            "device": self.train.x.device.type,
            "dtype": str(self.train.x.dtype).removeprefix("torch."),
        }


def readout_of(prepared: Prepared) -> Readout:
    """How the network's outputs are read for this data."""
    scale = prepared.preprocessor.target
    return Readout(prepared.task, scale.mean, scale.sd) if scale else Readout(prepared.task)


def batch_bounds(rows: int, batch_size: int) -> list[tuple[int, int]]:
    """Where each batch starts and ends. A last batch of one row joins the one before: it has no variance."""
    starts = list(range(0, rows, batch_size))
    if len(starts) > 1 and rows - starts[-1] == 1:
        starts.pop()
    return list(zip(starts, [*starts[1:], rows], strict=True))


def _drain(work: Generator[None, None, _T]) -> _T:
    while True:
        try:
            next(work)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]
