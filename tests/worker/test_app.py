"""Celery's settings, and what importing the worker does not do."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import time
from dataclasses import dataclass

import pytest
from celery import Celery

from store.settings import Settings
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
    assert configured["worker_max_memory_per_child"] is None, "a driver alone takes that much"
    assert configured["worker_max_tasks_per_child"] == 1000


def test_forking_a_child_looks_through_nothing_that_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Celery collects garbage before each fork; with torch loaded that took a quarter of a second."""
    monkeypatch.setenv("RIDGELINE_QUEUES", "cpu")
    own = Celery("own", set_as_current=False)
    own.add_defaults(real.configuration)
    monkeypatch.setattr(real, "app", own)
    gc.unfreeze()  # What the tests have loaded is not looked through any more either, see tests/conftest.py.
    try:
        assert len(gc.get_objects()) > 100_000
        real._load_before_the_fork()
        assert gc.get_freeze_count() > 100_000
        assert len(gc.get_objects()) < 10_000
    finally:
        gc.freeze()
    assert "worker.child" in sys.modules


@dataclass
class Starting:
    """What Celery's worker has of itself when its queues are known and its pool is not yet made."""

    concurrency: int = 3
    pool_start_method: str = "fork"
    max_tasks_per_child: int | None = None
    max_memory_per_child: int | None = 1_572_864


@pytest.mark.parametrize(
    ("chosen", "method", "tasks", "memory"),
    [("cpu", "fork", None, 1_572_864), ("gpu", "spawn", 1000, None), ("gpu,cpu", "spawn", 1000, None)],
)
def test_the_pool_goes_by_the_queues_that_were_chosen(
    chosen: str, method: str, tasks: int | None, memory: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And children that start from nothing are told of them, of their number, and ask no driver again."""
    for name in (
        "RIDGELINE_QUEUES",
        "RIDGELINE_CONCURRENCY",
        "PYTORCH_ALLOC_CONF",
        "PYTORCH_CUDA_ALLOC_CONF",
    ):
        monkeypatch.setenv(name, "")
    own = Celery("own", set_as_current=False)
    own.add_defaults(real.configuration)
    monkeypatch.setattr(real, "app", own)
    monkeypatch.setattr(real, "queues", lambda: tuple(chosen.split(",")))
    started = Starting()
    real._hand_down(started)
    assert (own.conf.worker_pool_start_method, started.pool_start_method) == (method, method)
    assert (started.max_tasks_per_child, started.max_memory_per_child) == (tasks, memory)
    monkeypatch.setattr(devices, "gpus", lambda: pytest.fail("a driver is asked again"))
    configured = real.configuration()
    assert list(configured["task_queues"]) == chosen.split(",")
    assert configured["worker_concurrency"] == 3
    assert real.place() == (0, 3)
    gaps = "expandable_segments:True" if "gpu" in chosen else ""
    assert os.environ["PYTORCH_ALLOC_CONF"] == gaps


def test_what_an_operator_chose_for_the_allocator_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTORCH_ALLOC_CONF", "")
    monkeypatch.setenv("PYTORCH_CUDA_ALLOC_CONF", "backend:cudaMallocAsync")
    for name in ("RIDGELINE_QUEUES", "RIDGELINE_CONCURRENCY"):
        monkeypatch.setenv(name, "")
    own = Celery("own", set_as_current=False)
    own.add_defaults(real.configuration)
    monkeypatch.setattr(real, "app", own)
    monkeypatch.setattr(real, "queues", lambda: ("gpu",))
    real._hand_down(Starting())
    assert os.environ["PYTORCH_ALLOC_CONF"] == ""


def test_two_processes_a_gpu_unless_the_operator_says_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "gpus", lambda: 4)
    monkeypatch.setenv("RIDGELINE_CONCURRENCY", "")
    concurrency = {}
    for queues in ("auto", "gpu", "gpu,cpu", "cpu"):
        monkeypatch.setenv("RIDGELINE_QUEUES", queues)
        concurrency[queues] = real.configuration()["worker_concurrency"]
    assert concurrency == {"auto": 8, "gpu": 8, "gpu,cpu": 8, "cpu": Settings().processes()}
    monkeypatch.setenv("RIDGELINE_CONCURRENCY", "5")
    monkeypatch.setenv("RIDGELINE_QUEUES", "gpu")
    assert real.configuration()["worker_concurrency"] == 5


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
