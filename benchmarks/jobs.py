"""A job through the whole service against the same training called directly, with a warm worker."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.measuring import Row, seconds
from cli.client import Client
from tests.stacks import embedded

ROUNDS = 7
SPEC: dict[str, Any] = {
    "dataset": "digits",
    "network": {"hidden": [128, 64]},
    "regularization": {"l1": 1e-5, "l2": 1e-4, "dropout": [0.5, 0.3], "batch_norm": True},
    "training": {"max_epochs": 20, "batch_size": 32},
    "optimizer": {"learning_rate": 0.001},
}

# In a process of its own, with one thread, like a worker's: submit to result without the service.
DIRECT = """
import json, sys, time, torch
torch.set_num_threads(1)
from models.datasets import bundled
from models.defaults import complete
from models.preprocessing import prepare
from models.spec import JobSpec
from models.training import Training

spec, rounds = json.loads(sys.argv[1]), int(sys.argv[2])
table = bundled(spec["dataset"])
complete_spec = complete(JobSpec.model_validate(spec), table.description).spec

def train():
    start = time.perf_counter()
    training = Training(complete_spec, prepare(complete_spec, table))
    for epoch in training:
        pass
    training.result()
    return time.perf_counter() - start

train()
print("ready", flush=True)
for line in sys.stdin:
    print(train(), flush=True)
"""


def measure() -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as folder, embedded(Path(folder)) as stack:
        direct = subprocess.Popen(
            [sys.executable, "-c", DIRECT, json.dumps(SPEC), str(ROUNDS)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        with direct:
            assert direct.stdin is not None
            assert direct.stdout is not None
            direct.stdout.readline()
            run(stack.client, SPEC)  # warms the worker
            served, bare = [], []
            for _ in range(ROUNDS):
                served.append(seconds(lambda: run(stack.client, SPEC)))
                direct.stdin.write("again\n")
                direct.stdin.flush()
                bare.append(float(direct.stdout.readline()))
            direct.stdin.close()
    own, other = statistics.median(served), statistics.median(bare)
    allowed = 1.15 * other + 0.15
    yield Row(
        "job through the service, submit to succeeded",
        f"{own:.3f} s",
        f"direct {other:.3f} s",
        f"{own / other:.2f}×",
        f"≤ 1.15× + 150 ms = {allowed:.3f} s",
        own <= allowed,
    )


def run(client: Client, spec: dict[str, Any]) -> None:
    """Submit and wait for the end, as a client with one long poll does."""
    job = client.post("/v1/jobs", spec)
    while job["status"] not in ("succeeded", "failed", "cancelled"):
        job = client.get(f"/v1/jobs/{job['id']}?wait=20")
    assert job["status"] == "succeeded", job
