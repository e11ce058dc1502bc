"""The OpenAPI document: valid by OpenAPI 3.1, with names that a client can be generated from."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute, iter_route_contexts
from schemathesis.specs.openapi.definitions import OPENAPI_31_VALIDATOR
from starlette.testclient import TestClient

from api.addresses import query_names

VERB_AND_NOUN = re.compile(r"[a-z]+(_[a-z]+)+")
STATUSES_OF_BAD_INPUT = ("400", "404", "422")


@pytest.fixture(scope="module")
def document(client: TestClient) -> dict[str, Any]:
    found: dict[str, Any] = client.get("/v1/openapi.json").json()
    return found


def operations(document: dict[str, Any]) -> list[dict[str, Any]]:
    return [operation for methods in document["paths"].values() for operation in methods.values()]


def references(part: Any) -> Iterator[str]:
    """Every `$ref` in a part of the document."""
    if isinstance(part, dict):
        yield from ([part["$ref"]] if isinstance(part.get("$ref"), str) else [])
    inner = part.values() if isinstance(part, dict) else part if isinstance(part, list) else ()
    for each in inner:
        yield from references(each)


def test_it_is_valid(document: dict[str, Any]) -> None:
    assert document["openapi"].startswith("3.1.")
    OPENAPI_31_VALIDATOR.validate(document)


def test_whatever_it_refers_to_is_there(document: dict[str, Any]) -> None:
    there = {f"#/components/schemas/{name}" for name in document["components"]["schemas"]}
    assert set(references(document)) - there == set()


def test_every_operation_has_a_name_of_its_own_a_verb_and_a_noun(document: dict[str, Any]) -> None:
    named = Counter(operation["operationId"] for operation in operations(document))
    assert [name for name, many in named.items() if many > 1] == []
    assert [name for name in named if not VERB_AND_NOUN.fullmatch(name)] == []


def test_the_names_that_people_begin_with_stay(document: dict[str, Any]) -> None:
    """Clients that were generated call them; a changed name is another method there."""
    begun_with = {
        "/v1/datasets": {"post": "upload_dataset", "get": "list_datasets"},
        "/v1/jobs": {"post": "submit_job", "get": "list_jobs"},
        "/v1/jobs/{job_id}": {"get": "get_job", "patch": "change_job", "delete": "delete_job"},
        "/v1/jobs/{job_id}/curves": {"get": "read_curve"},
        "/v1/jobs/{job_id}/events": {"get": "read_events"},
    }
    found = {
        path: {method: operation["operationId"] for method, operation in document["paths"][path].items()}
        for path in begun_with
    }
    assert found == begun_with


def test_no_parameter_may_be_null(document: dict[str, Any]) -> None:
    """Where an address or a header says nothing, it leaves the name out."""
    schemas = [one["schema"] for each in operations(document) for one in each.get("parameters", ())]
    assert schemas
    assert [schema for schema in schemas if "null" in str(schema.get("anyOf", schema.get("type")))] == []


def test_every_answer_has_a_type_and_json_comes_first(document: dict[str, Any]) -> None:
    """A generator takes the first media type that it understands, and loses an answer that has no schema."""
    for operation in operations(document):
        for status, answer in operation["responses"].items():
            content = answer.get("content", {})
            told = f"{operation['operationId']} {status}"
            assert all(each.get("schema") for each in content.values()), told
            assert "application/json" not in list(content)[1:], told
            assert content or status == "204", told


def test_what_goes_wrong_is_a_problem_on_every_operation(document: dict[str, Any]) -> None:
    problem = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    for operation in operations(document):
        told = [operation["responses"][status]["content"] for status in STATUSES_OF_BAD_INPUT]
        assert told == [problem] * len(told), operation["operationId"]


def test_what_creates_takes_an_idempotency_key(document: dict[str, Any]) -> None:
    takes = {
        operation["operationId"]
        for operation in operations(document)
        if any(one["name"] == "Idempotency-Key" for one in operation.get("parameters", ()))
    }
    assert takes >= {"submit_job", "upload_dataset", "create_webhook", "create_key", "create_project"}


def test_a_route_takes_the_queries_that_the_document_tells_of(app: FastAPI, document: dict[str, Any]) -> None:
    """What is asked is held against the route; to write the document takes most of a second."""
    told = {
        (path, method): [one["name"] for one in operation.get("parameters", ()) if one["in"] == "query"]
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    }
    taken = {
        (route.path_format, method.lower()): query_names(route.original_route)
        for route in iter_route_contexts(app.routes)
        for method in route.methods or ()
        if isinstance(route.original_route, APIRoute)
    }
    assert {each: taken[each] for each in told} == told
    assert not [each for each, names in taken.items() if names and each not in told]
