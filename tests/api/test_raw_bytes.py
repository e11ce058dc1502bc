"""Bytes that are no request, sent to every route that writes, as the routes themselves tell of them.

Whatever is sent: a problem document with a status of the fours, and a server that answers the next request.
A new route that writes is in here without anybody's doing.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator

import httpx2
import pytest
from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from starlette.testclient import TestClient

from api.app import create_app
from store.settings import Settings
from tests.api.acting import problem, submit

LIMIT = 1024**2
DEEP = 100_000
BODIES: dict[str, bytes] = {
    "empty": b"",
    "white": b" \n\t",
    "nan": b'{"dataset": "iris", "priority": NaN}',
    "infinity": b'{"dataset": "iris", "priority": Infinity}',
    "minus infinity": b'{"dataset": "iris", "priority": -Infinity}',
    "bare nan": b"NaN",
    "overflow": b'{"dataset": "iris", "optimizer": {"learning_rate": 1e400}}',
    "surrogate": b'{"dataset": "\\ud800"}',
    "surrogate name": b'{"\\udfff": 1}',
    "nul": b'{"dataset": "\\u0000"}',
    "nul name": b'{"\\u0000": 1}',
    "raw nul": b'{"dataset": "a\x00b"}',
    "deep list": b"[" * DEEP,
    "deep list closed": b"[" * DEEP + b"]" * DEEP,
    "deep object": b'{"a":' * DEEP,
    "deep within": b'{"dataset": ' + b"[" * 900 + b"]" * 900 + b"}",
    "binary": bytes(range(256)),
    "utf-16": '{"dataset": "iris"}'.encode("utf-16"),
    "latin-1": '{"dataset": "grö"}'.encode("latin-1"),
    "bom": b'\xef\xbb\xbf{"dataset": 1}',
    "truncated": b'{"dataset": "iris"',
    "trailing": b'{"dataset": "iris"} {}',
    "comma": b'{"dataset": "iris",}',
    "single quotes": b"{'dataset': 'iris'}",
    "list": b'["iris"]',
    "string": b'"iris"',
    "number": b"12",
    "null": b"null",
    "huge number": b'{"dataset": "iris", "priority": ' + b"9" * 100_000 + b"}",
    "huge exponent": b'{"dataset": "iris", "priority": 1e999999999}',
    "many names": b"{" + b",".join(b'"n%d":1' % number for number in range(5_000)) + b"}",
    "too large": b'{"dataset": "' + b"x" * LIMIT + b'"}',
    "form": b"dataset=iris",
    "html": b"<html></html>",
}


def damaged() -> Iterator[tuple[str, bytes]]:
    """A good body with a few bytes changed, cut or doubled."""
    drawn = random.Random(7)
    good = b'{"dataset": "iris", "network": {"hidden": [8, 4]}, "training": {"max_epochs": 3}, "url": "https://x"}'
    for number in range(12):
        body = bytearray(good)
        for _ in range(drawn.randint(1, 4)):
            place = drawn.randrange(len(body))
            body[place : place + drawn.randint(0, 3)] = drawn.randbytes(drawn.randint(0, 3))
        yield f"damaged {number}", bytes(body) + b"\xff"


def forms() -> Iterator[tuple[str, bytes]]:
    """Multipart bodies, none of them a whole form with one file."""
    part = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.csv"\r\n\r\n'
    end = b"\r\n--x--\r\n"
    yield "no end", part + b"a,b\n1,2\n"
    yield "no part", b"--x--\r\n"
    yield "empty file", part + end
    yield "two files", part + b"a,b\n1,2\n\r\n" + part + b"a,b\n1,2\n" + end
    yield "no file", part.replace(b"file", b"name") + b"x" + end
    yield "field twice", b"".join(part.replace(b'"file"', b'"name"') + b"x\r\n" for _ in range(2)) + end
    yield "unknown field", part.replace(b'"file"', b'"fil"') + b"x" + end
    yield "many parts", part * 1000
    yield "long header", b"--x\r\nContent-Disposition: " + b"a" * 100_000
    yield "many headers", b"--x\r\n" + b"a: b\r\n" * 10_000
    yield "long field", part.replace(b'"file"', b'"name"') + b"x" * 100_000 + end
    yield "no header", b"--x\r\n\r\nx" + end
    yield "wrong boundary", part.replace(b"--x", b"--y") + b"a" + end
    yield "binary", part + bytes(range(256)) * 10 + end
    yield "nul name", part.replace(b"a.csv", b"a\x00b") + b"\x00" * 50 + end


BODIES |= dict(damaged())
FORMS = dict(forms())
JSON, YAML, FORM = "application/json", "application/yaml", "multipart/form-data; boundary=x"
TYPES = (JSON, YAML, FORM, "text/plain", None)
WRITING = ("POST", "PUT", "PATCH", "DELETE")
EMPTY = ("empty", "white")
FINE_AS_YAML = (*EMPTY, "comma", "single quotes")
"""YAML takes some of what JSON does not."""


def writing_routes() -> list[tuple[str, str]]:
    """Every method and path that may change something."""
    app: FastAPI = create_app(Settings())
    found = {
        (method, route.path_format)
        for route in iter_route_contexts(app.routes)
        for method in route.methods or ()
        if method in WRITING
    }
    return sorted(found)


ROUTES = writing_routes()
ANYWHERE = ("empty", "nan", "surrogate", "deep list", "binary", "truncated", "too large")


@pytest.fixture(scope="module")
def addresses(client: TestClient) -> dict[str, str]:
    """What stands for each path parameter: things that there are, so that the body is looked at."""
    hook = client.post("/v1/webhooks", json={"url": "https://example.com/hook"}).json()
    return {"job_id": submit(client)["id"], "webhook_id": hook["id"]}


def send(
    client: TestClient, addresses: dict[str, str], route: tuple[str, str], body: bytes, media_type: str | None
) -> httpx2.Response:
    """To something that is there; but what would be deleted is not, lest it were."""
    method, path = route
    there = {} if method == "DELETE" else addresses
    filled = re.sub(r"{(\w+)}", lambda found: there.get(found[1], f"{found[1]}_none"), path)
    headers = {"Content-Type": media_type} if media_type else {}
    return client.request(method, filled, content=body, headers=headers)


def corpus(app: FastAPI, method: str, path: str) -> Iterator[tuple[str, bytes, str | None]]:
    """All bodies as the media types that a route says it takes, and a few as every other."""
    said = app.openapi()["paths"].get(path, {}).get(method.lower(), {}).get("requestBody", {})
    taken = set(said.get("content", ())) or {JSON}
    for media_type in TYPES:
        known = media_type and media_type.partition(";")[0] in taken
        yield from ((name, BODIES[name], media_type) for name in (BODIES if known else ANYWHERE))
    if FORM.partition(";")[0] in taken:
        yield from ((name, body, FORM) for name, body in FORMS.items())


@pytest.mark.parametrize("route", ROUTES, ids=" ".join)
def test_bytes_that_are_no_request_are_refused(
    client: TestClient, addresses: dict[str, str], route: tuple[str, str]
) -> None:
    sent = list(corpus(client.app, *route))  # type: ignore[arg-type]
    for name, body, media_type in sent:
        response = send(client, addresses, route, body, media_type)
        if response.is_success and name in (FINE_AS_YAML if media_type == YAML else EMPTY):
            continue
        assert 400 <= response.status_code < 500, (name, media_type, response.text[:300])
        problem(response, response.status_code)
    assert client.get("/healthz").status_code == 200


def test_there_are_routes_that_write() -> None:
    assert {("POST", "/v1/jobs"), ("POST", "/v1/datasets"), ("DELETE", "/v1/jobs/{job_id}")} <= set(ROUTES)
    assert len(ROUTES) > 10
