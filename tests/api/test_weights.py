"""What the weights say, over HTTP."""

from __future__ import annotations

from typing import Any

from starlette.testclient import TestClient

from tests.api.acting import Worker, pointers, problem, submit

SUMMARY: dict[str, Any] = {
    "layers": [
        {
            "name": "output",
            "shape": [1, 2],
            "zeros": 1,
            "sparsity": 0.5,
            "l1_norm": 2.0,
            "l2_norm": 2.0,
            "max_abs": None,
            "silent": None,
        }
    ],
    "inputs": [{"column": "a", "norm": 1.0, "share": 1.0, "kept": True}],
    "linear": {
        "trained": {"space": "trained", "outputs": ["yes"], "intercept": [0.1], "coefficients": {"a": [2.0]}},
        "original": {
            "space": "original",
            "outputs": ["yes"],
            "intercept": [9.0],
            "coefficients": {"a": [4.0]},
        },
    },
}


def test_weights_in_either_space(client: TestClient, worker: Worker) -> None:
    job = worker.begin(submit(client)["id"])
    worker.keep_weights(job, SUMMARY)
    worker.succeed(job)
    answer = client.get(f"/v1/jobs/{job.id}/weights").json()
    assert answer == {"job_id": job.id, **SUMMARY, "linear": SUMMARY["linear"]["trained"]}
    original = client.get(f"/v1/jobs/{job.id}/weights?space=original").json()
    assert original["linear"]["coefficients"] == {"a": [4.0]}
    assert pointers(problem(client.get(f"/v1/jobs/{job.id}/weights?space=outer"), 422)) == ["/query/space"]


def test_a_network_with_hidden_layers_has_no_coefficients(client: TestClient, worker: Worker) -> None:
    job = worker.begin(submit(client)["id"])
    worker.keep_weights(job, {**SUMMARY, "linear": None})
    assert client.get(f"/v1/jobs/{job.id}/weights?space=original").json()["linear"] is None


def test_where_the_data_s_own_units_are_out_of_reach_it_is_said_why(
    client: TestClient, worker: Worker
) -> None:
    job = worker.begin(submit(client)["id"])
    worker.keep_weights(
        job, {**SUMMARY, "linear": {**SUMMARY["linear"], "original": None, "reason": "curved"}}
    )
    answer = client.get(f"/v1/jobs/{job.id}/weights?space=original").json()
    assert (answer["linear"], answer["reason"]) == (None, "curved")
    assert "reason" not in client.get(f"/v1/jobs/{job.id}/weights").json()


def test_weights_come_when_the_job_ends(client: TestClient) -> None:
    document = problem(client.get(f"/v1/jobs/{submit(client)['id']}/weights"), 404)
    assert "queued" in document["detail"]
