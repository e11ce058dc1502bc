"""One network being trained. Iterate it to train:

    for epoch in Training(spec, prepared):
        print(epoch)

The caller owns the loop. To cancel is to cease iterating; to be asked now and then during long epochs,
iterate `pulses()`. There are no callbacks and no flags to set. When the iterator has ended by itself it has
restored the best weights and `stop_reason` says why; a caller who ceased earlier calls `finish()` or
`restore()`.

The steps are taken by the stack that it sits in, alone or with others (`models.stacks`); what is its own is
here: its spec, curve, best epoch, order of the rows, schedule, clock, and why it stopped. Whenever the
caller is asked, `models.checkpoints` may save all that is needed to go on; another Training of the same spec
and data that `resume`s the checkpoint ends as this one would have.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cached_property
from typing import Any, Literal

import torch
from torch import Tensor

from models.batches import Order, batch_bounds
from models.best import Best
from models.checkpoints import UNREADABLE, Checkpoint, State, fingerprint, history_of, history_state
from models.clock import Clock
from models.environment import environment, use_whole_precision
from models.errors import CheckpointError, Notice
from models.evaluation import Data, drained
from models.history import Epoch, History
from models.network import Network, build
from models.optimizers import Schedule
from models.preprocessing import Prepared
from models.row_notices import undefined_series
from models.spec import JobSpec
from models.stacks import Stack

StopReason = Literal["max_epochs", "early_stopping", "max_runtime", "finished", "converged", "diverged"]


class Training:
    """After the iteration: `network`, `history`, `stop_reason`, `result()`."""

    def __init__(
        self, spec: JobSpec, prepared: Prepared, *, device: str = "cpu", spent_seconds: float = 0.0
    ) -> None:
        """`spec` is complete (see `models.defaults`); `prepared` are the preprocessed splits.

        `spent_seconds` is what earlier attempts took; it counts against `max_runtime_seconds`.
        """
        self.spec = spec
        self.prepared = prepared
        self.history = History(undefined=frozenset(undefined_series(spec, prepared)))
        self.stop_reason: StopReason | None = None
        self.stop_detail = ""
        # FISTA's tolerance lies below what float32 can tell apart.
        self._floating = torch.float64 if spec.optimizer.kind == "fista" else torch.float32
        self._device = device
        use_whole_precision(device)
        self.network: Network = build(spec, prepared.train.x.shape[1], prepared.outputs, spec.training.seed)
        self.network.to(device=device, dtype=self._floating)
        self.order = Order(spec.training.seed)
        rows, size = len(prepared.train.x), spec.training.batch_size or 32
        self.schedule = Schedule(spec.optimizer, len(batch_bounds(rows, size)), self._max_epochs)
        self._techniques = spec.regularization.techniques() if spec.regularization else {}
        validated = prepared.validation is not None
        self._best = Best(spec, validated=validated, undefined=self.history.undefined)
        self._clock = Clock(spent_seconds)
        self._seat: Stack | None = None
        self._epoch_began = self._clock.seconds
        self.loss_sum = 0.0
        """The data loss of the running epoch's batches as they went by, summed over their rows."""
        self.has_converged = False
        self.is_at_its_best = False
        """The newest epoch is the best so far, and its weights are to be kept."""
        self.company = 0
        """How many others took the last step with it."""

    # ── the loop ────────────────────────────────────────────────────────────────────────────────────────────

    def __iter__(self) -> Iterator[Epoch]:
        """The epochs, each as soon as it has been measured."""
        return (epoch for epoch in self.pulses() if epoch is not None)

    def pulses(self) -> Iterator[Epoch | None]:
        """The epochs, and None now and then in the midst of epochs that take longer (see `Stack.pulses`)."""
        for measured in self.stack.pulses():
            if not measured:
                yield None
            for _, epoch in measured:
                yield epoch

    @property
    def stack(self) -> Stack:
        """The stack that it sits in; one of its own, where nobody has given it a seat."""
        return self._seat or Stack([self])

    @property
    def _index(self) -> int:
        return self.stack.seats.index(self)

    @property
    def has_begun(self) -> bool:
        return self._seat is not None and (bool(self.history) or self._seat.batches.done > 0)

    @cached_property
    def data(self) -> Data:
        """Resident tensors of the splits; a stack's members share them."""
        return Data.of(self.prepared, self._floating, self._device)

    @cached_property
    def fingerprint(self) -> dict[str, Any]:
        """By what the data are known again."""
        return fingerprint(self.prepared)

    @property
    def columns(self) -> list[str]:
        """The dataset's column behind each network input."""
        return [feature.column for feature in self.prepared.preprocessor.features]

    # ── what its stack tells it ─────────────────────────────────────────────────────────────────────────────

    def take_seat(self, stack: Stack) -> None:
        self._seat = stack

    def share(self, other: Training) -> None:
        """Hold the very tensors of another training on the same data."""
        self.__dict__["data"] = other.data

    def begin(self) -> None:
        """Time runs from here."""
        self.network.train()
        self._clock.start()

    def record(self, measured: Mapping[str, float]) -> Epoch:
        """Note down an epoch that has ended, and decide whether to go on."""
        epoch = Epoch(
            len(self.history) + 1, {**measured, "epoch_seconds": self._clock.seconds - self._epoch_began}
        )
        self.history.append(epoch)
        self.is_at_its_best = self._best.see(self.history) and self._best.restores
        self.schedule.epoch_ended(self.history)
        self._decide(epoch)
        self.loss_sum, self._epoch_began = 0.0, self._clock.seconds
        return epoch

    @property
    def _max_epochs(self) -> int:
        return self.spec.training.max_epochs or 1

    def _decide(self, epoch: Epoch) -> None:
        stalled = [reason for part in self._techniques.values() if (reason := part.should_stop(self.history))]
        if not (math.isfinite(epoch.values["objective"]) and math.isfinite(epoch.values["train_loss"])):
            self._stop("diverged", f"the objective was no longer a finite number in epoch {epoch.number}")
        elif stalled:
            self._stop("early_stopping", "; ".join(stalled))
        elif self.has_converged:
            self._stop("converged", f"no coefficient moves any more after {epoch.number} iterations")
        elif epoch.number >= self._max_epochs:
            rest = ", and fista has not converged" if self.spec.optimizer.kind == "fista" else ""
            self._stop("max_epochs", f"all {epoch.number} epochs are done{rest}")
        elif self.is_out_of_time:
            self.stop_for_time()

    def _stop(self, reason: StopReason, detail: str) -> None:
        self.stop_reason, self.stop_detail = reason, detail

    def stop_for_time(self) -> None:
        self._stop("max_runtime", f"{self.spec.training.max_runtime_seconds:g} seconds were up")

    @property
    def is_out_of_time(self) -> bool:
        limit = self.spec.training.max_runtime_seconds
        return limit is not None and self._clock.seconds >= limit

    # ── going on in another process ─────────────────────────────────────────────────────────────────────────

    @property
    def batch(self) -> int:
        """Batches that are done of the epoch that has begun."""
        return self.stack.batches.done

    @property
    def runtime_seconds(self) -> float:
        """Seconds that it has been trained for, in earlier attempts too."""
        return self._clock.seconds

    def state(self) -> State:
        """All that is needed to go on, part by part; a part's tensors are copies."""
        stack, index = self.stack, self._index
        stack.settle()
        return {
            "network": dict(stack.network.parameters.state(index)),
            "stepper": dict(stack.stepper.state(index)),
            "batches": {"done": stack.batches.done, "drawn_from": self.order.state()},
            "dropout": self.network.randomness.state(),
            "best": {"epoch": self.best_epoch, **stack.best.state(index)},
            "history": history_state(self.history),
            "epoch": {"loss_sum": self.loss_sum, "seconds": self._clock.seconds - self._epoch_began},
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
        stack = self.stack.release(self)
        stack.forget()
        stack.network.parameters.overwrite(0, state["network"])
        stack.stepper.resume(0, state["stepper"])
        self.order.resume(state["batches"]["drawn_from"])
        stack.batches.resume(state["batches"]["done"])
        self.network.randomness.resume(state["dropout"])
        self._best.epoch = state["best"]["epoch"]
        stack.best.put(0, {name: kept for name, kept in state["best"].items() if isinstance(kept, Tensor)})
        self.history = replace(history_of(state["history"]), undefined=self.history.undefined)
        self.loss_sum = float(state["epoch"]["loss_sum"])
        self._clock.put_forward(state["ending"]["runtime_seconds"])
        self._epoch_began = self._clock.seconds - state["epoch"]["seconds"]
        self.stop_reason, self.stop_detail = state["ending"]["stop_reason"], state["ending"]["stop_detail"]
        self.network.train(self.stop_reason is None)

    # ── ending it from outside ──────────────────────────────────────────────────────────────────────────────

    def finish(self) -> Epoch | None:
        """End here and keep what is best: an epoch that has begun is cut short, measured and returned.

        For a caller who has ceased to iterate. Training that was not yet measured at all is measured now.
        """
        last: list[tuple[Training, Epoch]] = []
        if self.stop_reason is None:
            last = drained(self.stack.release(self).cut_short())
            if self.stop_reason != "diverged":
                self._stop("finished", f"finished by request after epoch {len(self.history)}")
        self.restore()
        return last[0][1] if last else None

    def restore(self) -> None:
        """Go back to the best epoch's weights, where one was kept."""
        stack = self.stack if self.stop_reason else self.stack.release(self)
        stack.restore(self)
        self.network.eval()
        self._clock.stop()

    # ── what came of it ─────────────────────────────────────────────────────────────────────────────────────

    def closing_notices(self) -> list[Notice]:
        """What the asker should know of how it ended, once it has."""
        optimizer = self.spec.optimizer
        if optimizer.kind != "fista" or self.stop_reason not in ("max_epochs", "max_runtime"):
            return []
        detail = (
            f"fista has not converged in {len(self.history):,} iterations: coefficients still move by more "
            f"than {optimizer.tolerance or 1e-10:g}, so they are near the optimum, not at it; more epochs, "
            "a larger tolerance, or some l2 (separable classes have no optimum without)"
        )
        return [Notice("/training/max_epochs", detail)]

    @property
    def best_epoch(self) -> int | None:
        """The best epoch so far; None while no epoch was a finite number."""
        return self._best.epoch

    @property
    def restored_epoch(self) -> int:
        """The epoch whose weights the network holds at the end; 0 before the first."""
        return self.best_epoch if self._best.restores and self.best_epoch else len(self.history)

    def result(self) -> dict[str, Any]:
        """Loss, its standard error (`loss_se`) and metrics of all splits at the restored weights.

        The test split is touched here and nowhere else.
        """
        splits = self.stack.results(self)
        train, validation = splits["train"], splits["validation"]
        return {
            "best_epoch": self.best_epoch,
            "last_epoch": len(self.history),
            "restored_epoch": self.restored_epoch,
            "parameters": self.network.parameter_count(),
            **splits,
            "generalization_gap": validation["loss"] - train["loss"] if train and validation else None,
        }

    def environment(self) -> dict[str, Any]:
        """Where it was trained, as far as it bears on the numbers, and with how many others at its end."""
        return environment(
            self._device,
            self._floating,
            company=self.company,
            by_autograd=self.stack.network.by_autograd,
        )
