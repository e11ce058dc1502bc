"""What the answers look like, and how rows become them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Generic, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema

from models.datasets import ClassCount, Column, Description
from store.datasets import Dataset, Listed
from store.jobs import Job

Item = TypeVar("Item")

FullSpec = dict[str, Any]
"""A job spec without gaps. Stored as it was accepted, and not parsed again to be shown; the OpenAPI document
refers to `JobSpec` all the same."""
Status = Literal["queued", "running", "paused", "succeeded", "failed", "cancelled"]
STOP_REASONS = (
    *("max_epochs", "early_stopping", "max_runtime", "finished", "converged", "pruned"),
    *("diverged", "worker_lost", "out_of_memory", "data_error", "internal_error", "cancelled"),
)
StopReason = Annotated[str, WithJsonSchema({"type": "string", "enum": list(STOP_REASONS)})]


class Answer(BaseModel):
    """A part of an answer; attribute docstrings are its documentation."""

    model_config = ConfigDict(use_attribute_docstrings=True, frozen=True)


class Listing(Answer, Generic[Item]):
    """One page of a list."""

    data: list[Item]
    next: str | None
    """The cursor of the next page; null behind the last. `Link: …; rel="next"` is its address."""


# ── datasets ────────────────────────────────────────────────────────────────────────────────────────────────


class DatasetSummary(Answer):
    """A dataset as lists show it."""

    id: str
    name: str
    filename: str | None
    bundled: bool
    """Comes with Ridgeline and may be named in a spec."""
    sha256: str
    """Of the bytes that were uploaded."""
    bytes: int
    target: str
    task: Literal["classification", "regression"]
    rows: int
    features: int
    created_at: datetime
    links: dict[str, str]

    @classmethod
    def of(cls, dataset: Listed) -> Self:
        """The answer for a row."""
        return cls(**_dataset_parts(dataset))


class DatasetDetail(DatasetSummary):
    """A dataset with what is known of its columns."""

    columns: list[Column]
    """The features, in the order of the file."""
    target_column: Column
    task_reason: str
    classes: list[ClassCount] | None
    """The classes with their counts; null for regression."""
    notes: list[str]
    """What was made of the file."""

    @classmethod
    def of(cls, dataset: Listed) -> Self:
        """The answer for a row with its description."""
        if not isinstance(dataset, Dataset):
            raise TypeError("a listed row has no description")
        about = description_of(dataset)
        parts = {name: getattr(about, name) for name in ("columns", "task_reason", "classes", "notes")}
        return cls(**_dataset_parts(dataset), target_column=about.target, **parts)


def description_of(dataset: Dataset) -> Description:
    """What the science needs to know of a stored dataset."""
    return Description.model_validate({name: dataset.description[name] for name in Description.model_fields})


def _dataset_parts(dataset: Listed) -> dict[str, Any]:
    shown = (
        "id",
        "name",
        "filename",
        "bundled",
        "sha256",
        "bytes",
        "target",
        "task",
        "rows",
        "features",
        "created_at",
    )
    address = f"/v1/datasets/{dataset.id}"
    return {name: getattr(dataset, name) for name in shown} | {
        "links": {"self": address, "rows": f"{address}/rows"}
    }


class Rows(Answer):
    """The first rows of a dataset, as a look."""

    columns: list[str]
    data: list[dict[str, Any]]
    """A row each, column by name; null where a value is missing."""
    total: int
    """Rows of the whole dataset."""


# ── jobs ────────────────────────────────────────────────────────────────────────────────────────────────────


class SpecWarning(Answer):
    """Something to know although the job runs."""

    pointer: str
    """Where in the spec."""
    detail: str


class DatasetReference(Answer):
    """The dataset that a job is trained on."""

    id: str
    name: str
    sha256: str


class Progress(Answer):
    """How far a job is."""

    epoch: int
    max_epochs: int
    fraction: float
    """Of `max_epochs`; 1 once the job has ended well."""
    eta_seconds: float | None
    """Until `max_epochs` at the present pace; early stopping may come sooner."""
    epochs_per_second: float | None

    @classmethod
    def of(cls, job: Job) -> Self:
        """Progress by the row's account."""
        done = job.status == "succeeded"
        running = job.status == "running" and bool(job.epochs_per_second)
        left = (
            (job.max_epochs - job.epoch) / job.epochs_per_second
            if running and job.epochs_per_second
            else None
        )
        return cls(
            epoch=job.epoch,
            max_epochs=job.max_epochs,
            fraction=1.0 if done else min(job.epoch / max(job.max_epochs, 1), 1.0),
            eta_seconds=None if left is None else round(left, 3),
            epochs_per_second=job.epochs_per_second,
        )


class Result(Answer):
    """How good the restored network is. What is not finite is null, and `nonfinite` beside it says which."""

    model_config = ConfigDict(extra="allow")

    best_epoch: int | None = None
    last_epoch: int | None = None
    restored_epoch: int | None = None
    """The epoch whose weights were kept."""
    parameters: int | None = None
    train: dict[str, Any] | None = None
    validation: dict[str, Any] | None = None
    test: dict[str, Any] | None = None
    """Touched once, at the restored weights; null without test rows."""
    generalization_gap: float | None = None
    """Validation loss minus training loss."""


class JobAnswer(Answer):
    """A job: what was asked, how it stands, what came out."""

    id: str
    name: str | None
    status: Status
    stop_reason: StopReason | None
    stop_detail: str | None
    requested_action: Literal["cancel", "finish"] | None
    allowed_actions: list[str]
    spec: FullSpec
    """In full: every default filled in, every shorthand written out."""
    equivalents: dict[str, Any] | None
    """What the same penalties are called in scikit-learn."""
    warnings: list[SpecWarning]
    dataset: DatasetReference
    study_id: str | None
    progress: Progress
    result: Result | None
    error: dict[str, Any] | None
    attempt: int
    """How often a worker has begun it."""
    priority: int
    metadata: dict[str, Any]
    request_id: str | None
    """The `X-Request-ID` it was submitted with."""
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    duration_seconds: float | None
    """From its start to its end, or to its last sign of progress."""
    environment: dict[str, Any] | None
    """What it was trained with, and where."""
    links: dict[str, str]

    @classmethod
    def of(cls, job: Job) -> Self:
        """The answer for a row."""
        return cls(
            **{name: getattr(job, name) for name in _SAME},
            warnings=[SpecWarning(**warning) for warning in job.warnings],
            dataset=DatasetReference(id=job.dataset_id, name=job.dataset_name, sha256=job.dataset_sha256),
            progress=Progress.of(job),
            result=None if job.result is None else Result(**job.result),
            duration_seconds=_duration(job),
            links=_links(job),
        )


_SAME = (
    *("id", "name", "status", "stop_reason", "stop_detail", "requested_action", "allowed_actions"),
    *("spec", "equivalents", "study_id", "error", "attempt", "priority", "metadata", "request_id"),
    *("created_at", "started_at", "finished_at", "environment"),
)


def _duration(job: Job) -> float | None:
    until = job.finished_at or job.progress_at
    if job.started_at is None or until is None:
        return None
    return round(max((until - job.started_at).total_seconds(), 0.0), 3)


def _links(job: Job) -> dict[str, str]:
    address = f"/v1/jobs/{job.id}"
    parts = {name: f"{address}/{name}" for name in ("curves", "events", "weights", "cancel", "finish")}
    return {"self": address, **parts, "dataset": f"/v1/datasets/{job.dataset_id}"}


class CostEstimate(Answer):
    """What a job would take, estimated from above."""

    features: int
    """Network inputs after preprocessing."""
    parameters: int
    steps: int
    """Optimizer steps over all epochs."""
    operations: int
    """Floating-point operations."""
    memory_bytes: int


class Validation(Answer):
    """What a spec would become; nothing is stored."""

    spec: FullSpec
    """In full: every default filled in, every shorthand written out."""
    equivalents: dict[str, Any]
    warnings: list[SpecWarning]
    dataset: DatasetReference
    parameters: int
    """Trainable numbers of the network; the same as `cost.parameters`."""
    cost: CostEstimate
    limits: dict[str, int | float]
    """What one job may take here."""


class LoggedEvent(Answer):
    """An entry of a job's log."""

    number: int
    """Its place in the job's sequence, which it shares with the epochs."""
    event: str
    """`status`, `warning`, `rewound`, `end`, …"""
    at: datetime
    data: dict[str, Any]


# ── curves and weights ──────────────────────────────────────────────────────────────────────────────────────


class Marker(Answer):
    """An epoch that means something."""

    epoch: int
    kind: Literal["best", "stopped"]
    reason: str | None = Field(default=None, exclude_if=lambda reason: reason is None)


class Sampling(Answer):
    """How many of the points are in the answer, and how they were chosen."""

    method: Literal["none", "lttb"]
    returned: int
    total: int


class CurveAnswer(Answer):
    """A learning curve in columns."""

    job_id: str
    epochs: list[int]
    series: dict[str, list[float | None]]
    """A number for each epoch; null where it was not finite."""
    nonfinite: dict[str, dict[int, str]]
    """Series → epoch → `nan`, `inf` or `-inf`."""
    markers: list[Marker]
    sampling: Sampling


class Overlay(Answer):
    """Several learning curves."""

    curves: list[CurveAnswer]


class WeightsAnswer(Answer):
    """What the weights say."""

    job_id: str
    layers: list[dict[str, Any]]
    inputs: list[dict[str, Any]]
    """For each column the norm of the weights leaving it; `kept` is false where all of them are zero."""
    linear: dict[str, Any] | None
    """Intercept and coefficients of a linear model; null where there are hidden layers."""
    reason: str | None = Field(default=None, exclude_if=lambda reason: reason is None)
    """Why a linear model has no coefficients in the space that was asked for."""


# ── the service itself ──────────────────────────────────────────────────────────────────────────────────────


class Health(Answer):
    """The process is up."""

    status: Literal["ok"] = "ok"
    version: str


class Check(Answer):
    """One thing that the service needs."""

    ok: bool
    detail: str | None = None


class Readiness(Answer):
    """Whether jobs can be taken and will be worked off."""

    status: Literal["ready", "not_ready"]
    database: Check
    broker: Check
    worker: Check
