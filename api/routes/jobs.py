"""Jobs: submit, validate, list, look, wait, cancel, finish, delete."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.concurrency import run_in_threadpool

from api import bodies, plans, repeating, waiting
from api.deps import Server, ServerDep
from api.examples import SPEC_BODY
from api.filters import JobFilters
from api.keeping import discard
from api.negotiation import ANSWERS_JSON
from api.paging import Cursor, Limit, link_next
from api.plans import Plan, plan
from api.problems import documented
from api.schemas import CostEstimate, DatasetReference, JobAnswer, Listing, SpecWarning, Validation
from models.spec import JobSpec
from store import jobs
from store.idempotency import Answer
from store.jobs import FINAL, Job
from store.pages import Sort
from store.session import Connection

router = APIRouter(tags=["jobs"], dependencies=[ANSWERS_JSON])

_IN_TIME: dict[int | str, dict[str, Any]] = {
    201: {"model": JobAnswer, "description": "`Prefer: wait` was given, and the job ended in time."}
}


@router.post(
    "/v1/jobs",
    status_code=202,
    response_model=JobAnswer,
    responses=documented(409, 415) | _IN_TIME,
    openapi_extra=SPEC_BODY,
)
async def submit(request: Request, server: ServerDep) -> Response:
    """Submit a spec. A 202 means that the job is committed and will be worked off, whatever restarts.

    `Prefer: wait=20` waits so many seconds for its end; `Idempotency-Key` makes repeating safe.
    """
    seconds = waiting.preferred_seconds(request)
    given, spec = await bodies.document(request, JobSpec)
    await server.bundles.need(spec.dataset)
    answer = await run_in_threadpool(_accepted, request, server, given, spec)
    if seconds is None:
        return answer
    return await _in_time(request, server, answer, seconds)


def _accepted(request: Request, server: Server, given: dict[str, Any], spec: JobSpec) -> Response:
    """Commit the job, and the answer that a repetition will get, in one transaction; nudge only after it."""
    with server.database.writing() as tx:
        ticket = repeating.begin(tx, request, given, server.settings)
        if isinstance(ticket, Answer):
            return repeating.replayed(ticket)
        job = _add(tx, plan(tx, spec, server.settings), request.state.request_id)
        answer = _answer(job, 202)
        repeating.finish(tx, ticket, answer)
    server.nudges.nudge(job.queue)
    return answer


def _add(tx: Connection, planned: Plan, request_id: str) -> Job:
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
        warnings=planned.warnings,
        equivalents=planned.completed.equivalents,
        request_id=request_id,
    )


def _answer(job: Job, status: int) -> Response:
    headers = {"Location": f"/v1/jobs/{job.id}"} | ({"Retry-After": "1"} if status == 202 else {})
    return Response(JobAnswer.of(job).model_dump_json(), status, headers, "application/json")


async def _in_time(request: Request, server: Server, accepted: Response, seconds: float) -> Response:
    """201 and the finished job if it ends in time, else the 202."""
    job_id = accepted.headers["location"].rpartition("/")[2]
    await waiting.until(request, server, job_id, seconds, lambda now: now.status in FINAL)
    job = await run_in_threadpool(_read, server, job_id)
    answer = _answer(job, 201 if job.is_final else 202)
    answer.headers["Preference-Applied"] = f"wait={seconds:.0f}"
    if "idempotent-replayed" in accepted.headers:
        answer.headers["Idempotent-Replayed"] = "true"
    return answer


@router.post("/v1/jobs/validate", responses=documented(415), openapi_extra=SPEC_BODY)
async def validate(request: Request, server: ServerDep) -> Validation:
    """What a spec would become: in full, with warnings and cost; nothing is stored."""
    _, spec = await bodies.document(request, JobSpec)
    await server.bundles.need(spec.dataset)
    return await run_in_threadpool(_validated, server, spec)


def _validated(server: Server, spec: JobSpec) -> Validation:
    with server.database.reading() as tx:
        planned = plan(tx, spec, server.settings)
    dataset = planned.dataset
    return Validation(
        spec=planned.spec,
        equivalents=planned.completed.equivalents,
        warnings=[SpecWarning(**warning) for warning in planned.warnings],
        dataset=DatasetReference(id=dataset.id, name=dataset.name, sha256=dataset.sha256),
        parameters=planned.cost.parameters,
        cost=CostEstimate(**asdict(planned.cost)),
        limits=asdict(plans.limits(server.settings)),
    )


@router.get("/v1/jobs", responses=documented())
def page(
    request: Request,
    response: Response,
    server: ServerDep,
    filters: Annotated[JobFilters, Depends()],
    limit: Limit = 50,
    cursor: Cursor = None,
    sort: Sort = "-created_at",
) -> Listing[JobAnswer]:
    """Jobs, the newest first; a page at any depth costs the same."""
    with server.database.reading() as tx:
        found = jobs.page(tx, filters.chosen(), sort=sort, cursor=cursor, limit=limit)
    link_next(request, response, found.next)
    return Listing(data=[JobAnswer.of(job) for job in found.rows], next=found.next)


@router.get("/v1/jobs/{job_id}", responses=documented())
async def show(
    request: Request,
    job_id: str,
    server: ServerDep,
    wait: Annotated[float, Query(ge=0, le=waiting.LONGEST_SECONDS)] = 0,
) -> JobAnswer:
    """A job. With `?wait=20` the answer comes when its status changes, or after so many seconds."""
    if wait:
        before = await waiting.glance(server, job_id)
        if before.status not in FINAL:
            await waiting.until(request, server, job_id, wait, lambda now: now.status != before.status)
    return JobAnswer.of(await run_in_threadpool(_read, server, job_id))


def _read(server: Server, job_id: str) -> Job:
    with server.database.reading() as tx:
        return jobs.get(tx, job_id)


@router.post("/v1/jobs/{job_id}/cancel", responses=documented(409))
async def cancel(request: Request, job_id: str, server: ServerDep) -> JobAnswer:
    """Cancel a job that has not ended. Its best weights so far are kept; it can no longer succeed."""
    await bodies.refuse(request)
    return JobAnswer.of(await run_in_threadpool(_asked, server, job_id, jobs.request_cancel))


@router.post("/v1/jobs/{job_id}/finish", responses=documented(409))
async def finish(request: Request, job_id: str, server: ServerDep) -> JobAnswer:
    """Stop a running job after this epoch, restore its best weights and let it succeed."""
    await bodies.refuse(request)
    return JobAnswer.of(await run_in_threadpool(_asked, server, job_id, jobs.request_finish))


def _asked(server: Server, job_id: str, action: Any) -> Job:
    with server.database.writing() as tx:
        job: Job = action(tx, job_id)
    return job


@router.delete("/v1/jobs/{job_id}", status_code=204, response_class=Response, responses=documented(409))
def delete(job_id: str, server: ServerDep) -> None:
    """Delete a job that has ended, with its curve, its log and its weights."""
    with server.database.writing() as tx:
        keys = jobs.delete(tx, job_id)
    discard(server.files, keys)
