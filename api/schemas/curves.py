"""Curves and weights as they are answered."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from api.schemas.shapes import Answer


class Marker(Answer):
    """An epoch that means something."""

    epoch: int
    kind: Literal["best", "stopped"]
    reason: str | None = Field(default=None, exclude_if=lambda reason: reason is None)


class Sampling(Answer):
    """How many of the points are in the answer, and how they were chosen."""

    method: Literal["none", "lttb"]
    returned: int
    total: int


class CurveAnswer(Answer):
    """A learning curve in columns."""

    job_id: str
    epochs: list[int]
    series: dict[str, list[float | None]]
    """A number for each epoch; null where it was not finite."""
    nonfinite: dict[str, dict[int, str]]
    """Series → epoch → `nan`, `inf` or `-inf`."""
    markers: list[Marker]
    sampling: Sampling


class Overlay(Answer):
    """Several learning curves."""

    curves: list[CurveAnswer]


class WeightsAnswer(Answer):
    """What the weights say."""

    job_id: str
    layers: list[dict[str, Any]]
    inputs: list[dict[str, Any]]
    """For each column the norm of the weights leaving it; `kept` is false where all of them are zero."""
    linear: dict[str, Any] | None
    """Intercept and coefficients of a linear model; null where there are hidden layers."""
    reason: str | None = Field(default=None, exclude_if=lambda reason: reason is None)
    """Why a linear model has no coefficients in the space that was asked for."""
