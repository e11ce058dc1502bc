"""What is the matter with a job's training, how that is known, and what to try next."""

from __future__ import annotations

from fastapi import APIRouter

from api.deps import CallerDep, ServerDep
from api.diagnosing import diagnosis_of
from api.negotiation import ANSWERS_JSON
from api.outgoing import PiecewiseRoute
from api.problems import documented
from api.schemas import DiagnosisAnswer
from store import jobs

router = APIRouter(tags=["curves"], dependencies=[ANSWERS_JSON], route_class=PiecewiseRoute)


@router.get("/v1/jobs/{job_id}/diagnosis", responses=documented())
def read_diagnosis(job_id: str, caller: CallerDep, server: ServerDep) -> DiagnosisAnswer:
    """A verdict on a job's curve so far, the evidence for it, and suggestions as merge patches of its spec.

    404 before the first epoch. While the job runs, the verdict is that of the epochs so far.
    """
    with caller.database.reading() as tx:
        job = jobs.get(tx, job_id)
        return DiagnosisAnswer.of(job, diagnosis_of(tx, job, server.settings))
