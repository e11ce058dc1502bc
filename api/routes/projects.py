"""Projects and their quotas. Operators make and change them; everybody may look at their own."""

from __future__ import annotations

from typing import Any, Final

from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool

from api import bodies, repeating
from api.access import Caller
from api.deps import CallerDep, Server, ServerDep
from api.examples import json_body
from api.negotiation import ANSWERS_JSON
from api.outgoing import PiecewiseRoute
from api.paging import Cursor, Limit, link_next
from api.problems import documented
from api.schemas.projects import ProjectAnswer, ProjectChanges, ProjectDetail, ProjectRequest, Usage
from api.schemas.shapes import Listing
from store import projects
from store.pages import Sort
from store.session import Connection

router = APIRouter(tags=["projects"], dependencies=[ANSWERS_JSON], route_class=PiecewiseRoute)

EXAMPLES: Final[dict[str, tuple[str, dict[str, Any]]]] = {
    "plain": ("With the server's quotas", {"name": "risk"}),
    "limited": (
        "With quotas of its own",
        {"name": "students", "quotas": {"open_jobs": 20, "stored_bytes": 1_000_000_000}},
    ),
}
CHANGES: Final[dict[str, tuple[str, dict[str, Any]]]] = {
    "quota": ("More jobs at a time", {"quotas": {"open_jobs": 500}}),
    "default": ("The server's quota again", {"quotas": {"open_jobs": None}}),
    "name": ("Another name", {"name": "risk and pricing"}),
}


@router.post(
    "/v1/projects",
    status_code=201,
    response_model=ProjectDetail,
    responses=documented(409, 415),
    openapi_extra=json_body(ProjectRequest, EXAMPLES),
    dependencies=[repeating.REPEATABLE],
)
async def create_project(request: Request, caller: CallerDep, server: ServerDep) -> Response:
    """Make a project. Only operators may: those with an admin key of the default project."""
    caller.require_operator()
    given, wanted = await bodies.document(request, ProjectRequest)

    def made(tx: Connection) -> Response:
        project = projects.add(tx, name=wanted.name, quotas=wanted.quotas.by_column())
        usage = Usage(open_jobs=0, stored_bytes=0)
        answer = ProjectDetail.with_usage(project, server.quotas.of(project), usage)
        headers = {"Location": answer.links["self"]}
        return Response(answer.model_dump_json(), 201, headers, "application/json")

    return await run_in_threadpool(repeating.once, caller.database, request, given, server.settings, made)


@router.get("/v1/projects", responses=documented())
def list_projects(
    request: Request,
    response: Response,
    caller: CallerDep,
    server: ServerDep,
    limit: Limit = 50,
    cursor: Cursor = None,
    sort: Sort = "-created_at",
) -> Listing[ProjectAnswer]:
    """Every project for operators; for others their own."""
    among = None if caller.is_operator else caller.project_id
    with caller.database.reading() as tx:
        found = projects.page(tx, among=among, sort=sort, cursor=cursor, limit=limit)
    link_next(request, response, found.next)
    answers = [ProjectAnswer.of(project, server.quotas.of(project)) for project in found.rows]
    return Listing(data=answers, next=found.next)


@router.get("/v1/projects/current", responses=documented())
def get_current_project(caller: CallerDep, server: ServerDep) -> ProjectDetail:
    """The project that your key belongs to, with its quotas and what it uses of them."""
    return _detail(caller, server, caller.project_id)


@router.get("/v1/projects/{project_id}", responses=documented())
def get_project(project_id: str, caller: CallerDep, server: ServerDep) -> ProjectDetail:
    """A project with its quotas and what it uses of them: your own, or for operators any."""
    return _detail(caller, server, project_id)


@router.patch(
    "/v1/projects/{project_id}",
    responses=documented(409, 415),
    openapi_extra=json_body(ProjectChanges, CHANGES),
)
async def change_project(
    request: Request, project_id: str, caller: CallerDep, server: ServerDep
) -> ProjectDetail:
    """Rename a project, or give it other quotas. Only operators may."""
    caller.require_operator()
    _, changes = await bodies.document(request, ProjectChanges)
    return await run_in_threadpool(_changed, caller, server, project_id, changes)


def _changed(caller: Caller, server: Server, project_id: str, changes: ProjectChanges) -> ProjectDetail:
    with caller.database_of(project_id).writing() as tx:
        projects.change(tx, project_id, name=changes.name, quotas=changes.quotas.by_column())
    return _detail(caller, server, project_id)


def _detail(caller: Caller, server: Server, project_id: str) -> ProjectDetail:
    with caller.database_of(project_id).reading() as tx:
        project = projects.get(tx, project_id)
        used = projects.usage_of(tx)
    usage = Usage(open_jobs=used.open_jobs, stored_bytes=used.stored_bytes)
    return ProjectDetail.with_usage(project, server.quotas.of(project), usage)
