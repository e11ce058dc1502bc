"""The web on PostgreSQL: the same answers, and the same manners where SQLite is more forgiving."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa
import structlog
from starlette.testclient import TestClient

from api.app import create_app
from api.deps import Server
from store import jobs
from store.session import Connection
from store.settings import Settings
from tests import servers
from tests.api.acting import Worker, problem, submit
from tests.api.conftest import HOME


@pytest.fixture(scope="module")
def settings(
    postgres_databases: servers.Databases, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Settings]:
    with postgres_databases.fresh() as url:
        yield Settings(data_dir=tmp_path_factory.mktemp("server"), database_url=url, statement_seconds=2)


def test_a_job_from_end_to_end(client: TestClient, worker: Worker) -> None:
    job_id = worker.done(client, name="on postgresql", metadata={"team": "risk"})
    assert client.get(f"/v1/jobs/{job_id}").json()["status"] == "succeeded"
    assert client.get("/v1/jobs?metadata.team=risk&status=succeeded").json()["data"][0]["id"] == job_id
    assert client.get(f"/v1/jobs/{job_id}/curves").json()["epochs"] == [1, 2, 3]
    events = client.get(f"/v1/jobs/{job_id}/events", headers={"Accept": "text/event-stream"}).text
    assert events.count("event: epoch") == 3
    assert client.delete(f"/v1/jobs/{job_id}").status_code == 204


def test_pages_and_repetitions(client: TestClient) -> None:
    ids = [submit(client, metadata={"set": "paged"})["id"] for _ in range(3)]
    first = client.get("/v1/jobs?metadata.set=paged&limit=2")
    second = client.get(first.links["next"]["url"])
    assert [job["id"] for job in first.json()["data"] + second.json()["data"]] == ids[::-1]
    headers = {"Idempotency-Key": "once"}
    answers = [client.post("/v1/jobs", json={"dataset": "iris"}, headers=headers) for _ in range(2)]
    assert answers[0].content == answers[1].content


@pytest.mark.parametrize(
    "path", ["/v1/jobs/%00", "/v1/datasets/%00", "/v1/jobs?name=%00", "/v1/jobs?metadata.a=%00"]
)
def test_what_postgresql_does_not_take_never_reaches_it(client: TestClient, path: str) -> None:
    response = client.get(path)
    problem(response, 422 if "?" in path else 404)


def test_a_database_that_was_not_upgraded_is_a_503(settings: Settings) -> None:
    with TestClient(create_app(settings), HOME) as client:
        server: Server = client.app.state.server  # type: ignore[attr-defined]
        with server.database.of("default").writing() as tx:
            tx.execute(sa.text("ALTER TABLE jobs RENAME TO hidden"))
        problem(client.get("/v1/jobs"), 503)
        with server.database.of("default").writing() as tx:
            tx.execute(sa.text("ALTER TABLE hidden RENAME TO jobs"))
        assert client.get("/v1/jobs").status_code == 200


def test_a_statement_that_takes_too_long_is_a_503_and_one_line_of_the_log(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never_ends(tx: Connection, *_: Any, **__: Any) -> None:
        tx.execute(sa.text("SELECT pg_sleep(600)"))

    monkeypatch.setattr(jobs, "walk", never_ends)
    with structlog.testing.capture_logs() as lines:
        response = client.get("/v1/jobs")
    document = problem(response, 503)
    assert document["type"].endswith("statement-too-long")
    assert int(response.headers["Retry-After"]) > 0
    assert [line["event"] for line in lines if "too long" in line["event"]] == [
        "a statement took too long and was stopped"
    ]
    assert not [line for line in lines if line["log_level"] == "error"]
