"""What the API writes down of a request: enough to follow it to its job, and no key."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest
from starlette.testclient import TestClient

from store import logs
from tests.api.acting import submit

KEY = "rl_0123456789abcdef0123456789abcdef_" + "s" * 43


def said(capfd: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capfd.readouterr().err.splitlines() if line.startswith("{")]


def test_a_requests_id_is_on_its_lines_with_the_job_that_came_of_it(
    client: TestClient, capfd: pytest.CaptureFixture[str]
) -> None:
    logs.configure("info")
    client.headers["X-Request-ID"] = "followed-1"
    try:
        job = submit(client)
    finally:
        del client.headers["X-Request-ID"]
        logging.getLogger().setLevel("ERROR")
    lines = [line for line in said(capfd) if line.get("request_id") == "followed-1"]
    assert [line["event"] for line in lines] == ["job accepted", "request"]
    assert lines[0]["job_id"] == job["id"]
    assert (lines[1]["method"], lines[1]["path"], lines[1]["status"]) == ("POST", "/v1/jobs", 202)
    assert lines[1]["project_id"] == "default"


def test_a_key_that_is_sent_anywhere_reaches_no_line(
    client: TestClient, capfd: pytest.CaptureFixture[str]
) -> None:
    logs.configure("debug")
    try:
        client.get(f"/v1/jobs/{KEY}", headers={"Authorization": f"Bearer {KEY}"})
        client.get(f"/v1/jobs?name={KEY}")
        client.post("/v1/jobs", json={"dataset": KEY})
        client.get("/v1/jobs", headers={"X-Request-ID": KEY})
    finally:
        logging.getLogger().setLevel("ERROR")
    written = capfd.readouterr().err
    assert written
    assert "s" * 43 not in written
