"""Clients that are not ours: one that nobody wrote by hand, and those that `examples/clients` shows.

One Ridgeline for all of them; a second API on the same database asks for keys. Pages come from a server of
their own, as a team's dashboard would, which the settings of both name as an origin.
"""

from __future__ import annotations

import functools
import http.server
import importlib
import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from store import keys
from store.session import Database
from store.tables import DEFAULT_PROJECT
from tests import browsers, curl
from tests.sources import ROOT
from tests.stacks import Stack, embedded, second_api

pytestmark = pytest.mark.timeout(180)

EXAMPLES = ROOT / "examples" / "clients"
WINE = ROOT / "examples" / "wine.csv"
PROGRAMS = Path(sys.executable).parent
WRONG_KEY = f"rl_{'0' * 32}_{'x' * 43}"


@dataclass(frozen=True)
class Served:
    """An API that listens, and the key it wants."""

    address: str
    key: str | None


@pytest.fixture(scope="module")
def origin() -> Iterator[str]:
    """Where the examples are pages: a server that has nothing to do with Ridgeline."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            """Nobody wants to know."""

    handler = functools.partial(Quiet, directory=ROOT / "examples")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, origin: str, prepared_folder: Path) -> Iterator[Stack]:
    with embedded(
        tmp_path_factory.mktemp("clients"), prepared=prepared_folder, killed=True, cors_origins=origin
    ) as running:
        yield running


@pytest.fixture(scope="module")
def asking(tmp_path_factory: pytest.TempPathFactory, stack: Stack) -> Iterator[Served]:
    """The same jobs and datasets behind keys."""
    with Database(stack.settings.database) as database, database.of(DEFAULT_PROJECT).writing() as tx:
        _, key = keys.add(tx, name="clients", scopes=["write"])
    with second_api(stack, tmp_path_factory.mktemp("asking"), auth="keys") as address:
        yield Served(address, key)


@pytest.fixture(scope="module")
def open_to_all(stack: Stack) -> Served:
    return Served(stack.address, None)


# ── one that nobody wrote by hand ───────────────────────────────────────────────────────────────────────────

Generated = tuple[ModuleType, str]
"""The package, and what its generator said."""


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory, stack: Stack) -> Iterator[Generated]:
    """openapi-python-client over the document of the running server."""
    folder = tmp_path_factory.mktemp("generated")
    command = [str(PROGRAMS / "openapi-python-client"), "generate", "--meta", "none"]
    command += ["--url", f"{stack.address}/v1/openapi.json", "--output-path", str(folder / "made_client")]
    # What it wrote is tidied up by a formatter that is not needed here.
    (folder / "generator.json").write_text('{"post_hooks": []}')
    command += ["--config", str(folder / "generator.json")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    sys.path.insert(0, str(folder))
    try:
        yield importlib.import_module("made_client"), done.stdout + done.stderr
    finally:
        sys.path.remove(str(folder))


@pytest.fixture
def client(generated: Generated, stack: Stack) -> Iterator[Any]:
    with generated[0].Client(base_url=stack.address) as client:
        yield client


def operation(name: str) -> ModuleType:
    """The module of an operation, whatever its tag."""
    package = importlib.import_module("made_client.api")
    (path,) = Path(str(package.__file__)).parent.glob(f"*/{name}.py")
    return importlib.import_module(f"made_client.api.{path.parent.name}.{name}")


def model(name: str) -> Any:
    return getattr(importlib.import_module("made_client.models"), name)


def test_the_generator_complains_of_nothing_but_other_bodies(generated: Generated) -> None:
    """A body may also be YAML, rows also CSV, which it leaves out; JSON stays."""
    complaints = [
        block.split("\n\n")[1] for block in re.split(r"^WARNING parsing ", generated[1], flags=re.M)[1:]
    ]
    assert set(complaints) == {
        f"Unsupported content type {kind}" for kind in ("application/yaml", "text/csv")
    }
    assert not re.search(r"^ERROR", generated[1], re.M)


def test_no_operation_and_no_model_is_lost(generated: Generated, stack: Stack) -> None:
    document = stack.client.get("/v1/openapi.json")
    wanted = {one["operationId"] for methods in document["paths"].values() for one in methods.values()}
    package = Path(str(generated[0].__file__)).parent
    assert {path.stem for path in package.glob("api/*/*.py")} - {"__init__"} == wanted
    models = importlib.import_module("made_client.models").__all__
    named = {re.sub(r"[^A-Za-z0-9]", "", name).lower() for name in document["components"]["schemas"]}
    assert named - {name.lower() for name in models} == set()


def test_it_submits_waits_reads_a_curve_and_predicts(client: Any) -> None:
    job = made_job(client, dataset=uploaded(client).id)
    while job.status not in ("succeeded", "failed", "cancelled"):
        job = operation("get_job").sync(job.id, client=client, wait=20)
    assert job.status == model("JobAnswerStatus").SUCCEEDED, job
    curve = operation("read_curve").sync(job.id, client=client, series="train_loss,val_loss")
    assert curve.epochs == list(range(1, job.result.last_epoch + 1))
    best = curve.epochs.index(job.result.best_epoch)
    assert curve.series["val_loss"][best] == pytest.approx(job.result.validation.loss, abs=1e-6)
    assert {marker.kind for marker in curve.markers} == {"best", "stopped"}
    events = operation("read_events").sync(job.id, client=client)
    assert [event.data["status"] for event in events.data if event.event == "end"] == ["succeeded"]
    assert predicted(client, job) == "class_0"


def uploaded(client: Any) -> Any:
    file = importlib.import_module("made_client.types").File
    with WINE.open("rb") as content:
        body = model("UploadDatasetBody")(file=file(content, WINE.name), target="target")
        return operation("upload_dataset").sync(client=client, body=body)


def predicted(client: Any, job: Any) -> str:
    """What the network says of the first wine."""
    row = operation("read_rows").sync(job.dataset.id, client=client, limit=1).data[0].to_dict()
    body = model("PredictionRequest")(rows=[model("PredictionRequestRowsItem").from_dict(row)])
    answer = operation("predict_rows").sync(job.id, client=client, body=body)
    (prediction,) = answer.predictions
    assert answer.classes == ["class_0", "class_1", "class_2"]
    assert sum(prediction.probabilities.additional_properties.values()) == pytest.approx(1)
    return str(prediction.label)


def made_job(client: Any, dataset: str) -> Any:
    """Submitted twice under one key, which makes one job."""
    techniques = model("Regularization")(
        l2=1e-4,
        dropout=[0.2],
        batch_norm=True,
        early_stopping=model("EarlyStoppingShorthand")(monitor="val_loss", patience=10),
    )
    network = model("NetworkSpec")(hidden=[32])
    spec = model("JobSpec")(dataset=dataset, network=network, regularization=techniques)
    sent = {"client": client, "body": spec, "idempotency_key": f"generated-{dataset}"}
    first, again = (operation("submit_job").sync(**sent) for _ in range(2))
    assert again.id == first.id
    assert first.spec.regularization.dropout.hidden == [0.2], "a shorthand comes back in full"
    return first


NOTHING_LOST = (
    ("/v1/jobs/{job}", "JobAnswer"),
    ("/v1/jobs/{job}/curves", "CurveAnswer"),
    ("/v1/jobs/{job}/weights", "WeightsAnswer"),
    ("/v1/jobs/{job}/card", "ModelCard"),
    ("/v1/jobs/{job}/diagnosis", "DiagnosisAnswer"),
    ("/v1/jobs/{job}/events", "ListingLoggedEvent"),
    ("/v1/jobs", "ListingJobAnswer"),
    ("/v1/datasets/{dataset}", "DatasetDetail"),
    ("/v1/datasets/{dataset}/rows", "Rows"),
    ("/v1/workers", "ListingWorkerAnswer"),
    ("/readyz", "Readiness"),
)


@pytest.fixture(scope="module")
def linear(stack: Stack) -> dict[str, Any]:
    """A finished job with something in every part of its answers."""
    dataset = stack.client.upload(WINE, target="target")
    spec = {
        "dataset": dataset["id"],
        "network": {"hidden": []},
        "regularization": {"l1": 0.01},
        "optimizer": {"kind": "fista"},
        "metadata": {"team": "risk", "year": 2026},
    }
    job = stack.client.post("/v1/jobs", spec)
    while job["status"] not in ("succeeded", "failed", "cancelled"):
        job = stack.client.get(f"/v1/jobs/{job['id']}", wait=20)
    return {"job": job["id"], "dataset": dataset["id"]}


@pytest.mark.parametrize(("path", "name"), NOTHING_LOST, ids=[name for _, name in NOTHING_LOST])
def test_its_models_hold_all_of_an_answer(
    generated: Generated, stack: Stack, linear: dict[str, Any], path: str, name: str
) -> None:
    answer = stack.client.get(path.format(**linear))
    assert comparable(model(name).from_dict(answer).to_dict()) == comparable(answer)


def comparable(answer: Any) -> Any:
    """Times apart, which may be written with Z or +00:00."""
    return json.loads(re.sub(r"(\d{2}:\d{2}(?:\.\d+)?)(?:Z|\+00:00)\"", r'\1"', json.dumps(answer)))


def test_what_is_refused_is_a_typed_problem(client: Any, generated: Generated, asking: Served) -> None:
    missing = operation("get_job").sync("job_0", client=client)
    assert (type(missing).__name__, missing.status) == ("Problem", 404)
    wrong = operation("submit_job").sync(client=client, body=model("JobSpec")(dataset="irys"))
    assert (wrong.status, wrong.errors[0].pointer, wrong.errors[0].suggestion) == (422, "/dataset", "iris")
    for key, told in ((WRONG_KEY, "Problem"), (asking.key, "ListingJobAnswer")):
        with generated[0].AuthenticatedClient(base_url=asking.address, token=key) as keyed:
            assert type(operation("list_jobs").sync(client=keyed)).__name__ == told


# ── those that are shown ────────────────────────────────────────────────────────────────────────────────────

CURVE = r"best epoch (\d+)"
FIRST_WINE = "class_0"
LIVE = r"^epoch +\d+  0\.\d+  0\.\d+$"


@dataclass(frozen=True)
class Done:
    """A program that has ended."""

    code: int
    said: str


def run(command: list[str], folder: Path, served: Served) -> Done:
    """A program by itself, told where to and with which key as people would tell it."""
    (folder / "httpie").mkdir(exist_ok=True)
    (folder / "httpie" / "config.json").write_text('{"disable_update_warnings": true}')
    own = {
        "PATH": f"{curl.on_path(folder)}:{PROGRAMS}:{os.environ['PATH']}",
        "HTTPIE_CONFIG_DIR": str(folder / "httpie"),
        **({"RIDGELINE_KEY": served.key} if served.key else {}),
    }
    done = subprocess.run(
        [*command, served.address],
        env={**os.environ, **own},
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    return Done(done.returncode, done.stdout + done.stderr)


def node() -> str:
    """The Node that Playwright brings along."""
    from playwright._impl._driver import compute_driver_executable

    return str(compute_driver_executable()[0])


COMMANDS = {
    "curl": ["sh", str(EXAMPLES / "with_curl.sh")],
    "httpie": ["sh", str(EXAMPLES / "with_httpie.sh")],
    "httpx": [sys.executable, str(EXAMPLES / "with_httpx.py")],
    "node": [node(), str(EXAMPLES / "with_eventsource.mjs")],
}
WAYS = {
    "open_to_all": ("curl", "node"),
    "asking": ("curl", "httpie", "httpx", "node"),
}
"""Which of them is run where; HTTPie takes half a second to start, each of five times."""


@pytest.mark.parametrize(("way", "name"), [(way, name) for way, names in WAYS.items() for name in names])
def test_an_example_trains_follows_and_reads_the_curve_and_predicts(
    way: str, name: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    done = run(COMMANDS[name], tmp_path, request.getfixturevalue(way))
    assert done.code == 0, done.said
    seen = re.findall(LIVE, done.said, re.M)
    best = re.findall(CURVE, done.said)
    assert best, done.said
    assert len(seen) == int(best[-1]) + 10, "ten epochs of patience behind the best, each of them seen"
    assert FIRST_WINE in done.said.splitlines()[-1]


@pytest.mark.parametrize("name", COMMANDS)
def test_an_example_that_is_refused_fails_and_says_why(name: str, asking: Served, tmp_path: Path) -> None:
    done = run(COMMANDS[name], tmp_path, Served(asking.address, WRONG_KEY))
    assert done.code != 0
    assert "401" in done.said, done.said
    assert WRONG_KEY not in done.said


def test_who_is_refused_while_still_sending_hears_why(asking: Served) -> None:
    """Node and browsers write on while an answer is there already: closing on them would cost them that."""
    host, _, port = asking.address.removeprefix("http://").partition(":")
    head = f"POST /v1/datasets HTTP/1.1\r\nHost: {host}\r\nContent-Length: 20000\r\n\r\n"
    with socket.create_connection((host, int(port)), timeout=10) as line:
        for part in (head.encode(), b"x" * 10_000, b"x" * 10_000):
            line.sendall(part)
            time.sleep(0.1)
        assert line.recv(100).startswith(b"HTTP/1.1 401 ")


def test_the_stand_in_for_curl_does_as_curl_does(asking: Served, tmp_path: Path) -> None:
    """Where a machine has no curl, the test above was run with it alone."""
    (tmp_path / "curl").write_text(f'#!/bin/sh\nexec "{sys.executable}" "{curl.__file__}" "$@"\n')
    (tmp_path / "curl").chmod(0o755)
    done = run(["env", f"PATH={tmp_path}:{os.environ['PATH']}", *COMMANDS["curl"]], tmp_path, asking)
    assert done.code == 0, done.said
    assert re.findall(CURVE, done.said)
    assert FIRST_WINE in done.said.splitlines()[-1]


IN_A_PAGE = """
async ([server, key]) => {
    const { train } = await import("/clients/with_eventsource.mjs");
    const csv = await (await fetch("/wine.csv")).text();
    const lines = [];
    try {
        const tell = (line) => lines.push(line);
        const { job, curve, prediction } = await train({ server, key, csv, tell });
        return { lines, best: job.result.best_epoch, epochs: curve.epochs, label: prediction.label };
    } catch (error) {
        return { error: error.message };
    }
}
"""


@pytest.fixture(scope="module")
def page(origin: str) -> Iterator[Any]:
    """A page of the other origin, in a real browser."""
    with browsers.chromium() as browser:
        opened = browser.new_page()
        opened.goto(f"{origin}/clients/")
        yield opened


@pytest.mark.browser
@pytest.mark.parametrize(("way", "kind"), [("open_to_all", "eventsource"), ("asking", "fetch")])
def test_the_example_for_browsers_works_in_one(
    page: Any, way: str, kind: str, request: pytest.FixtureRequest
) -> None:
    """By EventSource where it may, and where a key must be sent by fetch."""
    served = request.getfixturevalue(way)
    asked: list[Any] = []
    page.on("request", lambda request: asked.append(request))
    done = page.evaluate(IN_A_PAGE, [served.address, served.key])
    assert len([line for line in done["lines"] if re.match(LIVE, line)]) == done["best"] + 10
    assert done["epochs"] == list(range(1, done["best"] + 11))
    assert done["label"] == FIRST_WINE
    streams = [
        one.resource_type for one in asked if f"{served.address}/v1/jobs/" in one.url if "/events" in one.url
    ]
    assert streams == [kind], "one stream from beginning to end"


@pytest.mark.browser
def test_in_a_browser_what_is_refused_is_said(page: Any, asking: Served) -> None:
    refused = page.evaluate(IN_A_PAGE, [asking.address, WRONG_KEY])
    assert refused["error"].startswith("401")
