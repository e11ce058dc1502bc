"""The model card of a trained network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal

from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool

from api import negotiation
from api.access import Caller
from api.cards import Sources, card, to_markdown
from api.cards.contents import SERIES
from api.deps import CallerDep, ServerDep
from api.diagnosing import diagnosis_of
from api.errors import NoDiagnosisError
from api.networks import Exported, no_weights
from api.outgoing import PiecewiseRoute
from api.problems import documented
from api.schemas.cards import ModelCard
from models.diagnosis import Diagnosis
from store import curves, datasets, jobs, weights
from store.curves import Curve, Packed
from store.datasets import Dataset
from store.errors import NotFound
from store.files import Stored
from store.jobs import Job
from store.session import Connection
from store.settings import Settings
from store.weights import Weights

router = APIRouter(tags=["models"], route_class=PiecewiseRoute)

Form = Literal["json", "md"]
MEDIA_TYPES: Final[dict[str, Form]] = {"application/json": "json", "text/markdown": "md"}

_FORMS: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "model": ModelCard,
        "description": "The card, in the form that `format` or `Accept` asks for.",
        "content": {"application/json": {}, "text/markdown": {"schema": {"type": "string"}}},
    }
}


@router.get(
    "/v1/jobs/{job_id}/card",
    response_model=ModelCard,
    responses=documented(409) | _FORMS,
    response_class=Response,
)
async def read_card(
    request: Request,
    job_id: str,
    caller: CallerDep,
    server: ServerDep,
    format: Form | None = None,  # noqa: A002 - the contract's word
) -> Response:
    """What a trained network is: its data, spec, curve, metrics, sparsity, files, and how to load it.

    404 until there are weights. `format=md`, or `Accept: text/markdown`, gives it to be read.
    """
    accepted = negotiation.chosen(request.headers.get("accept", ""), list(MEDIA_TYPES)) if not format else ""
    found = await run_in_threadpool(_found, caller, job_id, server.settings)
    kept = found.kept
    exported = await server.networks.told(found.job, Stored(kept.key, kept.sha256, kept.bytes))
    return await run_in_threadpool(_written, found, exported, format or MEDIA_TYPES[accepted])


@dataclass(frozen=True, slots=True)
class _Found:
    job: Job
    dataset: Dataset
    kept: Weights
    curve: Curve
    diagnosis: Diagnosis | None


def _found(caller: Caller, job_id: str, settings: Settings) -> _Found:
    with caller.database.reading() as tx:
        job = jobs.get(tx, job_id)
        try:
            kept = weights.get(tx, job_id)
        except NotFound:
            raise no_weights(tx, job_id) from None
        dataset = datasets.get(tx, job.dataset_id)
        packed = curves.packed(tx, job_id, series=list(SERIES))
        diagnosis = _diagnosis(tx, job, settings)
    return _Found(job, dataset, kept, packed.curve(_rows(job, packed)), diagnosis)


def _written(found: _Found, exported: Exported, form: Form) -> Response:
    made = card(Sources(found.job, found.dataset, found.kept, found.curve, exported, found.diagnosis))
    headers = {"Vary": "Accept"}
    if form == "md":
        return Response(to_markdown(made), media_type="text/markdown", headers=headers)
    return Response(made.model_dump_json(), media_type="application/json", headers=headers)


def _diagnosis(tx: Connection, job: Job, settings: Settings) -> Diagnosis | None:
    try:
        return diagnosis_of(tx, job, settings)
    except NoDiagnosisError:
        return None


def _rows(job: Job, packed: Packed) -> list[int]:
    """Of a curve that may be long: its first epoch, the best, the last."""
    best = (job.result or {}).get("best_epoch") or packed.first
    return sorted(row for row in {0, best - packed.first, packed.length - 1} if 0 <= row < packed.length)
