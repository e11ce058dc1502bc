"""The examples in the OpenAPI document are sent as they stand, and work."""

from __future__ import annotations

import pytest
import yaml
from starlette.testclient import TestClient

from api.examples import SPECS


@pytest.mark.parametrize("name", SPECS)
def test_an_example_works_when_sent(client: TestClient, name: str) -> None:
    document = client.get("/v1/openapi.json").json()
    body = document["paths"]["/v1/jobs"]["post"]["requestBody"]["content"]
    spec = body["application/json"]["examples"][name]["value"]
    assert client.post("/v1/jobs", json=spec).status_code == 202
    assert client.post("/v1/jobs/validate", json=spec).json()["parameters"] > 0
    headers = {"Content-Type": "application/yaml"}
    assert client.post("/v1/jobs", content=yaml.safe_dump(spec), headers=headers).status_code == 202


def test_what_an_example_leaves_empty_on_purpose_is_in_the_document(client: TestClient) -> None:
    """`"regularization": null` asks for none at all, which leaving it out does not."""
    body = client.get("/v1/openapi.json").json()["paths"]["/v1/jobs"]["post"]["requestBody"]["content"]
    for kind in ("application/json", "application/yaml"):
        assert {name: each["value"] for name, each in body[kind]["examples"].items()} == {
            name: spec for name, (_, spec) in SPECS.items()
        }


def test_json_is_the_first_form_of_every_answer_that_has_it(client: TestClient) -> None:
    paths = client.get("/v1/openapi.json").json()["paths"]
    contents = [
        list(answer["content"])
        for methods in paths.values()
        for operation in methods.values()
        for answer in operation["responses"].values()
        if "application/json" in answer.get("content", {})
    ]
    assert {kinds[0] for kinds in contents} == {"application/json"}
    assert ["application/json", "text/csv"] in contents


def test_examples_are_valid_by_the_schema_beside_them(client: TestClient) -> None:
    from jsonschema import Draft202012Validator

    document = client.get("/v1/openapi.json").json()
    schema = {"$ref": "#/components/schemas/JobSpec", "components": document["components"]}
    validator = Draft202012Validator(schema)
    for name, (_, spec) in SPECS.items():
        assert list(validator.iter_errors(spec)) == [], name
