"""Jobs: submit, validate, list, look, wait, change, pause, resume, finish, cancel, delete."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

import structlog
from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.concurrency import run_in_threadpool

from api import bodies, plans, queue_notices, repeating, waiting
from api.access import Caller
from api.deps import CallerDep, Server, ServerDep
from api.editing import edit_job
from api.examples import JOB_CHANGES, SPEC_BODY, json_body
from api.filters import JobFilters
from api.keeping import discard_in_threads
from api.negotiation import ANSWERS_JSON
from api.outgoing import PiecewiseRoute
from api.paging import Cursor, Limit, page_of
from api.plans import Plan, plan
from api.problems import documented
from api.queue_notices import GPU
from api.schemas import CostEstimate, DatasetReference, JobAnswer, Listing, SpecWarning, Validation
from api.schemas.changes import JobChanges
from api.sorting import JobSort, notices_of
from models.spec import JobSpec
from store import jobs
from store.idempotency import Answer
from store.jobs import FINAL, Found, Job
from store.session import Connection
from store.settings import Settings

log = structlog.get_logger(__name__)
MERGE = bodies.JSON + bodies.MERGE_PATCH
router = APIRouter(tags=["jobs"], dependencies=[ANSWERS_JSON], route_class=PiecewiseRoute)

_IN_TIME: dict[int | str, dict[str, Any]] = {
    201: {"model": JobAnswer, "description": "`Prefer: wait` was given, and the job ended in time."}
}


@router.post(
    "/v1/jobs",
    status_code=202,
    response_model=JobAnswer,
    responses=documented(409, 415) | _IN_TIME,
    openapi_extra=SPEC_BODY,
    dependencies=[repeating.REPEATABLE, waiting.MAY_WAIT],
)
async def submit_job(request: Request, caller: CallerDep, server: ServerDep) -> Response:
    """Submit a spec. A 202 means that the job is committed and will be worked off, whatever restarts.

    `Prefer: wait=20` waits so many seconds for its end; `Idempotency-Key` makes repeating safe.
    """
    seconds = waiting.preferred_seconds(request)
    given, spec = await bodies.document(request, JobSpec)
    await server.bundles.need(caller.database, spec.dataset)
    answer = await run_in_threadpool(_accepted, request, server, caller, given, spec)
    if seconds is None:
        return answer
    return await _in_time(request, server, caller, answer, seconds)


def _accepted(
    request: Request, server: Server, caller: Caller, given: dict[str, Any], spec: JobSpec
) -> Response:
    """Commit the job, and the answer that a repetition will get, in one transaction; nudge only after it."""
    # Planned before the transaction that writes: on SQLite all who submit wait for it in turn.
    with caller.database.reading() as tx:
        if earlier := repeating.answered(tx, request, given, server.settings):
            return repeating.replayed(earlier)
        planned = plan(tx, spec, server.settings)
        # Not of other queues: a worker that just restarts would leave a warning that stays for good.
        unheard = queue_notices.warnings(tx, GPU, server.settings) if planned.queue == GPU else []
    with caller.database.writing() as tx:
        ticket = repeating.begin(tx, request, given, server.settings)
        if isinstance(ticket, Answer):
            return repeating.replayed(ticket)
        server.quotas.make_room_for_job(tx)
        ids = {"request_id": request.state.request_id, "traceparent": server.tracing.traceparent()}
        job = _add(tx, planned, unheard, server.settings, **ids)
        answer = _answer(job, 202)
        repeating.finish(tx, ticket, answer)
    log.info("job accepted", job_id=job.id, queue=job.queue)
    server.nudges.nudge(job.queue)
    return answer


def _add(
    tx: Connection, planned: Plan, unheard: list[dict[str, str]], settings: Settings, **ids: str | None
) -> Job:
    spec = planned.completed.spec
    return jobs.add(
        tx,
        spec=planned.spec,
        dataset_id=planned.dataset.id,
        max_epochs=spec.training.max_epochs or 1,
        queue=planned.queue,
        name=spec.name,
        metadata=spec.metadata,
        priority=spec.priority,
        warnings=[*planned.warnings, *unheard],
        equivalents=planned.completed.equivalents,
        stack_key=planned.stack_key,
        stack_limit=planned.stack_limit(settings),
        **ids,
    )


def _answer(job: Job, status: int) -> Response:
    headers = {"Location": f"/v1/jobs/{job.id}"} | ({"Retry-After": "1"} if status == 202 else {})
    return Response(JobAnswer.of(job).model_dump_json(), status, headers, "application/json")


async def _in_time(
    request: Request, server: Server, caller: Caller, accepted: Response, seconds: float
) -> Response:
    """201 and the finished job if it ends in time, else the 202."""
    job_id = accepted.headers["location"].rpartition("/")[2]
    await waiting.until(request, server, caller, job_id, seconds, lambda now: now.status in FINAL)
    job = await run_in_threadpool(_read, caller, job_id)
    answer = _answer(job, 201 if job.is_final else 202)
    answer.headers["Preference-Applied"] = f"wait={seconds:.0f}"
    if "idempotent-replayed" in accepted.headers:
        answer.headers["Idempotent-Replayed"] = "true"
    return answer


@router.post("/v1/jobs/validate", responses=documented(415), openapi_extra=SPEC_BODY)
async def validate_job(request: Request, caller: CallerDep, server: ServerDep) -> Validation:
    """What a spec would become: in full, with warnings and cost; nothing is stored."""
    _, spec = await bodies.document(request, JobSpec)
    await server.bundles.need(caller.database, spec.dataset)
    return await run_in_threadpool(_validated, server, caller, spec)


def _validated(server: Server, caller: Caller, spec: JobSpec) -> Validation:
    with caller.database.reading() as tx:
        planned = plan(tx, spec, server.settings)
        unheard = queue_notices.warnings(tx, planned.queue, server.settings)
    dataset = planned.dataset
    return Validation(
        spec=planned.spec,
        equivalents=planned.completed.equivalents,
        warnings=[SpecWarning(**warning) for warning in (*planned.warnings, *unheard)],
        dataset=DatasetReference(id=dataset.id, name=dataset.name, sha256=dataset.sha256),
        parameters=planned.cost.parameters,
        cost=CostEstimate(**asdict(planned.cost)),
        limits=asdict(plans.limits(server.settings)),
    )


@router.get("/v1/jobs", response_model=Listing[JobAnswer], responses=documented())
async def list_jobs(
    request: Request,
    caller: CallerDep,
    server: ServerDep,
    filters: Annotated[JobFilters, Depends()],
    limit: Limit = 50,
    cursor: Cursor = None,
    sort: JobSort = "-created_at",
) -> Response:
    """Jobs, the newest first, or the best; a page at any depth costs the same, and ends at some megabytes.

    Sorted by a number of the test split, the list has a notice that choosing by it spends the test split.
    """

    def read() -> Response:
        with caller.database.reading() as tx:
            found = jobs.walk(tx, filters.chosen(), sort=sort, cursor=cursor, limit=limit)
            return page_of(
                request, found, limit=limit, answer=_answer_of, cursor=_cursor, notices=notices_of(sort)
            )

    async with server.outgoing.turns:
        return await run_in_threadpool(read)


def _answer_of(found: Found) -> JobAnswer:
    return JobAnswer.of(found.job)


def _cursor(found: Found) -> str:
    return found.cursor


@router.get("/v1/jobs/{job_id}", responses=documented())
async def get_job(
    request: Request,
    job_id: str,
    caller: CallerDep,
    server: ServerDep,
    wait: Annotated[float, Query(ge=0, le=waiting.LONGEST_SECONDS)] = 0,
) -> JobAnswer:
    """A job. With `?wait=20` the answer comes when its status changes, or after so many seconds."""
    if wait:
        before = await waiting.glance(caller, job_id)
        if before.status not in FINAL:
            await waiting.until(
                request, server, caller, job_id, wait, lambda now: now.status != before.status
            )
    return await run_in_threadpool(_read_waiting, server, caller, job_id)


def _read_waiting(server: Server, caller: Caller, job_id: str) -> JobAnswer:
    """A job, and how it waits where it does."""
    with caller.database.reading() as tx:
        job = jobs.get(tx, job_id)
        return JobAnswer.of(job, queue_notices.waiting(tx, job, server.settings))


def _read(caller: Caller, job_id: str) -> Job:
    with caller.database.reading() as tx:
        return jobs.get(tx, job_id)


@router.patch(
    "/v1/jobs/{job_id}",
    responses=documented(415, 507),
    openapi_extra=json_body(JobChanges, JOB_CHANGES, MERGE),
)
async def change_job(request: Request, job_id: str, caller: CallerDep, server: ServerDep) -> JobAnswer:
    """Change a job's name, metadata or notes, in whatever status it is; its `spec` stays as it was sent."""
    _, changes = await bodies.document(request, JobChanges, accepted=MERGE)
    return JobAnswer.of(await run_in_threadpool(edit_job, server, caller, job_id, changes))


@router.post("/v1/jobs/{job_id}/pause", responses=documented(409))
async def pause_job(request: Request, job_id: str, caller: CallerDep, server: ServerDep) -> JobAnswer:
    """Lay a job aside. One that runs keeps a checkpoint first, and goes on from there when it is resumed."""
    await bodies.refuse(request)
    return JobAnswer.of(await run_in_threadpool(_asked, server, caller, job_id, jobs.request_pause))


@router.post("/v1/jobs/{job_id}/resume", responses=documented(409))
async def resume_job(request: Request, job_id: str, caller: CallerDep, server: ServerDep) -> JobAnswer:
    """Let a paused job go on, or take back a pause that has not come about yet."""
    await bodies.refuse(request)
    return JobAnswer.of(await run_in_threadpool(_asked, server, caller, job_id, jobs.request_resume))


@router.post("/v1/jobs/{job_id}/cancel", responses=documented(409))
async def cancel_job(request: Request, job_id: str, caller: CallerDep, server: ServerDep) -> JobAnswer:
    """Cancel a job that has not ended. Its best weights so far are kept; it can no longer succeed."""
    await bodies.refuse(request)
    return JobAnswer.of(await run_in_threadpool(_asked, server, caller, job_id, jobs.request_cancel))


@router.post("/v1/jobs/{job_id}/finish", responses=documented(409))
async def finish_job(request: Request, job_id: str, caller: CallerDep, server: ServerDep) -> JobAnswer:
    """Stop a job that has begun, after this epoch; restore its best weights and let it succeed."""
    await bodies.refuse(request)
    return JobAnswer.of(await run_in_threadpool(_asked, server, caller, job_id, jobs.request_finish))


def _asked(server: Server, caller: Caller, job_id: str, action: Any) -> Job:
    """Commit what is asked; a job that waits for a worker after that is worth a nudge."""
    with caller.database.writing() as tx:
        job: Job = action(tx, job_id)
    if job.status == "queued":
        server.nudges.nudge(job.queue)
    return job


@router.delete("/v1/jobs/{job_id}", status_code=204, response_class=Response, responses=documented(409))
async def delete_job(job_id: str, caller: CallerDep, server: ServerDep) -> None:
    """Delete a job that has ended, with its curve, its log and its weights."""

    def delete() -> list[str]:
        with caller.database.writing() as tx:
            return jobs.delete(tx, job_id)

    await discard_in_threads(server.files, await run_in_threadpool(delete), server.file_work)
