"""Keys and projects over HTTP: made, told once, listed, changed; the examples of the document work."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from starlette.testclient import TestClient

from api.deps import Server
from api.routes import keys as key_routes
from api.routes import projects as project_routes
from store.settings import Settings
from store.tables import DEFAULT_PROJECT
from tests.api import belongings
from tests.api.acting import pointers, problem
from tests.api.belongings import Party


@pytest.fixture(scope="module")
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"auth": "keys"})


@pytest.fixture(scope="module")
def operator(client: TestClient, server: Server) -> Party:
    return belongings.party(client, server, DEFAULT_PROJECT)


@pytest.fixture(scope="module")
def lead(client: TestClient, server: Server) -> Party:
    """An admin of another project than the operators'."""
    return belongings.party(client, server, belongings.found(server, "led"))


@pytest.mark.parametrize("name", key_routes.EXAMPLES)
def test_an_example_of_a_key_works_when_sent(operator: Party, name: str) -> None:
    _, sent = key_routes.EXAMPLES[name]
    assert operator.send("POST", "/v1/keys", json=sent).status_code == 201


@pytest.mark.parametrize("name", project_routes.EXAMPLES)
def test_an_example_of_a_project_works_when_sent(operator: Party, name: str) -> None:
    _, sent = project_routes.EXAMPLES[name]
    made = operator.send("POST", "/v1/projects", json=sent)
    assert made.status_code == 201
    assert made.headers["location"] == made.json()["links"]["self"]
    assert operator.made("GET", made.headers["location"]) == made.json()
    problem(operator.send("POST", "/v1/projects", json=sent), 409)


@pytest.mark.parametrize("name", project_routes.CHANGES)
def test_an_example_of_a_change_works_when_sent(operator: Party, lead: Party, name: str) -> None:
    _, sent = project_routes.CHANGES[name]
    changed = operator.made("PATCH", f"/v1/projects/{lead.project_id}", json=sent)
    assert changed["id"] == lead.project_id
    assert sent.get("name", changed["name"]) == changed["name"]
    for quota, limit in sent.get("quotas", {}).items():
        assert changed["own_quotas"][quota] == limit


def test_what_is_to_be_sent_is_told_once(client: TestClient, operator: Party) -> None:
    headers = {"Idempotency-Key": "once"}
    body = {"name": "told once", "scopes": ["read"], "expires_in_seconds": 3600}
    first = operator.send("POST", "/v1/keys", json=body, headers=headers)
    made = first.json()
    assert first.headers["cache-control"] == "no-store"
    assert client.get("/v1/jobs", headers={"Authorization": f"Bearer {made['key']}"}).status_code == 200
    expires_at = datetime.fromisoformat(made["expires_at"])
    assert timedelta(seconds=3500) < expires_at - datetime.now(UTC) < timedelta(seconds=3601)
    again = operator.send("POST", "/v1/keys", json=body, headers=headers)
    assert again.headers["idempotent-replayed"] == "true"
    assert again.json() == {**made, "key": None}
    known = operator.made("GET", first.headers["location"])
    assert known == {name: value for name, value in made.items() if name != "key"}
    assert made["key"][36:] not in operator.send("GET", "/v1/keys").text


def test_a_key_cannot_be_had_with_what_is_no_key(operator: Party) -> None:
    for body, pointer in (
        ({}, "/name"),
        ({"name": ""}, "/name"),
        ({"name": "a", "scopes": []}, "/scopes"),
        ({"name": "a", "scopes": ["sudo"]}, "/scopes/0"),
        ({"name": "a", "expires_in_seconds": 0}, "/expires_in_seconds"),
        ({"name": "a", "project_id": "default"}, "/project_id"),
    ):
        assert pointers(problem(operator.send("POST", "/v1/keys", json=body), 422)) == [pointer]


def test_a_revoked_key_stays_in_the_list(operator: Party) -> None:
    made = operator.made("POST", "/v1/keys", json={"name": "gone soon"})
    for _ in range(2):
        assert operator.send("DELETE", made["links"]["self"]).status_code == 204
    assert operator.made("GET", made["links"]["self"])["revoked_at"] is not None


def test_an_operator_sees_to_keys_of_other_projects(client: TestClient, operator: Party, lead: Party) -> None:
    asked = f"/v1/keys?project={lead.project_id}"
    made = operator.made("POST", asked, json={"name": "from above", "scopes": ["admin"]})
    assert made["project_id"] == lead.project_id
    assert operator.made("GET", made["links"]["self"])["name"] == "from above"
    assert made["id"] in {key["id"] for key in operator.made("GET", asked)["data"]}
    assert made["id"] in {key["id"] for key in lead.made("GET", "/v1/keys")["data"]}
    assert made["id"] not in {key["id"] for key in operator.made("GET", "/v1/keys")["data"]}
    assert operator.send("DELETE", made["links"]["self"]).status_code == 204
    assert lead.made("GET", f"/v1/keys/{made['id']}")["revoked_at"] is not None
    problem(operator.send("POST", "/v1/keys?project=project_none", json={"name": "a"}), 404)
    problem(operator.send("GET", "/v1/keys?project=project_none"), 404)


def test_an_admin_sees_to_their_own_project_alone(operator: Party, lead: Party) -> None:
    [own] = lead.made("GET", "/v1/projects")["data"]
    assert own["id"] == lead.project_id
    assert len(operator.made("GET", "/v1/projects")["data"]) > 1
    for method, path in (("POST", "/v1/projects"), ("PATCH", f"/v1/projects/{lead.project_id}")):
        problem(lead.send(method, path, json={"name": "mine"}), 403)
    assert lead.made("GET", f"/v1/projects/{lead.project_id}") == lead.made("GET", "/v1/projects/current")


def test_the_lists_are_paged(operator: Party) -> None:
    for path in ("/v1/keys", "/v1/projects"):
        first = operator.send("GET", f"{path}?limit=1&sort=created_at")
        assert 'rel="next"' in first.headers["link"]
        second = operator.made("GET", f"{path}?limit=1&sort=created_at&cursor={first.json()['next']}")
        assert second["data"][0]["created_at"] >= first.json()["data"][0]["created_at"]
        assert second["data"] != first.json()["data"]
