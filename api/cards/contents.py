"""What stands in a model card, gathered from what is stored: nothing is computed but what a sum is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from api.cards import words
from api.cards.usage import usage
from api.networks import Exported
from api.schemas.cards import (
    CardColumn,
    CardCurve,
    CardData,
    CardEpoch,
    CardFile,
    CardOnnx,
    CardPort,
    CardResult,
    CardSparsity,
    CardTechnique,
    ModelCard,
)
from api.schemas.datasets import description_of
from api.schemas.diagnosis import DiagnosisAnswer
from api.schemas.jobs import SpecWarning
from models.complaints import printable
from models.datasets import Description
from models.diagnosis import Diagnosis
from models.spec import SplitSpec
from models.splits import SPLITS, sizes
from store.curves import Curve
from store.datasets import Dataset
from store.jobs import Job
from store.weights import Weights

SERIES: Final = ("train_loss", "val_loss")

_SAME: Final = (
    *("name", "status", "stop_reason", "stop_detail", "created_at", "finished_at", "spec", "environment"),
)


@dataclass(frozen=True, slots=True)
class Sources:
    """What a card is made from."""

    job: Job
    dataset: Dataset
    weights: Weights
    curve: Curve
    """Of the job's losses."""
    exported: Exported
    diagnosis: Diagnosis | None


def card(sources: Sources) -> ModelCard:
    """The card of a job that has weights."""
    job, about = sources.job, description_of(sources.dataset)
    address, exported = f"/v1/jobs/{job.id}", sources.exported
    return ModelCard(
        job_id=job.id,
        **{name: getattr(job, name) for name in _SAME},
        purpose=_purpose(about, exported),
        limits=list(_limits(job)),
        data=_data(sources, about),
        techniques=[
            CardTechnique(name=name, words=said) for name, said in words.techniques(job.spec).items()
        ],
        curve=_curve(sources, address),
        result=_result(job.result or {}),
        diagnosis=DiagnosisAnswer.of(job, sources.diagnosis) if sources.diagnosis else None,
        sparsity=_sparsity(sources.weights.summary),
        warnings=[SpecWarning(**warning) for warning in job.warnings],
        weights=CardFile(
            address=f"{address}/model?format=safetensors",
            sha256=sources.weights.sha256,
            bytes=sources.weights.bytes,
        ),
        onnx=_onnx(address, exported),
        usage=usage(f"{job.id}.onnx", exported.inputs, {column.name: column for column in about.columns}),
    )


def _purpose(about: Description, exported: Exported) -> str:
    what = "the class" if about.classes else "the value"
    count = len(exported.inputs)
    columns = "one column" if count == 1 else f"{count} columns"
    target = printable(about.target.name)
    return f"Predicts {what} of {target!r} from {columns}, for rows like those of the data."


def _limits(job: Job) -> Iterator[str]:
    yield "Rows that come from elsewhere than the data, or from another time, are answered no less surely."
    yield "Probabilities and values follow the data, with whatever is wrong or one-sided in them."
    yield "That a column helps to predict says nothing about what it causes."
    if not (job.result or {}).get("test"):
        yield "No test split: training has seen, or was chosen by, all rows that anything was measured on."
    if job.status != "succeeded":
        yield f"Training did not come to its end: the job {job.status}."


def _data(sources: Sources, about: Description) -> CardData:
    dataset, split = sources.dataset, sources.job.spec["split"]
    known = {column.name: column for column in about.columns}
    used = [known[port.name] for port in sources.exported.inputs if port.name in known]
    return CardData(
        dataset_id=dataset.id,
        name=dataset.name,
        sha256=dataset.sha256,
        rows=about.rows,
        task=about.task,
        target=about.target.name,
        classes=about.classes,
        columns=[CardColumn(name=one.name, kind=one.kind, missing=one.missing) for one in used],
        splits=sizes(SplitSpec.model_validate(split), about.rows),
        split_column=split["column"],
    )


def _curve(sources: Sources, address: str) -> CardCurve:
    result, curve = sources.job.result or {}, sources.curve
    best, last = result.get("best_epoch"), curve.epochs[-1] if curve.epochs else None
    named = {"first": curve.epochs[0] if curve.epochs else None, "best": best, "last": last}
    return CardCurve(
        best_epoch=best,
        last_epoch=last,
        epochs=[_epoch(kind, epoch, curve) for kind, epoch in named.items() if epoch in curve.epochs],
        picture=f"{address}/curves?format=png",
    )


def _epoch(kind: Any, epoch: Any, curve: Curve) -> CardEpoch:
    row = curve.epochs.index(epoch)
    train, validation = (curve.series[name][row] if name in curve.series else None for name in SERIES)
    return CardEpoch(kind=kind, epoch=epoch, train_loss=train, val_loss=validation)


def _result(result: Mapping[str, Any]) -> CardResult:
    """Metrics in rows, splits in columns."""
    splits = {split: result.get(split) or {} for split in SPLITS}
    names = dict.fromkeys(name for told in splits.values() for name in told if name != "nonfinite")
    return CardResult(
        metrics={name: {split: told.get(name) for split, told in splits.items()} for name in names},
        generalization_gap=result.get("generalization_gap"),
    )


def _sparsity(summary: Mapping[str, Any]) -> CardSparsity:
    dropped = [one["column"] for one in summary["inputs"] if not one["kept"]]
    return CardSparsity(layers=summary["layers"], dropped_inputs=dropped)


def _onnx(address: str, exported: Exported) -> CardOnnx:
    inputs, outputs = (
        [CardPort(**port.told()) for port in ports] for ports in (exported.inputs, exported.outputs)
    )
    told = {"sha256": exported.sha256, "bytes": exported.bytes}
    return CardOnnx(address=f"{address}/model?format=onnx", inputs=inputs, outputs=outputs, **told)
