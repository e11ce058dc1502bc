"""Submitting, reading, steering and deleting jobs."""

from __future__ import annotations

import time
from threading import Thread

import pytest
import sqlalchemy as sa
from starlette.testclient import TestClient

from api.deps import Server
from store import tables
from tests.api.acting import Worker, pointers, problem, submit


def test_a_submitted_job_is_answered_in_full(client: TestClient) -> None:
    spec = {"dataset": "iris", "name": "mine", "metadata": {"team": "risk"}, "priority": 3}
    response = client.post("/v1/jobs", json=spec, headers={"X-Request-ID": "abc-1"})
    assert response.status_code == 202
    job = response.json()
    assert response.headers["location"] == f"/v1/jobs/{job['id']}"
    assert response.headers["retry-after"] == "1"
    assert job["status"] == "queued"
    assert (job["name"], job["metadata"], job["priority"]) == ("mine", {"team": "risk"}, 3)
    assert job["request_id"] == "abc-1"
    assert job["allowed_actions"] == ["pause", "cancel"]
    assert job["dataset"]["name"] == "iris"
    assert job["spec"]["training"]["max_epochs"] == job["progress"]["max_epochs"]
    assert job["spec"]["split"] == {
        "column": None,
        "validation": 0.2,
        "test": 0.2,
        "seed": 0,
        "stratify": True,
    }
    assert job["created_at"].endswith("Z")
    again = client.get(job["links"]["self"]).json()
    assert again.pop("waiting")["queue"] == "cpu"
    assert again == job


def test_the_full_spec_can_be_sent_again_and_stays_as_it_is(client: TestClient) -> None:
    first = submit(client, regularization={"l1": 1e-5, "dropout": 0.5, "early_stopping": True})
    again = client.post("/v1/jobs", json=first["spec"])
    assert again.json()["spec"] == first["spec"]


def test_a_job_that_insists_on_cuda_waits_in_another_queue(client: TestClient, server: Server) -> None:
    from store import jobs

    job_id = submit(client, training={"device": "cuda"})["id"]
    with server.database.of("default").reading() as tx:
        assert jobs.get(tx, job_id).queue == "gpu"


def test_a_spec_with_several_mistakes_hears_of_all(client: TestClient) -> None:
    spec = {"dataset": "iris", "netwrok": {}, "training": {"batch_size": 0}}
    document = problem(client.post("/v1/jobs", json=spec), 422)
    assert set(pointers(document)) == {"/netwrok", "/training/batch_size"}
    assert {error["suggestion"] for error in document["errors"]} >= {"network"}


def test_an_unknown_dataset_is_pointed_at(client: TestClient) -> None:
    document = problem(client.post("/v1/jobs", json={"dataset": "irsi"}), 422)
    assert document["errors"][0]["pointer"] == "/dataset"
    assert document["errors"][0]["suggestion"] == "iris"


def test_what_does_not_fit_the_data_is_refused(client: TestClient) -> None:
    document = problem(client.post("/v1/jobs", json={"dataset": "iris", "metrics": ["rmse"]}), 422)
    assert pointers(document) == ["/metrics/0"]


@pytest.mark.parametrize("path", ["/v1/jobs", "/v1/jobs/validate"])
def test_a_network_that_cannot_be_afforded_is_refused_at_once(client: TestClient, path: str) -> None:
    spec = {"dataset": "digits", "network": {"hidden": [1_000_000_000]}}
    started = time.perf_counter()
    document = problem(client.post(path, json=spec), 422)
    assert time.perf_counter() - started < 0.2
    assert "/network/hidden" in pointers(document)
    assert "limit" in document["errors"][0]["detail"]


def test_more_epochs_than_allowed_are_refused(client: TestClient) -> None:
    document = problem(
        client.post("/v1/jobs", json={"dataset": "iris", "training": {"max_epochs": 1_000_000}}), 422
    )
    assert "/training/max_epochs" in pointers(document)


def test_validating_stores_nothing(client: TestClient) -> None:
    before = client.get("/v1/jobs?limit=1").json()["data"]
    answer = client.post(
        "/v1/jobs/validate", json={"dataset": "digits", "network": {"hidden": [128, 64]}}
    ).json()
    assert answer["parameters"] == answer["cost"]["parameters"] >= 64 * 128 + 128 * 64 + 64 * 10
    assert answer["cost"]["memory_bytes"] <= answer["limits"]["memory_bytes"]
    assert answer["dataset"]["name"] == "digits"
    assert client.get("/v1/jobs?limit=1").json()["data"] == before


def test_warnings_come_with_the_answer(client: TestClient) -> None:
    spec = {"training": {"batch_size": 4}, "regularization": {"batch_norm": True}}
    assert "/regularization/batch_norm" in [
        warning["pointer"] for warning in submit(client, **spec)["warnings"]
    ]


def test_yaml_is_as_good_as_json(client: TestClient) -> None:
    text = (
        "dataset: iris\nregularization:\n  l1: 1e-5   # a comment\n  dropout: [0.5]\nnetwork: {hidden: [8]}\n"
    )
    response = client.post("/v1/jobs", content=text, headers={"Content-Type": "application/yaml"})
    assert response.status_code == 202
    assert response.json()["spec"]["regularization"]["l1"]["strength"] == 1e-5


def test_a_running_job_tells_how_far_it_is(client: TestClient, worker: Worker) -> None:
    job = worker.begin(submit(client, training={"max_epochs": 10})["id"])
    worker.record(job, {"val_loss": [0.5, 0.4]})
    answer = client.get(f"/v1/jobs/{job.id}").json()
    assert answer["status"] == "running"
    assert answer["progress"] == {
        "epoch": 2,
        "max_epochs": 10,
        "fraction": 0.2,
        "eta_seconds": 0.8,
        "epochs_per_second": 10.0,
    }
    assert answer["allowed_actions"] == ["pause", "finish", "cancel"]
    assert answer["duration_seconds"] >= 0


def test_a_finished_job_tells_what_came_out(client: TestClient, worker: Worker) -> None:
    answer = client.get(f"/v1/jobs/{worker.done(client)}").json()
    assert (answer["status"], answer["stop_reason"], answer["stop_detail"]) == (
        "succeeded",
        "early_stopping",
        "enough",
    )
    assert answer["progress"]["fraction"] == 1.0
    assert answer["result"]["best_epoch"] == 2
    assert answer["result"]["test"] is None
    assert answer["allowed_actions"] == ["delete"]


def test_numbers_that_are_not_finite_are_null_and_named(client: TestClient, worker: Worker) -> None:
    job = worker.begin(submit(client)["id"])
    worker.record(job, {"val_loss": [float("nan")]})
    worker.succeed(
        job, {"best_epoch": 1, "train": {"loss": float("inf")}, "validation": {"loss": float("nan")}}
    )
    result = client.get(f"/v1/jobs/{job.id}").json()["result"]
    assert result["train"] == {"loss": None, "nonfinite": {"loss": "inf"}}
    assert result["validation"] == {"loss": None, "nonfinite": {"loss": "nan"}}


def test_cancelling_twice_changes_nothing_more(client: TestClient) -> None:
    job_id = submit(client)["id"]
    first = client.post(f"/v1/jobs/{job_id}/cancel")
    assert (first.status_code, first.json()["status"]) == (200, "cancelled")
    again = client.post(f"/v1/jobs/{job_id}/cancel")
    assert (again.status_code, again.json()) == (200, first.json())


def test_cancelling_a_running_job_asks_its_worker(client: TestClient, worker: Worker) -> None:
    job = worker.begin(submit(client)["id"])
    answer = client.post(f"/v1/jobs/{job.id}/cancel").json()
    assert (answer["status"], answer["requested_action"]) == ("running", "cancel")


def test_finishing_a_running_job_asks_its_worker(client: TestClient, worker: Worker) -> None:
    job = worker.begin(submit(client)["id"])
    answer = client.post(f"/v1/jobs/{job.id}/finish").json()
    assert (answer["status"], answer["requested_action"]) == ("running", "finish")
    assert client.post(f"/v1/jobs/{job.id}/finish").status_code == 200


@pytest.mark.parametrize("action", ["finish", "delete"])
def test_an_action_that_makes_no_sense_is_a_conflict_that_names_those_that_do(
    client: TestClient, action: str
) -> None:
    address = f"/v1/jobs/{submit(client)['id']}"
    response = client.delete(address) if action == "delete" else client.post(f"{address}/{action}")
    assert problem(response, 409)["allowed_actions"] == ["pause", "cancel"]


def test_a_waiting_job_is_laid_aside_and_goes_on(client: TestClient) -> None:
    address = f"/v1/jobs/{submit(client)['id']}"
    paused = client.post(f"{address}/pause").json()
    assert (paused["status"], paused["allowed_actions"]) == ("paused", ["resume", "cancel"])
    assert client.post(f"{address}/pause").json() == paused
    resumed = client.post(f"{address}/resume").json()
    assert (resumed["status"], resumed["requested_action"]) == ("queued", None)
    assert client.post(f"{address}/resume").json() == resumed


def test_pausing_a_running_job_asks_its_worker_and_may_be_taken_back(
    client: TestClient, worker: Worker
) -> None:
    address = f"/v1/jobs/{worker.begin(submit(client)['id']).id}"
    asked = client.post(f"{address}/pause").json()
    assert (asked["status"], asked["requested_action"]) == ("running", "pause")
    assert asked["allowed_actions"] == ["resume", "finish", "cancel"]
    assert client.post(f"{address}/resume").json()["requested_action"] is None
    client.post(f"{address}/cancel")
    for action in ("pause", "resume"):
        assert problem(client.post(f"{address}/{action}"), 409)["allowed_actions"] == []


def test_a_job_that_ended_can_be_deleted_with_all_that_is_its_own(client: TestClient, worker: Worker) -> None:
    job_id = worker.done(client)
    assert client.delete(f"/v1/jobs/{job_id}").status_code == 204
    for part in ("", "/curves", "/events", "/weights"):
        problem(client.get(f"/v1/jobs/{job_id}{part}"), 404)
    problem(client.delete(f"/v1/jobs/{job_id}"), 404)


@pytest.mark.parametrize(
    ("method", "part"),
    [
        ("GET", ""),
        ("GET", "/curves"),
        ("GET", "/events"),
        ("GET", "/weights"),
        ("POST", "/pause"),
        ("POST", "/resume"),
        ("POST", "/cancel"),
        ("POST", "/finish"),
        ("DELETE", ""),
    ],
)
@pytest.mark.parametrize("job_id", ["job_" + "0" * 32, "nothing", "%00", "job_" + "9" * 300, "é"])
def test_a_job_that_is_not_there_is_a_404(client: TestClient, method: str, part: str, job_id: str) -> None:
    problem_of = client.request(method, f"/v1/jobs/{job_id}{part}")
    assert problem_of.status_code == 404
    assert problem_of.headers["content-type"] == "application/problem+json"


def test_waiting_ends_when_the_status_changes(client: TestClient, worker: Worker) -> None:
    job_id = submit(client)["id"]
    later = Thread(target=lambda: (time.sleep(0.3), worker.begin(job_id)))
    later.start()
    started = time.perf_counter()
    answer = client.get(f"/v1/jobs/{job_id}?wait=20").json()
    assert time.perf_counter() - started < 5
    assert answer["status"] == "running"
    later.join()


def test_waiting_ends_when_the_time_is_up(client: TestClient) -> None:
    job_id = submit(client)["id"]
    started = time.perf_counter()
    assert client.get(f"/v1/jobs/{job_id}?wait=0.3").json()["status"] == "queued"
    assert 0.3 <= time.perf_counter() - started < 3


def test_nobody_waits_for_a_job_that_has_ended(client: TestClient, worker: Worker) -> None:
    job_id = worker.done(client)
    started = time.perf_counter()
    client.get(f"/v1/jobs/{job_id}?wait=60")
    assert time.perf_counter() - started < 5


def test_waiting_is_bounded(client: TestClient) -> None:
    document = problem(client.get(f"/v1/jobs/{submit(client)['id']}?wait=61"), 422)
    assert pointers(document) == ["/query/wait"]
    assert document["errors"][0]["suggestion"] == "60.0"


def test_a_preference_to_wait_gets_the_finished_job(client: TestClient, worker: Worker) -> None:
    def finish_soon() -> None:
        time.sleep(0.3)
        newest = client.get("/v1/jobs?name=awaited").json()["data"][0]["id"]
        job = worker.begin(newest)
        worker.succeed(job)

    later = Thread(target=finish_soon)
    later.start()
    response = client.post(
        "/v1/jobs", json={"dataset": "iris", "name": "awaited"}, headers={"Prefer": "wait=20"}
    )
    later.join()
    assert response.status_code == 201
    assert response.headers["preference-applied"] == "wait=20"
    assert response.headers["location"] == f"/v1/jobs/{response.json()['id']}"
    assert response.json()["status"] == "succeeded"


def test_a_preference_to_wait_that_is_not_met_gets_the_promise(client: TestClient) -> None:
    response = client.post("/v1/jobs", json={"dataset": "iris"}, headers={"Prefer": "respond-async, wait=0"})
    assert response.status_code == 202
    assert response.headers["retry-after"] == "1"


@pytest.mark.parametrize("preference", ["wait=61", "wait=-1", "wait=soon", "wait"])
def test_a_preference_to_wait_for_nonsense_creates_nothing(client: TestClient, preference: str) -> None:
    spec = {"dataset": "iris", "name": f"never {preference}"}
    document = problem(client.post("/v1/jobs", json=spec, headers={"Prefer": preference}), 422)
    assert pointers(document) == ["/header/prefer"]
    assert client.get("/v1/jobs", params={"name": spec["name"]}).json()["data"] == []


@pytest.mark.parametrize("action", ["pause", "resume", "cancel", "finish"])
def test_actions_take_no_body(client: TestClient, action: str) -> None:
    job_id = submit(client)["id"]
    problem(client.post(f"/v1/jobs/{job_id}/{action}", json={"force": True}), 422)
    problem(client.post(f"/v1/jobs/{job_id}/{action}", content=b"NaN"), 400)
    assert client.get(f"/v1/jobs/{job_id}").json()["status"] == "queued"
    assert client.post(f"/v1/jobs/{job_id}/cancel", json={}).status_code == 200


def test_what_may_be_trained_together_is_known_when_it_is_accepted(
    client: TestClient, worker: Worker
) -> None:
    asked = {"dataset": "iris", "network": {"hidden": [8]}, "training": {"max_epochs": 1}}
    wide = {**asked, "network": {"hidden": [2000, 2000]}}
    specs = [asked, {**asked, "training": {"max_epochs": 2, "seed": 7}}, wide]
    ids = [client.post("/v1/jobs", json=spec).json()["id"] for spec in specs]
    columns = (tables.jobs.c.id, tables.jobs.c.stack_key, tables.jobs.c.stack_limit)
    with worker.database.reading() as tx:
        rows = {row.id: row for row in tx.execute(sa.select(*columns))}
    first, second, large = (rows[job_id] for job_id in ids)
    assert first.stack_key == second.stack_key != large.stack_key
    assert first.stack_limit == second.stack_limit == 64
    assert large.stack_limit == 1
