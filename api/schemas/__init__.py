"""What the answers look like, and how rows become them: a module a noun."""

from __future__ import annotations

from api.schemas.curves import CurveAnswer, Marker, Overlay, Sampling, WeightsAnswer
from api.schemas.datasets import DatasetDetail, DatasetSummary, Rows, description_of
from api.schemas.diagnosis import DiagnosisAnswer, EvidenceAnswer, SuggestionAnswer
from api.schemas.jobs import (
    STOP_REASONS,
    CostEstimate,
    DatasetReference,
    JobAnswer,
    LoggedEvent,
    SpecWarning,
    Status,
    Validation,
)
from api.schemas.operation import Check, Health, Readiness, WorkerAnswer
from api.schemas.predictions import PredictionAnswer, PredictionRequest
from api.schemas.shapes import Answer, Listing

__all__ = [
    "STOP_REASONS",
    "Answer",
    "Check",
    "CostEstimate",
    "CurveAnswer",
    "DatasetDetail",
    "DatasetReference",
    "DatasetSummary",
    "DiagnosisAnswer",
    "EvidenceAnswer",
    "Health",
    "JobAnswer",
    "Listing",
    "LoggedEvent",
    "Marker",
    "Overlay",
    "PredictionAnswer",
    "PredictionRequest",
    "Readiness",
    "Rows",
    "Sampling",
    "SpecWarning",
    "Status",
    "SuggestionAnswer",
    "Validation",
    "WeightsAnswer",
    "WorkerAnswer",
    "description_of",
]
