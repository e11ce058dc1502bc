"""The model card as it is answered: what a trained network is, what it came from, how it is used."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from api.schemas.diagnosis import DiagnosisAnswer
from api.schemas.jobs import FullSpec, SpecWarning, Status, StopReason
from api.schemas.shapes import Answer
from models.datasets import ClassCount


class CardColumn(Answer):
    """A column that the network was trained on."""

    name: str
    kind: Literal["numeric", "categorical", "boolean", "datetime"]
    missing: int
    """Rows of the data without a value."""


class CardData(Answer):
    """What it was trained on."""

    dataset_id: str
    name: str
    sha256: str
    rows: int
    task: Literal["classification", "regression"]
    target: str
    classes: list[ClassCount] | None
    columns: list[CardColumn]
    splits: dict[str, int] | None
    """Rows for `train`, `validation`, `test`; null where a column of the data tells them."""
    split_column: str | None


class CardTechnique(Answer):
    """A technique of the cocktail, with its strength, in words."""

    name: str
    words: str


class CardEpoch(Answer):
    """An epoch of the curve that means something; what was not finite or not measured is null."""

    kind: Literal["first", "best", "last"]
    epoch: int
    train_loss: float | None
    val_loss: float | None


class CardCurve(Answer):
    """The curve in short."""

    best_epoch: int | None
    last_epoch: int | None
    epochs: list[CardEpoch]
    picture: str
    """Where it is drawn."""


class CardResult(Answer):
    """The splits side by side, at the restored weights."""

    metrics: dict[str, dict[str, float | None]]
    """Metric → split → value; `loss` among them."""
    generalization_gap: float | None
    """Validation loss minus training loss."""


class CardSparsity(Answer):
    """What the weights leave out."""

    layers: list[dict[str, Any]]
    dropped_inputs: list[str]
    """Columns whose weights are all exactly zero."""


class CardPort(Answer):
    """An input or output of the ONNX file."""

    name: str
    type: Literal["float64", "float32", "string"]
    shape: list[str | int]
    """`rows` is whatever is sent."""
    about: str
    kind: str | None
    """The kind of column behind an input; null for an output."""


class CardFile(Answer):
    """A file to take away."""

    address: str
    sha256: str
    bytes: int


class CardOnnx(CardFile):
    """The ONNX file, and what goes in and comes out."""

    inputs: list[CardPort]
    outputs: list[CardPort]


class ModelCard(Answer):
    """What a trained network is."""

    job_id: str
    name: str | None
    status: Status
    stop_reason: StopReason | None
    stop_detail: str | None
    created_at: datetime
    finished_at: datetime | None
    purpose: str
    """What it is for."""
    limits: list[str]
    """What it is not for, and what to mind."""
    data: CardData
    spec: FullSpec
    techniques: list[CardTechnique]
    curve: CardCurve
    result: CardResult
    diagnosis: DiagnosisAnswer | None
    """What its curve says, and what to try next; null where it was broken off before its first epoch."""
    sparsity: CardSparsity
    warnings: list[SpecWarning]
    environment: dict[str, Any] | None
    weights: CardFile
    onnx: CardOnnx
    usage: str
    """Python that loads the ONNX file and asks it about one row."""
