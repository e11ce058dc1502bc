"""API keys: made, listed, revoked. An admin's own project's, or for operators any project's."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Request, Response
from fastapi.concurrency import run_in_threadpool

from api import bodies, repeating
from api.access import Caller
from api.deps import CallerDep, Server, ServerDep
from api.examples import json_body
from api.negotiation import ANSWERS_JSON
from api.outgoing import PiecewiseRoute
from api.paging import Cursor, Limit, link_next
from api.problems import documented
from api.schemas.keys import KeyAnswer, KeyRequest, KeyTold
from api.schemas.shapes import Listing
from models.spec import Text
from store import keys, projects
from store.idempotency import Answer
from store.pages import Sort

router = APIRouter(tags=["keys"], dependencies=[ANSWERS_JSON], route_class=PiecewiseRoute)

Project = Annotated[Text | None, Query(description="Whose keys; default: your own project's.")]

EXAMPLES: Final[dict[str, tuple[str, dict[str, Any]]]] = {
    "write": ("May submit jobs and look at them", {"name": "nightly training"}),
    "read": (
        "May look, for thirty days",
        {"name": "dashboard", "scopes": ["read"], "expires_in_seconds": 2_592_000},
    ),
    "admin": ("May also see to keys and webhooks", {"name": "team lead", "scopes": ["admin"]}),
}


@router.post(
    "/v1/keys",
    status_code=201,
    response_model=KeyTold,
    responses=documented(409, 415),
    openapi_extra=json_body(KeyRequest, EXAMPLES),
    dependencies=[repeating.REPEATABLE],
)
async def create_key(
    request: Request, caller: CallerDep, server: ServerDep, project: Project = None
) -> Response:
    """Make a key. What is to be sent is in this answer and nowhere else, ever."""
    given, wanted = await bodies.document(request, KeyRequest)
    return await run_in_threadpool(_created, request, caller, server, given, wanted, project)


def _created(
    request: Request,
    caller: Caller,
    server: Server,
    given: dict[str, Any],
    wanted: KeyRequest,
    project: str | None,
) -> Response:
    database = caller.database_of(project)
    with database.writing() as tx:
        projects.get(tx, projects.current(tx))
        ticket = repeating.begin(tx, request, given, server.settings)
        if isinstance(ticket, Answer):
            return repeating.replayed(ticket)
        key, sent = keys.add(
            tx, name=wanted.name, scopes=wanted.scopes, expires_at=_ahead(wanted.expires_in_seconds)
        )
        repeating.finish(tx, ticket, _told(KeyTold.told(key, caller.project_id, None)))
    return _told(KeyTold.told(key, caller.project_id, sent))


def _ahead(seconds: int | None) -> datetime | None:
    return None if seconds is None else datetime.now(UTC) + timedelta(seconds=seconds)


def _told(answer: KeyTold) -> Response:
    headers = {"Location": answer.links["self"], "Cache-Control": "no-store"}
    return Response(answer.model_dump_json(), 201, headers, "application/json")


@router.get("/v1/keys", responses=documented())
def list_keys(
    request: Request,
    response: Response,
    caller: CallerDep,
    project: Project = None,
    limit: Limit = 50,
    cursor: Cursor = None,
    sort: Sort = "-created_at",
) -> Listing[KeyAnswer]:
    """Keys, the newest first; those that were revoked or have expired too."""
    with caller.database_of(project).reading() as tx:
        projects.get(tx, projects.current(tx))
        found = keys.page(tx, sort=sort, cursor=cursor, limit=limit)
    link_next(request, response, found.next)
    return Listing(data=[KeyAnswer.of(key, caller.project_id) for key in found.rows], next=found.next)


@router.get("/v1/keys/{key_id}", responses=documented())
def get_key(key_id: str, caller: CallerDep, project: Project = None) -> KeyAnswer:
    """A key, without what is to be sent."""
    with caller.database_of(project).reading() as tx:
        return KeyAnswer.of(keys.get(tx, key_id), caller.project_id)


@router.delete("/v1/keys/{key_id}", status_code=204, response_class=Response, responses=documented())
def revoke_key(key_id: str, caller: CallerDep, project: Project = None) -> None:
    """Revoke a key: within a second nobody is let in with it. It stays in the list."""
    with caller.database_of(project).writing() as tx:
        keys.revoke(tx, key_id)
