"""A finished job with all that is to be taken along: its spec, its curve to the last digit, its model."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import accumulate
from typing import Any

from cli.client import Client, RefusedError, RidgelineError

FINAL = ("succeeded", "failed", "cancelled")
SPLITS = ("train", "validation", "test")
OF_STRANGERS = ("feature_weights", "metadata")
"""Parts of a spec whose names anybody may have chosen: they are told as one value each."""

INSTALL_EXPORT = ".venv/bin/pip install -c constraints.txt -e '.[export]'"
"""From the checkout: on PyPI the name `ridgeline` is somebody else's, and not to be installed."""


class NotFinishedError(RidgelineError):
    """The job goes on, and what is exported now would be wrong in a moment."""


class MissingExtraError(RidgelineError):
    """The library that writes this format is not installed."""

    def __init__(self, library: str) -> None:
        super().__init__(
            f"{library} is not installed; in a checkout of Ridgeline, `{INSTALL_EXPORT}` brings it"
        )


@dataclass(frozen=True, slots=True)
class Finished:
    """A job that has ended. Series have a number for each epoch from 1, None where none was measured."""

    job: dict[str, Any]
    csv: bytes
    """The curve as the server writes it."""
    series: dict[str, list[float | None]]
    model: bytes | None = None
    """As ONNX, where the server has it."""

    @property
    def began(self) -> float:
        """Seconds since 1970; when it was submitted, where it never began."""
        return _seconds(self.job["started_at"] or self.job["created_at"])

    @property
    def ended(self) -> float:
        """Seconds since 1970."""
        return _seconds(self.job["finished_at"])

    def moments(self) -> list[float]:
        """When each epoch ended, by its own account of how long it took; pauses are not in it."""
        took = self.series.get("epoch_seconds", [])
        return [min(self.began + since, self.ended) for since in accumulate(each or 0.0 for each in took)]

    def results(self) -> Iterator[tuple[str, float]]:
        """`test/accuracy` and its value, for each metric of each split at the restored epoch."""
        result = self.job["result"] or {}
        for split in SPLITS:
            kinds = (result.get(split) or {}).get("nonfinite") or {}
            for name, value in (result.get(split) or {}).items():
                if name != "nonfinite" and (value is not None or name in kinds):
                    yield f"{split}/{name}", float(kinds[name] if value is None else value)
        if result.get("generalization_gap") is not None:
            yield "generalization_gap", float(result["generalization_gap"])

    def settings(self) -> Iterator[tuple[str, str | float | bool]]:
        """`regularization.l2.strength` and its value, for everything that the full spec sets."""
        return _leaves(self.job["spec"], "")

    @property
    def restored_epoch(self) -> int:
        """The epoch whose weights were kept; 0 where there is none."""
        return int((self.job["result"] or {}).get("restored_epoch") or 0)


def job_of(client: Client, job_id: str) -> dict[str, Any]:
    """A finished job as the server tells it; `NotFinishedError` for any other."""
    job: dict[str, Any] = client.get(f"/v1/jobs/{job_id}")
    if job["status"] not in FINAL:
        raise NotFinishedError(f"{job['id']} is {job['status']}; only jobs that have ended are exported")
    return job


def fetch(client: Client, job_id: str, *, with_model: bool = False) -> Finished:
    """Everything about a finished job; `NotFinishedError` for any other."""
    job = job_of(client, job_id)
    # As CSV, which is never thinned and reads back exactly.
    curve = client.read(f"/v1/jobs/{job_id}/curves", format="csv")
    return Finished(job, curve, _columns(curve), _model(client, job_id) if with_model else None)


def _columns(curve: bytes) -> dict[str, list[float | None]]:
    names, *rows = csv.reader(io.StringIO(curve.decode()))
    columns = zip(*rows, strict=True) if rows else ([] for _ in names)
    numbers = ([float(cell) if cell else None for cell in column] for column in columns)
    return {name: column for name, column in zip(names, numbers, strict=True) if name != "epoch"}


def _model(client: Client, job_id: str) -> bytes | None:
    """None where there is no model, or where the server does not hand any out."""
    try:
        return client.read(f"/v1/jobs/{job_id}/model", format="onnx")
    except RefusedError as error:
        if error.status == 404:
            return None
        raise


def _leaves(document: Mapping[str, Any], above: str) -> Iterator[tuple[str, str | float | bool]]:
    for name, value in document.items():
        if isinstance(value, dict) and name not in OF_STRANGERS:
            yield from _leaves(value, f"{above}{name}.")
        elif value not in (None, {}):
            yield f"{above}{name}", value if isinstance(value, str | int | float) else json.dumps(value)


def _seconds(moment: str) -> float:
    return datetime.fromisoformat(moment).timestamp()
