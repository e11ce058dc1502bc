"""Nudges: sent to a real broker by name, dropped without a word to the client where there is none."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
import redis
from kombu import Connection
from starlette.testclient import TestClient

from api.app import create_app
from api.queue import LONGEST_BACKLOG, TASK, Nudges
from store.settings import Settings
from tests.api.conftest import HOME


def received(broker: str, queue: str) -> str:
    """The task's name in the next message of a queue."""
    with Connection(broker) as connection, connection.SimpleQueue(queue) as waiting:
        message = waiting.get(timeout=5)
        message.ack()
        assert message.payload[:2] == [[], {}]
        return str(message.headers["task"])


def test_a_submitted_job_nudges_its_queue(broker_server: str, settings: Settings) -> None:
    with Connection(broker_server) as connection:
        connection.default_channel.client.flushdb()
    app = create_app(settings.model_copy(update={"broker_url": broker_server}))
    with TestClient(app, HOME) as client:
        client.post("/v1/jobs", json={"dataset": "iris"})
        assert received(broker_server, "cpu") == TASK
        client.post("/v1/jobs", json={"dataset": "iris", "training": {"device": "cuda"}})
        assert received(broker_server, "gpu") == TASK
        assert client.get("/readyz").json()["broker"]["ok"]


def test_without_a_broker_nobody_waits(tmp_path: Path) -> None:
    nudges = Nudges(f"redis+socket://{tmp_path}/nobody.sock")
    nudges.start()
    started = time.perf_counter()
    for _ in range(LONGEST_BACKLOG * 2):
        nudges.nudge("cpu")
    assert time.perf_counter() - started < 1
    nudges.stop()
    assert time.perf_counter() - started < 4
    with pytest.raises(Exception, match="connecting"):
        nudges.ping()


def test_nudges_go_out_again_when_the_broker_is_back(broker_server: str) -> None:
    nudges = Nudges(broker_server)
    nudges.start()
    with Connection(broker_server) as connection:
        client: redis.Redis = connection.default_channel.client
        client.flushdb()
        nudges.nudge("cpu")
        assert received(broker_server, "cpu") == TASK
        client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        nudges.nudge("cpu")
        with Connection(broker_server) as connection:
            if connection.default_channel.client.llen("cpu"):
                break
        time.sleep(0.05)
    assert received(broker_server, "cpu") == TASK
    nudges.stop()
