"""What is known of the queue that a job waits in: whether anybody takes it, and the job's place.

A worker that restarts is away for seconds, so nobody is said to be gone: only how long none was seen.
"""

from __future__ import annotations

from typing import Final

from api.routes.workers import alive_seconds
from api.schemas.jobs import Waiting
from store import jobs, workers
from store.jobs import Job
from store.session import Connection
from store.settings import Settings

GPU: Final = "gpu"
"""The queue of jobs that insist on CUDA."""
_POINTER: Final = "/training/device"
_WAY_OUT: Final = {GPU: 'It waits until one does; `"device": "auto"` takes whatever a worker has.'}
_ELSE: Final = "It waits until one does; `ridgeline worker` starts one."


def warnings(tx: Connection, queue: str, settings: Settings) -> list[dict[str, str]]:
    """What a job in this queue is warned of, as `warnings` has it; empty where somebody takes the queue."""
    said = _notice(queue, workers.taking(tx, queue, alive_seconds(settings)), settings)
    return [{"pointer": _POINTER, "detail": said, "kind": "spec"}] if said else []


def waiting(tx: Connection, job: Job, settings: Settings) -> Waiting | None:
    """How a queued job waits; None for every other."""
    if job.status != "queued":
        return None
    taking, place = workers.taking(tx, job.queue, alive_seconds(settings)), jobs.place(tx, job)
    return Waiting(
        queue=job.queue,
        ahead=place.ahead,
        ahead_is_exact=place.is_exact,
        workers=taking,
        notice=_notice(job.queue, taking, settings),
    )


def _notice(queue: str, taking: int, settings: Settings) -> str | None:
    if taking:
        return None
    seconds = f"{alive_seconds(settings):g}"
    seen = f"no worker that takes the queue `{queue}` was seen in the last {seconds} seconds."
    return f"{seen} {_WAY_OUT.get(queue, _ELSE)}"
