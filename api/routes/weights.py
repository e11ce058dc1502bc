"""What a job's weights say: how large, how sparse, and for linear models the coefficients."""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter

from api.deps import CallerDep
from api.negotiation import ANSWERS_JSON
from api.networks import no_weights
from api.outgoing import PiecewiseRoute
from api.problems import documented
from api.schemas import WeightsAnswer
from store import weights
from store.errors import NotFound

router = APIRouter(tags=["weights"], dependencies=[ANSWERS_JSON], route_class=PiecewiseRoute)


@router.get("/v1/jobs/{job_id}/weights", responses=documented())
def read_weights(
    job_id: str, caller: CallerDep, space: Literal["trained", "original"] = "trained"
) -> WeightsAnswer:
    """What the restored weights say; 404 until there are any.

    Coefficients are in the space that was trained in (after preprocessing), or in the data's own units.
    """
    with caller.database.reading() as tx:
        try:
            said = weights.get(tx, job_id).summary
        except NotFound:
            raise no_weights(tx, job_id) from None
    linear = said["linear"] or {}
    coefficients = linear.get(space)
    return WeightsAnswer(
        job_id=job_id,
        layers=said["layers"],
        inputs=said["inputs"],
        linear=coefficients,
        reason=None if coefficients else linear.get("reason"),
    )
