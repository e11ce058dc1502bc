"""A trained network to take away: as ONNX with its preprocessing, or as safetensors with its spec."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Iterator
from typing import Any, Final, Literal

from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool
from starlette.responses import StreamingResponse

from api import conditional, negotiation
from api.access import Caller
from api.deps import CallerDep, Server, ServerDep
from api.networks import no_weights
from api.outgoing import PiecewiseRoute
from api.problems import documented
from models.errors import WeightsError
from store import jobs, weights
from store.errors import FileDamaged, FileMissing, NotFound
from store.files import Stored
from store.jobs import Job

router = APIRouter(tags=["models"], route_class=PiecewiseRoute)

Format = Literal["onnx", "safetensors"]
MEDIA_TYPE: Final = "application/octet-stream"

_FILE: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "description": "The file; `ETag` and `Repr-Digest` are its sha256.",
        "content": {MEDIA_TYPE: {"schema": {"type": "string", "format": "binary"}}},
    }
}


@router.get("/v1/jobs/{job_id}/model", responses=documented(409) | _FILE, response_class=Response)
async def download_model(
    request: Request,
    job_id: str,
    caller: CallerDep,
    server: ServerDep,
    format: Format = "onnx",  # noqa: A002 - the contract's word
) -> Response:
    """The trained network as a file; 404 until there are weights.

    `onnx` takes the data's own columns, preprocessing included. `safetensors` is what is stored: plain
    tensors, and as metadata the spec, the fitted preprocessing and the description of the data.
    """
    negotiation.chosen(request.headers.get("accept", ""), [MEDIA_TYPE])
    job, kept = await run_in_threadpool(_kept, caller, job_id)
    if format == "onnx":
        return await _onnx(request, server, job, kept)
    return await _safetensors(request, server, job, kept)


def _kept(caller: Caller, job_id: str) -> tuple[Job, Stored]:
    with caller.database.reading() as tx:
        job = jobs.get(tx, job_id)
        try:
            return job, weights.file(tx, job_id)
        except NotFound:
            raise no_weights(tx, job_id) from None


async def _onnx(request: Request, server: Server, job: Job, kept: Stored) -> Response:
    """Made anew for whoever takes it away; a client that has it, or asks with HEAD, is told what is known."""
    made = server.networks.made(job, kept)
    if made and (conditional.is_head(request) or conditional.is_known(request, f'"{made.sha256}"')):
        told = _headers(job, "onnx", made.sha256) | {"Content-Length": str(made.bytes)}
        return Response(headers=told, media_type=MEDIA_TYPE)
    content, made = await server.networks.exported(job, kept)
    return Response(content, headers=_headers(job, "onnx", made.sha256), media_type=MEDIA_TYPE)


async def _safetensors(request: Request, server: Server, job: Job, kept: Stored) -> Response:
    """Passed on as it is read; a file of one piece is found out to be damaged before anything is sent."""
    headers = _headers(job, "safetensors", kept.sha256)
    if conditional.is_known(request, headers["ETag"]):
        return Response(status_code=304, headers={"ETag": headers["ETag"], "Cache-Control": "no-cache"})
    pieces = server.files.read(kept.key, sha256=kept.sha256)
    try:
        first = await server.file_work.run(next, pieces, b"")
    except (FileMissing, FileDamaged) as error:
        raise WeightsError(f"the stored weights cannot be used: {error}") from error
    told = headers | {"Content-Length": str(kept.bytes), "Cache-Control": "no-cache"}
    return StreamingResponse(_whole(server, first, pieces), headers=told, media_type=MEDIA_TYPE)


async def _whole(server: Server, first: bytes, pieces: Iterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for piece in server.file_work.pieces(pieces):
        yield piece


def _headers(job: Job, suffix: str, sha256: str) -> dict[str, str]:
    digest = base64.b64encode(bytes.fromhex(sha256)).decode()
    return {
        # The job's name may be anything; its id makes a good file name everywhere.
        "Content-Disposition": f'attachment; filename="{job.id}.{suffix}"',
        "ETag": f'"{sha256}"',
        "Repr-Digest": f"sha-256=:{digest}:",
    }
