"""Who works, and how the service stands: what the API tells of worker processes, and what it measures."""

from __future__ import annotations

import re

from prometheus_client.parser import text_string_to_metric_families
from starlette.testclient import TestClient

from api.app import create_app
from api.deps import Server
from store import counters, jobs, workers
from store.settings import Settings
from tests.api.acting import Worker, submit
from tests.api.conftest import HOME


def test_workers_and_what_they_are_at(client: TestClient, server: Server, worker: Worker) -> None:
    assert client.get("/v1/workers").json() == {"data": [], "next": None}
    job = worker.begin(submit(client)["id"])
    with server.database.writing() as tx:
        about = {"host": "machine", "version": "1.2", "device": "cpu"}
        workers.seen(tx, "worker-a", pid=1, queues=["gpu", "cpu"], job_ids=[job.id], **about)  # type: ignore[arg-type]
        on_gpu = {**about, "device": "cuda:1", "device_name": "NVIDIA H200", "problem": "no room"}
        workers.seen(tx, "worker-b", pid=2, queues=["cpu"], **on_gpu)  # type: ignore[arg-type]
        workers.seen(tx, "worker-c", pid=3, queues=["cpu"], job_ids=["job_of_another"], **about)  # type: ignore[arg-type]
    found = {each["id"]: each for each in client.get("/v1/workers").json()["data"]}
    assert {id_: (each["state"], each["job_id"]) for id_, each in found.items()} == {
        "worker-a": ("busy", job.id),
        "worker-b": ("idle", None),
        "worker-c": ("busy", None),
    }
    first = found["worker-a"]
    assert (first["queues"], first["device"], first["version"]) == (["gpu", "cpu"], "cpu", "1.2")
    assert (first["host"], first["pid"]) == ("machine", 1)
    about_devices = {
        id_: (each["device"], each["device_name"], each["problem"]) for id_, each in found.items()
    }
    assert about_devices["worker-a"] == ("cpu", None, None)
    assert about_devices["worker-b"] == ("cuda:1", "NVIDIA H200", "no room")
    assert 0 <= first["quiet_seconds"] < 15
    assert first["started_at"].endswith("Z")
    assert first["seen_at"] >= first["started_at"]


def metrics(client: TestClient) -> dict[str, float]:
    """Every sample, by its name with labels."""
    families = text_string_to_metric_families(client.get("/metrics").text)
    return {
        sample.name + "".join(f" {value}" for value in sample.labels.values()): sample.value
        for family in families
        for sample in family.samples
    }


def test_metrics_that_an_operator_needs(client: TestClient, server: Server, worker: Worker) -> None:
    submit(client)
    job = worker.begin(submit(client)["id"])
    worker.record(job, {"val_loss": [0.5]})
    submit(client)
    with server.database.writing() as tx:
        workers.seen(tx, "worker-x", host="h", pid=9, queues=["cpu"], job_ids=[job.id])
        counters.add(tx, "attempts_lost", 2)
        counters.add(tx, "reconciler.requeued", 2)
        counters.add(tx, "something else")
    with server.database.reading() as tx:
        open_ = jobs.counts(tx)
    client.get("/v1/jobs/unknown")
    said = metrics(client)
    assert said["ridgeline_database_up"] == 1
    assert said["ridgeline_jobs queued"] == open_["queued"]
    assert said["ridgeline_jobs running"] == open_["running"]
    assert said["ridgeline_jobs paused"] == 0
    assert said["ridgeline_queue_jobs cpu"] == open_["queued"]
    assert said["ridgeline_queue_oldest_seconds cpu"] > 0
    assert said["ridgeline_epochs_per_second"] >= 10
    assert said["ridgeline_workers busy"] >= 1
    assert said["ridgeline_workers idle"] >= 0
    assert said["ridgeline_attempts_lost_total"] == 2
    assert said["ridgeline_reconciler_actions_total requeued"] == 2
    assert said["ridgeline_deliveries pending"] == 0
    assert said["ridgeline_deliveries dead"] == 0
    assert said["ridgeline_delivery_oldest_seconds"] == 0
    assert said["ridgeline_problems_total not-found"] >= 1
    assert said["ridgeline_event_streams"] == 0
    assert "something" not in client.get("/metrics").text


def test_metrics_are_there_while_the_database_is_not(settings: Settings) -> None:
    away = settings.model_copy(update={"database_url": "postgresql://nobody@127.0.0.1:1/none"})
    with TestClient(create_app(away), HOME) as client:
        client.get("/v1/jobs")
        said = metrics(client)
        assert said["ridgeline_database_up"] == 0
        assert said["ridgeline_problems_total database-unavailable"] == 1
        assert not [name for name in said if re.match("ridgeline_(jobs|queue|workers)", name)]
