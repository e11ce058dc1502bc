"""From a submitted spec to what would be done: complete, checked against the data, and affordable."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, Final

import orjson

from api.naming import find_dataset_of_spec, warn_of_namesakes
from api.schemas import description_of
from models import cost
from models.defaults import Completed, complete
from models.errors import Complaint, SpecError, TooExpensiveError
from models.spec import JobSpec
from models.stacking import stack_key, stack_limit
from store.datasets import Dataset
from store.session import Connection
from store.settings import Settings

MOST_METADATA_BYTES: Final = 16 * 1024
"""Of a job's metadata as JSON: every list shows them with every job."""


@dataclass(frozen=True, slots=True)
class Plan:
    """A job that could be run."""

    dataset: Dataset
    completed: Completed
    cost: cost.Cost
    notice: str | None = None
    """What to know of the word that names the dataset."""

    @property
    def spec(self) -> dict[str, Any]:
        """The full spec as JSON."""
        return self.completed.spec.model_dump(mode="json")

    @property
    def warnings(self) -> list[dict[str, str]]:
        of_the_word = [{"pointer": "/dataset", "detail": self.notice, "kind": "spec"}] if self.notice else []
        return [*of_the_word, *(asdict(notice) for notice in self.completed.notices)]

    @property
    def queue(self) -> str:
        """Who may take it: jobs that insist on CUDA wait for a worker that has it."""
        return "gpu" if _insists_on_gpu(self.completed.spec) else "cpu"

    @property
    def stack_key(self) -> str | None:
        """Jobs on one dataset with equal keys may be trained together; None: always alone."""
        return stack_key(self.completed.spec)

    def stack_limit(self, settings: Settings) -> int:
        """How many may be: as many as together take no more memory, and of a GPU's, than one job may."""
        room = self.cost.members_within(limits(settings), on_gpu=_insists_on_gpu(self.completed.spec))
        return min(stack_limit(self.cost.parameters), room)


def plan(tx: Connection, spec: JobSpec, settings: Settings) -> Plan:
    """Complete a spec with what the data suggest; raises `SpecError` where it fits neither data nor means."""
    # Here and not in the spec: jobs with larger ones, from before there was a limit, are still to be run.
    if (complaint := large_metadata(spec.metadata)) is not None:
        raise SpecError([complaint])
    dataset = find_dataset_of_spec(tx, spec.dataset)
    description = description_of(dataset)
    completed = complete(_by_id(spec, dataset), description)
    estimate = cost.estimate(completed.spec, description)
    affordable(estimate, completed.spec, settings)
    return Plan(dataset, completed, estimate, warn_of_namesakes(tx, spec.dataset))


def _by_id(spec: JobSpec, dataset: Dataset) -> JobSpec:
    """The spec with the dataset's id, which stays its own; a bundled one is stored by its name."""
    if dataset.bundled or spec.dataset == dataset.id:
        return spec
    return spec.model_copy(update={"dataset": dataset.id})


def large_metadata(metadata: dict[str, Any]) -> Complaint | None:
    """What is wrong with labels that take more room than they may."""
    size = len(orjson.dumps(metadata))
    if size <= MOST_METADATA_BYTES:
        return None
    detail = f"metadata may take {MOST_METADATA_BYTES:,} bytes as JSON in UTF-8, and these are {size:,}"
    return Complaint("/metadata", detail, suggestion="keep what is large elsewhere, and a link")


def limits(settings: Settings) -> cost.Limits:
    """What one job may cost here."""
    return cost.Limits(
        parameters=settings.max_parameters,
        operations=int(settings.max_operations),
        memory_bytes=settings.max_memory_bytes,
        device_bytes=settings.max_device_bytes,
    )


def _insists_on_gpu(spec: JobSpec) -> bool:
    return spec.training.device == "cuda"


def affordable(estimate: cost.Cost, spec: JobSpec, settings: Settings) -> None:
    too_much = cost.complaints_about(estimate, limits(settings), on_gpu=_insists_on_gpu(spec))
    complaints = [*too_much, *_too_long(estimate, spec, settings)]
    if complaints:
        raise TooExpensiveError(complaints)


def _too_long(estimate: cost.Cost, spec: JobSpec, settings: Settings) -> Iterator[Complaint]:
    epochs = spec.training.max_epochs or 0
    if epochs > settings.max_epochs:
        detail = f"{epochs:,} epochs are more than the {settings.max_epochs:,} that a job may take"
        yield Complaint("/training/max_epochs", detail, epochs, str(settings.max_epochs))
    if estimate.steps > settings.max_steps:
        detail = (
            f"this job would take {estimate.steps:,} optimizer steps; the limit is {settings.max_steps:,}"
        )
        yield Complaint("/training/batch_size", detail, suggestion="use larger batches or fewer epochs")
