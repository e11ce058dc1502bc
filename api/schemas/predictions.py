"""Predictions as they are asked for and answered."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import ConfigDict, Field

from api.schemas.shapes import Answer

Cell = float | str | bool | None


class PredictionRequest(Answer):
    """Rows to predict."""

    model_config = ConfigDict(extra="forbid")

    rows: list[dict[str, Cell]]
    """A row each, column by name: every column that the network was trained on, null where there is no value.

    Values as in the data's file: numbers, true or false, dates as text, text. The target may come along.
    """


def _absent(kinds: dict[str, str] | None) -> bool:
    return kinds is None


class ClassPrediction(Answer):
    """What a row is."""

    label: str | None
    """The most probable class; null where the network gives no numbers any more."""
    probabilities: dict[str, float | None]
    """Of each class; they add up to 1."""
    nonfinite: dict[str, str] | None = Field(default=None, exclude_if=_absent)
    """Class → `nan`, `inf` or `-inf`, where a probability is null."""


class ValuePrediction(Answer):
    """How much a row has of the target."""

    value: float | None
    """In the target's own units."""
    nonfinite: dict[str, str] | None = Field(default=None, exclude_if=_absent)
    """`value` → `nan`, `inf` or `-inf`, where it is null."""


class PredictionNotice(Answer):
    """Something to know about the predictions although they were made."""

    pointer: str
    """Where, as a JSON Pointer into the request: `/rows/3/zip`."""
    detail: str


class PredictionAnswer(Answer):
    """Predictions, in the order of the rows."""

    job_id: str
    task: Literal["classification", "regression"]
    target: str
    """The column that is predicted."""
    classes: list[str] | None
    """Null for regression."""
    predictions: list[ClassPrediction | ValuePrediction]
    notices: list[PredictionNotice]
    """Levels that training did not know, one notice a column; empty where there is nothing to say."""


def request_schema() -> dict[str, Any]:
    """For the OpenAPI document."""
    return {"$ref": f"#/components/schemas/{PredictionRequest.__name__}"}
