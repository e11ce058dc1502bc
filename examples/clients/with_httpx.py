"""Trains a network on wine.csv, follows it live, reads its curve and predicts: with httpx.

    python examples/clients/with_httpx.py [http://127.0.0.1:8000]

Where the server asks for a key, RIDGELINE_KEY holds one.
"""

# ruff: noqa: T201 - it talks to whoever runs it
from __future__ import annotations

import json
import os
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx

DATA = Path(__file__).parents[1] / "wine.csv"
SPEC = {
    "name": "wine with httpx",
    "regularization": {"dropout": 0.2, "early_stopping": {"monitor": "val_loss", "patience": 10}},
}
TRIES = 30


def main(server: str, key: str | None) -> None:
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    with httpx.Client(base_url=f"{server}/v1", headers=headers, timeout=60) as client:
        dataset_id = upload(client)
        job_id = submit(client, {**SPEC, "dataset": dataset_id})
        print(f"{dataset_id} → {job_id}")
        for kind, data in follow(client, job_id):
            if kind == "epoch":
                values = data["values"]
                print(f"epoch {data['epoch']:>3}  {values['train_loss']:.4f}  {values['val_loss']:.4f}")
        job = said(client.get(f"/jobs/{job_id}"))
        print(f"{job['status']}: {job['stop_detail']}")
        if job["status"] != "succeeded":
            raise SystemExit(1)
        curve = said(client.get(f"/jobs/{job_id}/curves", params={"series": "val_loss"}))
        losses = dict(zip(curve["epochs"], curve["series"]["val_loss"], strict=True))
        best = job["result"]["best_epoch"]
        print(f"best epoch {best}: val_loss {losses[best]:.4f}, test {job['result']['test']}")
        # A row names the file's own columns, in the file's own units; the target may come along.
        rows = said(client.get(f"/datasets/{dataset_id}/rows", params={"limit": 1}))["data"]
        told = said(client.post(f"/jobs/{job_id}/predict", json={"rows": rows}))["predictions"][0]
        print(f"the first wine: {told['label']}, {told['probabilities']}")


def upload(client: httpx.Client) -> str:
    """The dataset's id. The same bytes are the same dataset: doing it again makes no second one."""
    with DATA.open("rb") as file:
        answer = client.post("/datasets", files={"file": (DATA.name, file)}, data={"target": "target"})
    return str(said(answer)["id"])


def submit(client: httpx.Client, spec: dict[str, Any]) -> str:
    """The job's id. A 202 means that it is committed; where no answer came, it is safe to ask again."""
    headers = {"Idempotency-Key": str(uuid.uuid4())}
    for _ in range(TRIES):
        try:
            return str(said(client.post("/jobs", json=spec, headers=headers))["id"])
        except httpx.TransportError:
            time.sleep(1)
    raise SystemExit("no answer")


def follow(client: httpx.Client, job_id: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each event of a job as it happens, up to its end. A line that was cut is taken up where it was."""
    last, kind, tries = "0", "", 0
    while kind != "end" and (tries := tries + 1) < TRIES:
        headers = {"Accept": "text/event-stream", "Last-Event-ID": last}
        try:
            with client.stream("GET", f"/jobs/{job_id}/events", headers=headers) as stream:
                if stream.is_error:
                    said(stream)
                for line in stream.iter_lines():
                    field, _, value = line.partition(": ")
                    if field == "event":
                        kind = value
                    elif field == "data":
                        yield kind, json.loads(value)
                    elif field == "id":
                        last, tries = value, 0
        except httpx.TransportError:
            time.sleep(1)


def said(answer: httpx.Response) -> Any:
    """The JSON of an answer; of what was refused, a problem document, it is told what to mend."""
    content = json.loads(answer.read())
    if answer.is_success:
        return content
    wrong = [f"{one['pointer']}: {one['detail']}" for one in content.get("errors", ())]
    raise SystemExit("\n  ".join([f"{answer.status_code} {content['detail']}", *wrong]))


if __name__ == "__main__":
    given = sys.argv[1] if len(sys.argv) > 1 else os.environ.get("RIDGELINE_SERVER", "http://127.0.0.1:8000")
    try:
        main(given.rstrip("/"), os.environ.get("RIDGELINE_KEY"))
    except httpx.TransportError as error:
        raise SystemExit(f"no answer from {given}: {error}") from error
