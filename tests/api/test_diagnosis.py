"""What a curve says, over HTTP."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some
from starlette.testclient import TestClient

from models.diagnosis import VERDICTS
from models.diagnosis.patches import merged
from store import jobs, tables
from tests.api.acting import Worker, problem, submit

EPOCHS = 40
RISING = {
    "objective": [1.1 * 0.8**epoch for epoch in range(EPOCHS)],
    "train_loss": [1.0 * 0.8**epoch for epoch in range(EPOCHS)],
    "val_loss": [1.0 * 0.8**epoch if epoch < 3 else 0.6 + 0.03 * abs(epoch - 5) for epoch in range(EPOCHS)],
}
RESULT = {
    "best_epoch": 6,
    "restored_epoch": 6,
    "last_epoch": EPOCHS,
    "train": {"loss": 0.33, "loss_se": 0.02},
    "validation": {"loss": 0.6, "loss_se": 0.05},
    "test": None,
}
SPEC: dict[str, Any] = {"network": {"hidden": [16]}, "regularization": {}, "training": {"max_epochs": EPOCHS}}


@pytest.fixture(scope="module")
def overfitted(client: TestClient, worker: Worker) -> str:
    """A job whose val_loss rose from epoch 6 on."""
    job = worker.begin(submit(client, **SPEC)["id"])
    worker.record(job, RISING)
    worker.keep_weights(job, {"layers": [], "inputs": [{"column": "a", "kept": False}], "linear": None})
    worker.succeed(job, RESULT)
    return job.id


def test_a_finished_job_has_its_verdict_with_the_evidence(client: TestClient, overfitted: str) -> None:
    answer = client.get(f"/v1/jobs/{overfitted}/diagnosis").json()
    assert answer["verdict"] == "overfitting"
    assert (answer["status"], answer["epochs"]) == ("succeeded", EPOCHS)
    assert "epoch 6" in answer["summary"]
    evidence = {each["name"]: each for each in answer["evidence"]}
    assert evidence["gap"]["value"] == pytest.approx(0.27)
    assert evidence["inputs_dropped"]["value"] == 1
    assert evidence["validation_rows"]["value"] == 30


def test_every_suggestion_may_be_sent_as_it_stands(client: TestClient, overfitted: str) -> None:
    spec = client.get(f"/v1/jobs/{overfitted}").json()["spec"]
    suggestions = client.get(f"/v1/jobs/{overfitted}/diagnosis").json()["suggestions"]
    assert [each["technique"] for each in suggestions] == ["l2", "dropout", "early_stopping"]
    for suggestion in suggestions:
        answer = client.post("/v1/jobs/validate", json=merged(spec, suggestion["patch"]))
        assert answer.status_code == 200, answer.text
        assert answer.json()["spec"] != spec


def test_a_job_leads_to_its_diagnosis(client: TestClient, overfitted: str) -> None:
    links = client.get(f"/v1/jobs/{overfitted}").json()["links"]
    assert client.get(links["diagnosis"]).status_code == 200


def test_a_running_job_is_judged_by_its_epochs_so_far(client: TestClient, worker: Worker) -> None:
    job = worker.begin(submit(client, **SPEC)["id"])
    address = f"/v1/jobs/{job.id}/diagnosis"
    assert "running" in problem(client.get(address), 404)["detail"]
    worker.record(job, {name: values[:4] for name, values in RISING.items()})
    first = client.get(address)
    assert (first.json()["verdict"], first.json()["epochs"]) == ("too_short", 4)
    assert client.get(address, headers={"If-None-Match": first.headers["etag"]}).status_code == 304
    worker.record(job, {name: values[4:] for name, values in RISING.items()}, first=5)
    later = client.get(address, headers={"If-None-Match": first.headers["etag"]})
    assert (later.status_code, later.json()["verdict"]) == (200, "overfitting")
    worker.succeed(job, RESULT)


def test_before_the_first_epoch_there_is_nothing_to_say(client: TestClient) -> None:
    document = problem(client.get(f"/v1/jobs/{submit(client)['id']}/diagnosis"), 404)
    assert document["type"].endswith("#no-diagnosis")
    assert "queued" in document["detail"]
    unknown = problem(client.get("/v1/jobs/job_00000000-0000-7000-8000-000000000000/diagnosis"), 404)
    assert unknown["type"].endswith("#not-found")


def test_what_is_not_finite_is_a_verdict_and_no_fault(client: TestClient, worker: Worker) -> None:
    job = worker.begin(submit(client, **SPEC)["id"])
    huge = [1e300, 1e308, float("nan"), float("inf")]
    worker.record(job, {"objective": huge, "train_loss": huge, "val_loss": huge})
    worker.succeed(job, {"train": {"loss": None, "nonfinite": {"loss": "nan"}}})
    answer = client.get(f"/v1/jobs/{job.id}/diagnosis")
    assert answer.json()["verdict"] == "diverged"
    assert "NaN" not in answer.text


def test_what_would_be_refused_is_not_suggested(client: TestClient, worker: Worker) -> None:
    """Twice as many epochs as a job may have."""
    falling = [1.0 - 0.01 * epoch for epoch in range(EPOCHS)]
    for most, expected in ((50_000, ["max_epochs"]), (100_000, [])):
        job = worker.begin(submit(client, **{**SPEC, "training": {"max_epochs": most}})["id"])
        worker.record(job, {"objective": falling, "train_loss": falling, "val_loss": falling})
        worker.succeed(job, {"restored_epoch": EPOCHS}, "max_epochs")
        answer = client.get(f"/v1/jobs/{job.id}/diagnosis").json()
        assert answer["verdict"] == "still_improving"
        assert [each["technique"] for each in answer["suggestions"]] == expected


def test_the_schema_names_every_verdict(client: TestClient) -> None:
    schemas = client.get("/v1/openapi.json").json()["components"]["schemas"]
    assert tuple(schemas["DiagnosisAnswer"]["properties"]["verdict"]["enum"]) == VERDICTS
    told = json.dumps(schemas["DiagnosisAnswer"])
    assert all(f"`{verdict}`" in told for verdict in VERDICTS)


# ── data problems, and whatever may lie in a row ────────────────────────────────────────────────────────────


def test_data_problems_come_first(client: TestClient, worker: Worker) -> None:
    job = worker.begin(submit(client, **SPEC)["id"])
    worker.record(job, RISING)
    leak = {"pointer": "/dataset", "detail": "column 'a' alone tells the target", "kind": "data_problem"}
    other = {"pointer": "/split", "detail": "class 'b' has no test row", "kind": "spec"}
    with worker.database.writing() as tx:
        assert jobs.add_warnings(tx, job.id, job.fence, [other, leak])
    worker.succeed(job, RESULT)
    evidence = client.get(f"/v1/jobs/{job.id}/diagnosis").json()["evidence"]
    assert [each["name"] for each in evidence].count("data_problem") == 1
    assert evidence[0] == {"name": "data_problem", "value": 1.0, "detail": leak["detail"]}
    assert client.get(f"/v1/jobs/{job.id}").json()["warnings"] == [other, leak]


def test_a_spec_that_is_none_any_more_is_told_and_no_fault(client: TestClient, worker: Worker) -> None:
    """As an earlier version stored it: fractions that leave no rows, and a technique that nobody knows."""
    job = worker.begin(submit(client, **SPEC)["id"])
    worker.record(job, RISING)
    worker.succeed(job, RESULT)
    for part in ({"split": {"validation": 0.8, "test": 0.2}}, {"regularization": {"magic": 1}}):
        with worker.database.writing() as tx:
            tx.execute(sa.update(tables.jobs).where(tables.jobs.c.id == job.id).values(spec=job.spec | part))
        document = problem(client.get(f"/v1/jobs/{job.id}/diagnosis"), 404)
        assert "none that could be sent today" in document["detail"]


def test_a_share_that_leaves_no_rows_is_refused_and_what_is_validated_may_be_sent(client: TestClient) -> None:
    found = client.post("/v1/jobs/validate", json={"dataset": "iris", "split": {"validation": 0.8}}).json()
    assert found["spec"]["split"]["test"] == 0.1
    about_the_spec = [each for each in found["warnings"] if each["pointer"] != "/training/device"]
    assert [each["pointer"] for each in about_the_spec] == ["/split/test"], (
        "no worker is here, which is said too"
    )
    assert client.post("/v1/jobs", json=found["spec"]).status_code == 202
    refused = problem(client.post("/v1/jobs", json={"dataset": "iris", "split": {"validation": 0.999}}), 422)
    assert refused["errors"][0]["pointer"] == "/split/validation"


NUMBERS = some.one_of(some.floats(), some.floats(0, 10), some.sampled_from([math.nan, math.inf, 0.0, 1e308]))
CURVES = some.lists(some.tuples(NUMBERS, NUMBERS, NUMBERS), max_size=12)
ENDS = some.sampled_from(["running", "succeed", "fail", "cancel", "release"])
LOSSES = some.one_of(some.none(), some.fixed_dictionaries({"loss": some.one_of(some.none(), NUMBERS)}))
RESULTS = some.fixed_dictionaries(
    {},
    optional={
        "train": LOSSES,
        "validation": LOSSES,
        "restored_epoch": some.sampled_from([None, 0, 1, 5, 99]),
    },
)
SPECS: list[dict[str, Any]] = [
    SPEC,
    {},
    {"network": {"hidden": []}, "regularization": {"l1": 1.0}, "optimizer": {"kind": "fista"}},
    {"split": {"validation": 0.0}, "regularization": {}, "training": {"max_epochs": 3}},
    {"split": {"validation": 0.01, "test": 0.97}, "regularization": {"dropout": 0.9, "batch_norm": True}},
    {"regularization": {"early_stopping": {"monitor": "val_accuracy"}}, "optimizer": {"learning_rate": 100}},
]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(some.sampled_from(SPECS), CURVES, ENDS, RESULTS)
def test_whatever_a_job_has_come_to_its_diagnosis_is_an_answer(
    client: TestClient,
    worker: Worker,
    spec: dict[str, Any],
    curve: list[tuple[float, float, float]],
    end: str,
    result: dict[str, Any],
) -> None:
    job = worker.begin(submit(client, **spec)["id"])
    if curve:
        names = ("objective", "train_loss", "val_loss", "val_accuracy")
        columns = [*zip(*curve, strict=True), [one[0] for one in curve]]
        worker.record(job, {name: list(values) for name, values in zip(names, columns, strict=True)})
    with worker.database.writing() as tx:
        if end == "succeed":
            jobs.succeed(tx, job.id, job.fence, stop_reason="early_stopping", result=result)
        elif end == "fail":
            jobs.fail(tx, job.id, job.fence, stop_reason="diverged", stop_detail="x", result=result)
        elif end == "cancel":
            jobs.request_cancel(tx, job.id)
            jobs.cancelled(tx, job.id, job.fence, result=result)
        elif end == "release":
            jobs.release(tx, job.id, job.fence, detail="draining")
    answer = client.get(f"/v1/jobs/{job.id}/diagnosis")
    assert answer.status_code == (200 if curve else 404), answer.text
    if curve:
        assert answer.json()["verdict"] in VERDICTS
        assert "NaN" not in answer.text
        assert "Infinity" not in answer.text
