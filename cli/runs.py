"""A finished job as an MLflow run: parameters, metrics with their steps, tags, spec, curve and model.

A run is known again by the tag of its job's id, and one that was broken off is made anew, so exporting again
changes nothing. MLflow 3 keeps no runs in plain folders any more: a folder gets an SQLite database and a
folder of artifacts.
"""

from __future__ import annotations

import json
import logging
import re
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cli.client import RidgelineError
from cli.finished import Finished, MissingExtraError

STATUSES = {"succeeded": "FINISHED", "failed": "FAILED", "cancelled": "KILLED"}
JOB, COMPLETE = "ridgeline.job_id", "ridgeline.complete"
MOST_METRICS, MOST_PARAMS = 1000, 100
"""What MLflow takes in one request."""
LONGEST_KEY, LONGEST_PARAM, LONGEST_TAG = 250, 6000, 8000


class ExperimentError(RidgelineError):
    """The experiment cannot take any runs."""


@dataclass(frozen=True, slots=True)
class Tracking:
    """Where runs go."""

    client: Any
    experiment_id: str

    @classmethod
    def at(cls, place: str, experiment: str) -> Tracking:
        """A tracking server, a database, or a folder; `MissingExtraError` without MLflow."""
        client = _client(uri(place))
        found = client.get_experiment_by_name(experiment)
        if found is None:
            artifacts = None if is_address(place) else (Path(place).resolve() / "artifacts").as_uri()
            return cls(client, client.create_experiment(experiment, artifact_location=artifacts))
        if found.lifecycle_stage != "active":
            raise ExperimentError(
                f"the experiment {experiment!r} is deleted there; restore it or name another"
            )
        return cls(client, found.experiment_id)

    def write(self, done: Finished) -> tuple[str, bool]:
        """The run of a job, and whether it was made now."""
        for run in self._runs_of(done):
            if COMPLETE in run.data.tags:
                return run.info.run_id, False
            self.client.delete_run(run.info.run_id)
        began = round(done.began * 1000)
        name = done.job["name"] or done.job["id"]
        run = self.client.create_run(self.experiment_id, start_time=began, tags=_tags(done), run_name=name)
        run_id: str = run.info.run_id
        self._log(run_id, done)
        self.client.set_tag(run_id, COMPLETE, "true")
        self.client.set_terminated(run_id, STATUSES[done.job["status"]], end_time=round(done.ended * 1000))
        return run_id, True

    def _runs_of(self, done: Finished) -> Any:
        return self.client.search_runs([self.experiment_id], f"tags.`{JOB}` = '{done.job['id']}'")

    def _log(self, run_id: str, done: Finished) -> None:
        for params in _portions(list(_params(done)), MOST_PARAMS):
            self.client.log_batch(run_id, params=params)
        for metrics in _portions(list(_metrics(done)), MOST_METRICS):
            self.client.log_batch(run_id, metrics=metrics)
        spec = json.dumps(done.job["spec"], indent=2, ensure_ascii=False).encode()
        files = {"spec.json": spec, "curve.csv": done.csv, "model.onnx": done.model}
        with tempfile.TemporaryDirectory() as folder:
            for name, content in files.items():
                if content is not None:
                    (Path(folder) / name).write_bytes(content)
            self.client.log_artifacts(run_id, folder)


def is_address(place: str) -> bool:
    """`http://…`, `sqlite:///…` and the like, `databricks` too; anything else is a folder."""
    return "://" in place or place == "databricks"


def uri(place: str) -> str:
    """MLflow's address of a place; a folder is made where there is none."""
    if is_address(place):
        return place
    folder = Path(place).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    return f"sqlite:///{folder / 'mlflow.db'}"


def _client(address: str) -> Any:
    try:
        from mlflow.environment_variables import MLFLOW_DISABLE_TELEMETRY
        from mlflow.telemetry import set_telemetry_client
        from mlflow.tracking import MlflowClient
    except ImportError:
        raise MissingExtraError("MLflow") from None
    # Whoever exports a job to a folder of theirs has not asked to tell anybody of it.
    MLFLOW_DISABLE_TELEMETRY.set(True)  # type: ignore[no-untyped-call]
    set_telemetry_client()  # type: ignore[no-untyped-call]
    for chatty in ("mlflow", "alembic"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    return MlflowClient(address)


def _portions(things: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    return (things[start : start + size] for start in range(0, len(things), size))


def _params(done: Finished) -> Iterator[Any]:
    from mlflow.entities import Param

    for name, value in done.settings():
        yield Param(_key(name), str(value)[:LONGEST_PARAM])


def _metrics(done: Finished) -> Iterator[Any]:
    """Every epoch of every series under the series' name, and the splits' results at the restored epoch."""
    from mlflow.entities import Metric

    moments = [round(moment * 1000) for moment in done.moments()]
    for name, values in done.series.items():
        for step, (value, moment) in enumerate(zip(values, moments, strict=True), start=1):
            if value is not None:
                yield Metric(name, value, moment, step)
    for name, value in done.results():
        yield Metric(f"result/{name}", value, round(done.ended * 1000), done.restored_epoch)


def _tags(done: Finished) -> dict[str, str]:
    job = done.job
    said = {
        JOB: job["id"],
        "ridgeline.status": job["status"],
        "ridgeline.stop_reason": job["stop_reason"],
        "ridgeline.dataset": job["dataset"]["name"],
        "ridgeline.dataset_sha256": job["dataset"]["sha256"],
        "ridgeline.study_id": job["study_id"],
        "ridgeline.version": (job["environment"] or {}).get("ridgeline"),
        "mlflow.note.content": job["stop_detail"],
        **{_key(f"ridgeline.metadata.{name}"): value for name, value in job["metadata"].items()},
    }
    return {name: str(value)[:LONGEST_TAG] for name, value in said.items() if value not in (None, "")}


def _key(name: str) -> str:
    """A name as MLflow takes it: letters, digits and `_ - . : /` and blanks."""
    return re.sub(r"[^\w\-. :/]", "_", name)[:LONGEST_KEY]
