"""Requests to strangers' addresses: real servers, real TLS, and a name that leads where a test wants."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from store import destinations
from tests.receivers import Received, Receiver, certified, dripping, receiving, silent, status
from worker import outbound
from worker.outbound import Outbound, OutboundError, Receipt

HERE = frozenset({"127.0.0.1"})
INNER = ["127.0.0.1", "10.0.0.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1", "192.0.2.1"]
INNER += ["::1", "::", "fe80::1", "fe80::1%lo", "fc00::1", "ff02::1", "::ffff:127.0.0.1", "::127.0.0.1"]
INNER += ["64:ff9b::7f00:1", "64:ff9b:1::7f00:1", "2002:7f00:1::1", "2001:0:4136:e378:8000:63bf:80ff:fffe"]


TRUSTING_NOBODY = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""Loading what a machine trusts takes a quarter of a second."""


def sending(seconds: float = 5, **options: Any) -> Outbound:
    return Outbound(seconds=seconds, **{"private_hosts": HERE, "tls": TRUSTING_NOBODY, **options})


def leading_to(*addresses: str) -> Callable[[str, int], list[str]]:
    return lambda host, port: list(addresses)


def refused(out: Outbound, url: str) -> str:
    with pytest.raises(OutboundError) as said:
        out.post(url, b"{}", {})
    return str(said.value)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as running:
        yield running


def test_what_is_sent_arrives_as_it_is(receiver: Receiver) -> None:
    body = '{"ü": "\\u0000"}'.encode()
    receipt = sending().post(receiver.url + "?a=b%20c", body, {"webhook-id": "msg_1"})
    assert receipt == Receipt(204)
    [received] = receiver.received
    assert (received.path, received.body, received.id) == ("/hook?a=b%20c", body, "msg_1")
    assert received.headers["Host"] == f"127.0.0.1:{receiver.port}"
    assert received.headers["Content-Length"] == str(len(body))


# ── the guard ───────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def everything_is_watched(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Every connection that is attempted."""
    attempts: list[Any] = []

    def note(address: Any, *_: Any, **__: Any) -> None:
        attempts.append(address)
        raise ConnectionRefusedError

    monkeypatch.setattr(socket, "create_connection", note)
    return attempts


@pytest.mark.parametrize("address", INNER)
def test_a_name_that_leads_inside_is_not_connected_to(address: str, everything_is_watched: list[Any]) -> None:
    for found in ([address], ["8.8.8.8", address], [address, "8.8.8.8"]):
        said = refused(sending(look_up=leading_to(*found)), "https://hooks.example.com/x")
        assert said == "hooks.example.com leads to an address that is not public"
        assert address not in said
    assert everything_is_watched == []


@pytest.mark.parametrize("address", [address for address in INNER if "%" not in address])
def test_an_address_written_down_is_judged_too(address: str, everything_is_watched: list[Any]) -> None:
    """It was refused when the webhook was made; a row made otherwise, or before, is refused here."""
    host = f"[{address}]" if ":" in address else address
    assert "not public" in refused(sending(private_hosts=()), f"https://{host}/x")
    assert everything_is_watched == []


def test_the_address_that_was_judged_is_the_one_connected_to(
    everything_is_watched: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name that leads outside when asked first, and inside ever after, is asked once."""
    answers = [["93.184.215.14"], ["127.0.0.1"]]
    asked: list[str] = []

    def rebind(host: str, port: int) -> list[str]:
        asked.append(host)
        return answers.pop(0)

    assert "refused" in refused(sending(look_up=rebind), "https://hooks.example.com/x")
    assert asked == ["hooks.example.com"]
    assert everything_is_watched == [("93.184.215.14", 443)]


def test_only_some_of_many_addresses_are_tried(everything_is_watched: list[Any]) -> None:
    many = [f"8.8.8.{number}" for number in range(1, 50)]
    refused(sending(look_up=leading_to(*many)), "https://hooks.example.com/x")
    assert [address for address, _ in everything_is_watched] == many[: outbound.MOST_ADDRESSES]


def test_plain_http_is_for_exempt_hosts_only(everything_is_watched: list[Any]) -> None:
    assert "TLS" in refused(sending(look_up=leading_to("8.8.8.8")), "http://hooks.example.com/x")
    assert everything_is_watched == []


def test_the_next_address_is_tried_where_one_does_not_answer(receiver: Receiver) -> None:
    out = sending(private_hosts={"here"}, look_up=leading_to("127.0.0.2", "::1", "127.0.0.1"))
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.2", 0))  # nobody listens
        assert out.post(f"http://here:{receiver.port}/", b"", {}).status == 204


def test_redirects_are_not_followed(receiver: Receiver) -> None:
    with receiving(status(302, Location=receiver.url)) as first:
        assert sending().post(first.url, b"{}", {}).status == 302
    assert receiver.received == []


def test_proxies_of_the_environment_are_not_asked(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    with receiving() as proxy:
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        monkeypatch.setenv("NO_PROXY", "")
        assert sending().post(receiver.url, b"{}", {}).status == 204
        assert proxy.received == []


# ── TLS ─────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def pretending_public(monkeypatch: pytest.MonkeyPatch) -> None:
    """127.0.0.1 counts as public, so that the whole way to it can be gone."""
    monkeypatch.setattr(outbound, "is_public", lambda address: address == "127.0.0.1")
    assert not destinations.is_public("127.0.0.1")


@pytest.mark.usefixtures("pretending_public")
def test_the_certificate_must_be_for_the_name_and_not_for_the_address(tmp_path: Path) -> None:
    asked: list[str | None] = []
    server, client = certified(tmp_path, "hooks.example.com")
    server.sni_callback = lambda _, name, __: asked.append(name)
    out = sending(tls=client, look_up=leading_to("127.0.0.1"))
    with receiving(tls=server) as receiver:
        address = f"hooks.example.com:{receiver.port}"
        assert out.post(f"https://{address}/x", b"{}", {}).status == 204
        assert receiver.received[0].headers["Host"] == address
        assert "its certificate is not good" in refused(out, f"https://other.example.com:{receiver.port}/x")
        assert "its certificate is not good" in refused(
            sending(look_up=leading_to("127.0.0.1")), f"https://{address}/x"
        )
        assert len(receiver.received) == 1
    assert asked[0] == "hooks.example.com"


@pytest.mark.usefixtures("pretending_public")
def test_what_speaks_no_tls_is_said_to(receiver: Receiver) -> None:
    out = sending(look_up=leading_to("127.0.0.1"))
    assert refused(out, f"https://hooks.example.com:{receiver.port}/") == "TLS could not be agreed on"


def test_certificates_are_checked_unless_told_otherwise() -> None:
    context = Outbound(seconds=1)._tls
    assert context.get_ca_certs() or context.cert_store_stats()
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert context.minimum_version >= ssl.TLSVersion.TLSv1_2


# ── time ────────────────────────────────────────────────────────────────────────────────────────────────────


def lasted(act: Callable[[], str]) -> tuple[str, float]:
    begun = time.monotonic()
    said = act()
    return said, time.monotonic() - begun


@pytest.mark.parametrize("behave", [silent(20), dripping(20)])
def test_a_slow_receiver_has_so_long_and_no_longer(behave: Any) -> None:
    with receiving(behave) as receiver:
        said, seconds = lasted(lambda: refused(sending(0.2), receiver.url))
    assert said == "no answer within 0.2 s"
    assert 0.15 < seconds < 10


def test_a_receiver_that_never_ends_its_body_has_answered() -> None:
    """The status is all there is to know; what follows is not waited for, nor read."""

    def endless(handler: BaseHTTPRequestHandler, _: Received) -> None:
        handler.send_response(200)
        handler.end_headers()
        end = time.monotonic() + 20
        while time.monotonic() < end:
            handler.wfile.write(b"x" * 65_536)

    with receiving(endless) as receiver:
        begun = time.monotonic()
        assert sending(5).post(receiver.url, b"{}", {}).status == 200
        assert time.monotonic() - begun < 4


def test_who_says_continue_for_ever_is_left() -> None:
    def go_on(handler: BaseHTTPRequestHandler, _: Received) -> None:
        end = time.monotonic() + 20
        while time.monotonic() < end:
            handler.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            time.sleep(0.01)

    with receiving(go_on) as receiver:
        said, seconds = lasted(lambda: refused(sending(0.2), receiver.url))
    assert said == "no answer within 0.2 s"
    assert seconds < 10


def test_a_head_that_never_ends_takes_no_memory() -> None:
    def endless(handler: BaseHTTPRequestHandler, _: Received) -> None:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\n")
        for _ in range(10_000):
            handler.wfile.write(b"X-More: " + b"x" * 1000 + b"\r\n")

    with receiving(endless) as receiver:
        assert "not HTTP" in refused(sending(), receiver.url)


def test_a_resolver_that_hangs_is_left_behind() -> None:
    held = threading.Event()

    def hang(host: str, port: int) -> list[str]:
        held.wait(20)
        return []

    said, seconds = lasted(lambda: refused(sending(0.1, look_up=hang), "https://hooks.example.com/"))
    held.set()
    assert said == "no answer within 0.1 s"
    assert seconds < 10


def test_an_address_that_does_not_answer_is_left() -> None:
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        port = full.getsockname()[1]
        waiting = [socket.socket() for _ in range(4)]
        for each in waiting:
            each.setblocking(False)
            each.connect_ex(("127.0.0.1", port))
        said, seconds = lasted(lambda: refused(sending(0.2), f"http://127.0.0.1:{port}/"))
        for each in waiting:
            each.close()
    assert said == "no answer within 0.2 s"
    assert seconds < 10


# ── what is said ────────────────────────────────────────────────────────────────────────────────────────────


def raw(answer: bytes) -> Any:
    return lambda handler, _: handler.wfile.write(answer)


@pytest.mark.parametrize(
    "answer", [b"", b"SSH-2.0-OpenSSH_9.2 secret\r\n", b"HTTP/1.1 2", b"+PONG secret\r\n" * 9]
)
def test_what_an_inner_service_says_is_not_told(answer: bytes) -> None:
    def say_and_close(handler: BaseHTTPRequestHandler, received: Received) -> None:
        raw(answer)(handler, received)
        handler.close_connection = True
        handler.connection.shutdown(socket.SHUT_RDWR)

    with receiving(say_and_close) as receiver:
        assert refused(sending(), receiver.url) in (
            "what was answered is not HTTP, or ended too early",
            "the connection broke",
        )


def test_a_host_that_is_not_there() -> None:
    with pytest.raises(OutboundError, match="cannot be looked up"):
        outbound.addresses_of("a" * 300, 443)
    assert refused(sending(look_up=leading_to()), "https://hooks.example.com/") == "there is no such host"


def test_a_port_where_nobody_listens() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        assert (
            refused(sending(), f"http://127.0.0.1:{taken.getsockname()[1]}/") == "the connection was refused"
        )


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("120", 120),
        ("0", 0),
        ("9999999", 86_400),
        ("soon", None),
        ("-1", None),
        ("99999999999", None),
        ("١", None),
    ],
)
def test_a_receiver_may_ask_for_time(header: str, seconds: float | None) -> None:
    encoded = header.encode().decode("latin-1")
    with receiving(status(429, Retry_After=encoded)) as receiver:
        assert sending().post(receiver.url, b"{}", {}) == Receipt(429, seconds)
