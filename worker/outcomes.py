"""What came of a training that ended by itself, or was cut short: its result, its weights, its ending."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Literal

from models.datasets import Description
from models.preprocessing import Preprocessor
from models.training import Training
from models.weights import save, summarize
from store import weights
from store.files import Files
from store.jobs import Job
from worker import endings, reports
from worker.endings import Cancelled, Ending, Failed, Kept, Outcome, Succeeded


class Outcomes:
    """Makes the endings of trainings on one prepared table."""

    def __init__(self, files: Files, preprocessor: Preprocessor, description: Description) -> None:
        self._files = files
        self._preprocessor = preprocessor
        self._description = description
        self._is_unsettled = False

    def of(self, job: Job, training: Training, *, short: Literal["cancel", "memory"] | None = None) -> Ending:
        """Of a training that holds its best weights; `short` says why it never came to its end."""
        environment = reports.environment(training)
        if short or training.stop_reason == "diverged":
            kept = self._keep(job, training) if reports.has_best(training) else None
            outcome = Outcome(reports.so_far(training), environment, kept)
            if short == "cancel":
                return Cancelled(f"cancelled by request after epoch {len(training.history)}", outcome)
            if short == "memory":
                return Failed("out_of_memory", endings.TOO_MUCH_MEMORY, outcome)
            return Failed("diverged", training.stop_detail, outcome)
        outcome = Outcome(training.result(), environment, self._keep(job, training))
        return Succeeded(str(training.stop_reason), training.stop_detail, outcome)

    def settle(self) -> None:
        """To be called before the endings are written: the weights are on the disk to stay, all at once."""
        if self._is_unsettled:
            self._files.settle(weights.FOLDER)
            self._is_unsettled = False

    def _keep(self, job: Job, training: Training) -> Kept:
        """Store the weights under a name that carries the fence: a stale worker overwrites nobody's."""
        with tempfile.NamedTemporaryFile(prefix="ridgeline-", suffix=".safetensors") as scratch:
            path = Path(scratch.name)
            save(
                path,
                network_state=training.network.state_dict(),
                spec=training.spec,
                preprocessor=self._preprocessor,
                description=self._description,
            )
            stored = self._files.put(weights.key(job.id, job.fence), path, settle=False)
        self._is_unsettled = True
        rows = training.data.train.x
        return Kept(stored, summarize(training.network, training.spec, self._preprocessor, rows))
