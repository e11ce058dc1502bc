"""Predictions: a trained network is asked about rows."""

from __future__ import annotations

from typing import Any, Final

from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool

from api import bodies, negotiation
from api.access import Caller
from api.deps import CallerDep, ServerDep
from api.examples import ROWS, ROWS_AS_CSV
from api.networks import no_weights
from api.outgoing import PiecewiseRoute
from api.predictions import CSV, JSON, NOTICE, answered, as_headers, most_rows
from api.problems import documented
from api.schemas import PredictionAnswer
from api.schemas.predictions import request_schema
from store import weights
from store.errors import NotFound
from store.files import Stored

router = APIRouter(tags=["predictions"], route_class=PiecewiseRoute)

_BODY: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "content": {
            JSON: {
                "schema": request_schema(),
                "examples": {
                    name: {"summary": summary, "value": value} for name, (summary, value) in ROWS.items()
                },
            },
            CSV: {
                "schema": {"type": "string", "description": "A line of column names, then a row a line."},
                "example": ROWS_AS_CSV,
            },
        },
    }
}
_FORMS: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "model": PredictionAnswer,
        "description": "The predictions, in the form that `Accept` asks for.",
        "content": {JSON: {}, CSV: {"schema": {"type": "string"}}},
        "headers": {
            NOTICE: {
                "description": "With CSV: what to know about the predictions, as JSON; once a notice.",
                "schema": {"type": "string"},
            }
        },
    }
}


@router.post(
    "/v1/jobs/{job_id}/predict",
    response_model=PredictionAnswer,
    responses=documented(408, 409, 415) | _FORMS,
    openapi_extra=_BODY,
    response_class=Response,
)
async def predict_rows(request: Request, job_id: str, caller: CallerDep, server: ServerDep) -> Response:
    """Ask a job's network about rows in the data's own columns and units; 404 until it has weights.

    JSON, `{"rows": [{column: value}]}`, or CSV with a header line. Every column that the network was trained
    on must be named in every row; null, or an empty cell, says that a value is missing, and is dealt with as
    in training, like levels that training has not seen, which `notices` name. Answers with labels and
    probabilities, or values in the target's units, in JSON or, by `Accept: text/csv`, as CSV.
    """
    sent = bodies.require(request, (JSON, CSV))
    wanted = negotiation.chosen(request.headers.get("accept", ""), [JSON, CSV])
    content = await bodies.content(request)
    ready = await server.networks.ready(await run_in_threadpool(_kept, caller, job_id))
    is_much = ready.is_much(len(content), most_rows(content, sent))
    async with server.networks.turn(is_much=is_much):
        answer = await run_in_threadpool(answered, ready, job_id, content, sent=sent, wanted=wanted)
    response = Response(answer.content, media_type=wanted, headers={"Vary": "Accept"})
    if wanted == CSV:  # A table has no room for them.
        for value in as_headers(answer.notices):
            response.headers.append(NOTICE, value)
    return response


def _kept(caller: Caller, job_id: str) -> Stored:
    """Asked for every prediction: what is ready may belong to another project, or be deleted by now."""
    with caller.database.reading() as tx:
        try:
            return weights.file(tx, job_id)
        except NotFound:
            raise no_weights(tx, job_id) from None
