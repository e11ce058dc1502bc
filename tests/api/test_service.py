"""What holds for every answer: problems, headers, tags, methods, addresses; and the service's own pages."""

from __future__ import annotations

import inspect
import re

import orjson
import pytest
import sqlalchemy as sa
from fastapi import FastAPI
from fastapi.routing import APIRoute, iter_route_contexts
from starlette.testclient import TestClient

from api import app as application
from api import errors
from api.app import create_app
from api.deps import Server
from api.hosts import without_port
from models.catalog import ACTIVATIONS, OPTIMIZERS, SCHEDULES, choices, techniques
from models.metrics import METRICS
from models.spec import NetworkSpec, OptimizerSpec
from store import workers
from store.errors import DatabaseUnavailable
from store.settings import Settings, is_loopback
from tests.api.acting import Worker, pointers, problem, submit
from tests.api.conftest import HOME

PAGES = ("/v1/jobs", "/v1/datasets", "/v1/datasets/iris", "/v1/catalog", "/healthz", "/v1/openapi.json")


@pytest.mark.parametrize("path", PAGES)
def test_what_a_client_already_has_is_not_sent_again(client: TestClient, path: str) -> None:
    first = client.get(path)
    tag = first.headers["etag"]
    again = client.get(path, headers={"If-None-Match": f'"other", W/{tag}'})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["etag"] == tag
    assert client.get(path, headers={"If-None-Match": '"other"'}).content == first.content


def test_a_file_of_several_pieces_is_not_sent_again_either(client: TestClient) -> None:
    """The charting library is more than a megabyte."""
    address = "/dashboard/bokeh.min.js"
    first = client.get(address)
    tag = first.headers["etag"]
    again = client.get(address, headers={"If-None-Match": tag})
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
    assert "content-length" not in again.headers
    assert client.get(address, headers={"If-None-Match": '"other"'}).content == first.content
    head = client.head(address)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == str(len(first.content))


def test_a_tag_changes_with_the_job(client: TestClient, worker: Worker) -> None:
    job = worker.begin(submit(client)["id"])
    tag = client.get(f"/v1/jobs/{job.id}").headers["etag"]
    assert client.get(f"/v1/jobs/{job.id}", headers={"If-None-Match": tag}).status_code == 304
    worker.record(job, {"val_loss": [0.5]})
    assert client.get(f"/v1/jobs/{job.id}", headers={"If-None-Match": tag}).status_code == 200


@pytest.mark.parametrize("path", PAGES)
def test_head_is_get_without_the_body(client: TestClient, path: str) -> None:
    got, head = client.get(path), client.head(path)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["etag"] == got.headers["etag"]
    assert head.headers["content-length"] == got.headers["content-length"]


def test_head_of_a_stream_ends(client: TestClient) -> None:
    address = f"/v1/jobs/{submit(client)['id']}/events"
    response = client.head(address, headers={"Accept": "text/event-stream"})
    assert (response.status_code, response.content) == (200, b"")


@pytest.mark.parametrize(
    ("path", "methods"),
    [
        ("/v1/jobs", "GET, HEAD, OPTIONS, POST"),
        ("/v1/jobs/some", "DELETE, GET, HEAD, OPTIONS, PATCH"),
        ("/v1/jobs/some/cancel", "OPTIONS, POST"),
        ("/v1/datasets/some", "DELETE, GET, HEAD, OPTIONS, PATCH"),
        ("/docs", "GET, HEAD, OPTIONS"),
    ],
)
def test_an_address_says_what_it_answers(client: TestClient, path: str, methods: str) -> None:
    response = client.options(path)
    assert (response.status_code, response.headers["allow"]) == (204, methods)
    refused = client.put(path)
    problem(refused, 405)
    assert refused.headers["allow"] == methods


@pytest.mark.parametrize(
    "path", ["/nothing", "/v1", "/v2/jobs", "/v1/jobs/", "/v1/job", "/docs/nothing", "/%00", "/é"]
)
def test_where_there_is_nothing_a_problem_says_so(client: TestClient, path: str) -> None:
    response = client.get(path)
    assert response.status_code == 404
    assert response.json()["title"]
    assert response.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("given", ["abc", "a" * 128, "1-2.3:4_5"])
def test_a_request_id_is_taken(client: TestClient, given: str) -> None:
    assert client.get("/healthz", headers={"X-Request-ID": given}).headers["x-request-id"] == given


@pytest.mark.parametrize("given", [None, "", "a b", "a" * 129, "<script>", "\x7f", "é"])
def test_a_request_id_is_made_where_none_can_be_taken(client: TestClient, given: str | None) -> None:
    headers = {} if given is None else {"X-Request-ID": given.encode()}
    response = client.get("/v1/jobs/none", headers=headers)
    assert re.fullmatch(r"req_[0-9a-f]{32}", response.headers["x-request-id"])
    assert response.json()["request_id"] == response.headers["x-request-id"]


def test_every_answer_is_guarded(client: TestClient) -> None:
    for path in ("/healthz", "/nothing", "/docs"):
        headers = client.get(path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
        assert "default-src" in headers["content-security-policy"]


@pytest.mark.parametrize("path", ["/v1/jobs", "/v1/datasets", "/v1/jobs/x/weights", "/v1/catalog"])
@pytest.mark.parametrize(
    "accept", ["text/html", "application/json;q=0, text/csv", "application/xml, image/*"]
)
def test_json_is_all_there_is(client: TestClient, path: str, accept: str) -> None:
    problem(client.get(path, headers={"Accept": accept}), 406)


@pytest.mark.parametrize("accept", ["", "*/*", "application/*", "text/html, */*;q=0.1", "Application/JSON"])
def test_json_is_taken_in_many_words(client: TestClient, accept: str) -> None:
    assert client.get("/v1/catalog", headers={"Accept": accept}).status_code == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example:8000", "10.0.0.1"]
)
def test_a_server_on_loopback_answers_to_no_other_name(client: TestClient, host: str) -> None:
    problem(client.get("/healthz", headers={"Host": host}), 421)


@pytest.mark.parametrize(
    "host", ["localhost", "localhost:8000", "127.0.0.1:1", "[::1]:8000", "127.8.9.1", "LOCALHOST."]
)
def test_a_server_on_loopback_answers_to_its_names(client: TestClient, host: str) -> None:
    assert client.get("/healthz", headers={"Host": host}).status_code == 200


def test_a_server_for_others_answers_to_any_name(settings: Settings) -> None:
    app = create_app(settings.model_copy(update={"host": "0.0.0.0"}))
    with TestClient(app, "http://ridgeline.example") as client:
        assert client.get("/healthz").status_code == 200


def test_hosts_are_read_as_browsers_write_them() -> None:
    assert [without_port(host) for host in ("a", "a:1", "[::1]", "[::1]:1")] == ["a", "a", "[::1]", "[::1]"]
    assert not is_loopback("0.0.0.0")


def test_an_unforeseen_fault_is_a_problem_that_says_where_to_look(settings: Settings) -> None:
    app = create_app(settings)

    @app.get("/fault", include_in_schema=False)
    def fault() -> None:
        raise RuntimeError("a secret")

    with TestClient(app, HOME) as client:
        response = client.get("/fault")
        problem(response, 500)
        assert "secret" not in response.text
        assert client.get("/healthz").status_code == 200


def test_a_database_that_is_away_is_a_503(settings: Settings) -> None:
    away = settings.model_copy(update={"database_url": "postgresql://nobody@127.0.0.1:1/none"})
    with TestClient(create_app(away), HOME) as client:
        for method, path in (("GET", "/v1/jobs"), ("GET", "/v1/jobs/job_1"), ("POST", "/v1/jobs")):
            response = client.request(method, path, json={"dataset": "iris"} if method == "POST" else None)
            problem(response, 503)
            assert response.headers["retry-after"] == "5"
        ready = client.get("/readyz")
        assert (ready.status_code, ready.json()["database"]["ok"]) == (503, False)
        assert b"ridgeline_request_seconds" in client.get("/metrics").content
        assert client.get("/healthz").status_code == 200


def test_a_database_without_its_tables_is_a_503_and_not_ready(client: TestClient, server: Server) -> None:
    with server.database.of("default").writing() as tx:
        tx.execute(sa.text("ALTER TABLE jobs RENAME TO hidden"))
    try:
        problem(client.get("/v1/jobs"), 503)
    finally:
        with server.database.of("default").writing() as tx:
            tx.execute(sa.text("ALTER TABLE hidden RENAME TO jobs"))


def test_ready_needs_a_worker(client: TestClient, server: Server) -> None:
    before = client.get("/readyz")
    assert before.status_code == 503
    assert before.json()["database"] == {"ok": True, "status": "ok", "detail": None}
    assert not before.json()["worker"]["ok"]
    with server.database.of("default").writing() as tx:
        workers.seen(tx, "by-hand", host="here", pid=1, queues=["cpu"])
    assert client.get("/readyz").json()["worker"]["ok"]


def test_healthz_says_the_version(client: TestClient) -> None:
    assert client.get("/healthz").json() == {"status": "ok", "version": client.app.version}  # type: ignore[attr-defined]


def test_metrics_count_by_route_and_not_by_id(client: TestClient) -> None:
    job_id = submit(client)["id"]
    client.get(f"/v1/jobs/{job_id}")
    client.get("/nothing/here")
    text = client.get("/metrics").text
    assert 'ridgeline_request_seconds_count{method="GET",route="/v1/jobs/{job_id}",status="200"}' in text
    assert 'route="unknown",status="404"' in text
    assert job_id not in text
    assert re.search(r'ridgeline_jobs{status="queued"} [1-9]', text)


def test_the_catalog_lists_all_there_is(client: TestClient) -> None:
    catalog = client.get("/v1/catalog").json()
    assert [technique["name"] for technique in catalog["techniques"]] == list(techniques())
    assert {metric["name"]: metric["better"] for metric in catalog["metrics"]} == {
        name: metric.better for name, metric in METRICS.items()
    }
    for technique in catalog["techniques"]:
        assert all(
            technique[part] for part in ("summary", "good_for", "usual", "source", "schema", "shorthands")
        )
        assert set(technique["defaults"]) <= set(technique["schema"]["properties"])
    assert "momentum" in next(o for o in catalog["optimizers"] if o["name"] == "sgd")["schema"]["properties"]
    assert set(next(o for o in catalog["optimizers"] if o["name"] == "fista")["schema"]["properties"]) == {
        "tolerance"
    }


def test_the_catalog_knows_every_choice_of_the_spec() -> None:
    assert set(OPTIMIZERS) == set(choices(OptimizerSpec, "kind"))
    assert set(SCHEDULES) == set(choices(OptimizerSpec, "schedule"))
    assert set(ACTIVATIONS) == set(choices(NetworkSpec, "activation"))


def test_the_documentation_needs_no_other_host(client: TestClient) -> None:
    page = client.get("/docs").text
    assert re.findall(r'(?:src|href)="(https?:)?//', page) == []
    for address in re.findall(r'(?:src|href)="([^"]+)"', page):
        asset = client.get(address)
        assert asset.status_code == 200, address
        assert len(asset.content) > 100


def test_every_kind_of_problem_is_described(client: TestClient) -> None:
    page = client.get("/docs/problems").text
    for kind in errors.kinds():
        assert f'id="{kind.code}"' in page
        assert kind.title


def test_every_status_has_one_table() -> None:
    codes = [kind.code for kind in errors.kinds()]
    assert len(set(codes)) == len(codes)
    assert errors.kind_of(DatabaseUnavailable).status == 503
    assert errors.kind_of(ZeroDivisionError).status == 500


def test_parameters_that_are_wrong_are_pointed_at(client: TestClient) -> None:
    document = problem(client.get("/v1/jobs?limit=500"), 422)
    assert pointers(document) == ["/query/limit"]
    assert document["errors"][0]["suggestion"] == "200"
    assert document["errors"][0]["given"] == "500"


def test_the_module_offers_a_factory() -> None:
    assert isinstance(application.create_app(), FastAPI)


def test_the_openapi_document_is_whole(client: TestClient) -> None:
    document = client.get("/v1/openapi.json").json()
    schemas = document["components"]["schemas"]
    references = set(re.findall(r'"#/components/schemas/([^"]+)"', orjson.dumps(document).decode()))
    assert references <= set(schemas)
    assert "HTTPValidationError" not in schemas
    for path, methods in document["paths"].items():
        for method, route in methods.items():
            said = set(route["responses"])
            assert said >= {"400", "404", "405", "406", "413", "422", "500", "503"}, (path, method)
            assert any(status.startswith("2") for status in said)
            assert route["summary"]
            assert route["description"]


def test_what_every_request_passes_goes_through_no_thread(app: FastAPI) -> None:
    """FastAPI sends each dependency that is not `async` through one, which under load is another wait."""
    functions = {
        dependency.call
        for context in iter_route_contexts(app.routes)
        if isinstance(route := context.route, APIRoute)
        for dependency in route.dependant.dependencies
        if inspect.isfunction(dependency.call)
    }
    assert len(functions) >= 4
    assert [each for each in functions if not inspect.iscoroutinefunction(each)] == []
