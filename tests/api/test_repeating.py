"""`Idempotency-Key`: creating twice with one key creates once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from starlette.testclient import TestClient

from api.deps import Server
from store import idempotency
from tests.api.acting import Worker, pointers, problem

CSV = b"a,y\n" + b"".join(b"%d,%s\n" % (row, b"no" if row % 2 else b"yes") for row in range(20))


def test_the_first_answer_is_given_again(client: TestClient) -> None:
    def post() -> object:
        return client.post("/v1/jobs", json={"dataset": "iris"}, headers={"Idempotency-Key": "again"})

    first, second = post(), post()
    assert (first.status_code, first.content) == (second.status_code, second.content)  # type: ignore[attr-defined]
    assert first.headers["location"] == second.headers["location"]  # type: ignore[attr-defined]
    assert "idempotent-replayed" not in first.headers  # type: ignore[attr-defined]
    assert second.headers["idempotent-replayed"] == "true"  # type: ignore[attr-defined]


def test_the_same_body_may_be_written_another_way(client: TestClient) -> None:
    headers = {"Idempotency-Key": "written", "Content-Type": "application/json"}
    first = client.post("/v1/jobs", content=b'{"dataset": "iris", "name": "a"}', headers=headers)
    second = client.post("/v1/jobs", content=b'{"name":"a","dataset":"iris"}', headers=headers)
    assert first.json()["id"] == second.json()["id"]


def test_another_body_under_the_same_key_is_refused(client: TestClient) -> None:
    headers = {"Idempotency-Key": "other"}
    client.post("/v1/jobs", json={"dataset": "iris"}, headers=headers)
    document = problem(client.post("/v1/jobs", json={"dataset": "wine"}, headers=headers), 422)
    assert pointers(document) == ["/header/idempotency-key"]


def test_a_refused_spec_leaves_its_key_free(client: TestClient) -> None:
    headers = {"Idempotency-Key": "free"}
    problem(client.post("/v1/jobs", json={"dataset": "none"}, headers=headers), 422)
    assert client.post("/v1/jobs", json={"dataset": "iris"}, headers=headers).status_code == 202


def test_many_at_once_create_one_job(client: TestClient) -> None:
    def post(_: int) -> str:
        headers = {"Idempotency-Key": "together"}
        response = client.post("/v1/jobs", json={"dataset": "iris", "name": "together"}, headers=headers)
        assert response.status_code == 202, response.text
        return str(response.json()["id"])

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(post, range(16)))) == 1
    assert len(client.get("/v1/jobs?name=together").json()["data"]) == 1


def test_a_repetition_may_wait_as_well(client: TestClient, worker: Worker) -> None:
    headers = {"Idempotency-Key": "waited", "Prefer": "wait=0"}
    first = client.post("/v1/jobs", json={"dataset": "iris"}, headers=headers)
    worker.succeed(worker.begin(first.json()["id"]))
    second = client.post("/v1/jobs", json={"dataset": "iris"}, headers=headers)
    assert (second.status_code, second.json()["status"]) == (201, "succeeded")
    assert second.headers["idempotent-replayed"] == "true"
    assert second.json()["id"] == first.json()["id"]


@pytest.mark.parametrize("key", ["", " ", "a b", "x" * 256, "é".encode().decode("latin-1")])
@pytest.mark.parametrize("path", ["/v1/jobs", "/v1/datasets"])
def test_a_key_that_is_none_is_refused(client: TestClient, path: str, key: str) -> None:
    headers = {"Idempotency-Key": key.encode("latin-1")}
    body = {"json": {"dataset": "iris"}} if path == "/v1/jobs" else {"files": {"file": ("a.csv", CSV)}}
    document = problem(client.post(path, headers=headers, **body), 422)  # type: ignore[arg-type]
    assert pointers(document) == ["/header/idempotency-key"]


def test_an_upload_is_repeated_as_well(client: TestClient) -> None:
    def post() -> object:
        headers = {"Idempotency-Key": "upload"}
        return client.post("/v1/datasets", files={"file": ("a.csv", CSV)}, headers=headers)

    first, second = post(), post()
    assert (first.status_code, second.status_code) == (201, 201)  # type: ignore[attr-defined]
    assert first.content == second.content  # type: ignore[attr-defined]
    assert second.headers["idempotent-replayed"] == "true"  # type: ignore[attr-defined]


def test_an_upload_that_is_still_being_read_is_a_conflict(client: TestClient, server: Server) -> None:
    headers = {"Idempotency-Key": "reading"}
    first = client.post("/v1/datasets", files={"file": ("a.csv", CSV + b"99,yes\n")}, headers=headers)
    assert first.status_code == 201
    with server.database.of("default").writing() as tx:
        # As the row stands between the two transactions of an upload.
        from store.tables import idempotency as table

        tx.execute(table.update().where(table.c.key == "reading").values(status=None))
    again = client.post("/v1/datasets", files={"file": ("a.csv", CSV + b"99,yes\n")}, headers=headers)
    problem(again, 409)
    assert 1 <= int(again.headers["retry-after"]) <= idempotency.HOLD_SECONDS


def test_a_file_that_is_no_dataset_leaves_its_key_free(client: TestClient, server: Server) -> None:
    headers = {"Idempotency-Key": "bad-file"}
    problem(client.post("/v1/datasets", files={"file": ("a.csv", b"\x00\x01\x02")}, headers=headers), 422)
    with server.database.of("default").writing() as tx:
        assert isinstance(idempotency.begin(tx, "bad-file", "other"), idempotency.Ticket)
