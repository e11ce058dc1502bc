"""From what is stored of a job to its diagnosis: reads what the science asks for, and judges nothing.

What the science does not know is what a job may cost here: a suggestion that would be refused is left out.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from pydantic import ValidationError

from api import plans
from api.errors import NoDiagnosisError
from api.schemas import description_of
from models import cost
from models.best import undefined_monitors
from models.complaints import complaints
from models.defaults import complete
from models.diagnosis import Case, Diagnosis, Evidence, Suggestion, diagnose
from models.diagnosis.patches import merged
from models.errors import SpecError
from models.spec import JobSpec
from store import curves, datasets, weights
from store.errors import NotFound
from store.jobs import Job
from store.session import Connection
from store.settings import Settings

_LOOKED_AT: Final = (
    *("train_loss", "val_loss", "objective", "penalty_l1", "penalty_l2", "sparsity", "train_r2"),
)
"""Besides the series that says which epoch is best."""


def diagnosis_of(tx: Connection, job: Job, settings: Settings) -> Diagnosis:
    """The diagnosis of a job as it stands; `NoDiagnosisError` before its first epoch.

    Costs one read of some series from packed columns: a few hundredths of a second for 100,000 epochs.
    """
    spec = _spec_of(job)
    packed = curves.packed(tx, job.id, series=[*_LOOKED_AT, *_monitored(spec)])
    if not packed.length:
        raise NoDiagnosisError(_why_none(job))
    case = Case(
        spec=spec,
        series=packed.series,
        result=job.result,
        stop_reason=(job.stop_reason or job.status) if job.is_final else None,
        weights=_weights(tx, job),
        description=description_of(datasets.get(tx, job.dataset_id)),
        undefined=undefined_monitors(spec, job.warnings),
    )
    found = diagnose(case)
    may_be_had = [each for each in found.suggestions if _is_affordable(case, each, settings)]
    return replace(found, evidence=[*_data_problems(job), *found.evidence], suggestions=may_be_had)


def _spec_of(job: Job) -> JobSpec:
    """What an earlier version accepted may be no spec any more: that is no fault of whoever asks today."""
    try:
        return JobSpec.model_validate(job.spec)
    except ValidationError as error:
        why = "; ".join(complaint.detail for complaint in complaints(error, JobSpec, job.spec))
        raise NoDiagnosisError(f"this job's spec is none that could be sent today: {why}") from error


def _data_problems(job: Job) -> list[Evidence]:
    """What was found in the data comes first: every number behind it may flatter."""
    found = [warning["detail"] for warning in job.warnings if warning.get("kind") == "data_problem"]
    return [Evidence("data_problem", 1.0, detail) for detail in found]


def _is_affordable(case: Case, suggestion: Suggestion, settings: Settings) -> bool:
    if case.description is None:
        return True
    try:
        changed = JobSpec.model_validate(merged(case.spec.model_dump(mode="json"), suggestion.patch))
        spec = complete(changed, case.description).spec
        plans.affordable(cost.estimate(spec, case.description), spec, settings)
    except (SpecError, ValidationError):
        return False
    return True


def _monitored(spec: JobSpec) -> list[str]:
    early_stopping = spec.regularization.early_stopping if spec.regularization else None
    return [monitor.metric for monitor in early_stopping.monitors] if early_stopping else []


def _weights(tx: Connection, job: Job) -> dict[str, object] | None:
    try:
        return weights.get(tx, job.id).summary
    except NotFound:
        return None


def _why_none(job: Job) -> str:
    if job.is_final:
        return f"this job ended as {job.status} before its first epoch"
    return f"this job is {job.status} and has no epoch yet; there is something to say from the first one on"
