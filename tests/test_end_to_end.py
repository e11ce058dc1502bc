"""The whole service in real processes over real HTTP, as its users have it.

Twice: `ridgeline up` on SQLite and its own broker, and each part started by hand on PostgreSQL and Valkey.
"""

from __future__ import annotations

import csv
import io
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from cli.client import Event, RefusedError
from models.datasets import bundled_csv
from tests import servers
from tests.stacks import Stack, by_hand, embedded

pytestmark = pytest.mark.timeout(180)

SEED_NETWORK: dict[str, Any] = {
    "dataset": "digits",
    "network": {"hidden": [128, 64]},
    "regularization": {
        "l1": 1e-5,
        "l2": 1e-4,
        "dropout": [0.5, 0.3],
        "batch_norm": True,
        "early_stopping": {"monitor": "val_loss", "patience": 3, "restore_best_weights": True},
    },
    "training": {"max_epochs": 50, "batch_size": 32},
    "metrics": ["accuracy"],
}
ENDLESS: dict[str, Any] = {
    "dataset": "digits",
    "network": {"hidden": [256, 256]},
    "regularization": {},
    "training": {"max_epochs": 5000, "batch_size": 32},
}
"""Runs for minutes unless somebody ends it."""
LONG_ENOUGH: dict[str, Any] = {**ENDLESS, "training": {"max_epochs": 40, "batch_size": 32}}
"""Runs for some seconds, in which its worker can be killed."""


def submit(stack: Stack, spec: dict[str, Any], **more: Any) -> str:
    return str(stack.client.post("/v1/jobs", {**spec, **more})["id"])


def finished(stack: Stack, job_id: str, seconds: float = 120) -> dict[str, Any]:
    """The job as it ended."""
    deadline = time.monotonic() + seconds
    while True:
        job: dict[str, Any] = stack.client.get(f"/v1/jobs/{job_id}", wait=20)
        if job["status"] in ("succeeded", "failed", "cancelled"):
            return job
        assert time.monotonic() < deadline, job


def reaches_epoch(stack: Stack, job_id: str, epoch: int) -> None:
    for event in stack.client.events(job_id):
        if event.kind == "epoch" and event.data["epoch"] >= epoch:
            return
    raise AssertionError(f"the job ended before epoch {epoch}")


def curve(stack: Stack, job_id: str, **query: Any) -> dict[str, Any]:
    found: dict[str, Any] = stack.client.get(f"/v1/jobs/{job_id}/curves", **query)
    return found


def epochs_of(events: list[Event]) -> list[int]:
    return [event.data["epoch"] for event in events if event.kind == "epoch"]


def read_some(stack: Stack, job_id: str, after: int, many: int) -> list[Event]:
    """So many events of the stream behind `after`, and then the line is dropped."""
    found: list[Event] = []
    events = stack.client.events(job_id, after=after)
    for event in events:
        found.append(event)
        if len(found) == many:
            break
    events.close()  # type: ignore[attr-defined]
    return found


class Service:
    """What every Ridgeline does, whatever it stands on; `stack` says what that is."""

    @pytest.fixture(scope="class")
    @classmethod
    def seed_job(cls, stack: Stack) -> dict[str, Any]:
        """The seed network on digits, finished."""
        return finished(stack, submit(stack, SEED_NETWORK, name="seed"))

    def test_the_seed_network_is_trained_and_stops_early(self, seed_job: dict[str, Any]) -> None:
        assert (seed_job["status"], seed_job["stop_reason"]) == ("succeeded", "early_stopping"), seed_job
        result = seed_job["result"]
        assert result["best_epoch"] == result["restored_epoch"] == result["last_epoch"] - 3
        assert result["test"]["accuracy"] > 0.95
        assert result["parameters"] == 64 * 128 + 128 + 128 * 64 + 64 + 64 * 10 + 10 + 2 * (128 + 64)
        assert seed_job["spec"]["regularization"]["dropout"]["hidden"] == [0.5, 0.3]

    def test_its_result_is_the_restored_epoch_of_its_curve(
        self, stack: Stack, seed_job: dict[str, Any]
    ) -> None:
        result, drawn = seed_job["result"], curve(stack, seed_job["id"])
        assert drawn["epochs"] == list(range(1, result["last_epoch"] + 1))
        best = drawn["epochs"].index(result["best_epoch"])
        assert drawn["series"]["val_loss"][best] == min(drawn["series"]["val_loss"])
        assert result["validation"]["loss"] == pytest.approx(drawn["series"]["val_loss"][best], abs=1e-6)
        assert result["train"]["loss"] == pytest.approx(drawn["series"]["train_loss"][best], abs=1e-6)

    def test_its_curve_comes_in_every_format(self, stack: Stack, seed_job: dict[str, Any]) -> None:
        path = f"/v1/jobs/{seed_job['id']}/curves"
        last = seed_job["result"]["last_epoch"]
        assert stack.client.read(path, format="png").startswith(b"\x89PNG\r\n")
        assert b"<svg" in stack.client.read(path, format="svg")
        rows = list(csv.DictReader(io.StringIO(stack.client.read(path, format="csv").decode())))
        assert [int(row["epoch"]) for row in rows] == list(range(1, last + 1))
        text = stack.client.read(path, format="txt").decode()
        assert "val" in text
        assert len(text.splitlines()) > 10
        thinned = curve(stack, seed_job["id"], series="val_loss", max_points=5)
        assert list(thinned["series"]) == ["val_loss"]
        assert seed_job["result"]["best_epoch"] in thinned["epochs"]

    def test_its_weights_say_what_was_kept(self, stack: Stack, seed_job: dict[str, Any]) -> None:
        weights = stack.client.get(f"/v1/jobs/{seed_job['id']}/weights")
        assert [layer["name"] for layer in weights["layers"]] == ["hidden_1", "hidden_2", "output"]
        assert [layer["shape"] for layer in weights["layers"]] == [[128, 64], [64, 128], [10, 64]]
        assert weights["layers"][0]["zeros"] > 0, "the L1 penalty makes exact zeros"
        assert weights["linear"] is None

    def test_its_predictions_are_as_good_as_its_result_says(
        self, stack: Stack, seed_job: dict[str, Any], tmp_path: Path
    ) -> None:
        """All rows of the data, sent as the file they are in: right as often as the splits' metrics tell."""
        bundled_csv("digits", tmp_path / "digits.csv")
        path = f"/v1/jobs/{seed_job['id']}"
        content = (tmp_path / "digits.csv").read_bytes()
        said, _ = stack.client.ask(f"{path}/predict", content, "text/csv", accept="application/json")
        answer = json.loads(said)
        with (tmp_path / "digits.csv").open() as file:
            truth = [row[answer["target"]] for row in csv.DictReader(file)]
        right = sum(said["label"] == label for said, label in zip(answer["predictions"], truth, strict=True))
        card, result = stack.client.get(f"{path}/card"), seed_job["result"]
        splits = card["data"]["splits"]
        assert right == round(sum(result[split]["accuracy"] * rows for split, rows in splits.items()))

    def test_its_network_can_be_taken_away(
        self, stack: Stack, seed_job: dict[str, Any], tmp_path: Path
    ) -> None:
        for form in ("onnx", "safetensors"):
            size = stack.client.download(
                f"/v1/jobs/{seed_job['id']}/model", tmp_path / f"network.{form}", format=form
            )
            assert (
                size == (tmp_path / f"network.{form}").stat().st_size > 4 * seed_job["result"]["parameters"]
            )
        text = stack.client.read(f"/v1/jobs/{seed_job['id']}/card", format="md").decode()
        assert "early stopping on val_loss (patience 3)" in text

    def test_a_job_that_names_only_its_dataset_is_a_good_one(self, stack: Stack) -> None:
        job = finished(stack, submit(stack, {"dataset": "iris"}))
        assert job["status"] == "succeeded", job
        assert job["result"]["test"]["accuracy"] >= 0.9

    def test_an_uploaded_file_is_a_dataset_like_any_other(self, stack: Stack, tmp_path: Path) -> None:
        path = tmp_path / "my wine.csv"
        bundled_csv("wine", path)
        dataset = stack.client.upload(path, target="target")
        assert (dataset["rows"], dataset["task"]) == (178, "classification")
        again = stack.client.upload(path, target="target")
        assert again["id"] == dataset["id"], "the same bytes and target are the same dataset"
        job = finished(stack, submit(stack, {"dataset": dataset["id"]}))
        assert job["result"]["test"]["accuracy"] > 0.9, job
        with pytest.raises(RefusedError) as refused:
            stack.client.delete(f"/v1/datasets/{dataset['id']}")
        assert refused.value.status == 409
        stack.client.delete(f"/v1/jobs/{job['id']}")
        stack.client.delete(f"/v1/datasets/{dataset['id']}")
        assert dataset["id"] not in [each["id"] for each in stack.client.listing("/v1/datasets", 100)]

    def test_a_stream_cut_again_and_again_loses_and_repeats_nothing(self, stack: Stack) -> None:
        job_id = submit(stack, SEED_NETWORK, name="cut")
        seen: list[Event] = []
        while not seen or seen[-1].kind != "end":
            seen += read_some(stack, job_id, seen[-1].number if seen else 0, many=len(seen) % 4 + 1)
        assert [event.number for event in seen] == list(range(1, len(seen) + 1))
        assert epochs_of(seen) == curve(stack, job_id)["epochs"]
        statuses = [event.data["status"] for event in seen if event.kind == "status"]
        assert statuses[0] == "queued"
        assert statuses[1] == "running"
        assert seen == list(stack.client.events(job_id)), "who comes late is told the same"

    def test_who_reconnects_behind_the_end_is_told_not_to_come_back(
        self, stack: Stack, seed_job: dict[str, Any]
    ) -> None:
        address = f"{stack.address}/v1/jobs/{seed_job['id']}/events"
        headers = {"Accept": "text/event-stream", "Last-Event-ID": "100000"}
        assert httpx2.get(address, headers=headers).status_code == 204

    def test_cancel_ends_a_running_job_and_keeps_its_best_weights(self, stack: Stack) -> None:
        job_id = submit(stack, ENDLESS, name="to be cancelled")
        reaches_epoch(stack, job_id, 3)
        began = time.monotonic()
        assert stack.client.post(f"/v1/jobs/{job_id}/cancel")["requested_action"] in ("cancel", None)
        job = finished(stack, job_id)
        assert time.monotonic() - began < 5
        assert (job["status"], job["stop_reason"]) == ("cancelled", "cancelled")
        assert job["allowed_actions"] == ["delete"]
        assert stack.client.get(f"/v1/jobs/{job_id}/weights")["layers"]
        assert stack.client.post(f"/v1/jobs/{job_id}/cancel")["status"] == "cancelled", "twice is no mistake"

    def test_finish_ends_a_running_job_well(self, stack: Stack) -> None:
        job_id = submit(stack, ENDLESS, name="to be finished")
        reaches_epoch(stack, job_id, 3)
        stack.client.post(f"/v1/jobs/{job_id}/finish")
        job = finished(stack, job_id)
        assert (job["status"], job["stop_reason"]) == ("succeeded", "finished")
        assert job["result"]["test"] is not None

    def test_what_waits_behind_a_job_can_be_cancelled_at_once(self, stack: Stack) -> None:
        running = submit(stack, ENDLESS, name="in front")
        reaches_epoch(stack, running, 1)
        waiting = submit(stack, ENDLESS, name="behind")
        assert stack.client.post(f"/v1/jobs/{waiting}/cancel")["status"] == "cancelled"
        stack.client.post(f"/v1/jobs/{running}/cancel")
        assert finished(stack, running)["status"] == "cancelled"
        assert finished(stack, waiting)["attempt"] == 0

    def test_jobs_are_listed_and_deleted(self, stack: Stack) -> None:
        job_id = submit(stack, {"dataset": "iris", "metadata": {"team": "risk"}}, name="to be deleted")
        with pytest.raises(RefusedError) as refused:
            stack.client.delete(f"/v1/jobs/{submit(stack, ENDLESS, name='unfinished')}")
        assert refused.value.status == 409
        [unfinished] = stack.client.listing("/v1/jobs", 10, name="unfinished")
        stack.client.post(f"/v1/jobs/{unfinished['id']}/cancel")
        finished(stack, job_id)
        found = stack.client.get("/v1/jobs", **{"metadata.team": "risk", "status": "succeeded"})
        assert [job["id"] for job in found["data"]] == [job_id]
        stack.client.delete(f"/v1/jobs/{job_id}")
        for path in ("", "/curves", "/events", "/weights", "/model", "/card"):
            with pytest.raises(RefusedError) as gone:
                stack.client.get(f"/v1/jobs/{job_id}{path}")
            assert gone.value.status == 404

    @pytest.fixture(scope="class")
    @classmethod
    def undisturbed(cls, stack: Stack) -> dict[str, Any]:
        """A job whose worker nobody killed."""
        return finished(stack, submit(stack, LONG_ENOUGH, name="undisturbed"))

    def test_a_job_whose_worker_was_killed_ends_with_a_gapless_curve(
        self, stack: Stack, undisturbed: dict[str, Any]
    ) -> None:
        job_id = submit(stack, LONG_ENOUGH, name="killed")
        reaches_epoch(stack, job_id, 5)
        stack.kill_trainer(job_id)
        events = list(stack.client.events(job_id))
        job = finished(stack, job_id)
        assert (job["status"], job["stop_reason"], job["attempt"]) == ("succeeded", "max_epochs", 2), job
        assert "rewound" in [event.kind for event in events]
        disturbed = curve(stack, job_id)
        assert disturbed["epochs"] == list(range(1, 41))
        assert disturbed["series"]["val_loss"] == curve(stack, undisturbed["id"])["series"]["val_loss"]
        assert job["result"]["test"] == undisturbed["result"]["test"]

    def test_bad_specs_leave_server_and_worker_alive(self, stack: Stack) -> None:
        for body in (
            b'{"dataset": NaN}',
            b'{"dataset": "iris", "network": {"hidden": [1000000000]}}',
            b"\xff",
            b"[" * 5000,
        ):
            with pytest.raises(RefusedError) as refused:
                stack.client.create("/v1/jobs", body, "application/json")
            assert 400 <= refused.value.status < 500
        assert finished(stack, submit(stack, {"dataset": "iris"}))["status"] == "succeeded"


class TestOnSQLite(Service):
    """`ridgeline up`: SQLite, and a broker of its own."""

    @pytest.fixture(scope="class")
    @classmethod
    def stack(cls, tmp_path_factory: pytest.TempPathFactory, prepared_folder: Path) -> Iterator[Stack]:
        folder = tmp_path_factory.mktemp("embedded with spaces")
        with embedded(folder, prepared=prepared_folder, killed=True) as running:
            yield running


@pytest.mark.long
class TestOnPostgreSQL(Service):
    """API and worker started by hand on PostgreSQL and Valkey, as on machines of their own."""

    @pytest.fixture(scope="class")
    @classmethod
    def stack(
        cls,
        tmp_path_factory: pytest.TempPathFactory,
        postgres_databases: servers.Databases,
        broker_server: str,
    ) -> Iterator[Stack]:
        folder = tmp_path_factory.mktemp("by hand with spaces")
        with (
            postgres_databases.fresh(migrated=False) as database_url,
            by_hand(folder, database_url=database_url, broker_url=broker_server) as running,
        ):
            yield running
