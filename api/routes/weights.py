"""What a job's weights say: how large, how sparse, and for linear models the coefficients."""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter

from api.deps import CallerDep
from api.errors import NoWeightsError
from api.negotiation import ANSWERS_JSON
from api.problems import documented
from api.schemas import WeightsAnswer
from store import jobs, weights
from store.errors import NotFound

router = APIRouter(tags=["weights"], dependencies=[ANSWERS_JSON])


@router.get("/v1/jobs/{job_id}/weights", responses=documented())
def read_weights(
    job_id: str, caller: CallerDep, space: Literal["trained", "original"] = "trained"
) -> WeightsAnswer:
    """What the restored weights say; 404 until there are any.

    Coefficients are in the space that was trained in (after preprocessing), or in the data's own units.
    """
    with caller.database.reading() as tx:
        job = jobs.glance(tx, job_id)
        try:
            said = weights.get(tx, job_id).summary
        except NotFound:
            raise NoWeightsError(_why_none(job.status)) from None
    linear = said["linear"] or {}
    coefficients = linear.get(space)
    return WeightsAnswer(
        job_id=job_id,
        layers=said["layers"],
        inputs=said["inputs"],
        linear=coefficients,
        reason=None if coefficients else linear.get("reason"),
    )


def _why_none(status: str) -> str:
    if status in jobs.FINAL:
        return f"this job ended as {status} before there were weights to keep"
    return f"this job is {status}; its weights come when it ends"
