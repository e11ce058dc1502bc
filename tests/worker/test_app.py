"""Celery's settings, and what importing the worker does not do."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest
from celery import Celery

from worker import app as real
from worker import devices

IMPORT = """
import socket, sys
def refuse(*_): raise AssertionError("opened a socket")
socket.socket.connect = refuse
import worker.app, worker.tasks, worker.reconciler
assert "torch" not in sys.modules, "loaded torch"
assert "sqlalchemy.dialects.sqlite" in sys.modules
assert worker.app.app.configured is False, "read the settings"
"""


def test_importing_opens_nothing_and_loads_no_torch() -> None:
    done = subprocess.run([sys.executable, "-c", IMPORT], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("task_acks_late", False),
        ("result_backend", None),
        ("worker_disable_prefetch", True),
        ("worker_prefetch_multiplier", 1),
        ("worker_enable_remote_control", False),
        ("accept_content", ["json"]),
        ("task_publish_retry", False),
        ("broker_connection_retry_on_startup", True),
        ("broker_connection_max_retries", None),
        ("broker_transport_options", {"socket_timeout": 5, "socket_connect_timeout": 5}),
        ("worker_max_memory_per_child", 1_572_864),
    ],
)
def test_the_settings_that_survived_the_measurements(name: str, value: object) -> None:
    assert real.configuration()[name] == value


def test_the_settings_follow_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RIDGELINE_BROKER_URL", "redis://broker:6379/5")
    monkeypatch.setenv("RIDGELINE_QUEUES", "gpu, cpu")
    monkeypatch.setenv("RIDGELINE_CONCURRENCY", "3")
    configured = real.configuration()
    assert configured["broker_url"] == "redis://broker:6379/5"
    assert list(configured["task_queues"]) == ["gpu", "cpu"]
    assert configured["worker_concurrency"] == 3
    assert configured["worker_pool_start_method"] == "spawn"
    assert "worker_max_memory_per_child" not in configured, "a driver alone takes that much"
    assert configured["worker_max_tasks_per_child"] == 1000


def test_forking_a_child_looks_through_nothing_that_is_loaded() -> None:
    """Celery collects garbage before each fork; with torch loaded that took a quarter of a second."""
    script = (
        "import gc; from worker import app; app._load_before_the_fork(); "
        "assert gc.get_freeze_count() > 100_000; assert len(gc.get_objects()) < 10_000"
    )
    environment = {**os.environ, "RIDGELINE_QUEUES": "cpu"}
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_machine_without_a_gpu_listens_to_the_cpu_queue(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "has_gpu", lambda: False)
    assert devices.queues("auto") == ("cpu",)
    monkeypatch.setattr(devices, "has_gpu", lambda: True)
    assert devices.queues("auto") == ("gpu", "cpu")


def test_the_device_follows_what_was_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert devices.choose("cpu") == devices.choose("auto") == "cpu"
    with pytest.raises(RuntimeError, match="GPU"):
        devices.choose("cuda")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert devices.choose("cuda") == devices.choose("auto") == "cuda"
    assert devices.choose("cpu") == "cpu"


def test_the_broker_counts_what_nobody_has_taken(broker_server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    own = Celery("own", broker=broker_server, set_as_current=False)
    monkeypatch.setattr(real, "app", own)
    queue = "nobody-listens"
    assert real.waiting(queue) == 0
    real.nudge(queue)
    real.nudge(queue)
    assert real.waiting(queue) == 2
    with own.connection_for_write() as connection:
        connection.default_channel.queue_purge(queue)
    own.close()


def test_a_broker_that_is_away_is_said_soon(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    own = Celery("own", broker=f"redis+socket://{tmp_path}/nobody.sock", set_as_current=False)
    own.conf.update({name: value for name, value in real.configuration().items() if name != "broker_url"})
    monkeypatch.setattr(real, "app", own)
    began_at = time.monotonic()
    with pytest.raises(Exception, match="nobody"):
        real.nudge("cpu")
    with pytest.raises(Exception, match="nobody"):
        real.waiting("cpu")
    assert time.monotonic() - began_at < 3
