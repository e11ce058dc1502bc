"""Datasets as they are answered, and how rows become them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal, Self

from pydantic import Field

from api.schemas.shapes import Answer, Notices, Scalar
from models.datasets import ClassCount, Column, Description
from store.datasets import Dataset, Listed


class DatasetSummary(Answer):
    """A dataset as lists show it."""

    id: str
    name: str
    filename: str | None
    bundled: bool
    """Comes with Ridgeline and may be named in a spec."""
    sha256: str
    """Of the bytes that were uploaded."""
    bytes: int
    target: str
    task: Literal["classification", "regression"]
    rows: int
    features: int
    metadata: dict[str, Scalar]
    """Your own labels."""
    user_notes: str | None
    """What people wrote about it; `notes` is what was made of the file."""
    created_at: datetime
    links: dict[str, str]

    @classmethod
    def of(cls, dataset: Listed) -> Self:
        """The answer for a row."""
        return cls(**_dataset_parts(dataset))


class DatasetDetail(DatasetSummary):
    """A dataset with what is known of its columns."""

    columns: list[Column]
    """The features, in the order of the file."""
    target_column: Column
    task_reason: str
    classes: list[ClassCount] | None
    """The classes with their counts; null for regression."""
    positive_class: str | None
    """Of two classes the one that precision, recall, F1 and average precision are of; null else."""
    notes: list[str]
    """What was made of the file."""
    notices: Notices = Field(default=[])
    """What became of the name that it was uploaded under; left out where there is nothing to say."""

    @classmethod
    def of(cls, dataset: Listed, notices: Sequence[str] = ()) -> Self:
        """The answer for a row with its description."""
        if not isinstance(dataset, Dataset):
            raise TypeError("a listed row has no description")
        about = description_of(dataset)
        parts = {name: getattr(about, name) for name in ("columns", "task_reason", "classes", "notes")}
        positive = about.positive_class
        return cls(
            **_dataset_parts(dataset),
            target_column=about.target,
            positive_class=positive,
            notices=list(notices),
            **parts,
        )


_DESCRIPTIONS: dict[str, Description] = {}
"""Those that were read lately: a dataset's never changes, and every job that is submitted asks for one."""
_MOST_DESCRIPTIONS = 100
_FEW_COLUMNS = 200


def description_of(dataset: Dataset) -> Description:
    """What the science needs to know of a stored dataset."""
    if (known := _DESCRIPTIONS.get(dataset.id)) is None:
        # Those stored by earlier versions lack the fields that came later.
        parts = {
            name: value for name, value in dataset.description.items() if name in Description.model_fields
        }
        known = Description.model_validate(parts)
        if len(known.columns) <= _FEW_COLUMNS:
            _remember(dataset.id, known)
    return known


def _remember(dataset_id: str, description: Description) -> None:
    if len(_DESCRIPTIONS) >= _MOST_DESCRIPTIONS:
        _DESCRIPTIONS.clear()
    _DESCRIPTIONS[dataset_id] = description


def _dataset_parts(dataset: Listed) -> dict[str, Any]:
    shown = (
        "id",
        "name",
        "filename",
        "bundled",
        "sha256",
        "bytes",
        "target",
        "task",
        "rows",
        "features",
        "metadata",
        "user_notes",
        "created_at",
    )
    address = f"/v1/datasets/{dataset.id}"
    return {name: getattr(dataset, name) for name in shown} | {
        "links": {"self": address, "rows": f"{address}/rows"}
    }


class Rows(Answer):
    """The first rows of a dataset, as a look."""

    columns: list[str]
    data: list[dict[str, Scalar]]
    """A row each, column by name; null where a value is missing."""
    total: int
    """Rows of the whole dataset."""
