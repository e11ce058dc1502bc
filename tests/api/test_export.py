"""Finished jobs in TensorBoard and MLflow: what their own libraries read back is what the API says.

The command line asks a real server, which hands on what the application answers.
"""

from __future__ import annotations

import base64
import hashlib
import json
import math
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from starlette.testclient import TestClient

from cli import event_files, finished, runs
from cli.exits import Exit
from cli.main import main
from tests.api.acting import Worker, submit
from tests.cli.scripted import Answer, Script, scripted

# MLflow 3.17 uses a loader of SQLAlchemy 2.0 that 2.1 warns of; it is theirs, and works.
pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader:sqlalchemy.exc.SADeprecationWarning")

EPOCHS = 12
AWKWARD = (math.nan, math.inf, -math.inf, 0.0, 1e-300, 0.1 + 0.2)
Run = Callable[..., int]


def measured() -> dict[str, list[float]]:
    """Numbers with all their digits, and those that are none."""
    random = np.random.default_rng(0)
    names = ("train_loss", "val_loss", "objective", "train_accuracy", "val_accuracy", "learning_rate")
    series = {name: random.random(EPOCHS).tolist() for name in names}
    series["penalty_l2"] = [*AWKWARD, *random.random(EPOCHS - len(AWKWARD)).tolist()]
    return series | {"epoch_seconds": [0.001] * EPOCHS}


SPEC: dict[str, Any] = {
    "name": "wine & <roses>",
    "network": {"hidden": [16, 8]},
    "regularization": {"l2": 1e-4, "batch_norm": True, "early_stopping": {"patience": 3}},
    "metadata": {"team": "risk", "löve?": 7},
}
RESULT = {
    "best_epoch": 7,
    "restored_epoch": 7,
    "last_epoch": EPOCHS,
    "train": {"loss": 0.1 + 0.7, "accuracy": 0.9},
    "validation": {"loss": None, "accuracy": 0.8, "nonfinite": {"loss": "inf"}},
    "test": {"loss": 1 / 3, "accuracy": 0.75},
    "generalization_gap": None,
}


@pytest.fixture(scope="module", autouse=True)
def leave_home_alone() -> Iterator[None]:
    """MLflow's import would write an id into it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
        yield


@pytest.fixture(scope="module")
def job(client: TestClient, worker: Worker) -> str:
    """A job that succeeded after twelve epochs."""
    begun = worker.begin(submit(client, **SPEC)["id"])
    worker.record(begun, measured())
    worker.succeed(begun, RESULT)
    return begun.id


@pytest.fixture
def script(client: TestClient, job: str) -> Iterator[Script]:
    """A server that hands on what the application says of the job."""

    def hand_on(path: str) -> Callable[[], Answer]:
        def answer() -> Answer:
            said = client.get(path)
            return Answer(said.content, said.status_code, said.headers["content-type"])

        return answer

    with scripted() as running:
        here = f"/v1/jobs/{job}"
        running.by_path = {here: hand_on(here), f"{here}/curves": hand_on(f"{here}/curves?format=csv")}
        running.by_path[f"{here}/model"] = lambda: Answer(b"{}", 404, "application/problem+json")
        yield running


@pytest.fixture
def run(script: Script, monkeypatch: pytest.MonkeyPatch) -> Run:
    """The command line, talking to that server."""

    def run(*arguments: str) -> int:
        monkeypatch.setattr("sys.argv", ["ridgeline", *arguments, "--server", script.address])
        with pytest.raises(SystemExit) as ended:
            main()
        return ended.value.code if isinstance(ended.value.code, int) else 0

    return run


def exact(client: TestClient, job: str) -> dict[str, list[float]]:
    """The curve as the API's JSON has it, non-finite numbers restored."""
    answer = client.get(f"/v1/jobs/{job}/curves").json()
    series: dict[str, list[Any]] = answer["series"]
    for name, kinds in answer["nonfinite"].items():
        for epoch, kind in kinds.items():
            series[name][int(epoch) - 1] = float(kind)
    return series


def single(value: float) -> float:
    """As a float32."""
    return float(struct.unpack("f", struct.pack("f", value))[0])


def same(found: list[float], expected: list[float]) -> bool:
    return np.array_equal(np.array(found), np.array(expected), equal_nan=True)


# ── TensorBoard ─────────────────────────────────────────────────────────────────────────────────────────────


def accumulated(folder: Path) -> Any:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    (place,) = folder.iterdir()
    found = EventAccumulator(str(place), size_guidance={"scalars": 0, "tensors": 0})
    found.Reload()
    return found


TAGS = {
    "train_loss": "loss/train",
    "val_loss": "loss/validation",
    "objective": "loss/objective",
    "train_accuracy": "accuracy/train",
    "val_accuracy": "accuracy/validation",
    "penalty_l2": "penalty/l2",
    "learning_rate": "training/learning_rate",
    "epoch_seconds": "training/epoch_seconds",
}


def test_tensorboard_reads_every_number_of_the_curve(
    client: TestClient, job: str, run: Run, tmp_path: Path
) -> None:
    assert run("export", "tensorboard", job, "--to", str(tmp_path)) == Exit.OK
    found, series = accumulated(tmp_path), exact(client, job)
    assert set(series) == set(TAGS)
    for name, values in series.items():
        scalars = found.Scalars(TAGS[name])
        assert [each.step for each in scalars] == list(range(1, EPOCHS + 1))
        assert same([each.value for each in scalars], [single(value) for value in values]), name
    answer = client.get(f"/v1/jobs/{job}").json()
    moments = [each.wall_time for each in found.Scalars("loss/train")]
    assert moments == sorted(moments)
    assert moments[-1] - moments[0] <= answer["duration_seconds"]


def test_tensorboard_reads_results_spec_and_layout(
    client: TestClient, job: str, run: Run, tmp_path: Path
) -> None:
    from tensorboard.plugins.custom_scalar.layout_pb2 import Layout

    assert run("export", "tensorboard", job, "--to", str(tmp_path)) == Exit.OK
    found = accumulated(tmp_path)
    (test_loss,) = found.Scalars("result/test/loss")
    assert (test_loss.step, test_loss.value) == (7, single(1 / 3))
    assert found.Scalars("result/validation/loss")[0].value == math.inf
    (text,) = found.Tensors("spec/text_summary")
    told = text.tensor_proto.string_val[0].decode().removeprefix("```json\n").removesuffix("\n```")
    assert json.loads(told) == client.get(f"/v1/jobs/{job}").json()["spec"]
    layout = Layout.FromString(found.Tensors("custom_scalars__config__")[0].tensor_proto.string_val[0])
    charts = {chart.title: list(chart.multiline.tag) for chart in layout.category[0].chart}
    assert charts["loss"] == ["loss/train", "loss/validation"]


def test_tensorboard_s_own_plugin_reads_the_hyperparameters(job: str, run: Run, tmp_path: Path) -> None:
    """By the backend that draws its page."""
    from tensorboard.backend.event_processing.data_provider import MultiplexerDataProvider
    from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer
    from tensorboard.context import RequestContext
    from tensorboard.plugins.base_plugin import TBContext
    from tensorboard.plugins.hparams import backend_context

    assert run("export", "tensorboard", job, "--to", str(tmp_path)) == Exit.OK
    multiplexer = EventMultiplexer().AddRunsFromDirectory(str(tmp_path))
    multiplexer.Reload()
    provider = MultiplexerDataProvider(multiplexer, str(tmp_path))
    context = backend_context.Context(TBContext(data_provider=provider, multiplexer=multiplexer))
    metadata = context.hparams_metadata(RequestContext(), "")
    experiment = context.experiment_from_metadata(RequestContext(), "", True, metadata, [])
    told = {each.name for each in experiment.hparam_infos}
    assert {"regularization.l2.strength", "training.batch_size", "network.activation"} <= told
    assert ("", "loss/validation") in {(each.name.group, each.name.tag) for each in experiment.metric_infos}


def test_exported_again_an_event_file_is_the_same(job: str, run: Run, tmp_path: Path) -> None:
    for _ in range(2):
        assert run("export", "tensorboard", job, "--to", str(tmp_path)) == Exit.OK
    (place,) = tmp_path.iterdir()
    assert place.name == f"wine-roses-{job}"
    (file,) = place.iterdir()
    before = file.read_bytes()
    assert run("export", "tensorboard", job, "--to", str(tmp_path), "--json") == Exit.OK
    assert file.read_bytes() == before


# ── MLflow ──────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def tracked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for MLflow; to make its tables takes seconds, so it is made once."""
    return tmp_path_factory.mktemp("tracked")


def runs_of(tracked: Path, job: str, experiment: str = "ridgeline") -> list[Any]:
    from mlflow.tracking import MlflowClient

    client = MlflowClient(f"sqlite:///{tracked / 'mlflow.db'}")
    found = client.get_experiment_by_name(experiment)
    return list(client.search_runs([found.experiment_id], f"tags.`ridgeline.job_id` = '{job}'"))


def test_mlflow_reads_every_number_of_the_curve(
    client: TestClient, job: str, run: Run, tracked: Path
) -> None:
    from mlflow.tracking import MlflowClient

    assert run("export", "mlflow", job, "--to", str(tracked)) == Exit.OK
    (found,) = runs_of(tracked, job)
    history = MlflowClient(f"sqlite:///{tracked / 'mlflow.db'}").get_metric_history
    largest = np.finfo(np.float64).max
    for name, values in exact(client, job).items():
        told = sorted(history(found.info.run_id, name), key=lambda each: each.step)
        assert [each.step for each in told] == list(range(1, EPOCHS + 1))
        # Its SQL store has no infinities, and keeps the largest number instead.
        assert same([each.value for each in told], np.clip(values, -largest, largest).tolist()), name
    assert found.data.metrics["result/test/loss"] == 1 / 3
    assert found.data.metrics["result/validation/loss"] == largest


def test_mlflow_reads_parameters_tags_times_and_files(
    client: TestClient, job: str, run: Run, tracked: Path, tmp_path: Path
) -> None:
    from mlflow.artifacts import download_artifacts

    assert run("export", "mlflow", job, "--to", str(tracked)) == Exit.OK
    (found,) = runs_of(tracked, job)
    answer = client.get(f"/v1/jobs/{job}").json()
    assert found.data.params["regularization.l2.strength"] == "0.0001"
    assert found.data.params["network.hidden"] == "[16, 8]"
    assert json.loads(found.data.params["metadata"]) == SPEC["metadata"]
    tags = found.data.tags
    assert (tags["ridgeline.dataset_sha256"], tags["ridgeline.status"]) == (
        answer["dataset"]["sha256"],
        "succeeded",
    )
    assert tags["ridgeline.metadata.team"] == "risk"
    assert (found.info.status, found.info.run_name) == ("FINISHED", SPEC["name"])
    assert found.info.end_time - found.info.start_time == pytest.approx(
        1000 * answer["duration_seconds"], abs=2
    )
    place = found.info.artifact_uri
    files = {
        name: Path(download_artifacts(f"{place}/{name}", dst_path=str(tmp_path)))
        for name in ("spec.json", "curve.csv")
    }
    assert json.loads(files["spec.json"].read_text()) == answer["spec"]
    assert files["curve.csv"].read_bytes() == client.get(f"/v1/jobs/{job}/curves?format=csv").content


def test_exported_again_a_run_stays_and_a_broken_one_is_made_anew(
    job: str, run: Run, script: Script, tracked: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from mlflow.tracking import MlflowClient

    script.by_path[f"/v1/jobs/{job}/model"] = lambda: Answer(b"an ONNX file", 200, "application/octet-stream")
    arguments = ("export", "mlflow", job, "--to", str(tracked), "--experiment", "again")
    assert run(*arguments, "--json") == Exit.OK
    (first,) = json.loads(capsys.readouterr().out)["runs"]
    assert first["created"]
    assert run(*arguments) == Exit.OK
    assert f"{job}: run {first['run_id']}, which was there" in capsys.readouterr().out
    client = MlflowClient(f"sqlite:///{tracked / 'mlflow.db'}")
    assert [each.path for each in client.list_artifacts(first["run_id"])] == [
        "curve.csv",
        "model.onnx",
        "spec.json",
    ]
    client.delete_tag(first["run_id"], "ridgeline.complete")
    assert run(*arguments) == Exit.OK
    (anew,) = runs_of(tracked, job, "again")
    assert anew.info.run_id != first["run_id"]


# ── what is refused ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("where", ["tensorboard", "mlflow"])
def test_a_job_that_goes_on_is_not_exported(
    client: TestClient,
    run: Run,
    script: Script,
    where: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    waiting = submit(client)
    script.by_path[f"/v1/jobs/{waiting['id']}"] = lambda: Answer(json.dumps(waiting).encode())
    assert run("export", where, waiting["id"], "--to", str(tmp_path)) == Exit.FAILED
    assert "is queued; only jobs that have ended are exported" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("where", ["tensorboard", "mlflow"])
def test_a_job_is_written_before_the_next_is_fetched(
    job: str, run: Run, where: str, tracked: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []
    fetch = finished.fetch

    def fetched(*given: Any, **options: Any) -> Any:
        order.append("fetched")
        return fetch(*given, **options)

    def written(*_: Any) -> Any:
        order.append("written")
        return "run", True

    monkeypatch.setattr(finished, "fetch", fetched)
    monkeypatch.setattr(event_files, "write", written)
    monkeypatch.setattr(runs.Tracking, "write", written)
    assert run("export", where, job, job, "--to", str(tracked)) == Exit.OK
    assert order == ["fetched", "written"] * 2


def test_a_model_that_arrives_damaged_is_not_kept(
    job: str, run: Run, script: Script, tracked: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    digest = base64.b64encode(hashlib.sha256(b"what was sent").digest()).decode()
    headers = {"Repr-Digest": f"sha-256=:{digest}:"}
    kind = "application/octet-stream"
    script.by_path[f"/v1/jobs/{job}/model"] = lambda: Answer(b"what came", 200, kind, headers=headers)
    assert run("export", "mlflow", job, "--to", str(tracked), "--experiment", "damaged") == Exit.FAILED
    assert "arrived damaged" in capsys.readouterr().err


@pytest.mark.parametrize(("where", "module"), [("tensorboard", "tensorboard"), ("mlflow", "mlflow.tracking")])
def test_without_the_extra_it_says_what_to_install(
    job: str,
    run: Run,
    where: str,
    module: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(__import__("sys").modules, module, None)
    monkeypatch.setitem(__import__("sys").modules, "tensorboard.summary.writer.record_writer", None)
    assert run("export", where, job, "--to", str(tmp_path)) == Exit.FAILED
    assert "-e '.[export]'" in capsys.readouterr().err


def test_a_job_that_never_began_is_exported_as_that(
    client: TestClient, script: Script, run: Run, tmp_path: Path
) -> None:
    job_id = submit(client)["id"]
    cancelled = client.post(f"/v1/jobs/{job_id}/cancel")
    script.by_path[f"/v1/jobs/{job_id}"] = lambda: Answer(cancelled.content)
    curve = client.get(f"/v1/jobs/{job_id}/curves?format=csv").content
    script.by_path[f"/v1/jobs/{job_id}/curves"] = lambda: Answer(curve, 200, "text/csv")
    assert run("export", "tensorboard", job_id, "--to", str(tmp_path)) == Exit.OK
    assert accumulated(tmp_path).Tags()["scalars"] == []
