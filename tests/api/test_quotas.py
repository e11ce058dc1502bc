"""What a project may have: each quota used up, told of, raised again; and no other project is the poorer."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi import FastAPI
from httpx2 import Response
from starlette.testclient import TestClient

from api.app import create_app
from api.deps import Server
from api.errors import QuotaExceededError
from api.quotas import Counted, Quotas
from store import jobs, projects
from store.session import Database
from store.settings import Settings
from store.tables import DEFAULT_PROJECT
from tests.api import belongings
from tests.api.acting import Worker, problem
from tests.api.belongings import Party
from tests.api.conftest import HOME
from tests.store.examples import add_dataset, together

TABLE = "a,y\n" + "\n".join(f"{row}.{{0}},{row % 2}" for row in range(40))


@pytest.fixture(scope="module")
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"auth": "keys"})


@pytest.fixture
def owner(client: TestClient, server: Server, request: pytest.FixtureRequest) -> Party:
    return belongings.party(client, server, belongings.found(server, request.node.name))


@pytest.fixture(scope="module")
def operator(client: TestClient, server: Server) -> Party:
    return belongings.party(client, server, DEFAULT_PROJECT)


def limit(operator: Party, owner: Party, **own: int | None) -> None:
    operator.made("PATCH", f"/v1/projects/{owner.project_id}", json={"quotas": own})


def test_open_jobs(server: Server, operator: Party, owner: Party) -> None:
    limit(operator, owner, open_jobs=2)
    jobs = [owner.made("POST", "/v1/jobs", json={"dataset": "iris"})["id"] for _ in range(2)]
    refused = owner.send("POST", "/v1/jobs", json={"dataset": "iris"}, headers={"Idempotency-Key": "again"})
    document = problem(refused, 429)
    assert document["type"].endswith("#quota-exceeded")
    assert (document["quota"], document["limit"]) == ("open_jobs", 2)
    assert int(refused.headers["retry-after"]) > 0
    assert owner.made("GET", "/v1/projects/current")["usage"]["open_jobs"] == 2
    assert operator.send("POST", "/v1/jobs", json={"dataset": "iris"}).status_code == 202
    owner.made("POST", f"/v1/jobs/{jobs[0]}/cancel")
    # What was refused left nothing behind, its idempotency record included.
    accepted = owner.send("POST", "/v1/jobs", json={"dataset": "iris"}, headers={"Idempotency-Key": "again"})
    assert (accepted.status_code, accepted.headers.get("idempotent-replayed")) == (202, None)
    repeated = owner.send("POST", "/v1/jobs", json={"dataset": "iris"}, headers={"Idempotency-Key": "again"})
    assert (repeated.status_code, repeated.headers.get("idempotent-replayed")) == (202, "true")
    limit(operator, owner, open_jobs=None)
    assert owner.send("POST", "/v1/jobs", json={"dataset": "iris"}).status_code == 202


def test_open_jobs_hold_under_a_race(operator: Party, owner: Party) -> None:
    limit(operator, owner, open_jobs=3)
    answers: list[int] = []

    def submit() -> None:
        answers.append(owner.send("POST", "/v1/jobs", json={"dataset": "iris"}).status_code)

    together = [threading.Thread(target=submit) for _ in range(12)]
    for each in together:
        each.start()
    for each in together:
        each.join()
    assert sorted(answers) == [202] * 3 + [429] * 9


def test_stored_bytes(server: Server, operator: Party, owner: Party, settings: Settings) -> None:
    def upload(number: int) -> int:
        return owner.send("POST", "/v1/datasets", files={"file": ("t.csv", TABLE.format(number))}).status_code

    assert upload(1) == 201
    one = owner.made("GET", "/v1/projects/current")["usage"]["stored_bytes"]
    assert one > 0
    limit(operator, owner, stored_bytes=one + 10)
    files = {path.name for path in (settings.data_dir / "files/datasets").iterdir()}
    refused = owner.send("POST", "/v1/datasets", files={"file": ("t.csv", TABLE.format(2))})
    assert problem(refused, 429)["quota"] == "stored_bytes"
    assert {path.name for path in (settings.data_dir / "files/datasets").iterdir()} == files
    assert upload(1) == 200  # What is there already takes nothing more.
    assert owner.send("POST", "/v1/jobs", json={"dataset": "iris"}).status_code == 202
    limit(operator, owner, stored_bytes=one)
    early = owner.send("POST", "/v1/datasets", content=b"not even a form")
    assert problem(early, 429)["quota"] == "stored_bytes"
    job = owner.made("GET", "/v1/jobs")["data"][0]["id"]
    worker = Worker(server.database.of(owner.project_id))
    held = worker.begin(job)
    before = used(owner)
    worker.keep_weights(held, belongings.SUMMARY)
    assert used(owner) - before > 10 + len(str(belongings.SUMMARY)) // 2


def used(owner: Party) -> int:
    return int(owner.made("GET", "/v1/projects/current")["usage"]["stored_bytes"])


def test_what_fits_to_the_byte_fits(operator: Party, owner: Party) -> None:
    def upload() -> Response:
        return owner.send("POST", "/v1/datasets", files={"file": ("t.csv", TABLE.format(11))})

    empty = used(owner)
    gone = upload().json()["id"]
    full = used(owner)
    assert owner.send("DELETE", f"/v1/datasets/{gone}").status_code == 204
    assert used(owner) == empty
    limit(operator, owner, stored_bytes=full - 1)
    assert problem(upload(), 429)["quota"] == "stored_bytes"
    assert used(owner) == empty, "what was refused is not counted"
    limit(operator, owner, stored_bytes=full)
    assert upload().status_code == 201
    assert used(owner) == full


def test_what_people_write_counts(operator: Party, owner: Party) -> None:
    """Jobs full of metadata fill a project as files do, and deleting them empties it."""
    before = used(owner)
    note = {"note": "x" * 1_500}
    jobs = [
        owner.made("POST", "/v1/jobs", json={"dataset": "iris", "metadata": note})["id"] for _ in range(3)
    ]
    assert used(owner) - before > 3 * 1_500
    limit(operator, owner, stored_bytes=used(owner))
    assert problem(owner.send("POST", "/v1/jobs", json={"dataset": "iris"}), 429)["quota"] == "stored_bytes"
    for job in jobs:
        owner.made("POST", f"/v1/jobs/{job}/cancel")
        assert owner.send("DELETE", f"/v1/jobs/{job}").status_code == 204
    assert used(owner) == before
    assert owner.send("POST", "/v1/jobs", json={"dataset": "iris"}).status_code == 202


@pytest.mark.parametrize("quota", ["max_open_jobs", "max_stored_bytes"])
def test_both_hold_under_a_race(database: Database, settings: Settings, quota: str) -> None:
    """On both databases: whoever would be one too many sees those before him."""
    project = database.project_id or ""
    checked = Quotas(settings, Counted("memory://"))
    with database.writing() as tx:
        dataset_id = add_dataset(tx).id
        one = projects.usage_of(tx).stored_bytes
        projects.change(tx, project, quotas={quota: 3 if quota == "max_open_jobs" else 4 * one})

    def add() -> bool:
        try:
            with database.writing() as tx:
                if quota == "max_open_jobs":
                    checked.make_room_for_job(tx)
                    jobs.add(tx, spec={}, dataset_id=dataset_id, max_epochs=1)
                else:
                    add_dataset(tx)
                    checked.make_room_for_bytes(tx)
        except QuotaExceededError:
            return False
        return True

    assert sum(together([add] * 10)) == 3


def test_a_project_that_is_full_submits_no_more(operator: Party, owner: Party) -> None:
    owner.made("POST", "/v1/datasets", files={"file": ("t.csv", TABLE.format(3))})
    assert owner.send("POST", "/v1/jobs", json={"dataset": "iris"}).status_code == 202
    limit(operator, owner, stored_bytes=1)
    refused = owner.send("POST", "/v1/jobs", json={"dataset": "iris"})
    assert problem(refused, 429)["quota"] == "stored_bytes"
    limit(operator, owner, stored_bytes=0)
    assert owner.send("POST", "/v1/jobs", json={"dataset": "iris"}).status_code == 202


def test_requests_a_minute(operator: Party, owner: Party, server: Server) -> None:
    limit(operator, owner, requests_per_minute=3)
    answers = [owner.send("GET", "/v1/catalog") for _ in range(5)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429, 429]
    assert {answer.headers["ratelimit-policy"] for answer in answers} == {'"requests";q=3;w=60'}
    left = [answer.headers["ratelimit"].partition(";t=")[0] for answer in answers]
    assert left == ['"requests";r=2', '"requests";r=1', *['"requests";r=0'] * 3]
    document = problem(answers[4], 429)
    assert (document["quota"], document["limit"]) == ("requests_per_minute", 3)
    assert 0 < int(answers[4].headers["retry-after"]) <= 60
    assert owner.client.get("/healthz").status_code == 200
    assert operator.send("GET", "/v1/catalog").status_code == 200


@pytest.fixture(scope="module")
def small(settings: Settings) -> Iterator[FastAPI]:
    """Where the settings themselves are small, and keys are not asked for."""
    chosen = {"auth": "auto", "quota_open_jobs": 1, "quota_requests_per_minute": 1}
    app = create_app(settings.model_copy(update=chosen))
    with TestClient(app, HOME):
        yield app


def test_without_keys_jobs_are_counted_and_requests_are_not(small: FastAPI) -> None:
    client = TestClient(small, HOME)
    for job in client.get("/v1/jobs?status=queued&limit=200").json()["data"]:
        client.post(f"/v1/jobs/{job['id']}/cancel")
    answers = [client.post("/v1/jobs", json={"dataset": "iris"}) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [202, 429]
    assert "ratelimit" not in answers[0].headers


def test_a_limit_of_requests_is_shared_through_a_broker(
    settings: Settings, broker_server: str, server: Server, operator: Party
) -> None:
    owner = belongings.party(operator.client, server, belongings.found(server, "shared"))
    limit(operator, owner, requests_per_minute=2)
    told = []
    for _ in range(2):
        with TestClient(
            create_app(settings.model_copy(update={"limits_url": broker_server})), HOME
        ) as client:
            owner.client = client
            told.append([owner.send("GET", "/v1/catalog").status_code for _ in range(2)])
    assert told == [[200, 200], [429, 429]]


def test_uploads_leave_no_file_behind_where_there_is_no_room(settings: Settings) -> None:
    assert not list(Path(settings.data_dir / "uploads").glob("*/*"))
