"""Curves over HTTP: data, thinning, markers, every format, several jobs."""

from __future__ import annotations

import csv
import io
import math

import pytest
from starlette.testclient import TestClient

from api import drawing
from api.routes import curves as routes
from store import jobs
from tests.api.acting import Worker, pointers, problem, submit

LONG = 800


@pytest.fixture(scope="module")
def three(client: TestClient, worker: Worker) -> str:
    """A job that ran three epochs."""
    return worker.done(client, name="three")


@pytest.fixture(scope="module")
def long(client: TestClient, worker: Worker) -> str:
    """A job that ran many."""
    job = worker.begin(submit(client, name="long")["id"])
    values = [1 / epoch + 0.01 * math.sin(epoch) for epoch in range(1, LONG + 1)]
    worker.record(job, {"train_loss": [value / 2 for value in values], "val_loss": values})
    worker.succeed(job, {"best_epoch": 500, "last_epoch": LONG})
    return job.id


def test_a_curve_in_columns(client: TestClient, three: str) -> None:
    answer = client.get(f"/v1/jobs/{three}/curves").json()
    assert answer == {
        "job_id": three,
        "epochs": [1, 2, 3],
        "series": {"train_loss": [0.9, 0.5, 0.4], "val_loss": [0.8, 0.4, 0.6]},
        "nonfinite": {},
        "markers": [
            {"epoch": 2, "kind": "best"},
            {"epoch": 3, "kind": "stopped", "reason": "early_stopping"},
        ],
        "sampling": {"method": "none", "returned": 3, "total": 3},
    }


def test_what_comes_after_an_epoch_and_only_some_series(client: TestClient, three: str) -> None:
    answer = client.get(f"/v1/jobs/{three}/curves?after=2&series=val_loss,val_accuracy").json()
    assert (answer["epochs"], answer["series"]) == ([3], {"val_loss": [0.6]})
    assert client.get(f"/v1/jobs/{three}/curves?after=3").json()["epochs"] == []


def test_a_running_job_knows_its_best_epoch_so_far(client: TestClient, worker: Worker) -> None:
    spec = {"regularization": {"early_stopping": {"monitor": "val_accuracy", "patience": 3}}}
    job = worker.begin(submit(client, **spec)["id"])
    worker.record(job, {"val_loss": [0.1, 0.5], "val_accuracy": [0.7, 0.9]})
    assert client.get(f"/v1/jobs/{job.id}/curves").json()["markers"] == [{"epoch": 2, "kind": "best"}]


def test_a_running_job_whose_monitor_is_undefined_is_judged_by_val_loss(
    client: TestClient, worker: Worker
) -> None:
    """As its worker does, whatever value stands for it: some are 0 in every epoch, and no NaN."""
    spec = {
        "regularization": {"early_stopping": {"monitor": "val_roc_auc", "patience": 3}},
        "metrics": ["roc_auc"],
    }
    job = worker.begin(submit(client, **spec)["id"])
    worker.record(
        job, {"train_loss": [0.8, 0.7, 0.6], "val_loss": [0.9, 0.4, 0.5], "val_roc_auc": [0.0, 0.0, 0.0]}
    )
    pointer = "/regularization/early_stopping/monitors/0/metric"
    undefined = {"pointer": pointer, "detail": "val_roc_auc is undefined", "kind": "undefined"}
    with worker.database.writing() as tx:
        assert jobs.add_warnings(tx, job.id, job.fence, [undefined])
    assert client.get(f"/v1/jobs/{job.id}/curves").json()["markers"] == [{"epoch": 2, "kind": "best"}]


def test_a_long_curve_is_thinned_and_says_so(client: TestClient, long: str) -> None:
    answer = client.get(f"/v1/jobs/{long}/curves?max_points=50").json()
    assert answer["sampling"] == {"method": "lttb", "returned": len(answer["epochs"]), "total": LONG}
    assert len(answer["epochs"]) <= 50
    assert {1, 500, LONG} <= set(answer["epochs"])
    assert {len(values) for values in answer["series"].values()} == {len(answer["epochs"])}
    assert client.get(f"/v1/jobs/{long}/curves?max_points=50").json() == answer


def test_what_is_not_finite_is_null_and_named(client: TestClient, worker: Worker) -> None:
    job = worker.begin(submit(client)["id"])
    worker.record(job, {"train_loss": [0.5, math.nan, math.inf], "val_loss": [0.5, 0.4, -math.inf]})
    answer = client.get(f"/v1/jobs/{job.id}/curves").json()
    assert answer["series"] == {"train_loss": [0.5, None, None], "val_loss": [0.5, 0.4, None]}
    assert answer["nonfinite"] == {"train_loss": {"2": "nan", "3": "inf"}, "val_loss": {"3": "-inf"}}
    for form in ("csv", "png", "svg", "txt"):
        assert client.get(f"/v1/jobs/{job.id}/curves?format={form}").status_code == 200


@pytest.mark.parametrize(
    ("form", "media_type", "start"),
    [
        ("json", "application/json", b'{"job_id":'),
        ("csv", "text/csv", b"epoch,train_loss,val_loss\n1,0.9,0.8\n"),
        ("png", "image/png", b"\x89PNG\r\n"),
        ("svg", "image/svg+xml", b"<?xml"),
        ("txt", "text/plain", b"three"),
    ],
)
def test_every_format_by_name_and_by_media_type(
    client: TestClient, three: str, form: str, media_type: str, start: bytes
) -> None:
    address = f"/v1/jobs/{three}/curves"
    named = client.get(address, params={"format": form})
    asked = client.get(address, headers={"Accept": f"{media_type}, */*;q=0.1"})
    assert named.headers["content-type"].startswith(media_type)
    assert named.content.startswith(start)
    assert named.content == asked.content
    assert named.headers["etag"]
    assert (
        client.get(
            address, params={"format": form}, headers={"If-None-Match": named.headers["etag"]}
        ).status_code
        == 304
    )


def test_a_chart_for_a_terminal_fits_into_it(client: TestClient, three: str) -> None:
    text = client.get(f"/v1/jobs/{three}/curves?format=txt&width=60&height=20").text
    assert max(len(line) for line in text.splitlines()) <= 60
    assert "\x1b[" not in text
    assert "\x1b[" in client.get(f"/v1/jobs/{three}/curves?format=txt&color=true").text


def test_a_job_without_epochs_has_an_empty_curve(client: TestClient) -> None:
    job_id = submit(client)["id"]
    assert client.get(f"/v1/jobs/{job_id}/curves").json()["sampling"]["total"] == 0
    for form in ("csv", "png", "svg", "txt"):
        assert client.get(f"/v1/jobs/{job_id}/curves?format={form}").status_code == 200


def test_several_jobs_overlaid(client: TestClient, three: str, long: str) -> None:
    answer = client.get(f"/v1/curves?jobs={three},{long}&max_points=20").json()
    assert [curve["job_id"] for curve in answer["curves"]] == [three, long]
    assert [list(curve["series"]) for curve in answer["curves"]] == [["val_loss"], ["val_loss"]]
    assert answer["curves"][1]["sampling"]["method"] == "lttb"


@pytest.mark.parametrize("form", ["csv", "png", "svg", "txt"])
def test_several_jobs_in_every_format(client: TestClient, three: str, long: str, form: str) -> None:
    response = client.get(f"/v1/curves?jobs={three},{long}&format={form}&series=val_loss,train_loss")
    assert response.status_code == 200
    if form == "csv":
        rows = list(csv.DictReader(io.StringIO(response.text)))
        assert {row["job_id"] for row in rows} == {three, long}
        assert len(rows) == 3 + LONG


@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        ("series=val_los", "/query/series"),
        ("series=", "/query/series"),
        ("series=%00", "/query/series"),
        ("after=-1", "/query/after"),
        ("after=99999999999999999999", "/query/after"),
        ("max_points=1", "/query/max_points"),
        ("format=pdf", "/query/format"),
        ("width=7", "/query/width"),
        ("color=maybe", "/query/color"),
        ("points=7", "/query/points"),
    ],
)
def test_what_cannot_be_asked_of_a_curve_is_said(
    client: TestClient, three: str, query: str, pointer: str
) -> None:
    for address in (f"/v1/jobs/{three}/curves?", f"/v1/curves?jobs={three}&"):
        document = problem(client.get(address + query), 422)
        assert pointers(document) == [pointer]
    if query == "series=val_los":
        assert document["errors"][0]["suggestion"] == "val_loss"


def test_too_many_jobs_or_unknown_ones_cannot_be_overlaid(client: TestClient, three: str) -> None:
    problem(client.get("/v1/curves"), 422)
    problem(client.get(f"/v1/curves?jobs={three},nobody"), 404)
    problem(client.get("/v1/curves?jobs=" + ",".join(f"job_{n}" for n in range(21))), 422)


def test_what_no_format_offers_is_not_acceptable(client: TestClient, three: str) -> None:
    document = problem(client.get(f"/v1/jobs/{three}/curves", headers={"Accept": "application/pdf"}), 406)
    assert "image/png" in document["detail"]


def test_curves_in_one_answer_share_what_there_may_be(
    client: TestClient, three: str, long: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(routes, "MOST_NUMBERS", 200)
    query = f"jobs={three},{long}&series=val_loss,train_loss"
    short, thinned = client.get(f"/v1/curves?{query}").json()["curves"]
    assert short["sampling"]["method"] == "none"
    assert thinned["sampling"] == {"method": "lttb", "returned": 50, "total": thinned["sampling"]["total"]}
    for form in ("png", "txt"):
        assert client.get(f"/v1/curves?{query}&format={form}").status_code == 200
    document = problem(client.get(f"/v1/curves?{query}&format=csv"), 422)
    assert pointers(document) == ["/query/jobs"]
    assert "200 numbers" in document["detail"]


def test_csv_in_pieces_is_csv_in_one(
    client: TestClient, worker: Worker, three: str, long: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = worker.begin(submit(client, name="broken")["id"])
    worker.record(job, {"train_loss": [1.0, 2.0, math.inf, 4.0, math.nan], "val_loss": [0.1] * 5})
    jobs_ = f"{three},{long},{job.id}"
    paths = (f"/v1/jobs/{job.id}/curves?format=csv", f"/v1/curves?jobs={jobs_}&series=val_loss&format=csv")
    whole = [client.get(path).text for path in paths]
    assert "3,inf," in whole[0]
    monkeypatch.setattr(drawing, "_PIECE_EPOCHS", 2)
    assert [client.get(path).text for path in paths] == whole
