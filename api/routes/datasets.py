"""Datasets: upload a file, look at it, rename or delete it; the bundled ones are there from the start."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from fastapi.concurrency import run_in_threadpool

from api import bodies, repeating, uploads
from api.access import Caller
from api.deps import CallerDep, Server, ServerDep
from api.describing import Described
from api.editing import edit_dataset
from api.errors import BundledDatasetError
from api.examples import DATASET_CHANGES, json_body
from api.keeping import Origin, discard_in_threads, keep, workspace_in_threads
from api.naming import find_dataset
from api.negotiation import ANSWERS_JSON
from api.outgoing import PiecewiseRoute
from api.paging import Cursor, Limit, link_next
from api.problems import documented
from api.schemas import DatasetDetail, DatasetSummary, Listing, Rows
from api.schemas.changes import DatasetChanges
from api.uploads import Upload
from models.complaints import printable
from models.datasets import BUNDLED
from models.spec import Text
from store import datasets, idempotency
from store.datasets import Dataset
from store.idempotency import Answer, Ticket
from store.pages import Sort
from store.session import Connection

MERGE = bodies.JSON + bodies.MERGE_PATCH
router = APIRouter(tags=["datasets"], dependencies=[ANSWERS_JSON], route_class=PiecewiseRoute)

_FORM = {
    "requestBody": {"required": True, "content": {"multipart/form-data": {"schema": uploads.form_schema()}}}
}


@router.post(
    "/v1/datasets",
    status_code=201,
    response_model=DatasetDetail,
    responses=documented(408, 409, 415, 507)
    | {200: {"model": DatasetDetail, "description": "It was here already."}},
    openapi_extra=_FORM,
    dependencies=[repeating.REPEATABLE],
)
async def upload_dataset(request: Request, caller: CallerDep, server: ServerDep) -> Response:
    """Upload a file. The same bytes, target and task give the dataset that is already there (200)."""
    repeating.key_of(request)
    # Before a long file is taken for nothing.
    await run_in_threadpool(_refuse_if_full, server, caller)
    await server.file_work.run(server.files.check)
    # Or whoever uploads the very bytes of a bundled one would stand in its place.
    await server.bundles.need_all(caller.database)
    async with workspace_in_threads(server.settings, server.file_work) as folder:
        received = await uploads.receive(
            request,
            folder,
            server.file_work,
            most_bytes=server.settings.max_upload_bytes,
            reserve_bytes=server.settings.reserve_bytes,
        )
        ticket = await run_in_threadpool(_begin, request, server, caller, received)
        if isinstance(ticket, Answer):
            return repeating.replayed(ticket)
        with server.in_flight.holding(ticket):
            try:
                return await _described_and_kept(server, caller, received, folder, ticket)
            except BaseException:
                await run_in_threadpool(_abandon, caller, ticket)
                raise


def _refuse_if_full(server: Server, caller: Caller) -> None:
    with caller.database.reading() as tx:
        server.quotas.make_room_for_bytes(tx)


def _begin(request: Request, server: Server, caller: Caller, received: Upload) -> Ticket | Answer | None:
    # Committed on its own: reading the file takes long, and a repetition meanwhile is told so.
    said = {"sha256": received.sha256, **received.fields.model_dump()}
    with caller.database.writing() as tx:
        return repeating.begin(tx, request, said, server.settings)


def _abandon(caller: Caller, ticket: Ticket | None) -> None:
    if ticket is not None:
        with caller.database.writing() as tx:
            idempotency.abandon(tx, ticket)


async def _described_and_kept(
    server: Server, caller: Caller, received: Upload, folder: Path, ticket: Ticket | None
) -> Response:
    fields = received.fields
    described = await server.describer.file(
        received.path,
        filename=received.filename,
        target=fields.target,
        task=fields.task,
        table=folder / "table.parquet",
    )
    origin = Origin(
        name=fields.name or received.filename,
        filename=received.filename,
        sha256=received.sha256,
        size=received.bytes,
    )
    return await server.file_work.run(_kept, server, caller, origin, described, ticket)


def _kept(
    server: Server, caller: Caller, origin: Origin, described: Described, ticket: Ticket | None
) -> Response:
    def remember(tx: Connection, dataset: Dataset, created: bool) -> None:
        if created:
            server.quotas.make_room_for_bytes(tx)
        repeating.finish(tx, ticket, _created(dataset, created, origin.name))

    kept = keep(caller.database, server.files, origin, described, also=remember)
    return _created(*kept, origin.name)


def _created(dataset: Dataset, created: bool, name: str) -> Response:
    notices = [] if created or name == dataset.name else [_not_taken(dataset, name)]
    return Response(
        DatasetDetail.of(dataset, notices).model_dump_json(),
        201 if created else 200,
        headers={"Location": f"/v1/datasets/{dataset.id}"},
        media_type="application/json",
    )


def _not_taken(dataset: Dataset, name: str) -> str:
    """What became of the name of a file that was here already under another."""
    here = f"these bytes are already here as {printable(dataset.name)!r} ({dataset.id})"
    how = "a bundled dataset, which keeps its name"
    if not dataset.bundled:
        how = f"PATCH /v1/datasets/{dataset.id} renames it"
    return f"{here}; the name {printable(name)!r} was not taken: {how}"


@router.get("/v1/datasets", responses=documented())
async def list_datasets(
    request: Request,
    response: Response,
    caller: CallerDep,
    server: ServerDep,
    limit: Limit = 50,
    cursor: Cursor = None,
    name: Text | None = None,
    sort: Sort = "-created_at",
) -> Listing[DatasetSummary]:
    """Every dataset, the newest first."""
    await server.bundles.need_all(caller.database)

    def read() -> Listing[DatasetSummary]:
        with caller.database.reading() as tx:
            found = datasets.page(tx, name=name, sort=sort, cursor=cursor, limit=limit)
        return Listing(data=[DatasetSummary.of(dataset) for dataset in found.rows], next=found.next)

    listing = await run_in_threadpool(read)
    link_next(request, response, listing.next)
    return listing


@router.get("/v1/datasets/{dataset_id}", responses=documented())
async def get_dataset(dataset_id: str, caller: CallerDep, server: ServerDep) -> DatasetDetail:
    """A dataset with its columns and classes, by its id or its name."""
    return DatasetDetail.of(await _found(server, caller, dataset_id))


@router.get("/v1/datasets/{dataset_id}/rows", responses=documented())
async def read_rows(
    dataset_id: str,
    caller: CallerDep,
    server: ServerDep,
    limit: Annotated[int, Query(ge=1, le=100)] = 10,
) -> Rows:
    """The first rows, as a look; of very wide datasets fewer than were asked for."""
    dataset = await _found(server, caller, dataset_id)
    head: list[dict[str, Any]] = dataset.description["head"]
    return Rows(columns=list(head[0]) if head else [], data=head[:limit], total=dataset.rows)


@router.patch(
    "/v1/datasets/{dataset_id}",
    responses=documented(409, 415, 507),
    openapi_extra=json_body(DatasetChanges, DATASET_CHANGES, MERGE),
)
async def change_dataset(
    request: Request, dataset_id: str, caller: CallerDep, server: ServerDep
) -> DatasetDetail:
    """Change a dataset's name, metadata or notes, which it answers as `user_notes`; not a bundled one's."""
    _, changes = await bodies.document(request, DatasetChanges, accepted=MERGE)
    dataset = await _found(server, caller, dataset_id)
    return DatasetDetail.of(await run_in_threadpool(edit_dataset, server, caller, dataset.id, changes))


@router.delete(
    "/v1/datasets/{dataset_id}", status_code=204, response_class=Response, responses=documented(409)
)
async def delete_dataset(dataset_id: str, caller: CallerDep, server: ServerDep) -> None:
    """Delete a dataset that no job uses."""

    def delete() -> list[str]:
        with caller.database.writing() as tx:
            if dataset_id in BUNDLED or (dataset := find_dataset(tx, dataset_id)).bundled:
                raise BundledDatasetError
            return datasets.delete(tx, dataset.id)

    await discard_in_threads(server.files, await run_in_threadpool(delete), server.file_work)


async def _found(server: Server, caller: Caller, word: str) -> Dataset:
    """A dataset by its id or its name."""
    await server.bundles.need(caller.database, word)

    def read() -> Dataset:
        with caller.database.reading() as tx:
            return find_dataset(tx, word)

    return await run_in_threadpool(read)
