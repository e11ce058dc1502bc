"""Traces: nothing is sent where none are asked for; where they are, they arrive at a real receiver."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from starlette.testclient import TestClient

from api.app import create_app
from store import jobs
from store.settings import Settings
from store.tracing import Tracing

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = f"00-{TRACE}-00f067aa0ba902b7-01"


@contextmanager
def receiver() -> Iterator[tuple[str, list[Any]]]:
    """An OTLP endpoint, and the spans that came to it, each with the service that sent it."""
    spans: list[Any] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            if self.path == "/v1/traces":
                for group in ExportTraceServiceRequest.FromString(body).resource_spans:
                    said = {each.key: each.value.string_value for each in group.resource.attributes}
                    for scope in group.scope_spans:
                        spans.extend((said["service.name"], span) for span in scope.spans)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", spans
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def attributes(span: Any) -> dict[str, Any]:
    return {
        each.key: each.value.string_value or each.value.int_value or each.value.bool_value
        for each in span.attributes
    }


def test_a_request_and_the_job_that_came_of_it_are_one_trace(settings: Settings) -> None:
    with receiver() as (endpoint, spans):
        traced = settings.model_copy(update={"otel_endpoint": endpoint})
        app = create_app(traced)
        with TestClient(app, "http://localhost") as client:
            answer = client.post("/v1/jobs", json={"dataset": "iris"}, headers={"traceparent": PARENT})
            client.get("/healthz")
            with app.state.server.database.of("default").reading() as tx:
                job = jobs.get(tx, answer.json()["id"])
        worker = Tracing(endpoint, "ridgeline-worker")
        with worker.span("job", parent=job.traceparent, job_id=job.id, attempt=1) as span:
            span.say(ending="succeeded")
        worker.close()
    found = dict(spans)
    assert len(spans) == 2
    request, work = found["ridgeline-api"], found["ridgeline-worker"]
    assert request.name == "POST /v1/jobs"
    assert {span.trace_id.hex() for span in (request, work)} == {TRACE}
    assert request.parent_span_id.hex() == "00f067aa0ba902b7"
    assert work.parent_span_id == request.span_id
    assert job.traceparent == f"00-{TRACE}-{request.span_id.hex()}-01"
    said = attributes(work)
    assert said == {"ridgeline.job_id": job.id, "ridgeline.attempt": 1, "ridgeline.ending": "succeeded"}


def test_a_failed_span_says_nothing_of_why() -> None:
    with receiver() as (endpoint, spans):
        tracing = Tracing(endpoint, "w")
        with pytest.raises(RuntimeError), tracing.span("job", parent=None):
            raise RuntimeError("a secret")
        tracing.close()
    ((_, span),) = spans
    assert b"secret" not in span.SerializeToString()


def test_nothing_is_traced_where_nobody_asked(settings: Settings) -> None:
    app = create_app(settings)
    with TestClient(app, "http://localhost") as client:
        answer = client.post("/v1/jobs", json={"dataset": "iris"}, headers={"traceparent": PARENT})
        with app.state.server.database.of("default").reading() as tx:
            assert jobs.get(tx, answer.json()["id"]).traceparent is None
    with Tracing("", "w").span("job", parent=PARENT, job_id="x") as span:
        span.say(ending="x")


def test_an_endpoint_that_is_away_holds_nobody_up(settings: Settings) -> None:
    away = settings.model_copy(update={"otel_endpoint": "http://127.0.0.1:1"})
    with TestClient(create_app(away), "http://localhost") as client:
        assert client.get("/v1/jobs").status_code == 200
