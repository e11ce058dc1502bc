"""Predictions over HTTP: what is asked, what is answered, who may ask, and that nothing breaks the server."""

from __future__ import annotations

import asyncio
import csv
import dataclasses
import io
import json
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from starlette.testclient import TestClient

from api import networks as networks_module
from api.access import Caller
from api.deps import Server
from api.examples import ROWS, ROWS_AS_CSV
from api.footprint import footprint
from api.networks import LARGE_BYTES, Networks
from api.predictions import most_rows
from api.routes.predictions import _kept as kept_of
from models import prediction
from models.datasets import bundled
from models.prediction import Predictor
from models.trained import read
from store import projects, weights
from store.errors import NotFound
from store.files import Files
from tests.api.acting import pointers, problem, submit
from tests.api.trained import trained
from tests.models.building import table
from tests.models.networks import as_sent, by_torch, mixed_table, strange_rows, written

CSV = {"Content-Type": "text/csv"}
Row = dict[str, Any]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("networks")


@pytest.fixture(scope="module")
def iris(client: TestClient, server: Server, folder: Path) -> str:
    return trained(client, server, folder)


@pytest.fixture(scope="module")
def diabetes(client: TestClient, server: Server, folder: Path) -> str:
    return trained(client, server, folder, dataset="diabetes")


def flowers(count: int = 3) -> list[Row]:
    columns = bundled("iris").columns
    return [{name: float(values[row * 40]) for name, values in columns.items()} for row in range(count)]


def asked(client: TestClient, job: str, rows: Any, **options: Any) -> dict[str, Any]:
    response = client.post(f"/v1/jobs/{job}/predict", json={"rows": rows}, **options)
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


# ── answers ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_labels_and_probabilities_are_torchs(client: TestClient, iris: str, folder: Path) -> None:
    answer = asked(client, iris, flowers())
    expected, _ = by_torch(
        written(folder / "same", bundled("iris")),
        {name: values[[0, 40, 80]] for name, values in bundled("iris").columns.items()},
    )
    assert (answer["job_id"], answer["task"], answer["target"]) == (iris, "classification", "target")
    assert answer["classes"] == ["setosa", "versicolor", "virginica"]
    for said, chances in zip(answer["predictions"], np.asarray(expected.probabilities), strict=True):
        assert said["label"] == answer["classes"][int(chances.argmax())]
        assert list(said["probabilities"]) == answer["classes"]
        np.testing.assert_allclose(list(said["probabilities"].values()), chances, atol=1e-5)
        assert said.keys() == {"label", "probabilities"}


def test_values_are_in_the_targets_units(client: TestClient, diabetes: str, folder: Path) -> None:
    columns = bundled("diabetes").columns
    rows = [{name: float(values[row]) for name, values in columns.items()} for row in range(2)]
    answer = asked(client, diabetes, rows)
    expected, _ = by_torch(
        written(folder / "same", bundled("diabetes")), {name: each[:2] for name, each in columns.items()}
    )
    assert (answer["task"], answer["classes"]) == ("regression", None)
    values = [said["value"] for said in answer["predictions"]]
    np.testing.assert_allclose(values, np.asarray(expected.values), rtol=1e-5)


def test_columns_of_every_kind_missing_and_unknown(client: TestClient, server: Server, folder: Path) -> None:
    table = mixed_table("binary")
    job = trained(client, server, folder, table=table)
    columns = strange_rows(table)
    expected, _ = by_torch(folder / "w.safetensors", columns)
    kinds = {column.name: column.kind for column in table.description.columns}

    def cell(name: str, row: int) -> Any:
        value = columns[name][row]
        if kinds[name] == "categorical":
            return value
        if not np.isfinite(value):
            return None if np.isnan(value) else str(value)
        if kinds[name] == "boolean":
            return bool(value) if value in (0, 1) else None
        return float(value)

    odd = [row for row in range(60, 68) if columns["day"][row] == 0 or not np.isfinite(columns["day"][row])]
    rows = [{name: cell(name, row) for name in columns} for row in odd]
    for row in rows:
        row["day"] = None if row["day"] != 0.0 else "1970-01-01"
        row["smoker"] = None
    sent = {name: values[odd] for name, values in columns.items()} | {"smoker": np.full(len(odd), np.nan)}
    expected, _ = by_torch(folder / "w.safetensors", sent)
    answer = asked(client, job, rows)
    second = [said["probabilities"]["yes"] for said in answer["predictions"]]
    np.testing.assert_allclose(second, np.asarray(expected.probabilities), atol=1e-5)


@pytest.mark.parametrize("name", ROWS)
def test_the_examples_work_when_sent(client: TestClient, iris: str, name: str) -> None:
    body = client.get("/v1/openapi.json").json()["paths"]["/v1/jobs/{job_id}/predict"]["post"]["requestBody"]
    example = body["content"]["application/json"]["examples"][name]["value"]
    assert len(asked(client, iris, example["rows"])["predictions"]) == len(example["rows"])
    example = body["content"]["text/csv"]["example"]
    response = client.post(f"/v1/jobs/{iris}/predict", content=example, headers=CSV)
    assert len(response.json()["predictions"]) == 2


def test_csv_asks_and_answers_the_same(client: TestClient, iris: str, diabetes: str) -> None:
    rows = flowers()
    text = io.StringIO()
    writer = csv.DictWriter(text, rows[0])
    writer.writeheader()
    writer.writerows(rows)
    address = f"/v1/jobs/{iris}/predict"
    by_json = asked(client, iris, rows)
    assert client.post(address, content=text.getvalue(), headers=CSV).json() == by_json
    response = client.post(address, json={"rows": rows}, headers={"Accept": "text/csv"})
    assert response.headers["content-type"].startswith("text/csv")
    assert response.headers["vary"] == "Accept"
    lines = list(csv.DictReader(io.StringIO(response.text)))
    assert [line.pop("label") for line in lines] == [said["label"] for said in by_json["predictions"]]
    for line, said in zip(lines, by_json["predictions"], strict=True):
        assert {f"probability of {name}": value for name, value in said["probabilities"].items()} == {
            name: float(value) for name, value in line.items()
        }
    values = dict.fromkeys(bundled("diabetes").columns, 0.01)
    response = client.post(
        f"/v1/jobs/{diabetes}/predict", json={"rows": [values]}, headers={"Accept": "text/csv"}
    )
    head, value = response.text.split()
    assert (head, float(value)) == ("value", asked(client, diabetes, [values])["predictions"][0]["value"])


def test_levels_that_training_did_not_know_are_told(client: TestClient, server: Server, folder: Path) -> None:
    """In JSON in the answer, beside a table in headers; an unknown level alone answers as if it were none."""
    data = mixed_table("binary")
    job = trained(client, server, folder, table=data, name="levels")
    row: Row = {column.name: None for column in data.description.columns}
    text = next(column for column in data.description.columns if column.kind == "categorical")
    assert text.levels
    assert asked(client, job, [{**row, text.name: text.levels[0]}])["notices"] == []
    strange = {"rows": [row, {**row, text.name: "nowhere\nto be sèen"}]}
    address = f"/v1/jobs/{job}/predict"
    (notice,) = client.post(address, json=strange).json()["notices"]
    assert notice["pointer"] == f"/rows/1/{text.name}"
    assert f"is no level of column '{text.name}' that the network knows" in notice["detail"]
    response = client.post(address, json=strange, headers={"Accept": "text/csv"})
    assert [json.loads(each) for each in response.headers.get_list("Ridgeline-Notice")] == [notice]


def test_no_rows_no_predictions(client: TestClient, iris: str) -> None:
    assert asked(client, iris, [])["predictions"] == []
    response = client.post(
        f"/v1/jobs/{iris}/predict", content=ROWS_AS_CSV.split()[0], headers=CSV | {"Accept": "text/csv"}
    )
    assert response.status_code == 422  # The first word is no whole header.
    header = ROWS_AS_CSV.splitlines()[0]
    response = client.post(f"/v1/jobs/{iris}/predict", content=header, headers=CSV | {"Accept": "text/csv"})
    assert response.text.startswith("label,probability of setosa")


def test_what_is_no_number_is_null_and_named(client: TestClient, server: Server, folder: Path) -> None:
    """A network that diverged, for a class and for a value."""

    def damage(path: Path) -> None:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata()
        tensors = load_file(path)
        tensors["output.bias"][:] = float("nan")
        save_file(tensors, path, metadata=metadata)

    job = trained(client, server, folder, damage=damage, name="diverged")
    (said,) = asked(client, job, flowers(1))["predictions"]
    assert said["label"] is None
    assert said["probabilities"] == dict.fromkeys(["setosa", "versicolor", "virginica"])
    assert said["nonfinite"] == dict.fromkeys(said["probabilities"], "nan")
    headers = {"Accept": "text/csv"}
    lines = client.post(f"/v1/jobs/{job}/predict", json={"rows": flowers(1)}, headers=headers).text
    assert lines.splitlines()[1] == ",nan,nan,nan"
    job = trained(client, server, folder, damage=damage, dataset="diabetes", name="diverged")
    row = dict.fromkeys(bundled("diabetes").columns)
    assert asked(client, job, [row])["predictions"] == [{"value": None, "nonfinite": {"value": "nan"}}]


# ── refusals ────────────────────────────────────────────────────────────────────────────────────────────────


def test_an_unknown_column_is_pointed_to_with_the_nearest_name(client: TestClient, iris: str) -> None:
    rows = [*flowers(), {**flowers(1)[0], "petal lenght (cm)": 1.0}]
    document = problem(client.post(f"/v1/jobs/{iris}/predict", json={"rows": rows}), 422)
    assert document["type"] == "/docs/problems#rows"
    (error,) = document["errors"]
    assert (error["pointer"], error["suggestion"]) == ("/rows/3/petal lenght (cm)", "petal length (cm)")


BODIES: dict[bytes, tuple[int, list[str]]] = {
    b"": (400, []),
    b"[]": (400, []),
    b"{": (400, []),
    b'{"rows": [{"a": NaN}]}': (400, []),
    b'{"rows": [{"a":, "NaN"}]}': (400, []),
    b"{}": (422, ["/rows"]),
    b'{"rows": [], "threshold": 1}': (422, ["/threshold"]),
    b'{"rows": 1}': (422, ["/rows"]),
    b'{"rows": [1]}': (422, ["/rows/0"]),
    b'{"rows": [{}]}': (422, ["/rows/0"]),
}


@pytest.mark.parametrize("body", BODIES)
def test_a_body_that_is_none_is_refused(client: TestClient, iris: str, body: bytes) -> None:
    status, where = BODIES[body]
    headers = {"Content-Type": "application/json"}
    document = problem(client.post(f"/v1/jobs/{iris}/predict", content=body, headers=headers), status)
    assert ("JSON has no NaN: write null" in document["detail"]) == (b": NaN" in body)
    assert [error["pointer"] for error in document.get("errors", [])] == where


def test_media_types_are_two_in_and_two_out(client: TestClient, iris: str) -> None:
    address = f"/v1/jobs/{iris}/predict"
    problem(client.post(address, content="a: 1", headers={"Content-Type": "application/yaml"}), 415)
    problem(client.post(address, json={"rows": []}, headers={"Accept": "image/png"}), 406)
    problem(client.post(f"{address}?rows=1", json={"rows": []}), 422)
    problem(client.get(address), 405)


def test_limits_are_named(client: TestClient, iris: str, server: Server) -> None:
    row = flowers(1)[0]
    rows = [row] * (server.settings.max_predict_rows + 1)
    document = problem(client.post(f"/v1/jobs/{iris}/predict", json={"rows": rows}), 422)
    assert pointers(document) == ["/rows"]
    assert "RIDGELINE_MAX_PREDICT_ROWS" in document["detail"]
    content = b" " * (server.settings.max_predict_bytes + 1)
    problem(client.post(f"/v1/jobs/{iris}/predict", content=content, headers=CSV), 413)
    assert len(asked(client, iris, [row] * 10_000)["predictions"]) == 10_000


def test_a_job_without_weights_cannot_be_asked(client: TestClient) -> None:
    job = submit(client)["id"]
    for known, kind in ((job, "no-weights"), ("job_" + "0" * 32, "not-found"), ("nothing", "not-found")):
        document = problem(client.post(f"/v1/jobs/{known}/predict", json={"rows": []}), 404)
        assert document["type"].endswith(kind)


def test_a_deleted_job_cannot_be_asked_although_it_was_just_now(
    client: TestClient, server: Server, folder: Path
) -> None:
    job = trained(client, server, folder)
    asked(client, job, flowers())
    assert client.delete(f"/v1/jobs/{job}").status_code == 204
    problem(client.post(f"/v1/jobs/{job}/predict", json={"rows": flowers()}), 404)


DAMAGES = {
    "cut": lambda path: path.write_bytes(path.read_bytes()[:-1]),
    "foreign": lambda path: path.write_bytes(b"x" * 100),
    "other tensors": lambda path: save_file(
        load_file(path), path, metadata=read(path).about.metadata() | {"spec": "{}"}
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_weights_that_cannot_be_used_are_a_problem_and_no_fault(
    client: TestClient, server: Server, folder: Path, damage: str
) -> None:
    job = trained(client, server, folder, damage=DAMAGES[damage], name=damage)
    for _ in range(2):
        document = problem(client.post(f"/v1/jobs/{job}/predict", json={"rows": flowers()}), 409)
        assert document["type"].endswith("#weights")


@pytest.mark.parametrize("words", ["std::bad_alloc", "Failed to allocate memory for requested buffer"])
def test_memory_that_runs_out_is_an_outage_and_not_the_weights_fault(
    client: TestClient, iris: str, monkeypatch: pytest.MonkeyPatch, words: str
) -> None:
    class Exhausted:
        def run(self, *_: Any) -> Any:
            raise RuntimeError(f"[ONNXRuntimeError] : 6 : RUNTIME_EXCEPTION : {words}")

    predict = Predictor.predict

    def exhausted(self: Predictor, columns: Any) -> Any:
        return predict(Predictor(self.about, Exhausted()), columns)

    monkeypatch.setattr(Predictor, "predict", exhausted)
    response = client.post(f"/v1/jobs/{iris}/predict", json={"rows": flowers()})
    assert problem(response, 503)["type"].endswith("#unavailable")
    assert response.headers["retry-after"]


def test_weights_that_are_gone_or_changed_are_a_problem_too(
    client: TestClient, server: Server, folder: Path
) -> None:
    job = trained(client, server, folder, name="to be lost", training={"seed": 77})
    with server.database.of("default").reading() as tx:
        kept = weights.file(tx, job)
    (folder / "other").write_bytes(b"other bytes")
    server.files.put(kept.key, folder / "other")
    for address in ("predict", "model", "model?format=safetensors"):
        send = client.post if address == "predict" else client.get
        assert problem(
            send(f"/v1/jobs/{job}/{address}", **({"json": {"rows": []}} if send == client.post else {})), 409
        )
    server.files.delete(kept.key)
    problem(client.post(f"/v1/jobs/{job}/predict", json={"rows": []}), 409)
    problem(client.get(f"/v1/jobs/{job}/model?format=safetensors"), 409)


CELLS = st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=5)
VALUES = st.recursive(CELLS, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(), inner))
NAMES = st.sampled_from([*bundled("iris").columns, "target", "petal"]) | st.text(max_size=5)
JSON_BODIES = st.dictionaries(NAMES, VALUES, max_size=6).map(lambda row: {"rows": [row]}) | VALUES


@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(
    body=JSON_BODIES.map(json.dumps).map(str.encode) | st.binary(max_size=30),
    kind=st.sampled_from(["json", "csv"]),
)
def test_nothing_that_is_sent_breaks_it(client: TestClient, iris: str, body: bytes, kind: str) -> None:
    media_type = {"json": "application/json", "csv": "text/csv"}[kind]
    answer = client.post(f"/v1/jobs/{iris}/predict", content=body, headers={"Content-Type": media_type})
    if answer.status_code != 200:
        problem(answer, answer.status_code)
        assert answer.status_code in (400, 422)


NUMBERS = st.none() | st.floats(allow_nan=False, allow_infinity=False) | st.sampled_from(["inf", "-inf", "?"])


@settings(max_examples=30, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(rows=st.lists(st.fixed_dictionaries(dict.fromkeys(bundled("iris").columns, NUMBERS)), max_size=3))
def test_whatever_a_number_is_it_is_answered(client: TestClient, iris: str, rows: list[Row]) -> None:
    for said in asked(client, iris, rows)["predictions"]:
        assert sum(said["probabilities"].values()) == pytest.approx(1, abs=1e-5)


# ── what is kept ready ──────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def networks(server: Server) -> Networks:
    """Of its own, with room for two."""
    chosen = {"ready_networks": 2, "ready_bytes": 2**30}
    return Networks(server.settings.model_copy(update=chosen), server.files, server.file_work, "test")


def stored(server: Server, folder: Path, seed: int) -> Any:
    path = written(folder / f"w{seed}", bundled("iris"), seed=seed)
    return server.files.put(f"weights/test-{seed}.safetensors", path)


def counted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    made: list[str] = []
    make = Predictor.of.__func__  # type: ignore[attr-defined]

    def of(network: Any) -> Predictor:
        made.append(threading.current_thread().name)
        found: Predictor = make(Predictor, network)
        return found

    monkeypatch.setattr(prediction.Predictor, "of", of)
    return made


def test_a_network_is_made_once_however_many_ask(
    server: Server, folder: Path, networks: Networks, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, kept = counted(monkeypatch), stored(server, folder, 1)

    async def ask() -> None:
        first, *rest = [asyncio.create_task(networks.ready(kept)) for _ in range(20)]
        await asyncio.sleep(0)
        first.cancel()
        found = await asyncio.gather(*rest)
        assert len({id(each) for each in found}) == 1
        assert (await networks.ready(kept)) is found[0]

    asyncio.run(ask())
    assert len(made) == 1
    assert made[0] != threading.main_thread().name


def test_those_asked_least_lately_go_first(
    server: Server, folder: Path, networks: Networks, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = counted(monkeypatch)
    one, two, three = (stored(server, folder, seed) for seed in (1, 2, 3))

    async def ask() -> None:
        for each in (one, two, one, three, one):
            await networks.ready(each)
        assert len(made) == 3
        await networks.ready(two)
        assert len(made) == 4

    asyncio.run(ask())


def test_what_is_larger_than_there_is_room_is_used_and_not_kept(
    server: Server, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, kept = counted(monkeypatch), stored(server, folder, 1)
    small = Networks(
        server.settings.model_copy(update={"ready_bytes": 1000}), server.files, server.file_work, "test"
    )

    async def ask() -> None:
        for _ in range(2):
            assert (await small.ready(kept)).predictor.predict(as_sent(bundled("iris").columns)).labels

    asyncio.run(ask())
    assert len(made) == 2


def test_two_made_at_once_take_no_more_than_there_is_room_for(
    server: Server, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = (stored(server, folder, seed) for seed in (1, 2))
    size = footprint(read(folder / "w1"), one.bytes)
    chosen = {"ready_bytes": int(1.5 * size)}
    networks = Networks(server.settings.model_copy(update=chosen), server.files, server.file_work, "test")
    made = counted(monkeypatch)

    async def ask() -> None:
        await asyncio.gather(networks.ready(one), networks.ready(two))
        await asyncio.gather(networks.ready(one), networks.ready(two))

    asyncio.run(ask())
    assert len(made) == 3  # one of them was kept


_READY_BYTES = 16 * 2**20
_GROWTH = """
import asyncio, json, sys
from pathlib import Path
from api.file_work import FileWork
from api.networks import Networks
from store.files import Files, Stored
from store.settings import Settings

def resident():
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return 1024 * int(line.split()[1])

async def main(folder, first, *others):
    settings = Settings(data_dir=Path(folder) / "data", ready_bytes=int(sys.argv[2]))
    networks = Networks(settings, Files(folder), FileWork(), "test")
    await networks.ready(Stored(*first))
    before, most = resident(), 0
    for each in others:
        found = await networks.ready(Stored(*each))
        most = max(most, resident() - before)
    print(resident() - before, most)

asyncio.run(main(sys.argv[1], *json.loads(sys.argv[3])))
"""


if sys.platform == "linux":  # What is measured is what glibc and the kernel do.

    def test_what_is_ready_takes_no_more_memory_than_is_meant_for_it(tmp_path: Path) -> None:
        """Two dozen networks of 2 MB, asked one after another: they grew a server by three times as much."""
        files = Files(str(tmp_path))
        path = written(tmp_path / "w", bundled("diabetes"), network={"hidden": [700, 700]})
        content = path.read_bytes()
        kept = [files.put("weights/0.safetensors", written(tmp_path / "small", bundled("iris")))]
        for number in range(1, 25):
            # Another network to whoever keeps them, by one of its last numbers.
            path.write_bytes(content[:-8] + number.to_bytes(8, "little"))
            kept.append(files.put(f"weights/{number}.safetensors", path))
        told = json.dumps([[each.key, each.sha256, each.bytes] for each in kept])
        command = [sys.executable, "-c", _GROWTH, str(tmp_path), str(_READY_BYTES), told]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        grown, most = map(int, done.stdout.split())
        assert 0.5 * _READY_BYTES < grown < _READY_BYTES + 8 * 2**20
        assert most < _READY_BYTES + 16 * 2**20


def test_predictions_count_no_work_in_an_answer_that_is_little(networks: Networks) -> None:
    """A row is answered while larger ones wait for their turn."""

    async def ask() -> list[str]:
        order: list[str] = []
        release = asyncio.Event()

        async def large(name: str) -> None:
            async with networks.turn(is_much=True):
                await release.wait()
                order.append(name)

        waiting = [asyncio.create_task(large(str(number))) for number in range(3)]
        await asyncio.sleep(0.01)
        async with networks.turn(is_much=False):
            order.append("little")
        release.set()
        await asyncio.gather(*waiting)
        return order

    assert asyncio.run(ask())[0] == "little"


def test_much_work_is_told_by_what_is_computed_and_not_by_the_body_alone(
    server: Server, folder: Path, networks: Networks
) -> None:
    """A kilobyte about a wide network takes a turn, and so does whatever has many classes."""
    kept = stored(server, folder, 1)
    ready = asyncio.run(networks.ready(kept))
    assert (ready.classes, ready.weights) == (3, kept.bytes // 4)
    small = b'{"rows": [' + b"{}," * 10 + b"{}]}"
    assert most_rows(small, "application/json") == 12
    assert most_rows(b"a,b\r\n1,2\r3,4", "text/csv") >= 2
    assert not ready.is_much(len(small), most_rows(small, "application/json"))
    assert ready.is_much(LARGE_BYTES, 1)
    wide = dataclasses.replace(ready, weights=2_000_000)
    many = dataclasses.replace(ready, classes=1000)
    assert wide.is_much(len(small), 12)
    assert many.is_much(len(small), 12)
    assert not wide.is_much(len(small), 1)


def test_much_work_takes_its_turn(client: TestClient, iris: str, monkeypatch: pytest.MonkeyPatch) -> None:
    asked_for: list[bool] = []
    turn = Networks.turn

    def watched(self: Networks, *, is_much: bool) -> Any:
        asked_for.append(is_much)
        return turn(self, is_much=is_much)

    monkeypatch.setattr(Networks, "turn", watched)
    asked(client, iris, flowers())
    monkeypatch.setattr(networks_module, "_LARGE", (2**20, 10_000, 1_000))
    asked(client, iris, flowers())
    assert asked_for == [False, True]


def test_columns_and_levels_are_estimated_as_well(folder: Path) -> None:
    """Their names, statistics and nodes take more than their weights; so they did where it was measured."""
    x = np.random.default_rng(0).normal(size=(20, 500))
    path = written(folder / "many", table(x, x[:, 0]), network={"hidden": []})
    weights = 4 * 501
    estimate = footprint(read(path), path.stat().st_size)
    assert estimate > 2 * weights + 500 * 3000
    levels = written(folder / "levels", mixed_table("regression"), network={"hidden": []})
    assert footprint(read(levels), levels.stat().st_size) > 2 * 12 * 1024


def test_what_is_ready_is_another_projects_all_the_same(
    client: TestClient, server: Server, iris: str
) -> None:
    """It is the row that decides, before anybody looks at what is kept ready."""
    asked(client, iris, flowers(1))
    with server.database.writing() as tx:
        other = projects.add(tx, name="other", quotas={}).id
    stranger = Caller(other, None, frozenset({"read"}), server.database.of(other))
    with pytest.raises(NotFound, match="no job"):
        kept_of(stranger, iris)
