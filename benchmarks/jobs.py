"""The way through the whole service, with two warm workers: what it adds to training, and what it carries.

Times run from before the first request is sent to what the rows say: the server and we read one clock.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import datetime
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks import ours
from benchmarks.errands import Errand, ask_all
from benchmarks.measuring import ALIKE, Row, milliseconds, seconds
from benchmarks.rivals.textbook import Textbook
from benchmarks.workloads import W1, W3, mnist
from cli.client import Client
from models.datasets import bundled
from models.defaults import complete
from models.preprocessing import prepare
from models.spec import JobSpec
from models.training import Training
from tests.stacks import embedded

ROUNDS, STARTS = 3, 30
SUBMITTERS = 4
"""Requests under way at the same time, from one client."""
POLL_SECONDS, PATIENCE_SECONDS = 0.05, 120.0
WORK_SECONDS = 5.0
EPOCHS_OF_MANY, MANY = 50, 64
GRID_ROWS = 3_000

Settings = dict[str, Any]


def iris(epochs: int) -> Settings:
    """As small as a job gets."""
    return {
        "dataset": "iris",
        "network": {"hidden": [16]},
        "regularization": {"l2": 1e-4},
        "training": {"max_epochs": epochs, "batch_size": 32},
        "metrics": ["accuracy"],
    }


def measure() -> Iterator[Row]:
    torch.set_num_threads(1)
    with ExitStack() as running:
        folder = Path(running.enter_context(tempfile.TemporaryDirectory()))
        client = running.enter_context(embedded(folder, concurrency=2)).client
        direct = [running.enter_context(Errand("benchmarks.jobs:bare")) for _ in range(2)]
        through(client, [iris(1)] * 20)  # Both workers are warm now.
        start = _start(client)
        yield Row(
            "one warm job, submit to running",
            milliseconds(start),
            "",
            "",
            "≤ 60 ms",
            start <= 0.060,
        )
        yield _overhead(client, direct[0])
        yield _at_once(client, direct, start)
        yield _throughput(client)
        yield _grid(client, folder)
        yield _many(client)


# ── what the service adds ───────────────────────────────────────────────────────────────────────────────────


def _start(client: Client) -> float:
    """The median of a good many, one after another."""
    waits = []
    for _ in range(STARTS):
        began = time.time()
        (job,) = finished(client, [client.post("/v1/jobs", iris(1))["id"]])
        waits.append(moment(job["started_at"]) - began)
    return statistics.median(waits)


def _overhead(client: Client, direct: Errand) -> Row:
    """A job of five seconds against the same training called directly."""
    settings = W1.settings(5, 0, "digits")
    epochs = round(5 * WORK_SECONDS / direct.ask([settings, 1])) or 1
    settings = W1.settings(epochs, 0, "digits")
    pairs = [(seconds(lambda: run(client, settings)), direct.ask([settings, 1])) for _ in range(ROUNDS)]
    served, bare_seconds = (statistics.median(times) for times in zip(*pairs, strict=True))
    ratio = statistics.median(own / other for own, other in pairs)
    return Row(
        f"one job, digits, {epochs} epochs, submit to succeeded",
        f"{served:.2f} s",
        f"called directly {bare_seconds:.2f} s",
        f"{ratio:.2f}×",
        "≤ 1.10×",
        ratio <= 1.10,
    )


def _at_once(client: Client, direct: Sequence[Errand], start: float) -> Row:
    """Against two processes that train half of the jobs each, one after another, with no service around."""
    jobs, settings = 200, iris(5)
    pairs = []
    for _ in range(ROUNDS):
        served, _ = through(client, [settings] * jobs)
        pairs.append((served, max(ask_all(direct, [settings, jobs // 2])) + start))
    served, bare_seconds = (statistics.median(times) for times in zip(*pairs, strict=True))
    ratio = statistics.median(own / other for own, other in pairs)
    return Row(
        f"{jobs} iris jobs of 5 epochs at once, first submit to last result",
        f"{served:.2f} s",
        f"bare in two processes, and start {bare_seconds:.2f} s",
        f"{ratio:.2f}×",
        "≤ 1.5×",
        ratio <= 1.5,
    )


def bare() -> Callable[[Any], float]:
    """Trainings with no service: seconds from spec to result, for so many one after another."""

    def act(question: tuple[Settings, int]) -> float:
        settings, number = question
        table = bundled(settings["dataset"])

        def one() -> None:
            spec = complete(JobSpec.model_validate(settings), table.description).spec
            training = Training(spec, prepare(spec, table))
            for _ in training:
                pass
            training.result()

        def all_of_them() -> None:
            for _ in range(number):
                one()

        return seconds(all_of_them)

    act((iris(1), 1))
    return act


# ── what it carries ─────────────────────────────────────────────────────────────────────────────────────────


def _throughput(client: Client) -> Row:
    rate = iris_rate(client)
    return Row("50 iris jobs of one epoch", f"{rate:.0f} jobs/s", "", "", "≥ 50 jobs/s", rate >= 50)


def iris_rate(client: Client) -> float:
    """Jobs a second."""
    return statistics.median(50 / through(client, [iris(1)] * 50)[0] for _ in range(ROUNDS))


def _grid(client: Client, folder: Path) -> Row:
    dataset = digits_uploaded(client, folder)
    spent, accuracies = zip(*(through(client, grid(dataset, seed)) for seed in range(ROUNDS)), strict=True)
    median = statistics.median(spent)
    return Row(
        f"grid of 12: L1 × dropout, {W1.shape}, 5 epochs, {GRID_ROWS:,} rows",
        f"{median:.2f} s",
        "",
        "",
        "≤ 4 s",
        median <= 4.0,
        accuracy=f"{statistics.fmean(accuracies):.3f}",
    )


def grid(dataset: str, seed: int) -> list[Settings]:
    """Twelve jobs: four strengths of L1, three rates of dropout."""
    chosen = W1.settings(5, seed, dataset)
    return [
        chosen | {"regularization": chosen["regularization"] | {"l1": l1, "dropout": [rate, rate]}}
        for l1, rate in product((0.0, 1e-6, 1e-5, 1e-4), (0.1, 0.3, 0.5))
    ]


def digits_uploaded(client: Client, folder: Path) -> str:
    """So many MNIST rows that 3,000 are left to train on when a fifth is held out; the dataset's id."""
    pixels, digits = mnist()
    kept = GRID_ROWS * 5 // 4
    path = folder / "mnist.npz"
    np.savez_compressed(path, X=pixels[:kept], y=digits[:kept])
    answer: dict[str, Any] = client.upload(path, name="mnist", task="classification")
    return str(answer["id"])


def _many(client: Client) -> Row:
    """Jobs that differ in regularization, against the textbook loop taken so many times."""
    pairs, found, rivals = [], [], []
    for seed in range(ROUNDS):
        variants = ours.variants(W3, MANY)
        sent = [
            each.settings(EPOCHS_OF_MANY, seed + number, W3.dataset) for number, each in enumerate(variants)
        ]
        served, accuracy = through(client, sent)
        start = time.perf_counter()
        rivals.append(Textbook(variants[5 * seed]).train(EPOCHS_OF_MANY, seed))
        pairs.append((served, MANY * (time.perf_counter() - start)))
        found.append(accuracy)
    served, other = (statistics.median(times) for times in zip(*pairs, strict=True))
    ratio = statistics.median(rival / own for own, rival in pairs)
    accuracy, rival_accuracy = statistics.fmean(found), statistics.fmean(rivals)
    return Row(
        f"{MANY} jobs W3, {EPOCHS_OF_MANY} epochs, first submit to last result",
        f"{served:.2f} s",
        f"textbook loop, {MANY} times {other:.1f} s",
        f"{ratio:.1f}×",
        "≥ 15×",
        ratio >= 15 and accuracy >= rival_accuracy - ALIKE,
        accuracy=f"{accuracy:.3f} / {rival_accuracy:.3f}",
    )


# ── a client ────────────────────────────────────────────────────────────────────────────────────────────────


def run(client: Client, spec: Settings) -> None:
    """Submit and wait for the end, as a client with one long poll does."""
    job = client.post("/v1/jobs", spec)
    while job["status"] not in ("succeeded", "failed", "cancelled"):
        job = client.get(f"/v1/jobs/{job['id']}", wait=20)
    assert job["status"] == "succeeded", job


def through(client: Client, specs: Sequence[Settings]) -> tuple[float, float]:
    """Submit them all at once: seconds from the first request to the last result, and the mean accuracy."""
    began = time.time()
    with ThreadPoolExecutor(SUBMITTERS) as pool:
        ids = list(pool.map(lambda spec: client.post("/v1/jobs", spec)["id"], specs))
    jobs = finished(client, ids)
    accuracies = [job["result"]["validation"]["accuracy"] for job in jobs]
    return max(moment(job["finished_at"]) for job in jobs) - began, statistics.fmean(accuracies)


def finished(client: Client, ids: Sequence[str]) -> list[dict[str, Any]]:
    """The jobs, once all of them have ended well."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while waiting := client.get("/v1/jobs", status="queued,running", limit=1)["data"]:
        if time.monotonic() > deadline:
            raise TimeoutError(f"{waiting[0]['id']} is still {waiting[0]['status']}")
        time.sleep(POLL_SECONDS)
    jobs = [client.get(f"/v1/jobs/{job}") for job in ids]
    assert all(job["status"] == "succeeded" for job in jobs), jobs
    return jobs


def moment(told: str) -> float:
    return datetime.fromisoformat(told).timestamp()
