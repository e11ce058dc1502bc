"""What a job would take of a GPU's memory: told before it is submitted, and held to what there is."""

from __future__ import annotations

import sqlalchemy as sa
from starlette.testclient import TestClient

from api.app import create_app
from store import tables
from store.session import Database
from store.settings import Settings
from tests.api.acting import problem
from tests.api.conftest import HOME


def test_a_gpus_memory_is_estimated_apart_from_the_hosts(client: TestClient) -> None:
    def cost(device: str) -> dict[str, int]:
        spec = {"dataset": "digits", "network": {"hidden": [128, 64]}, "training": {"device": device}}
        answer = client.post("/v1/jobs/validate", json=spec).json()
        assert answer["cost"]["device_bytes"] <= answer["limits"]["device_bytes"]
        return dict(answer["cost"])

    cpu, auto, cuda = (cost(device) for device in ("cpu", "auto", "cuda"))
    assert cpu["device_bytes"] == cpu["device_member_bytes"] == 0
    assert auto["device_bytes"] == cuda["device_bytes"] > 16 * cuda["parameters"]
    assert auto["memory_bytes"] == cpu["memory_bytes"] > cuda["memory_bytes"]


def test_a_job_that_no_gpu_can_hold_is_refused_with_the_estimate(settings: Settings) -> None:
    small = settings.model_copy(update={"max_device_bytes": 2_000_000})
    with TestClient(create_app(small), HOME) as client:
        spec = {"dataset": "digits", "network": {"hidden": [512, 512]}, "training": {"device": "cuda"}}
        document = problem(client.post("/v1/jobs", json=spec), 422)
        (error,) = document["errors"]
        assert error["pointer"] == "/network/hidden"
        assert "bytes of GPU memory; the limit is 2e+06" in error["detail"]
        assert "'auto'" in error["suggestion"]
        spec["training"] = {"device": "auto"}
        assert client.post("/v1/jobs", json=spec).status_code == 202, "it may be trained on a CPU"


def test_a_stack_on_a_gpu_is_what_its_memory_holds(settings: Settings) -> None:
    spec = {"dataset": "iris", "network": {"hidden": [8]}, "training": {"device": "cuda"}}
    with TestClient(create_app(settings), HOME) as client:
        cost = client.post("/v1/jobs/validate", json=spec).json()["cost"]
    room = cost["device_bytes"] + 4 * cost["device_member_bytes"]
    with TestClient(create_app(settings.model_copy(update={"max_device_bytes": room})), HOME) as client:
        job = client.post("/v1/jobs", json=spec).json()
    with Database(settings.database) as database, database.reading() as tx:
        limit = sa.select(tables.jobs.c.stack_limit).where(tables.jobs.c.id == job["id"])
        assert tx.execute(limit).scalar_one() == 5
