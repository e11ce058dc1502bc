"""Every field of the spec given what it does not take, and media types that are not understood.

Each is a 4xx problem document with a pointer, and the server answers the next request as if nothing had been.
"""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Iterator
from typing import Any

import pytest
from starlette.testclient import TestClient

from api import bodies
from api.errors import InvalidInputError
from models.errors import Complaint
from models.spec import JobSpec
from tests.api.acting import pointers, problem

SCHEMA = JobSpec.model_json_schema()

# A spec in which every part is present, so that each field's parent is there to put a mistake into.
WHOLE: dict[str, Any] = {
    "dataset": "iris",
    "name": "whole",
    "split": {},
    "preprocessing": {},
    "network": {"hidden": [8]},
    "regularization": {
        "l1": {"strength": 0.001},
        "l2": {"strength": 0.001},
        "dropout": {},
        "batch_norm": {},
        "early_stopping": {"monitors": [{}]},
    },
    "optimizer": {},
    "training": {},
    "metadata": {},
}


def resolved(node: dict[str, Any]) -> dict[str, Any]:
    """A schema without its reference."""
    while "$ref" in node:
        node = SCHEMA["$defs"][node["$ref"].rpartition("/")[2]]
    return node


def branches(node: dict[str, Any]) -> list[dict[str, Any]]:
    """What a place may hold."""
    node = resolved(node)
    return [branch for option in node["anyOf"] for branch in branches(option)] if "anyOf" in node else [node]


def inside(value: Any, node: dict[str, Any]) -> dict[str, Any]:
    """The properties of an object schema that fits a value that is an object."""
    if not isinstance(value, dict):
        return {}
    known = (branch.get("properties", {}) for branch in branches(node))
    return next((properties for properties in known if set(value) <= set(properties)), {})


def fields(
    value: Any, node: dict[str, Any], path: tuple[Any, ...] = ()
) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """Every field of the spec, with its schema."""
    for name, property_ in inside(value, node).items():
        yield (*path, name), property_
        yield from fields(value.get(name), property_, (*path, name))
    if isinstance(value, list) and value:
        for branch in branches(node):
            if resolved(branch.get("items", {})).get("properties"):
                yield from fields(value[0], branch["items"], (*path, 0))


FIELDS = list(fields(WHOLE, SCHEMA))


def with_value(path: tuple[Any, ...], value: Any) -> dict[str, Any]:
    """The whole spec with one value put somewhere."""
    spec = copy.deepcopy(WHOLE)
    place: Any = spec
    for part in path[:-1]:
        place = place[part]
    place[path[-1]] = value
    return spec


def pointer(path: tuple[Any, ...]) -> str:
    return "".join(f"/{part}" for part in path)


def mistakes(client: TestClient, spec: dict[str, Any]) -> list[Complaint]:
    """What is complained of, by what reads a body; by the whole server where that finds nothing."""
    try:
        bodies._read(json.dumps(spec).encode(), "application/json", JobSpec)
    except InvalidInputError as error:
        return list(error.errors)
    return sent(client, spec)


def sent(client: TestClient, spec: dict[str, Any]) -> list[Complaint]:
    """What the server complains of."""
    document = problem(client.post("/v1/jobs/validate", json=spec), 422)
    return [Complaint(**each) for each in document["errors"]]


def places(found: list[Complaint]) -> list[str]:
    return [each.pointer for each in found]


def kinds(node: dict[str, Any]) -> set[str]:
    """The JSON types that a place takes."""
    return {branch.get("type", "string") for branch in branches(node)} | {
        "integer" for branch in branches(node) if branch.get("type") == "number"
    }


OF_TYPE: dict[str, Any] = {
    "string": "certainly not",
    "integer": 123_456_789_123,
    "number": 0.123,
    "boolean": True,
    "object": {"certainly": {"not": []}},
    "array": [[{}]],
    "null": None,
}


def wrong_types() -> Iterator[Any]:
    for path, node in FIELDS:
        free = pointer(path) == "/metadata"
        for kind in sorted(set(OF_TYPE) - kinds(node)):
            if not (kind == "number" and "integer" in kinds(node) and "number" in kinds(node)):
                yield pytest.param(path, OF_TYPE[kind], id=f"{pointer(path)} {kind}")
        for kind in ("object", "array"):
            if kind in kinds(node) and not free:
                yield pytest.param(path, OF_TYPE[kind], id=f"{pointer(path)} {kind} of nonsense")


@pytest.mark.parametrize(("path", "value"), list(wrong_types()))
def test_a_value_of_the_wrong_type_is_pointed_at(
    client: TestClient, path: tuple[Any, ...], value: Any
) -> None:
    found = mistakes(client, with_value(path, value))
    assert any(each.startswith(pointer(path)) for each in places(found)), found
    assert all(each.detail for each in found)


def beyond(node: dict[str, Any]) -> Iterator[Any]:
    """Values just outside, and far outside, of what every branch takes."""
    numeric = [branch for branch in branches(node) if branch.get("type") in ("integer", "number")]
    if not numeric or any(
        branch.get("type") not in ("integer", "number", "null") for branch in branches(node)
    ):
        return
    for branch in numeric:
        step = 1 if branch["type"] == "integer" else 1e-9
        if "minimum" in branch:
            yield branch["minimum"] - step
        if "maximum" in branch and branch["maximum"] < 2**62:
            yield branch["maximum"] + max(step, branch["maximum"] * 1e-9 if branch["type"] == "number" else 1)
        yield from (branch[bound] for bound in ("exclusiveMinimum", "exclusiveMaximum") if bound in branch)
    yield from (-1e300 if numeric[0]["type"] == "number" else -(2**63), 1.7e308, 2**64, 10**25)


OUT_OF_RANGE = [(path, value) for path, node in FIELDS for value in beyond(node)]


@pytest.mark.parametrize(("path", "value"), OUT_OF_RANGE, ids=lambda part: str(part))
def test_a_value_out_of_range_is_pointed_at(client: TestClient, path: tuple[Any, ...], value: Any) -> None:
    found = mistakes(client, with_value(path, value))
    assert pointer(path) in places(found), found


@pytest.mark.parametrize("path", [path for path, _ in FIELDS], ids=pointer)
def test_a_misspelt_name_hears_the_right_one(client: TestClient, path: tuple[Any, ...]) -> None:
    misspelt = (*path[:-1], f"{path[-1]}x")
    spec = with_value(misspelt, 1)
    found = sent(client, spec)
    assert found == mistakes(client, spec), "the server says all of what reads its bodies found"
    complaint = next(each for each in found if each.pointer == pointer(misspelt))
    assert complaint.suggestion == path[-1]


HUGE: list[tuple[str, Any]] = [
    ("text", "x" * 200_000),
    ("list", [1] * 20_000),
    ("object", {f"key{number}": number for number in range(3_000)}),
    ("nul", "a\x00b"),
    ("emoji", "\N{GRINNING FACE}" * 1000),
    ("right to left", "\u202e" * 100),
]


@pytest.mark.parametrize("path", [path for path, _ in FIELDS], ids=pointer)
@pytest.mark.parametrize(("kind", "value"), HUGE, ids=[kind for kind, _ in HUGE])
def test_a_huge_or_hostile_value_does_no_harm(
    client: TestClient, path: tuple[Any, ...], kind: str, value: Any
) -> None:
    if kind == "right to left" and pointer(path) == "/name":
        return  # a name may be written in any direction
    asked = sent if len(path) == 1 else mistakes  # the same is wrong with what lies deeper
    found = asked(client, with_value(path, value))
    assert any(each.startswith(pointer(path)) for each in places(found))
    assert len(found) <= 21


def test_every_field_was_found() -> None:
    found = {pointer(path) for path, _ in FIELDS}
    assert len(found) > 50
    assert {
        "/dataset",
        "/split/column",
        "/network/hidden",
        "/regularization/l1/feature_weights",
        "/regularization/early_stopping/monitors/0/min_delta",
        "/optimizer/betas",
        "/training/max_runtime_seconds",
        "/priority",
    } <= found


@pytest.mark.parametrize(
    ("media_type", "status"),
    [
        ("application/json; charset=utf-16", 415),
        ("application/json; charset=latin-1", 415),
        ("application/xml", 415),
        ("application/x-www-form-urlencoded", 415),
        ("", 415),
        ("\x01", 415),
        ("application/json", 202),
        ("application/json; charset=UTF-8", 202),
        ("Application/JSON", 202),
        ("text/yaml", 202),
        ("application/x-yaml; charset=utf-8", 202),
    ],
)
def test_a_media_type_is_understood_or_refused(client: TestClient, media_type: str, status: int) -> None:
    response = client.post("/v1/jobs", content=b'{"dataset": "iris"}', headers={"Content-Type": media_type})
    assert response.status_code == status
    if status == 415:
        document = problem(response, 415)
        assert "application/json" in document["detail"] or "UTF-8" in document["detail"]
        assert "application/json" in response.headers["accept"]


def test_packed_bodies_are_not_unpacked(client: TestClient) -> None:
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    problem(client.post("/v1/jobs", content=b"\x1f\x8b", headers=headers), 415)


@pytest.mark.parametrize(
    "path", ["/v1/jobs/%ff", "/v1/jobs/%ed%a0%80", "/v1/datasets/..%2f..%2fetc%2fpasswd", "/v1/jobs/%0a"]
)
def test_an_address_of_odd_bytes_is_a_404(client: TestClient, path: str) -> None:
    assert client.get(path).status_code == 404


@pytest.mark.parametrize(
    "query", ["limit=%ff", "name=%ed%a0%80", "limit=%00", "&&&=&", "cursor=" + "A" * 5000]
)
def test_a_query_of_odd_bytes_does_no_harm(client: TestClient, query: str) -> None:
    response = client.get(f"/v1/jobs?{query}")
    assert response.status_code in (200, 422)


def test_a_hostile_field_name_is_echoed_harmlessly(client: TestClient) -> None:
    name = "\u202e\x07~/\N{GRINNING FACE}" + "x" * 1000
    document = problem(client.post("/v1/jobs", json={"dataset": "iris", name: 1}), 422)
    assert "\x07" not in str(document)
    assert "\u202e" not in str(document)
    assert len(document["errors"][0]["pointer"]) < 300


def test_numbers_that_yaml_can_write_and_json_cannot(client: TestClient) -> None:
    for number in (".nan", ".inf", "-.inf", "1e999"):
        text = f"dataset: iris\noptimizer: {{learning_rate: {number}}}\n"
        response = client.post("/v1/jobs", content=text, headers={"Content-Type": "application/yaml"})
        assert pointers(problem(response, 422)) == ["/optimizer/learning_rate"]
    assert math.isinf(float("1e999"))
