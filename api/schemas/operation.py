"""What the service says of itself."""

from __future__ import annotations

from datetime import datetime
from typing import Literal, Self

from api.schemas.shapes import Answer
from store.workers import Worker


class Health(Answer):
    """The process is up."""

    status: Literal["ok"] = "ok"
    version: str


class Check(Answer):
    """One thing that the service needs."""

    ok: bool
    status: Literal["ok", "full", "failing"]
    """`full`: there is no room for what is written, or less than is to be left alone; reading goes on."""
    detail: str | None = None


class Readiness(Answer):
    """Whether jobs can be taken and will be worked off."""

    status: Literal["ready", "not_ready"]
    database: Check
    files: Check
    broker: Check
    worker: Check


class WorkerAnswer(Answer):
    """A worker process that was heard of lately; it trains one job at a time, or several together."""

    id: str
    state: Literal["idle", "busy"]
    job_id: str | None
    """What it trains now, the first of several; null where it is idle, or that is another project's."""
    jobs: int
    """How many it trains now."""
    queues: list[str]
    """Whose jobs it takes, those it likes best first."""
    device: str | None
    """Where it trains: `cpu`, or its GPU, such as `cuda:1`."""
    device_name: str | None
    """What the maker calls that GPU; null on a CPU."""
    problem: str | None
    """Why it takes less than it was told to, such as a GPU that it does not find; null where all is well."""
    version: str | None
    host: str | None
    """The machine it runs on; told to operators only, as is `pid`."""
    pid: int | None
    started_at: datetime
    seen_at: datetime
    quiet_seconds: float
    """How long ago it was heard of."""

    @classmethod
    def of(cls, worker: Worker, *, to_operator: bool) -> Self:
        return cls(
            id=worker.id,
            state="busy" if worker.is_busy else "idle",
            job_id=worker.job_id,
            jobs=worker.jobs,
            queues=worker.queues,
            device=worker.device,
            device_name=worker.device_name,
            problem=worker.problem,
            version=worker.version,
            host=worker.host if to_operator else None,
            pid=worker.pid if to_operator else None,
            started_at=worker.started_at,
            seen_at=worker.seen_at,
            quiet_seconds=round(worker.quiet_seconds, 3),
        )
