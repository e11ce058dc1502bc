"""THE loop: iterate a Training to train.

    for epoch in Training(spec, prepared):
        print(epoch)

The caller owns the loop. To cancel is to cease iterating; to be asked now and then during long epochs,
iterate `pulses()`. There are no callbacks and no flags to set. When the iterator has ended by itself it has
restored the best weights and `stop_reason` says why; a caller who ceased earlier calls `finish()` or
`restore()`.

Whatever is needed to go on lies in this object and in nobody's local variables, so whenever the caller is
asked, `models.checkpoints` may save it; another Training of the same spec and data that `resume`s the
checkpoint ends as this one would have.
"""

from __future__ import annotations

import math
import time
from collections.abc import Generator, Iterator
from typing import Any, Literal

import torch
from torch import Tensor

from models.batches import Batches
from models.best import Best
from models.checkpoints import UNREADABLE, Checkpoint, State, fingerprint, history_of, history_state
from models.clock import Clock
from models.errors import CheckpointError
from models.evaluation import SplitTensors, drained, evaluate, resident
from models.fista import Fista
from models.flat import FlatParameters, copied
from models.history import Epoch, History
from models.losses import Readout
from models.network import Network, build
from models.optimizers import Descent, Schedule, Stepper
from models.preprocessing import Prepared
from models.spec import JobSpec

StopReason = Literal["max_epochs", "early_stopping", "max_runtime", "finished", "converged", "diverged"]

PULSE_SECONDS = 0.2
"""The caller of `pulses()` is asked at least this often, but for a single batch that takes longer."""


class Training:
    """One network being trained. After the iteration: `network`, `history`, `stop_reason`, `result()`."""

    def __init__(
        self, spec: JobSpec, prepared: Prepared, *, device: str = "cpu", spent_seconds: float = 0.0
    ) -> None:
        """`spec` is complete (see `models.defaults`); `prepared` are the preprocessed splits.

        `spent_seconds` is what earlier attempts took; it counts against `max_runtime_seconds`.
        """
        self.spec = spec
        self.fingerprint = fingerprint(prepared)
        self.history = History()
        self.stop_reason: StopReason | None = None
        self.stop_detail = ""
        self.readout = Readout.of(prepared)
        # FISTA's tolerance lies below what float32 can tell apart.
        floating = torch.float64 if spec.optimizer.kind == "fista" else torch.float32
        self.train, self.validation, self.test = resident(prepared, self.readout, floating, device)
        self.network: Network = build(spec, prepared.train.x.shape[1], prepared.outputs, spec.training.seed)
        self.network.to(device=device, dtype=self.train.x.dtype)
        self._batches = Batches(self.train, spec.training.batch_size or 32, spec.training.seed)
        self._flat = FlatParameters(self.network)
        columns = [feature.column for feature in prepared.preprocessor.features]
        self._techniques = spec.regularization.techniques() if spec.regularization else {}
        penalties = spec.regularization.penalties() if spec.regularization else {}
        self._penalties = {
            name: (part, self._flat.strength(part, columns)) for name, part in penalties.items()
        }
        self._stepper = self._make_stepper()
        self._best = Best(spec, validated=self.validation is not None)
        self._clock = Clock(spent_seconds)
        self._begin_epoch()

    def _make_stepper(self) -> Stepper:
        optimizer, penalties = self.spec.optimizer, list(self._penalties.values())
        if optimizer.kind == "fista":
            return Fista(self._flat, penalties, self.train.x, self.readout, optimizer.tolerance or 1e-10)
        schedule = Schedule(optimizer, len(self._batches), self._max_epochs)
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
        self.network.train()
        self._clock.start()
        if self.stop_reason is None and self._out_of_time():
            yield from self._end_at_once()
        while self.stop_reason is None:
            for x, targets in self._batches.rest():
                self._step(x, targets)
                yield None
                if self._out_of_time():
                    break
            yield (yield from self._close_epoch())
        self.restore()

    def _end_at_once(self) -> Generator[Epoch | None, None, None]:
        """Earlier attempts have spent the time: what they began is measured, and no batch more is done."""
        last = yield from self._cut_short()
        if last:
            yield last
        else:
            self._stop_for_time()

    def _step(self, x: Tensor, targets: Tensor) -> None:
        self._stepper.look_ahead()
        self._flat.zero_gradients()
        loss = self.readout.loss(self.network(x), targets)
        loss.backward()  # type: ignore[no-untyped-call]
        self._stepper.step()
        self._loss_sum += loss.detach() * len(x)

    # ── the end of an epoch ─────────────────────────────────────────────────────────────────────────────────

    def _begin_epoch(self) -> None:
        self._loss_sum = torch.zeros((), dtype=self.train.x.dtype, device=self.train.x.device)
        self._epoch_began = self._clock.seconds

    def _close_epoch(self) -> Generator[None, None, Epoch]:
        """Measure, record, keep the best, decide whether to go on."""
        values = yield from self._measure()
        epoch = Epoch(len(self.history) + 1, values)
        self.history.append(epoch)
        self._best.see(self.history, self._flat)
        self._stepper.epoch_ended(self.history)
        self._decide(epoch)
        self._batches.next_epoch()
        self._begin_epoch()
        return epoch

    def _cut_short(self) -> Generator[None, None, Epoch | None]:
        """Close the epoch that has begun, if one has, or if nothing was measured yet at all."""
        if self._batches.done or not self.history:
            return (yield from self._close_epoch())
        return None

    def _measure(self) -> Generator[None, None, dict[str, float]]:
        """Every series of this epoch; one synchronization for all of them."""
        names = self.spec.metrics or []
        measured = yield from evaluate(self.network, self.train, names, prefix="train_")
        if self.validation:
            measured |= yield from evaluate(self.network, self.validation, names, prefix="val_")
        weights, penalties = self._flat.weights.detach(), self._flat.penalties(self._penalties)
        # The batches as they went by, unless their gradient was taken at another point than the weights are.
        by_batch = self._batches.done and not self._stepper.looks_ahead
        loss = self._loss_sum / self._batches.rows_done if by_batch else measured["train_loss"]
        objective = loss + sum(penalties.values())
        own = {"weight_norm": weights.norm(), "sparsity": (weights == 0).double().mean()}
        tensors = {"objective": objective} | measured | penalties | own
        numbers = torch.stack([tensor.double() for tensor in tensors.values()]).tolist()
        return dict(zip(tensors, numbers, strict=True)) | {
            "learning_rate": self._stepper.learning_rate,
            "epoch_seconds": self._clock.seconds - self._epoch_began,
        }

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
            self._stop_for_time()

    def _stop(self, reason: StopReason, detail: str) -> None:
        self.stop_reason, self.stop_detail = reason, detail

    def _stop_for_time(self) -> None:
        self._stop("max_runtime", f"{self.spec.training.max_runtime_seconds:g} seconds were up")

    def _out_of_time(self) -> bool:
        limit = self.spec.training.max_runtime_seconds
        return limit is not None and self._clock.seconds >= limit

    # ── going on in another process ─────────────────────────────────────────────────────────────────────────

    @property
    def batch(self) -> int:
        """Batches that are done of the epoch that has begun."""
        return self._batches.done

    @property
    def runtime_seconds(self) -> float:
        """Seconds that it has been trained for, in earlier attempts too."""
        return self._clock.seconds

    def state(self) -> State:
        """All that is needed to go on, part by part. Its tensors are no copies: the next step moves them."""
        return {
            "network": dict(self._flat.state()),
            "stepper": self._stepper.state(),
            "batches": self._batches.state(),
            "dropout": self.network.randomness.state(),
            "best": self._best.state(),
            "history": history_state(self.history),
            "epoch": {"loss_sum": self._loss_sum, "seconds": self._clock.seconds - self._epoch_began},
            "ending": {
                "stop_reason": self.stop_reason,
                "stop_detail": self.stop_detail,
                "runtime_seconds": self.runtime_seconds,
            },
        }

    def resume(self, checkpoint: Checkpoint) -> None:
        """Go on from where the checkpoint was taken, whatever was done here before.

        Raises `CheckpointError` where the checkpoint belongs to another spec or other data.
        """
        checkpoint.require(self.spec, self.fingerprint)
        try:
            self._take_over(checkpoint.state)
        except UNREADABLE as error:
            raise CheckpointError("the checkpoint does not fit this network") from error

    def _take_over(self, state: State) -> None:
        self._flat.overwrite(state["network"])
        self._stepper.resume(state["stepper"])
        self._batches.resume(state["batches"])
        self.network.randomness.resume(state["dropout"])
        self._best.resume(state["best"], self._flat)
        self.history = history_of(state["history"])
        self._loss_sum = copied(state["epoch"]["loss_sum"], like=self._loss_sum)
        self._clock.put_forward(state["ending"]["runtime_seconds"])
        self._epoch_began = self._clock.seconds - state["epoch"]["seconds"]
        self.stop_reason, self.stop_detail = state["ending"]["stop_reason"], state["ending"]["stop_detail"]

    # ── ending it from outside ──────────────────────────────────────────────────────────────────────────────

    def finish(self) -> Epoch | None:
        """End here and keep what is best: an epoch that has begun is cut short, measured and returned.

        For a caller who has ceased to iterate. Training that was not yet measured at all is measured now.
        """
        last = None
        if self.stop_reason is None:
            last = drained(self._cut_short())
            if self.stop_reason != "diverged":
                self._stop("finished", f"finished by request after epoch {len(self.history)}")
        self.restore()
        return last

    def restore(self) -> None:
        """Go back to the best epoch's weights, where one was kept."""
        if self._best.weights:
            self._flat.overwrite(self._best.weights)
        self.network.eval()
        self._clock.stop()

    # ── what came of it ─────────────────────────────────────────────────────────────────────────────────────

    @property
    def best_epoch(self) -> int | None:
        """The best epoch so far; None while no epoch was a finite number."""
        return self._best.epoch

    @property
    def restored_epoch(self) -> int:
        """The epoch whose weights the network holds at the end; 0 before the first."""
        return self.best_epoch if self._best.weights and self.best_epoch else len(self.history)

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
        measured = drained(evaluate(self.network, split, self.spec.metrics or [], prefix=""))
        return {name: float(value) for name, value in measured.items()}

    def environment(self) -> dict[str, Any]:
        """Where it was trained, as far as it bears on the numbers."""
        return {
            "torch": torch.__version__.split("+")[0],
            "threads": torch.get_num_threads(),
            "device": self.train.x.device.type,
            "dtype": str(self.train.x.dtype).removeprefix("torch."),
        }
