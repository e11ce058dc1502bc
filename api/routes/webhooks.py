"""Webhooks: who is told of this project's jobs, what was told, and telling it again."""

from __future__ import annotations

from typing import Any, Final

from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel

from api import bodies, repeating
from api.access import Caller
from api.deps import CallerDep, ServerDep
from api.examples import json_body
from api.negotiation import ANSWERS_JSON
from api.outgoing import PiecewiseRoute
from api.paging import Cursor, Limit, link_next
from api.problems import documented
from api.schemas.shapes import Listing
from api.schemas.webhooks import (
    DeliveryAnswer,
    DeliveryDetail,
    DeliveryStatus,
    WebhookAnswer,
    WebhookChanges,
    WebhookRequest,
    WebhookSecret,
)
from models.spec import Text
from store import outbox, webhooks
from store.destinations import destination
from store.pages import Sort
from store.session import Connection

router = APIRouter(tags=["webhooks"], dependencies=[ANSWERS_JSON], route_class=PiecewiseRoute)

EXAMPLES: Final[dict[str, tuple[str, dict[str, Any]]]] = {
    "ends": ("Told when a job ends", {"url": "https://hooks.example.com/ridgeline"}),
    "everything": (
        "Told of every change of status",
        {
            "url": "https://hooks.example.com/ridgeline?team=risk",
            "events": [
                "job.queued",
                "job.running",
                "job.paused",
                "job.succeeded",
                "job.failed",
                "job.cancelled",
            ],
            "description": "the team's dashboard",
        },
    ),
}
CHANGES: Final[dict[str, tuple[str, dict[str, Any]]]] = {
    "disable": ("Tell nothing for now", {"enabled": False}),
    "move": ("Another receiver", {"url": "https://hooks.example.com/new", "enabled": True}),
}


@router.post(
    "/v1/webhooks",
    status_code=201,
    response_model=WebhookSecret,
    responses=documented(409, 415),
    openapi_extra=json_body(WebhookRequest, EXAMPLES),
    dependencies=[repeating.REPEATABLE],
)
async def create_webhook(request: Request, caller: CallerDep, server: ServerDep) -> Response:
    """Have jobs told of. The answer holds the secret that signs what is sent; it is not told again."""
    given, wanted = await bodies.document(request, WebhookRequest)
    destination(wanted.url, server.settings.private_hosts)

    def made(tx: Connection) -> Response:
        asked = {"url": wanted.url, "events": wanted.events, "description": wanted.description}
        webhook, secret = webhooks.create(tx, **asked)  # type: ignore[arg-type] # the model has checked them
        return _answer(WebhookSecret.told(webhook, secret), 201, f"/v1/webhooks/{webhook.id}")

    return await run_in_threadpool(repeating.once, caller.database, request, given, server.settings, made)


@router.get("/v1/webhooks", responses=documented())
def list_webhooks(
    request: Request,
    response: Response,
    caller: CallerDep,
    limit: Limit = 50,
    cursor: Cursor = None,
    sort: Sort = "-created_at",
) -> Listing[WebhookAnswer]:
    """This project's webhooks, the newest first."""
    with caller.database.reading() as tx:
        found = webhooks.page(tx, sort=sort, cursor=cursor, limit=limit)
    link_next(request, response, found.next)
    return Listing(data=[WebhookAnswer.of(webhook) for webhook in found.rows], next=found.next)


@router.get("/v1/webhooks/{webhook_id}", responses=documented())
def get_webhook(webhook_id: str, caller: CallerDep) -> WebhookAnswer:
    """A webhook."""
    with caller.database.reading() as tx:
        return WebhookAnswer.of(webhooks.get(tx, webhook_id))


@router.patch(
    "/v1/webhooks/{webhook_id}",
    responses=documented(415),
    openapi_extra=json_body(WebhookChanges, CHANGES),
)
async def change_webhook(
    request: Request, webhook_id: str, caller: CallerDep, server: ServerDep
) -> WebhookAnswer:
    """Change where it leads, of what it tells, or whether it is enabled; the secret stays."""
    _, changes = await bodies.document(request, WebhookChanges)
    if changes.url is not None:
        destination(changes.url, server.settings.private_hosts)
    return await run_in_threadpool(_changed, caller, webhook_id, changes)


def _changed(caller: Caller, webhook_id: str, changes: WebhookChanges) -> WebhookAnswer:
    with caller.database.writing() as tx:
        return WebhookAnswer.of(webhooks.change(tx, webhook_id, **changes.said()))


@router.delete("/v1/webhooks/{webhook_id}", status_code=204, response_class=Response, responses=documented())
def delete_webhook(webhook_id: str, caller: CallerDep) -> None:
    """Delete a webhook, with what was delivered and what still waits."""
    with caller.database.writing() as tx:
        webhooks.delete(tx, webhook_id)


@router.post(
    "/v1/webhooks/{webhook_id}/rotate",
    response_model=WebhookSecret,
    responses=documented(409),
    dependencies=[repeating.REPEATABLE],
)
async def rotate_webhook(request: Request, webhook_id: str, caller: CallerDep, server: ServerDep) -> Response:
    """A new secret. For a day, what is sent is signed with the old one too, so that nothing is missed."""

    def rotated(tx: Connection) -> Response:
        return _answer(WebhookSecret.told(*webhooks.rotate(tx, webhook_id)), 200)

    await bodies.refuse(request)
    return await run_in_threadpool(repeating.once, caller.database, request, {}, server.settings, rotated)


@router.post(
    "/v1/webhooks/{webhook_id}/test",
    status_code=202,
    response_model=DeliveryDetail,
    responses=documented(409),
    dependencies=[repeating.REPEATABLE],
)
async def test_webhook(request: Request, webhook_id: str, caller: CallerDep, server: ServerDep) -> Response:
    """Send a `webhook.test`, once, without trying again; look at the delivery to see whether it arrived."""

    def pinged(tx: Connection) -> Response:
        delivery = outbox.ping(tx, webhook_id)
        return _answer(DeliveryDetail.of(delivery), 202, _place(delivery))

    await bodies.refuse(request)
    return await run_in_threadpool(repeating.once, caller.database, request, {}, server.settings, pinged)


@router.get("/v1/webhooks/{webhook_id}/deliveries", responses=documented())
def list_deliveries(
    request: Request,
    response: Response,
    webhook_id: str,
    caller: CallerDep,
    status: DeliveryStatus | None = None,
    job: Text | None = None,
    limit: Limit = 50,
    cursor: Cursor = None,
    sort: Sort = "-created_at",
) -> Listing[DeliveryAnswer]:
    """What it was told and is to be told; `?status=dead` lists what was given up."""
    with caller.database.reading() as tx:
        found = outbox.page(tx, webhook_id, status=status, job_id=job, sort=sort, cursor=cursor, limit=limit)
    link_next(request, response, found.next)
    return Listing(data=[DeliveryAnswer.of(delivery) for delivery in found.rows], next=found.next)


@router.get("/v1/webhooks/{webhook_id}/deliveries/{delivery_id}", responses=documented())
def get_delivery(webhook_id: str, delivery_id: str, caller: CallerDep) -> DeliveryDetail:
    """A delivery, with the document that is sent."""
    with caller.database.reading() as tx:
        return DeliveryDetail.of(outbox.get(tx, webhook_id, delivery_id))


@router.post(
    "/v1/webhooks/{webhook_id}/deliveries/{delivery_id}/redeliver",
    status_code=202,
    response_model=DeliveryDetail,
    responses=documented(409),
)
async def redeliver_delivery(
    request: Request, webhook_id: str, delivery_id: str, caller: CallerDep
) -> DeliveryDetail:
    """Send it again, under the same id, with every attempt before it; whether it was delivered or dead."""
    await bodies.refuse(request)
    return await run_in_threadpool(_redelivered, caller, webhook_id, delivery_id)


def _redelivered(caller: Caller, webhook_id: str, delivery_id: str) -> DeliveryDetail:
    with caller.database.writing() as tx:
        return DeliveryDetail.of(outbox.redeliver(tx, webhook_id, delivery_id))


def _answer(document: BaseModel, status: int, location: str | None = None) -> Response:
    headers = {"Location": location} if location else {}
    return Response(document.model_dump_json(), status, headers, "application/json")


def _place(delivery: outbox.Listed) -> str:
    return f"/v1/webhooks/{delivery.webhook_id}/deliveries/{delivery.id}"
