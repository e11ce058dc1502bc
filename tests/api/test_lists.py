"""Lists of jobs: pages, order, filters."""

from __future__ import annotations

import pytest
from starlette.testclient import TestClient

from api.addresses import MOST_PARAMETERS
from api.filters import MOST_LABELS
from tests.api.acting import Worker, pointers, problem, submit


def names(client: TestClient, query: str) -> list[str | None]:
    response = client.get(f"/v1/jobs?{query}")
    assert response.status_code == 200, response.text
    return [job["name"] for job in response.json()["data"]]


def test_pages_follow_each_other_by_their_links(client: TestClient) -> None:
    for number in range(7):
        submit(client, name=f"paged-{number}", metadata={"set": "paged"})
    address, seen = "/v1/jobs?metadata.set=paged&limit=3", []
    while address:
        response = client.get(address)
        page = response.json()
        seen.append([job["name"] for job in page["data"]])
        address = response.links["next"]["url"] if "next" in response.links else ""
        assert bool(address) == (page["next"] is not None)
    expected = [f"paged-{number}" for number in reversed(range(7))]
    assert seen == [expected[:3], expected[3:6], expected[6:]]


def test_the_oldest_may_come_first(client: TestClient) -> None:
    for number in range(2):
        submit(client, name=f"sorted-{number}", metadata={"set": "sorted"})
    assert names(client, "metadata.set=sorted&sort=created_at") == ["sorted-0", "sorted-1"]


def test_filters_narrow_the_list(client: TestClient, worker: Worker) -> None:
    done = worker.done(client, name="done", metadata={"set": "narrow", "year": 2026, "wide": True})
    submit(client, name="waiting", dataset="wine", metadata={"set": "narrow"})
    narrow = "metadata.set=narrow"
    assert names(client, f"{narrow}&status=succeeded") == ["done"]
    assert names(client, f"{narrow}&status=queued,succeeded") == ["waiting", "done"]
    assert names(client, f"{narrow}&stop_reason=early_stopping") == ["done"]
    assert names(client, f"{narrow}&dataset=wine") == ["waiting"]
    assert names(client, f"{narrow}&name=done") == ["done"]
    assert names(client, f"{narrow}&metadata.year=2026") == ["done"]
    assert names(client, f"{narrow}&metadata.wide=true") == ["done"]
    assert names(client, f"{narrow}&metadata.year=2027") == []
    assert names(client, f"{narrow}&study=none") == []
    dataset = client.get(f"/v1/jobs/{done}").json()["dataset"]["id"]
    assert names(client, f"{narrow}&dataset={dataset}") == ["done"]


def test_jobs_are_found_by_when_they_were_made(client: TestClient) -> None:
    job = submit(client, name="dated", metadata={"set": "dated"})
    at = job["created_at"].replace("Z", "%2B00:00")
    assert names(client, "metadata.set=dated&created_after=2020-01-01T00:00:00Z") == ["dated"]
    assert names(client, f"metadata.set=dated&created_after={at}") == []
    assert names(client, "metadata.set=dated&created_before=2020-01-01T00:00:00") == []


@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        ("limit=0", "/query/limit"),
        ("limit=201", "/query/limit"),
        ("limit=many", "/query/limit"),
        ("limit=1e400", "/query/limit"),
        ("status=done", "/query/status"),
        ("status=running,done", "/query/status"),
        ("stop_reason=bored", "/query/stop_reason"),
        ("sort=colour", "/query/sort"),
        ("sort=", "/query/sort"),
        ("sort=--name", "/query/sort"),
        ("cursor=" + "x" * 2001, "/query/cursor"),
        ("cursor=garbage", "/query/cursor"),
        ("cursor=%00", "/query/cursor"),
        ("created_after=yesterday", "/query/created_after"),
        ("created_after=0001-01-01T00:00:00%2B14:00", "/query/created_after"),
        ("created_before=99999999999999999999", "/query/created_before"),
        ("name=%00", "/query/name"),
        ("name=" + "x" * 201, "/query/name"),
        ("dataset=", "/query/dataset"),
        ("metadata.team=%00", "/query/metadata.team"),
        ("metadata.=x", "/query/metadata."),
        ("statsu=queued", "/query/statsu"),
        ("%00=1", "/query/\N{REPLACEMENT CHARACTER}"),
    ],
)
def test_what_cannot_be_asked_of_a_list_is_said(client: TestClient, query: str, pointer: str) -> None:
    assert pointer in pointers(problem(client.get(f"/v1/jobs?{query}"), 422))


def test_a_misspelt_filter_hears_its_name(client: TestClient) -> None:
    document = problem(client.get("/v1/jobs?statsu=queued"), 422)
    assert document["errors"][0]["suggestion"] == "status"


def test_a_list_is_narrowed_by_so_many_labels_and_no_more(client: TestClient) -> None:
    labels = [f"metadata.k{number}=v" for number in range(MOST_LABELS)]
    assert names(client, "&".join(labels)) == []
    for more in (1, 192):
        query = "&".join([*labels, *(f"metadata.m{number}=v" for number in range(more))])
        document = problem(client.get(f"/v1/jobs?{query}"), 422)
        assert pointers(document)[0].startswith("/query")
        assert str(MOST_LABELS if more == 1 else MOST_PARAMETERS) in document["detail"]


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/v1/jobs?metadata.team=risk&metadata.team=fraud", "metadata.team"),
        ("/v1/jobs?metadata.team=risk&metadata.team=risk", "metadata.team"),
        ("/v1/jobs?status=queued&status=running", "status"),
        ("/v1/jobs?limit=1&limit=200", "limit"),
        ("/v1/datasets?name=a&name=b", "name"),
        ("/v1/catalog?x=1&x=2", "x"),
    ],
)
def test_of_two_values_none_is_passed_over(client: TestClient, path: str, name: str) -> None:
    assert f"/query/{name}" in pointers(problem(client.get(path), 422))


def test_a_thousand_parameters_are_one_complaint(client: TestClient) -> None:
    document = problem(client.get("/v1/jobs?" + "&".join(f"x{n}" for n in range(1000))), 422)
    assert pointers(document) == ["/query"]
    document = problem(client.get("/v1/jobs?" + "&".join(f"limit{n}" for n in range(100))), 422)
    assert len(document["errors"]) == 20
