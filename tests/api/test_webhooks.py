"""Webhooks over HTTP: made, looked at, changed, pinged, sent again; and addresses that are refused."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.testclient import TestClient

from api.app import create_app
from api.deps import Server
from api.routes.webhooks import CHANGES, EXAMPLES
from store import dispatch
from store.settings import Settings
from tests.api.acting import pointers, problem, submit
from tests.api.conftest import HOME

URL = "https://hooks.example.com/ridgeline?token=abc"


@pytest.fixture(autouse=True)
def _none_left(client: TestClient) -> None:
    """A project may have only so many."""
    for webhook in client.get("/v1/webhooks?limit=200").json()["data"]:
        assert client.delete(webhook["links"]["self"]).status_code == 204


def make(client: TestClient, **body: Any) -> dict[str, Any]:
    response = client.post("/v1/webhooks", json={"url": URL, "events": ["job.queued"], **body})
    assert response.status_code == 201, response.text
    answer: dict[str, Any] = response.json()
    return answer


def told(client: TestClient, webhook: dict[str, Any], **query: Any) -> list[dict[str, Any]]:
    data: list[dict[str, Any]] = client.get(webhook["links"]["deliveries"], params=query).json()["data"]
    return data


def fail(server: Server, webhook: dict[str, Any]) -> None:
    """All that waits is sent in vain, for the last time."""
    with server.database.writing() as tx:
        for claimed in dispatch.claim(tx, webhook["id"], limit=9, lease_seconds=30):
            assert dispatch.failed(
                tx, claimed, detail="the receiver answered 500", retry_seconds=None, response_status=500
            )


def test_the_secret_is_told_once(client: TestClient) -> None:
    response = client.post("/v1/webhooks", json={"url": URL})
    made = response.json()
    secret = made.pop("secret")
    assert secret.startswith("whsec_")
    assert made == {
        "id": made["id"],
        "url": URL,
        "events": ["job.succeeded", "job.failed", "job.cancelled"],
        "description": None,
        "enabled": True,
        "disabled_detail": None,
        "old_secret_until": None,
        "created_at": made["created_at"],
        "links": {
            "self": f"/v1/webhooks/{made['id']}",
            "deliveries": f"/v1/webhooks/{made['id']}/deliveries",
        },
    }
    assert response.headers["location"] == made["links"]["self"]
    assert client.get(made["links"]["self"]).json() == made
    assert client.get("/v1/webhooks").json() == {"data": [made], "next": None}


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_examples_of_the_document_work(client: TestClient, name: str) -> None:
    document = client.get("/v1/openapi.json").json()["paths"]
    body = document["/v1/webhooks"]["post"]["requestBody"]["content"]["application/json"]
    made = client.post("/v1/webhooks", json=body["examples"][name]["value"]).json()
    changes = document["/v1/webhooks/{webhook_id}"]["patch"]["requestBody"]["content"]["application/json"]
    for change in CHANGES:
        value = changes["examples"][change]["value"]
        assert value.items() <= client.patch(made["links"]["self"], json=value).json().items()


def test_making_one_twice_with_one_key_makes_one(client: TestClient) -> None:
    said = {"Idempotency-Key": "make-it-once"}
    first = client.post("/v1/webhooks", json={"url": URL}, headers=said)
    again = client.post("/v1/webhooks", json={"url": URL}, headers=said)
    assert (again.status_code, again.content) == (201, first.content)
    assert again.headers["idempotent-replayed"] == "true"
    assert again.headers["location"] == first.headers["location"]
    assert len(client.get("/v1/webhooks").json()["data"]) == 1
    problem(client.post("/v1/webhooks", json={"url": URL + "2"}, headers=said), 422)


def test_rotating_and_testing_may_be_repeated_too(client: TestClient) -> None:
    webhook = make(client)
    for action in ("rotate", "test"):
        address, said = f"{webhook['links']['self']}/{action}", {"Idempotency-Key": f"once-{action}"}
        first, again = (client.post(address, headers=said) for _ in range(2))
        assert first.content == again.content
        assert client.post(address).content != first.content
    assert len(told(client, webhook)) == 2


BAD: dict[str, tuple[dict[str, Any], str, str]] = {
    "private": ({"url": "https://10.0.0.1/x"}, "/url", "not public"),
    "loopback": ({"url": "http://localhost:8000/x"}, "/url", "not public"),
    "metadata": ({"url": "https://169.254.169.254/latest"}, "/url", "not public"),
    "mapped": ({"url": "https://[::ffff:127.0.0.1]/"}, "/url", "not public"),
    "plain": ({"url": "http://hooks.example.com/"}, "/url", "TLS"),
    "userinfo": ({"url": "https://me:pw@hooks.example.com/"}, "/url", "name or password"),
    "port": ({"url": "https://hooks.example.com:25/"}, "/url", "another service"),
    "no url": ({"url": "hooks"}, "/url", "no address"),
    "empty": ({"url": ""}, "/url", "1 to 2000"),
    "long": ({"url": "https://a.example/" + "a" * 2000}, "/url", "2000"),
    "missing": ({}, "/url", "url"),
    "kind": ({"url": 5}, "/url", "5"),
    "control": ({"url": "https://a.example/\x00"}, "/url", "control"),
    "event": ({"url": URL, "events": ["job.exploded"]}, "/events/0", "job.exploded"),
    "no events": ({"url": URL, "events": []}, "/events", "1"),
    "many events": ({"url": URL, "events": ["job.failed"] * 21}, "/events", "20"),
    "unknown": ({"url": URL, "secret": "mine"}, "/secret", "no field"),
    "description": ({"url": URL, "description": "x" * 201}, "/description", "200"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_wrong_is_pointed_to(client: TestClient, name: str) -> None:
    body, pointer, detail = BAD[name]
    refused = problem(client.post("/v1/webhooks", json=body), 422)
    assert pointers(refused) == [pointer]
    assert detail in str(refused["errors"][0])
    webhook = make(client)
    if body:
        changed = problem(client.patch(webhook["links"]["self"], json=body), 422)
        assert pointers(changed) == [pointer]
    assert client.get(webhook["links"]["self"]).json()["url"] == URL


def test_what_to_write_instead_is_said(client: TestClient) -> None:
    refused = problem(client.post("/v1/webhooks", json={"url": "http://hooks.example.com/x"}), 422)
    assert refused["type"] == "/docs/problems#bad-destination"
    assert refused["errors"][0]["suggestion"] == "https://hooks.example.com/x"


def test_changes(client: TestClient) -> None:
    webhook = make(client, description="old")
    address = webhook["links"]["self"]
    assert client.patch(address, json={}).json() == client.get(address).json()
    same = {"url": None, "events": None, "enabled": None}
    assert client.patch(address, json=same).json() == client.get(address).json()
    assert client.patch(address, json={"description": None}).json()["description"] is None
    moved = client.patch(address, json={"url": "https://new.example.com/", "events": ["job.failed"]}).json()
    assert (moved["url"], moved["events"], moved["enabled"]) == (
        "https://new.example.com/",
        ["job.failed"],
        True,
    )
    assert "secret" not in moved


def test_a_rotated_secret_is_told_once_and_the_old_one_holds_for_a_while(client: TestClient) -> None:
    webhook = make(client)
    rotated = client.post(f"{webhook['links']['self']}/rotate").json()
    assert rotated["secret"] not in (webhook["secret"], None)
    shown = client.get(webhook["links"]["self"]).json()
    assert shown["old_secret_until"] == rotated["old_secret_until"]
    assert "secret" not in shown


def test_what_a_webhook_was_told(client: TestClient, server: Server) -> None:
    webhook = make(client)
    job = submit(client)
    [delivery] = told(client, webhook)
    assert delivery == {
        "id": delivery["id"],
        "webhook_id": webhook["id"],
        "job_id": job["id"],
        "event": "job.queued",
        "status": "pending",
        "attempts": 0,
        "next_attempt_at": delivery["created_at"],
        "response_status": None,
        "detail": None,
        "created_at": delivery["created_at"],
        "ended_at": None,
        "links": {
            "self": f"/v1/webhooks/{webhook['id']}/deliveries/{delivery['id']}",
            "webhook": f"/v1/webhooks/{webhook['id']}",
            "job": f"/v1/jobs/{job['id']}",
        },
    }
    whole = client.get(delivery["links"]["self"]).json()
    assert whole["payload"]["data"]["id"] == job["id"]
    assert {name: whole[name] for name in delivery} == delivery
    assert client.get(whole["payload"]["data"]["links"]["self"]).status_code == 200
    assert told(client, webhook, status="dead") == []
    fail(server, webhook)
    [dead] = told(client, webhook, status="dead", job=job["id"])
    assert (dead["response_status"], dead["detail"], dead["next_attempt_at"]) == (
        500,
        "the receiver answered 500",
        None,
    )
    assert told(client, webhook, job="job_other") == []
    sent = client.post(f"{dead['links']['self']}/redeliver")
    assert (sent.status_code, sent.json()["status"], sent.json()["attempts"]) == (202, "pending", 0)


def test_deliveries_come_in_pages(client: TestClient) -> None:
    webhook = make(client)
    made = [client.post(f"{webhook['links']['self']}/test").json()["id"] for _ in range(5)]
    first = client.get(webhook["links"]["deliveries"], params={"limit": 3, "status": "pending"})
    assert 'rel="next"' in first.headers["link"]
    assert "status=pending" in first.headers["link"]
    rest = told(client, webhook, cursor=first.json()["next"])
    assert [each["id"] for each in (*first.json()["data"], *rest)] == made[::-1]
    problem(client.get(webhook["links"]["deliveries"], params={"status": "lost"}), 422)
    problem(client.get(webhook["links"]["deliveries"], params={"cursor": "?"}), 422)
    problem(client.get(webhook["links"]["deliveries"], params={"state": "dead"}), 422)


def test_a_test_is_a_delivery_to_look_at(client: TestClient) -> None:
    webhook = make(client)
    sent = client.post(f"{webhook['links']['self']}/test")
    assert sent.status_code == 202
    found = client.get(sent.headers["location"]).json()
    assert found == sent.json()
    assert found["payload"]["type"] == found["event"] == "webhook.test"


def test_a_disabled_webhook_sends_nothing(client: TestClient) -> None:
    webhook = make(client)
    submit(client)
    assert client.patch(webhook["links"]["self"], json={"enabled": False}).json()["enabled"] is False
    [dead] = told(client, webhook)
    assert (dead["status"], dead["detail"]) == ("dead", "the webhook was disabled")
    for address in (f"{webhook['links']['self']}/test", f"{dead['links']['self']}/redeliver"):
        assert problem(client.post(address), 409)["type"] == "/docs/problems#webhook-disabled"


def test_there_are_only_so_many(client: TestClient) -> None:
    for _ in range(20):
        make(client)
    refused = problem(client.post("/v1/webhooks", json={"url": URL}), 409)
    assert refused["type"] == "/docs/problems#too-many-webhooks"


def test_what_is_not_there(client: TestClient) -> None:
    webhook, other = make(client), make(client)
    ping = client.post(f"{webhook['links']['self']}/test").json()
    missing = [
        ("GET", "/v1/webhooks/webhook_none"),
        ("PATCH", "/v1/webhooks/webhook_none"),
        ("DELETE", "/v1/webhooks/webhook_none"),
        ("POST", "/v1/webhooks/webhook_none/test"),
        ("POST", "/v1/webhooks/webhook_none/rotate"),
        ("GET", "/v1/webhooks/webhook_none/deliveries"),
        ("GET", f"{webhook['links']['deliveries']}/msg_none"),
        ("GET", f"{other['links']['deliveries']}/{ping['id']}"),
        ("POST", f"{other['links']['deliveries']}/{ping['id']}/redeliver"),
    ]
    for method, address in missing:
        body = {"json": {"enabled": True}} if method == "PATCH" else {}
        assert problem(client.request(method, address, **body), 404)["type"] == "/docs/problems#not-found"


def test_actions_take_no_body(client: TestClient) -> None:
    webhook = make(client)
    for action in ("test", "rotate"):
        problem(client.post(f"{webhook['links']['self']}/{action}", json={"url": URL}), 422)
    assert told(client, webhook) == []


def test_a_deleted_webhook_is_gone_with_its_deliveries(client: TestClient) -> None:
    webhook = make(client)
    ping = client.post(f"{webhook['links']['self']}/test").json()
    assert client.delete(webhook["links"]["self"]).status_code == 204
    problem(client.get(ping["links"]["self"]), 404)
    problem(client.delete(webhook["links"]["self"]), 404)


def test_who_runs_the_server_may_exempt_hosts(settings: Settings) -> None:
    """Plain http and private addresses, for hosts that are named and for no others."""
    exempting = settings.model_copy(update={"webhook_private_hosts": "127.0.0.1, hooks.internal"})
    with TestClient(create_app(exempting), HOME) as client:
        webhook = make(client, url="http://127.0.0.1:9000/x")
        assert webhook["url"] == "http://127.0.0.1:9000/x"
        assert (
            client.patch(webhook["links"]["self"], json={"url": "http://hooks.internal/"}).status_code == 200
        )
        problem(client.patch(webhook["links"]["self"], json={"url": "http://other.internal/"}), 422)
