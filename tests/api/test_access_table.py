"""The table of answers: every route × every kind of key × whose things are named, made from the routes.

What a route needs is said once more here, in `NEEDS`; and whatever may name somebody's thing, in an address,
a query or a body, is known by name. So whoever adds a route, a parameter or a field has to say what it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from api.app import create_app
from api.deps import Server
from store.keys import SCOPES
from store.settings import Settings
from store.tables import DEFAULT_PROJECT
from tests.api import belongings
from tests.api.acting import problem
from tests.api.belongings import MARK, UNKNOWN, Party, parameters
from tests.api.conftest import HOME

Route = tuple[str, str]

NEEDS: dict[str, set[Route]] = {
    "nothing": {
        *(("GET", "/healthz"), ("GET", "/readyz"), ("GET", "/v1/openapi.json"), ("GET", "/docs")),
        *(("GET", "/docs/problems"), ("GET", "/docs/{name}"), ("GET", "/"), ("GET", "/dashboard/{name}")),
    },
    "read": {
        *(("GET", "/v1/datasets"), ("GET", "/v1/datasets/{dataset_id}")),
        *(("GET", "/v1/datasets/{dataset_id}/rows"), ("GET", "/v1/catalog"), ("GET", "/v1/workers")),
        *(("POST", "/v1/jobs/validate"), ("GET", "/v1/jobs"), ("GET", "/v1/jobs/{job_id}")),
        *(("GET", "/v1/jobs/{job_id}/curves"), ("GET", "/v1/jobs/{job_id}/events")),
        *(("GET", "/v1/jobs/{job_id}/weights"), ("GET", "/v1/jobs/{job_id}/diagnosis")),
        *(("GET", "/v1/curves"), ("GET", "/v1/projects/current")),
        *(("GET", "/v1/jobs/{job_id}/model"), ("GET", "/v1/jobs/{job_id}/card")),
        ("POST", "/v1/jobs/{job_id}/predict"),
    },
    "write": {
        *(("POST", "/v1/datasets"), ("DELETE", "/v1/datasets/{dataset_id}"), ("POST", "/v1/jobs")),
        *(("POST", f"/v1/jobs/{{job_id}}/{action}") for action in ("cancel", "finish", "pause", "resume")),
        *(("DELETE", "/v1/jobs/{job_id}"), ("PATCH", "/v1/jobs/{job_id}")),
        ("PATCH", "/v1/datasets/{dataset_id}"),
    },
    "admin": {
        *(("POST", "/v1/keys"), ("GET", "/v1/keys"), ("GET", "/v1/keys/{key_id}")),
        *(("DELETE", "/v1/keys/{key_id}"), ("POST", "/v1/projects"), ("GET", "/v1/projects")),
        *(("GET", "/v1/projects/{project_id}"), ("PATCH", "/v1/projects/{project_id}")),
        *(("POST", "/v1/webhooks"), ("GET", "/v1/webhooks"), ("GET", "/v1/webhooks/{webhook_id}")),
        *(("PATCH", "/v1/webhooks/{webhook_id}"), ("DELETE", "/v1/webhooks/{webhook_id}")),
        *(("POST", f"/v1/webhooks/{{webhook_id}}/{action}") for action in ("test", "rotate")),
        ("GET", "/v1/webhooks/{webhook_id}/deliveries"),
        ("GET", "/v1/webhooks/{webhook_id}/deliveries/{delivery_id}"),
        ("POST", "/v1/webhooks/{webhook_id}/deliveries/{delivery_id}/redeliver"),
    },
    "operator": {("GET", "/metrics")},
}
ONLY_OPERATORS = {("POST", "/v1/projects"), ("PATCH", "/v1/projects/{project_id}")}
"""An admin of another project is told so by the route itself."""

QUERIES = {
    "dataset": "dataset_id",
    "study": "study_id",
    "jobs": "job_id",
    "job": "job_id",
    "project": "project_id",
    "cursor": "a place in a list",
}
"""Query parameters that name somebody's thing."""
PLAIN_QUERIES = {
    *("limit", "sort", "name", "status", "stop_reason", "created_after", "created_before", "metadata."),
    *("series", "after", "max_points", "format", "width", "height", "color", "space", "wait"),
}
BODY_FIELDS = {"dataset": "dataset_id"}
"""Fields of bodies that name somebody's thing, wherever they are nested."""
NAMING = re.compile(r"(^|_)(ids?|jobs?|datasets?|stud(y|ies)|projects?|keys?|webhooks?|base|parent)$")
NOT_NAMING = {"open_jobs"}

ROUTES = sorted(set(belongings.routes(create_app(Settings(data_dir=Path("unused"))))))
NEEDED = {route: need for need, those in NEEDS.items() for route in those}
GUARDED = [route for route in ROUTES if NEEDED.get(route) != "nothing"]
OWNED = [route for route in GUARDED if parameters(route[1])]


def named(route: Route) -> str:
    return " ".join(route)


@pytest.fixture(scope="module")
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"auth": "keys", "auth_failures_per_minute": 1_000_000})


@pytest.fixture(scope="module")
def operator(client: TestClient, server: Server) -> Party:
    return belongings.party(client, server, DEFAULT_PROJECT)


@pytest.fixture(scope="module")
def mine(client: TestClient, server: Server) -> Party:
    return belongings.party(client, server, belongings.found(server, "mine"))


@pytest.fixture(scope="module")
def theirs(client: TestClient, server: Server) -> Party:
    owner = belongings.party(client, server, belongings.found(server, f"{MARK} project"))
    belongings.furnish(owner, server)
    return owner


@pytest.fixture(scope="module")
def document(app: FastAPI) -> dict[str, Any]:
    return app.openapi()


# ── what is known of the routes ─────────────────────────────────────────────────────────────────────────────


def test_of_every_route_it_is_known_what_it_needs(document: dict[str, Any]) -> None:
    assert set(ROUTES) == set(NEEDED)
    said = {
        (method.upper(), path): (operation["security"] or [{"key": ["nothing"]}])[0]["key"][0]
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    }
    assert said == {route: NEEDED[route] for route in said}


def test_of_every_parameter_and_field_it_is_known_whether_it_names_a_thing(document: dict[str, Any]) -> None:
    operations = [each for methods in document["paths"].values() for each in methods.values()]
    queries = {
        one["name"] for each in operations for one in each.get("parameters", ()) if one["in"] == "query"
    }
    assert queries == set(QUERIES) | PLAIN_QUERIES
    places = {name for _, path in ROUTES for name in parameters(path)}
    assert places <= set(UNKNOWN)
    bodies = {name for each in operations for name in fields(document, each.get("requestBody", {}))}
    assert {name for name in bodies if NAMING.search(name)} - NOT_NAMING == set(BODY_FIELDS)


def fields(document: dict[str, Any], part: Any, seen: frozenset[str] = frozenset()) -> set[str]:
    """The names of all properties of a schema, however deep."""
    if isinstance(part, list):
        return {name for each in part for name in fields(document, each, seen)}
    if not isinstance(part, dict):
        return set()
    reference = part.get("$ref", "")
    if reference and reference not in seen:
        return fields(document, document["components"]["schemas"][reference[21:]], seen | {reference})
    inner = {name for key, each in part.items() if key != "examples" for name in fields(document, each, seen)}
    own = part.get("properties", {})
    return inner | (set(own) if isinstance(own, dict) else set())


# ── who is let in ───────────────────────────────────────────────────────────────────────────────────────────


def filled(path: str, ids: dict[str, str]) -> str:
    return re.sub(r"\{(\w+)\}", lambda found: ids[found[1]], path)


@pytest.fixture(scope="module")
def worthless(server: Server) -> dict[str, str | None]:
    return belongings.worthless(server, DEFAULT_PROJECT)


@pytest.mark.parametrize("route", ROUTES, ids=named)
def test_without_a_valid_key(route: Route, client: TestClient, worthless: dict[str, str | None]) -> None:
    """Missing, unknown, expired, revoked: one and the same 401; or the same answer as to anybody."""
    method, path = route[0], filled(route[1], UNKNOWN)
    answers = {}
    for kind, word in worthless.items():
        headers = {"X-Request-ID": "the-same"} | (
            {"Authorization": word.encode()} if word is not None else {}
        )
        answers[kind] = client.request(method, path, headers=headers)
        assert not any(
            word and word[7:] in answers[kind].text for word in worthless.values() if word != "Bearer "
        )
    if NEEDED[route] == "nothing":
        assert {answer.status_code for answer in answers.values()} & {401, 403, 429} == set()
        return
    document = problem(answers["none"], 401)
    assert document["type"].endswith("#unauthorized")
    for answer in answers.values():
        assert shape(answer) == shape(answers["none"])


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "BREW"])
@pytest.mark.parametrize(
    "path", ["/dashboard", "/v1", "/v1/nothing", "/v1/jobs/", "//v1/jobs", "/healthz/", "/v1/JOBS"]
)
def test_what_is_not_there_is_not_told_to_strangers(method: str, path: str, client: TestClient) -> None:
    assert client.request(method, f"{HOME}{path}").status_code == 401


@pytest.mark.parametrize(
    "path",
    [
        *("/v1/jobs/predict", "/v1/jobs/a/b/predict", "/v1/jobs/a/predict%0A", "/v1/jobs/a/predict/"),
        *("/v1/jobs//predict", "/v1/jobs/a%2Fb/predict", "/v2/jobs/a/predict", "/v1/jobs/a/predicted"),
    ],
)
def test_only_predictions_are_read_by_posting(path: str, mine: Party) -> None:
    """Whoever may only read is let in to one address, and to nothing that looks like it."""
    assert mine.send("POST", path, scope="read").status_code == 403
    job = "/v1/jobs/" + UNKNOWN["job_id"] + "/predict"
    assert mine.send("POST", job, scope="read", json={"rows": []}).status_code == 404
    assert mine.send("DELETE", job, scope="read").status_code == 403


TRICKS = ("/v1/keys%0A", "/v1/keys/", "/v1/projects%0A", "/v1/keys%2F", "/metrics%0A", "/v1/webhooks%0a")


@pytest.mark.parametrize("path", TRICKS)
def test_no_way_of_writing_an_address_needs_less(path: str, mine: Party) -> None:
    assert mine.send("GET", path, scope="write").status_code == 403


@pytest.mark.parametrize("path", ["/healthz%0A", "/readyz%0A", "/v1/openapi.json%0A", "/docs%0A"])
def test_what_is_open_is_open_at_its_own_address_only(path: str, client: TestClient) -> None:
    assert client.get(path).status_code == 401


@pytest.mark.parametrize("scope", SCOPES)
@pytest.mark.parametrize("route", GUARDED, ids=named)
def test_a_scope_lets_in_to_what_it_is_for(route: Route, scope: str, mine: Party, operator: Party) -> None:
    method, path = route[0], filled(route[1], UNKNOWN)
    need = NEEDED[route]
    is_enough = need in SCOPES[: SCOPES.index(scope) + 1]
    answer = mine.send(method, path, scope=scope)
    if is_enough and route not in ONLY_OPERATORS:
        assert answer.status_code not in (401, 403, 429)
    else:
        assert problem(answer, 403)["type"].endswith("#forbidden")
        assert 'error="insufficient_scope"' in answer.headers["www-authenticate"]
    allowed = is_enough or (scope == "admin" and need == "operator")
    assert (operator.send(method, path, scope=scope).status_code == 403) is not allowed


# ── whose things are named ──────────────────────────────────────────────────────────────────────────────────


def shape(answer: httpx2.Response, *words: str) -> tuple[int, dict[str, str], str]:
    """All of an answer but the names that were asked for, and the marks of this one request."""
    passing = ("x-request-id", "ratelimit")
    text, headers = answer.text, {k: v for k, v in answer.headers.items() if k not in passing}
    for word in (answer.headers["x-request-id"], *words):
        text = text.replace(word, "…")
    return answer.status_code, headers, text


def body(document: dict[str, Any], route: Route) -> dict[str, Any]:
    """A body that this route takes: the first of its own examples."""
    content = (
        document["paths"]
        .get(route[1], {})
        .get(route[0].lower(), {})
        .get("requestBody", {})
        .get("content", {})
    )
    examples = content.get("application/json", {}).get("examples", {})
    return {"json": next(iter(examples.values()))["value"]} if examples else {}


ASKING: list[dict[str, str]] = [
    {},
    {"Accept": "text/event-stream"},
    {"If-None-Match": "*"},
    {"Idempotency-Key": "seen-before"},
    {"Prefer": "wait=1"},
]


@pytest.mark.parametrize("route", OWNED, ids=named)
def test_what_is_theirs_looks_like_what_is_not_there(
    route: Route, mine: Party, theirs: Party, document: dict[str, Any]
) -> None:
    """Also where a tag of theirs is known, in a live stream, and for HEAD."""
    method, path = route
    sent = body(document, route)
    for headers in ASKING:
        answers = []
        for those in (theirs.ids, UNKNOWN):
            options = {**sent, "headers": headers}
            answers.append(mine.send(method, filled(path, those), **options))
            if method == "GET":
                assert mine.send("HEAD", filled(path, those), headers=headers).status_code >= 400
        words = [*theirs.ids.values(), *UNKNOWN.values()]
        assert shape(answers[0], *words) == shape(answers[1], *words)
        assert answers[0].status_code in ((403, 406) if route in ONLY_OPERATORS else (404, 406))
    unharmed = theirs.send("GET", "/v1/jobs/" + theirs.ids["job_id"])
    assert (unharmed.status_code, unharmed.json()["status"]) == (200, "succeeded")


@pytest.mark.parametrize("route", [each for each in OWNED if len(parameters(each[1])) > 1], ids=named)
def test_a_thing_of_theirs_is_not_found_within_mine(
    route: Route, mine: Party, theirs: Party, document: dict[str, Any]
) -> None:
    webhook = mine.made("POST", "/v1/webhooks", json={"url": "https://hooks.example.com/mine"})
    outer, inner = parameters(route[1])
    mixed = [{outer: webhook["id"], inner: those[inner]} for those in (theirs.ids, UNKNOWN)]
    answers = [mine.send(route[0], filled(route[1], ids), **body(document, route)) for ids in mixed]
    assert answers[0].status_code == 404
    words = [theirs.ids[inner], UNKNOWN[inner]]
    assert shape(answers[0], *words) == shape(answers[1], *words)


@pytest.mark.parametrize("route", [each for each in OWNED if each not in ONLY_OPERATORS], ids=named)
def test_an_operator_sees_to_projects_and_not_to_what_is_in_them(
    route: Route, operator: Party, theirs: Party, document: dict[str, Any]
) -> None:
    answer = operator.send(route[0], filled(route[1], theirs.ids), **body(document, route))
    if parameters(route[1]) == ["project_id"]:
        assert answer.status_code == 200
    else:
        assert answer.status_code == 404


def queried(document: dict[str, Any]) -> Iterator[tuple[Route, str]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            for one in operation.get("parameters", ()):
                if one["in"] == "query" and one["name"] in QUERIES:
                    yield (method.upper(), path), one["name"]


def test_what_is_theirs_is_not_found_by_a_query(mine: Party, theirs: Party, document: dict[str, Any]) -> None:
    own = {
        **UNKNOWN,
        "webhook_id": mine.made("POST", "/v1/webhooks", json={"url": "https://a.example.com"})["id"],
    }
    asked = [(route, name) for route, name in queried(document) if name != "cursor"]
    assert len(asked) >= 8
    for route, name in asked:
        kind = QUERIES[name]
        answers = [
            mine.send(route[0], f"{filled(route[1], own)}?{name}={word}", **body(document, route))
            for word in (theirs.ids.get(kind, UNKNOWN[kind]), UNKNOWN[kind])
        ]
        words = [theirs.ids.get(kind, UNKNOWN[kind]), UNKNOWN[kind]]
        assert shape(answers[0], *words) == shape(answers[1], *words), (route, name)
        assert answers[0].status_code == 404 or answers[0].json()["data"] == [], (route, name)


def test_theirs_among_mine_is_not_found_either(mine: Party, theirs: Party) -> None:
    job = mine.made("POST", "/v1/jobs", json={"dataset": "iris"})["id"]
    answers = [
        mine.send("GET", f"/v1/curves?jobs={job},{other}")
        for other in (theirs.ids["job_id"], UNKNOWN["job_id"])
    ]
    assert answers[0].status_code == 404
    assert shape(answers[0], theirs.ids["job_id"]) == shape(answers[1], UNKNOWN["job_id"])


def test_a_cursor_of_theirs_leads_to_nothing_of_theirs(
    mine: Party, theirs: Party, document: dict[str, Any]
) -> None:
    led = 0
    for route, name in queried(document):
        if name != "cursor" or route[1].endswith("/events"):
            continue
        webhook = {"webhook_id": theirs.ids["webhook_id"]}
        page = theirs.made("GET", f"{filled(route[1], webhook)}?limit=1")
        if page["next"] is None:
            continue
        led += 1
        own = {"webhook_id": mine.made("POST", "/v1/webhooks", json={"url": "https://a.example.com"})["id"]}
        for sort in ("created_at", "-created_at"):
            address = f"{filled(route[1], own)}?cursor={page['next']}&sort={sort}"
            told = mine.made("GET", address)["data"]
            assert not {each["id"] for each in told} & set(theirs.ids.values())
            assert MARK not in str(told)
    assert led >= 5


@pytest.mark.parametrize("route", [each for each in GUARDED if not parameters(each[1])], ids=named)
def test_what_is_theirs_is_not_found_in_a_body(
    route: Route, mine: Party, theirs: Party, document: dict[str, Any]
) -> None:
    sent = body(document, route)
    for name in {name for name in BODY_FIELDS if sent and name in sent["json"]}:
        kind = BODY_FIELDS[name]
        answers = [
            mine.send(*route, json={**sent["json"], name: those[kind]}) for those in (theirs.ids, UNKNOWN)
        ]
        words = [theirs.ids[kind], UNKNOWN[kind]]
        assert answers[0].status_code == 422
        assert shape(answers[0], *words) == shape(answers[1], *words)


@pytest.mark.parametrize(
    "route", [each for each in GUARDED if each[0] == "GET" and not parameters(each[1])], ids=named
)
def test_no_list_holds_what_is_theirs(route: Route, mine: Party, theirs: Party) -> None:
    text = mine.send("GET", route[1]).text
    assert MARK not in text
    assert not [each for each in theirs.ids.values() if each in text]
    if "webhooks" not in route[1]:
        assert MARK not in mine.send("GET", f"{route[1]}?name={MARK}%20job").text.replace(f"{MARK} job", "")


def test_the_same_idempotency_key_is_another_in_another_project(mine: Party, theirs: Party) -> None:
    """Neither a replay of their answer nor a complaint that the body is another."""
    headers = {"Idempotency-Key": "seen-before"}
    first = theirs.send("POST", "/v1/jobs", json={"dataset": "iris", "name": "one"}, headers=headers)
    same = mine.send("POST", "/v1/jobs", json={"dataset": "iris", "name": "one"}, headers=headers)
    assert (first.status_code, same.status_code) == (202, 202)
    assert "idempotent-replayed" not in same.headers
    assert same.json()["id"] != first.json()["id"]
    headers = {"Idempotency-Key": "seen-before-too"}
    theirs.made("POST", "/v1/jobs", json={"dataset": "iris", "name": "one"}, headers=headers)
    mine.made("POST", "/v1/jobs", json={"dataset": "iris", "name": "another"}, headers=headers)


def test_the_same_file_is_another_dataset_in_another_project(mine: Party, theirs: Party) -> None:
    file = {"file": ("same.csv", "a,y\n1,0\n2,1\n3,0\n4,1\n5,0\n6,1\n")}
    made = [each.send("POST", "/v1/datasets", files=file) for each in (theirs, mine)]
    assert [answer.status_code for answer in made] == [201, 201]
    assert made[0].json()["id"] != made[1].json()["id"]


def test_bundled_datasets_are_everybodys_under_ids_of_their_own(
    mine: Party, theirs: Party, operator: Party
) -> None:
    found = [each.made("GET", "/v1/datasets/iris") for each in (mine, theirs, operator)]
    assert len({each["id"] for each in found}) == 3
    assert len({each["sha256"] for each in found}) == 1
    bundled = [each for each in mine.made("GET", "/v1/datasets?limit=200")["data"] if each["bundled"]]
    assert [each["name"] for each in bundled] == ["diabetes", "digits", "breast_cancer", "wine", "iris"]
