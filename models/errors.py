"""What can be wrong with what was asked of the science, said so that the asker can mend it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal


@dataclass(frozen=True, slots=True)
class Complaint:
    """One thing that is wrong with an input, and what to write instead."""

    pointer: str
    """Where, as a JSON Pointer (RFC 6901) into the input: `/regularization/dropout/hidden/1`."""
    detail: str
    """What was wrong, as a sentence."""
    given: Any = None
    """The offending value where it is short and printable, else None."""
    suggestion: str | None = None
    """What to write instead."""


NoticeKind = Literal["spec", "data_problem", "undefined"]
"""What it is about: what was asked, data that make scores look better than they are, or a metric that its
pointer names and that says nothing on these rows."""


@dataclass(frozen=True, slots=True)
class Notice:
    """Something the asker should know although the job runs."""

    pointer: str
    detail: str
    kind: NoticeKind = "spec"


class RidgelineError(Exception):
    """Something went wrong."""

    def __init__(self, detail: str | None = None) -> None:
        super().__init__(detail or (type(self).__doc__ or "").strip())


class SpecError(RidgelineError):
    """The job spec cannot be carried out."""

    def __init__(self, complaints: list[Complaint]) -> None:
        super().__init__("; ".join(f"{c.pointer}: {c.detail}" for c in complaints))
        self.complaints = complaints


class TooExpensiveError(SpecError):
    """The job spec asks for more than a worker may spend."""


class DatasetError(RidgelineError):
    """The file is not a dataset that can be trained on."""

    def __init__(self, detail: str, *, suggestion: str | None = None, pointer: str = "/file") -> None:
        super().__init__(detail)
        self.pointer = pointer
        self.suggestion = suggestion


class RowsError(RidgelineError):
    """The rows are not ones that this network can be asked about."""

    def __init__(self, complaints: list[Complaint]) -> None:
        super().__init__("; ".join(complaint.detail for complaint in complaints[:3]))
        self.complaints = complaints


class DataError(RidgelineError):
    """The dataset does not fit the job: nothing to train on after the split, or a column that is gone."""


class WeightsError(RidgelineError):
    """The weights file is damaged or does not belong to this network."""


class CheckpointError(RidgelineError):
    """The checkpoint is damaged or does not belong to this training."""
