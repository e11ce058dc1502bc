"""Diagnoses as they are answered."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, Self

from api.schemas.jobs import Status, StopReason
from api.schemas.shapes import Answer
from models.diagnosis import Diagnosis, Verdict
from store.jobs import Job


class EvidenceAnswer(Answer):
    """One thing that was measured."""

    name: str
    """`gap`, `rise`, `noise`, …"""
    value: float
    """In the unit that `detail` names."""
    detail: str
    """In words, with the numbers in them."""


class SuggestionAnswer(Answer):
    """One change to the spec that may help."""

    technique: str
    """The technique or setting that is changed, by its name in the spec."""
    detail: str
    """Why, in words."""
    patch: dict[str, Any]
    """An RFC 7396 merge patch of the job's `spec`; what comes of it may be posted as a job."""


class DiagnosisAnswer(Answer):
    """What a job's curve says about it."""

    job_id: str
    status: Status
    stop_reason: StopReason | None
    verdict: Verdict
    """The first of these that holds. `diverged`: a loss is no finite number, or ran away. `too_short`: fewer
    than five epochs. `unstable`: the loss jumps about. `still_improving`: it was going down when training
    ended. `overfitting`: a large gap, or training went on beyond the best. `over_regularized`: little was
    learned, under strong regularization. `underfitting`: little was learned. `no_validation`: nothing is
    known of unseen rows. `good_fit`: none of these."""
    summary: str
    """One or two sentences, with the numbers in them."""
    epochs: int
    """How many epochs it was judged by; more may come while the job runs."""
    evidence: list[EvidenceAnswer]
    suggestions: list[SuggestionAnswer]
    """At most five, the most promising first; empty where nothing is to be mended."""

    @classmethod
    def of(cls, job: Job, found: Diagnosis) -> Self:
        """The answer for a job's diagnosis."""
        return cls(job_id=job.id, status=job.status, stop_reason=job.stop_reason, **asdict(found))
