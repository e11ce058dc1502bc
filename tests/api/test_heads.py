"""Heads of requests that could be understood in two ways, through the application and over real sockets."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from api.heads import SINGLE
from tests.api.acting import problem
from tests.api.sockets import listening

ANSWERED = b"HTTP/1.1 200 OK"
REFUSED = b"HTTP/1.1 400 Bad Request"


@pytest.mark.parametrize("name", sorted(SINGLE - {b"content-length", b"transfer-encoding"}))
def test_a_header_that_takes_one_value_is_sent_once(client: TestClient, name: bytes) -> None:
    values = {b"host": ("localhost", "evil.example"), b"content-type": ("application/json", "text/plain")}
    for sent in (values.get(name, ("a", "b")), ("localhost", "localhost")):
        headers = [(name.decode(), value) for value in sent]
        document = problem(client.request("POST", "/v1/jobs", headers=headers, content=b"{}"), 400)
        assert name.decode() in document["detail"]


@pytest.mark.parametrize("name", ["Accept", "If-None-Match", "Prefer", "X-Forwarded-For", "Cookie"])
def test_what_takes_a_list_may_come_in_parts(client: TestClient, name: str) -> None:
    headers = [(name, "application/json"), (name, "text/plain")]
    assert client.get("/v1/jobs", headers=headers).status_code == 200


@pytest.mark.parametrize("order", [1, -1])
def test_a_second_host_does_not_get_past_the_guard_of_loopback(client: TestClient, order: int) -> None:
    headers = [("Host", "localhost"), ("Host", "evil.example")][::order]
    assert client.get("/v1/jobs", headers=headers).status_code == 400


@pytest.mark.parametrize(
    "host", ["", " ", "localhost, evil.example", "localhost/x", "user@localhost", "local host", "localhost:x"]
)
def test_a_host_is_a_name_and_a_port(client: TestClient, host: str) -> None:
    problem(client.get("/v1/jobs", headers={"Host": host}), 400)


@pytest.fixture(scope="module")
def port(app: FastAPI, client: TestClient) -> Iterator[int]:
    """The application that `client` has started, on a socket."""
    with listening(app, lifespan="off") as found:
        yield found


HOST = b"Host: localhost\r\n"
JSON = HOST + b"Content-Type: application/json\r\n"
TWO = {
    "no host": (b"GET /healthz HTTP/1.1\r\n\r\n", REFUSED),
    "two hosts": (b"GET /healthz HTTP/1.1\r\n" + HOST + b"host: b\r\n\r\n", REFUSED),
    "an empty host": (b"GET /healthz HTTP/1.1\r\nHost:\r\n\r\n", REFUSED),
    "one host": (b"GET /healthz HTTP/1.1\r\n" + HOST + b"\r\n", ANSWERED),
    "two lengths": (
        b"POST /v1/jobs HTTP/1.1\r\n" + JSON + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{} ",
        REFUSED,
    ),
    "length and chunks": (
        b"POST /v1/jobs HTTP/1.1\r\n"
        + JSON
        + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
        REFUSED,
    ),
    "two encodings": (
        b"POST /v1/jobs HTTP/1.1\r\n"
        + JSON
        + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
        REFUSED,
    ),
    "two types": (
        b"POST /v1/jobs HTTP/1.1\r\n" + JSON + b"Content-Type: text/x\r\nContent-Length: 2\r\n\r\n{}",
        REFUSED,
    ),
}


@pytest.mark.parametrize("name", TWO)
def test_over_a_socket(port: int, name: str) -> None:
    sent, answer = TWO[name]
    with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
        client.sendall(sent)
        assert client.recv(65_536).startswith(answer)
