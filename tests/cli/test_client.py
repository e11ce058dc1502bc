"""The client repeats what is safe to repeat, loses no event, and raises what the server complains of."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest

from cli import client as module
from cli.client import Client, Event, RefusedError, UnreachableError
from tests.cli.scripted import Answer, Script


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RECONNECT_PAUSE_SECONDS", 0.0)


def epoch(number: int) -> tuple[int, str, dict[str, object]]:
    return number + 1, "epoch", {"epoch": number, "values": {"val_loss": 1 / number}}


def test_a_cut_stream_is_taken_up_behind_the_last_event(script: Script, client: Client) -> None:
    script.stream((1, "status", {"status": "running"}), epoch(1), epoch(2), cut=True)
    script.stream(cut=True)
    script.stream(epoch(3), (5, "end", {"status": "succeeded"}))
    cuts: list[None] = []
    events = list(client.events("job_1", on_cut=lambda: cuts.append(None)))
    assert [event.number for event in events] == [1, 2, 3, 4, 5]
    assert events[1] == Event(2, "epoch", {"epoch": 1, "values": {"val_loss": 1.0}})
    assert [asked.headers["Last-Event-ID"] for asked in script.asked] == ["0", "3", "3"]
    assert len(cuts) == 2


def test_a_stream_that_ends_without_the_end_is_taken_up_too(script: Script, client: Client) -> None:
    script.stream(epoch(1))
    script.stream((3, "end", {}))
    assert [event.number for event in client.events("job_1")] == [2, 3]


def test_a_job_that_has_told_everything_tells_no_more(script: Script, client: Client) -> None:
    script.answers.append(Answer(status=204))
    assert list(client.events("job_1", after=9)) == []


def test_a_stream_is_given_up_when_the_server_stays_away(
    script: Script, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "RECONNECT_SECONDS", 0.0)
    script.stream(cut=True)
    with pytest.raises(UnreachableError):
        list(client.events("job_1"))


def test_a_stream_of_a_job_that_is_not_there_is_refused(script: Script, client: Client) -> None:
    script.answer({"detail": "there is no job 'job_1'"}, 404)
    with pytest.raises(RefusedError, match="there is no job 'job_1'"):
        list(client.events("job_1"))


def test_a_creation_whose_answer_was_lost_is_repeated_under_the_same_key(
    script: Script, client: Client
) -> None:
    script.answers.append(Answer(b"{", cut=True))
    script.answer({"id": "job_1"}, 202)
    assert client.create("/v1/jobs", b"{}", "application/json") == {"id": "job_1"}
    first, second = script.asked
    assert first.headers["Idempotency-Key"] == second.headers["Idempotency-Key"]
    script.answer({"id": "job_2"}, 202)
    client.create("/v1/jobs", b"{}", "application/json")
    assert script.asked[2].headers["Idempotency-Key"] != first.headers["Idempotency-Key"]


def test_what_the_server_complains_of_is_raised_whole(script: Script, client: Client) -> None:
    complaint = {"pointer": "/regularization/l1", "detail": "must be a number", "suggestion": "1e-5"}
    script.answer({"title": "Bad spec", "detail": "the spec is wrong", "errors": [complaint]}, 422)
    with pytest.raises(RefusedError, match="the spec is wrong") as raised:
        client.post("/v1/jobs", {})
    assert raised.value.status == 422
    assert raised.value.problem["errors"] == [complaint]


def test_an_answer_that_is_no_problem_document_is_refused_all_the_same(
    script: Script, client: Client
) -> None:
    script.answers.append(Answer(b"<html>", 502, "text/html"))
    with pytest.raises(RefusedError, match="status 502"):
        client.get("/v1/jobs")


def test_where_nobody_listens_is_said_at_once() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{closed.getsockname()[1]}"
        with Client(address) as client, pytest.raises(UnreachableError, match=address):
            client.get("/v1/jobs")


def test_a_listing_goes_through_the_pages_as_far_as_asked(script: Script, client: Client) -> None:
    script.answer({"data": [{"id": n} for n in range(200)], "next": "abc"})
    script.answer({"data": [{"id": n} for n in range(200, 250)], "next": "def"})
    found = list(client.listing("/v1/jobs", 250, status=None, name="x"))
    assert [entry["id"] for entry in found] == list(range(250))
    assert [asked.path for asked in script.asked] == [
        "/v1/jobs?limit=200&name=x",
        "/v1/jobs?limit=50&cursor=abc&name=x",
    ]


def test_a_query_written_into_the_path_is_asked_too(script: Script, client: Client) -> None:
    for _ in range(2):
        script.answer({"data": [], "next": None})
    client.get("/v1/jobs?cursor=abc")
    client.read("/v1/jobs?cursor=abc")
    assert [asked.path for asked in script.asked] == ["/v1/jobs?cursor=abc"] * 2


def test_a_listing_ends_with_the_list(script: Script, client: Client) -> None:
    script.answer({"data": [{"id": 1}], "next": None})
    assert len(list(client.listing("/v1/jobs", 50))) == 1


def test_an_upload_carries_the_file_and_only_the_fields_given(
    script: Script, client: Client, tmp_path: Path
) -> None:
    path = tmp_path / "data.csv"
    path.write_text("a,b\n1,2\n")
    script.answer({"id": "ds_1"}, 201)
    client.upload(path, target="b", name=None, task=None)
    body = script.asked[0].body
    assert b'name="file"; filename="data.csv"' in body
    assert b"a,b\n1,2\n" in body
    assert b'name="target"' in body
    assert b'name="name"' not in body


def test_a_proxy_has_no_business_on_loopback(script: Script, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    script.answer({"ok": True})
    with Client(script.address) as client:
        assert client.get("/v1/catalog") == {"ok": True}


def test_a_document_is_sent_as_json(script: Script, client: Client) -> None:
    script.answer({})
    client.post("/v1/jobs", {"dataset": "iris"})
    assert json.loads(script.asked[0].body) == {"dataset": "iris"}
