"""Two projects that must not know of each other, an operator, and keys of every kind, good and bad."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from starlette.testclient import TestClient

from api.deps import Server
from store import ids, keys, projects
from tests.api.acting import Worker

MARK = "unmistakable"
"""In every name that the other project gives: no answer to anybody else may hold it."""

SUMMARY = {"layers": [], "inputs": [], "linear": None}


@dataclass
class Party:
    """A project with keys of each scope."""

    client: TestClient
    project_id: str
    keys: dict[str, str]
    ids: dict[str, str] = field(default_factory=dict)
    """One thing of each kind that is this project's, by the name that addresses give it."""

    def send(self, method: str, path: str, *, scope: str = "admin", **options: Any) -> httpx2.Response:
        headers = {"Authorization": f"Bearer {self.keys[scope]}", **options.pop("headers", {})}
        return self.client.request(method, path, headers=headers, **options)

    def made(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        """What was answered to a request that must succeed."""
        response = self.send(method, path, **options)
        assert response.is_success, response.text
        answer: dict[str, Any] = response.json()
        return answer


def party(client: TestClient, server: Server, project_id: str) -> Party:
    """A project with a key of each scope."""
    with server.database.of(project_id).writing() as tx:
        made = {scope: keys.add(tx, name=f"{scope} key", scopes=[scope])[1] for scope in keys.SCOPES}
    return Party(client, project_id, made)


def found(server: Server, name: str) -> str:
    """A new project's id."""
    with server.database.writing() as tx:
        return projects.add(tx, name=name, quotas={}).id


def worthless(server: Server, project_id: str) -> dict[str, str | None]:
    """Authorization headers that must not let anybody in, by what is wrong with them."""
    past = datetime.now(UTC) - timedelta(seconds=1)
    with server.database.of(project_id).writing() as tx:
        _, expired = keys.add(tx, name="expired", scopes=["admin"], expires_at=past)
        key, revoked = keys.add(tx, name="revoked", scopes=["admin"])
        keys.revoke(tx, key.id)
        _, good = keys.add(tx, name="good", scopes=["admin"])
    stem = good[: len("rl_") + 32]
    return {
        "none": None,
        "empty": "Bearer ",
        "malformed": "Bearer rl_nonsense",
        "not ASCII": "Bearer rl_ünsinn",
        "unknown": f"Bearer rl_{ids.new('key').removeprefix('key_')}_{'A' * 43}",
        "wrong secret": f"Bearer {stem}_{'A' * 43}",
        "another scheme": f"Basic {good}",
        "no scheme": good,
        "digest of the secret": f"Bearer {stem}_{hashlib.sha256(good.encode()).hexdigest()[:43]}",
        "expired": f"Bearer {expired}",
        "revoked": f"Bearer {revoked}",
    }


def furnish(owner: Party, server: Server) -> None:
    """One thing of each kind: a job that ended, with curve, log and weights, a dataset, a key, a webhook …"""
    worker = Worker(server.database.of(owner.project_id))
    submitted = owner.made("POST", "/v1/jobs", json={"dataset": "iris", "name": f"{MARK} job"})
    job = worker.begin(submitted["id"])
    worker.record(job, {"train_loss": [0.9, 0.5], "val_loss": [0.8, 0.4]})
    worker.keep_weights(job, SUMMARY)
    worker.succeed(job)
    owner.made("POST", "/v1/jobs", json={"dataset": "iris", "metadata": {"mark": MARK}})
    file = {"file": (f"{MARK}.csv", f"{MARK},y\n1,0\n2,1\n3,0\n4,1\n5,0\n6,1\n")}
    hook = {"url": f"https://hooks.example.com/{MARK}"}
    webhook = owner.made("POST", "/v1/webhooks", json=hook)
    owner.made("POST", "/v1/webhooks", json=hook)
    owner.ids |= {
        "job_id": job.id,
        "dataset_id": owner.made("POST", "/v1/datasets", files=file)["id"],
        "key_id": owner.made("POST", "/v1/keys", json={"name": f"{MARK} key"})["id"],
        "project_id": owner.project_id,
        "webhook_id": webhook["id"],
        "delivery_id": owner.made("POST", f"/v1/webhooks/{webhook['id']}/test")["id"],
    }
    owner.made("POST", f"/v1/webhooks/{webhook['id']}/test")


UNKNOWN = {
    "job_id": ids.new("job"),
    "dataset_id": ids.new("ds"),
    "key_id": ids.new("key"),
    "project_id": ids.new("project"),
    "webhook_id": ids.new("webhook"),
    "delivery_id": ids.new("msg"),
    "study_id": ids.new("study"),
    "name": "page.css",
}
"""What could be the id of something, and is not, by the name that addresses give it."""


def routes(app: FastAPI) -> Iterator[tuple[str, str]]:
    """Method and path of everything that is answered, in the OpenAPI document or not."""
    for route in iter_route_contexts(app.routes):
        for method in sorted(route.methods or {"GET"}):
            yield method, route.path


def parameters(path: str) -> list[str]:
    return re.findall(r"\{(\w+)\}", path)
