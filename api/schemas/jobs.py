"""Jobs as they are answered, and how rows become them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal, Self

from pydantic import ConfigDict, Field, WithJsonSchema

from api.schemas.shapes import Answer, Scalar
from store.jobs import Job

FullSpec = dict[str, Any]
"""A job spec without gaps. Stored as it was accepted, and not parsed again to be shown; the OpenAPI document
refers to `JobSpec` all the same."""
Status = Literal["queued", "running", "paused", "succeeded", "failed", "cancelled"]
STOP_REASONS = (
    *("max_epochs", "early_stopping", "max_runtime", "finished", "converged", "pruned"),
    *("diverged", "worker_lost", "out_of_memory", "data_error", "internal_error", "cancelled"),
)
StopReason = Annotated[str, WithJsonSchema({"type": "string", "enum": list(STOP_REASONS)})]


class SpecWarning(Answer):
    """Something to know although the job runs."""

    pointer: str
    """Where in the spec."""
    detail: str
    kind: Literal["spec", "data_problem", "undefined"] = "spec"
    """`data_problem`: rows in two splits, or a column that alone tells the target; scores may flatter.
    `undefined`: the metric at `pointer` says nothing on these rows."""


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


NonFinite = Annotated[dict[str, str] | None, Field(exclude_if=lambda kinds: kinds is None)]
"""Which of the numbers beside it are null, and what they were: `nan`, `inf` or `-inf`."""


class Measured(Answer):
    """The loss and each metric on one split."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, float | None]

    loss: float | None = None
    """The data term, in evaluation mode."""
    loss_se: Annotated[float | None, Field(exclude_if=lambda error: error is None)] = None
    """Its standard error: the standard deviation of the single rows' losses over √rows. Left out where it
    is not known: of a single row, of a job that was cancelled, of one that ended before this was measured."""
    nonfinite: NonFinite = None


class Result(Answer):
    """How good the restored network is. What is not finite is null, and `nonfinite` beside it says which."""

    model_config = ConfigDict(extra="allow")

    best_epoch: int | None = None
    last_epoch: int | None = None
    restored_epoch: int | None = None
    """The epoch whose weights were kept."""
    parameters: int | None = None
    train: Measured | None = None
    validation: Measured | None = None
    test: Measured | None = None
    """Touched once, at the restored weights; null without test rows."""
    generalization_gap: float | None = None
    """Validation loss minus training loss."""
    nonfinite: NonFinite = None


class JobError(Answer):
    """Why a job failed."""

    model_config = ConfigDict(extra="allow")

    code: str
    """The `stop_reason`, or a finer one."""
    detail: str | None = None


class Waiting(Answer):
    """How a job waits in its queue."""

    queue: str
    """`gpu` for jobs that insist on CUDA, `cpu` for all others."""
    ahead: int
    """Jobs that are claimed before it, if no other is submitted; 64 at most are counted."""
    ahead_is_exact: bool
    """Else there are at least so many."""
    workers: int
    """Worker processes that take this queue and were heard of lately."""
    notice: str | None
    """Said where no worker takes the queue."""


class JobAnswer(Answer):
    """A job: what was asked, how it stands, what came out."""

    id: str
    name: str | None
    status: Status
    stop_reason: StopReason | None
    stop_detail: str | None
    requested_action: Literal["cancel", "finish", "pause"] | None
    allowed_actions: list[str]
    spec: FullSpec
    """In full: every default filled in, every shorthand written out."""
    equivalents: dict[str, str | float] | None
    """What the same penalties are called in scikit-learn."""
    warnings: list[SpecWarning]
    """What was known when it was submitted, and what the rows told once a worker had split them."""
    dataset: DatasetReference
    study_id: str | None
    progress: Progress
    result: Result | None
    error: JobError | None
    attempt: int
    """How often a worker has begun it."""
    priority: int
    metadata: dict[str, Scalar]
    notes: str | None
    """What people wrote about it."""
    request_id: str | None
    """The `X-Request-ID` it was submitted with."""
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    duration_seconds: float | None
    """From its start to its end, or to its last sign of progress."""
    environment: dict[str, Scalar] | None
    """What it was trained with, and where."""
    links: dict[str, str]
    waiting: Annotated[Waiting | None, Field(exclude_if=lambda waiting: waiting is None)] = None
    """Of a queued job that was asked for by itself: its place, and who takes its queue. Left out of lists."""

    @classmethod
    def of(cls, job: Job, waiting: Waiting | None = None) -> Self:
        """The answer for a row."""
        return cls(
            waiting=waiting,
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
    *("spec", "equivalents", "study_id", "error", "attempt", "priority", "metadata", "notes", "request_id"),
    *("created_at", "started_at", "finished_at", "environment"),
)


def _duration(job: Job) -> float | None:
    until = job.finished_at or job.progress_at
    if job.started_at is None or until is None:
        return None
    return round(max((until - job.started_at).total_seconds(), 0.0), 3)


def _links(job: Job) -> dict[str, str]:
    address = f"/v1/jobs/{job.id}"
    nouns = ("curves", "diagnosis", "events", "weights", "model", "card")
    verbs = ("predict", "pause", "resume", "finish", "cancel")
    parts = {name: f"{address}/{name}" for name in (*nouns, *verbs)}
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
    """Of the host's memory."""
    member_bytes: int
    """What of it each further job of a stack takes; the rest they share."""
    device_bytes: int
    """Of a GPU's memory, where it is trained on one; 0 where the job asks for the CPU."""
    device_member_bytes: int
    """What of it each further job of a stack takes."""


class Validation(Answer):
    """What a spec would become; nothing is stored."""

    spec: FullSpec
    """In full: every default filled in, every shorthand written out."""
    equivalents: dict[str, str | float]
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
