"""The trained network as a file: what comes, under which name and digest, once and not again."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from safetensors.numpy import load as load_tensors
from starlette.testclient import TestClient

from api.deps import Server
from api.networks import Networks
from models import graphs
from models.datasets import bundled
from store import files, jobs, weights
from store.errors import FileDamaged
from tests.api.acting import pointers, problem, submit
from tests.api.trained import trained
from tests.models.networks import by_torch

FORMATS = ("onnx", "safetensors")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="module")
def job(client: TestClient, server: Server, folder: Path) -> str:
    return trained(client, server, folder, name='wild "name"\n.exe', dataset="iris")


def test_onnx_is_what_comes_unless_something_else_is_asked_for(
    client: TestClient, job: str, folder: Path
) -> None:
    response = client.get(f"/v1/jobs/{job}/model")
    assert response.content == client.get(f"/v1/jobs/{job}/model?format=onnx").content
    model = onnx.load_from_string(response.content)
    onnx.checker.check_model(model, full_check=True)
    said = {prop.key: prop.value for prop in model.metadata_props}
    dataset = client.get("/v1/datasets/iris").json()
    assert said["job_id"] == job
    assert json.loads(said["dataset"]) == {"name": "iris", "sha256": dataset["sha256"]}
    assert said["ridgeline"] == client.get("/v1/openapi.json").json()["info"]["version"]
    columns = bundled("iris").columns
    session = onnxruntime.InferenceSession(response.content)
    labels, found = session.run(None, {name: values[:, None] for name, values in columns.items()})
    expected, _ = by_torch(folder / "w.safetensors", columns)
    np.testing.assert_allclose(found, np.asarray(expected.probabilities), atol=1e-5)
    assert set(labels) <= set(json.loads(said["classes"]))


def test_safetensors_are_the_stored_bytes(client: TestClient, server: Server, job: str) -> None:
    response = client.get(f"/v1/jobs/{job}/model?format=safetensors")
    with server.database.of("default").reading() as tx:
        kept = weights.file(tx, job)
    assert hashlib.sha256(response.content).hexdigest() == kept.sha256
    assert int(response.headers["content-length"]) == kept.bytes == len(response.content)
    assert "output.weight" in load_tensors(response.content)


@pytest.mark.parametrize("form", FORMATS)
def test_a_file_tells_its_name_and_its_sha256(client: TestClient, job: str, form: str) -> None:
    response = client.get(f"/v1/jobs/{job}/model?format={form}")
    digest = hashlib.sha256(response.content)
    assert response.headers["content-disposition"] == f'attachment; filename="{job}.{form}"'
    assert response.headers["content-type"] == "application/octet-stream"
    assert response.headers["etag"] == f'"{digest.hexdigest()}"'
    assert response.headers["repr-digest"] == f"sha-256=:{base64.b64encode(digest.digest()).decode()}:"


def test_equal_trainings_have_equal_tags_and_their_onnx_files_name_equal_weights(
    client: TestClient, server: Server, tmp_path: Path
) -> None:
    """The same network was written twice: two jobs of one spec."""
    twins = [trained(client, server, tmp_path, dataset="iris") for _ in range(2)]
    tags = [client.get(f"/v1/jobs/{job}/model?format=safetensors").headers["etag"] for job in twins]
    models = [onnx.load_from_string(client.get(f"/v1/jobs/{job}/model").content) for job in twins]
    named = [{prop.key: prop.value for prop in model.metadata_props} for model in models]
    assert tags[0] == tags[1] == f'"{named[0]["weights_sha256"]}"'
    assert named[0]["weights_sha256"] == named[1]["weights_sha256"]


@pytest.mark.parametrize("form", FORMATS)
def test_a_file_that_the_client_has_is_not_sent_again(client: TestClient, job: str, form: str) -> None:
    address = f"/v1/jobs/{job}/model?format={form}"
    tag = client.get(address).headers["etag"]
    again = client.get(address, headers={"If-None-Match": f'"other", {tag}'})
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
    assert client.get(address, headers={"If-None-Match": '"other"'}).status_code == 200
    head = client.head(address)
    assert (head.status_code, head.content, head.headers["etag"]) == (200, b"", tag)


def test_a_file_is_not_made_again_to_say_that_it_is_known(
    client: TestClient, server: Server, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = trained(client, server, folder, name="asked often")
    address = f"/v1/jobs/{job}/model"
    built: list[str] = []
    write = graphs.model

    def counted(*given: Any, **options: Any) -> Any:
        built.append(threading.current_thread().name)
        return write(*given, **options)

    monkeypatch.setattr(graphs, "model", counted)
    card = client.get(f"/v1/jobs/{job}/card").json()
    first = client.head(address)
    assert (first.headers["etag"], len(built)) == (f'"{card["onnx"]["sha256"]}"', 1)
    assert client.get(address, headers={"If-None-Match": first.headers["etag"]}).status_code == 304
    assert client.get(f"/v1/jobs/{job}/card").json() == card
    assert len(built) == 1
    got = client.get(address)
    for header in ("content-length", "etag", "content-type", "repr-digest", "content-disposition"):
        assert first.headers[header] == got.headers[header], header
    assert int(first.headers["content-length"]) == len(got.content)


def test_files_are_made_two_at_a_time(
    server: Server, client: TestClient, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id = trained(client, server, folder, name="wanted by many")
    with server.database.of("default").reading() as tx:
        job, kept = jobs.get(tx, job_id), weights.file(tx, job_id)
    now: list[int] = []
    most: list[int] = []
    write = graphs.model

    def slow(*given: Any, **options: Any) -> Any:
        now.append(1)
        most.append(len(now))
        time.sleep(0.02)
        now.pop()
        return write(*given, **options)

    monkeypatch.setattr(graphs, "model", slow)
    networks = Networks(server.settings, server.files, server.file_work, "test")

    async def ask() -> None:
        await asyncio.gather(*(networks.exported(job, kept) for _ in range(8)))

    asyncio.run(ask())
    assert (len(most), max(most)) == (8, 2)


def test_what_cannot_be_asked_for_is_said(client: TestClient, job: str) -> None:
    document = problem(client.get(f"/v1/jobs/{job}/model?format=pickle"), 422)
    assert pointers(document) == ["/query/format"]
    problem(client.get(f"/v1/jobs/{job}/model", headers={"Accept": "application/json"}), 406)
    waiting = submit(client)["id"]
    assert problem(client.get(f"/v1/jobs/{waiting}/model"), 404)["type"].endswith("#no-weights")


def test_a_jobs_links_lead_to_what_there_is(client: TestClient, job: str) -> None:
    links = client.get(f"/v1/jobs/{job}").json()["links"]
    for name in ("weights", "model", "card"):
        assert client.get(links[name]).status_code == 200, name
    assert client.post(links["predict"], json={"rows": []}).status_code == 200


def test_a_file_of_many_pieces_that_is_damaged_is_cut_short(
    client: TestClient, server: Server, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last piece is held back until the digest is known, so nobody takes it for a whole one."""
    monkeypatch.setattr(files, "CHUNK", 100)
    (folder / "large").write_bytes(b"a" * 950)
    stored = server.files.put("weights/large.safetensors", folder / "large")
    assert b"".join(server.files.read(stored.key, sha256=stored.sha256)) == b"a" * 950
    (folder / "large").write_bytes(b"a" * 949 + b"b")
    server.files.put("weights/large.safetensors", folder / "large")
    pieces = server.files.read(stored.key, sha256=stored.sha256)
    assert sum(len(next(pieces)) for _ in range(9)) == 900
    with pytest.raises(FileDamaged):
        next(pieces)
