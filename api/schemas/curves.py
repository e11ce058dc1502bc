"""Curves and weights as they are answered."""

from __future__ import annotations

from typing import Literal

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


class Layer(Answer):
    """The weights of one layer; a norm is null where it is not finite."""

    name: str
    shape: list[int]
    """Outputs, inputs."""
    zeros: int
    sparsity: float
    """Of all weights, those that are exactly zero."""
    l1_norm: float | None
    l2_norm: float | None
    max_abs: float | None
    silent: int | None = None
    """Of a hidden layer's units, those that answer the same to every training row: they have died, or nothing
    reaches them. Null for the output, and where it was not looked at."""


class InputColumn(Answer):
    """What the first layer makes of a column."""

    column: str
    norm: float | None
    """Of the weights leaving it."""
    share: float | None
    """Of the norms of all columns."""
    kept: bool
    """False where every weight leaving it is exactly zero."""


class LinearModel(Answer):
    """What a linear model multiplies and adds."""

    space: Literal["trained", "original"]
    """After preprocessing, or in the data's own units."""
    outputs: list[str]
    """What each output speaks for: a class, or the target."""
    intercept: list[float | None]
    coefficients: dict[str, list[float | None]]
    """For each column, or level of a column, a number an output."""


class WeightsAnswer(Answer):
    """What the weights say."""

    job_id: str
    layers: list[Layer]
    inputs: list[InputColumn]
    linear: LinearModel | None
    """Intercept and coefficients of a linear model; null where there are hidden layers."""
    reason: str | None = Field(default=None, exclude_if=lambda reason: reason is None)
    """Why a linear model has no coefficients in the space that was asked for."""
