"""Which queues, which device, whose share: what a worker makes of the machine that it finds."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from store import machine
from worker import devices
from worker.devices import NoDeviceError


@pytest.mark.parametrize(
    "trace",
    [
        "proc/driver/nvidia/version",
        "dev/nvidiactl",
        "dev/nvidia0",
        "dev/nvidia11",
        "dev/dxg",
        "dev/kfd",
    ],
)
def test_a_driver_leaves_a_trace(trace: str, tmp_path: Path) -> None:
    """NVIDIA's, in WSL2 Windows', AMD's."""
    assert not machine.has_gpu_driver(tmp_path)
    (tmp_path / trace).parent.mkdir(parents=True)
    (tmp_path / trace).touch()
    assert machine.has_gpu_driver(tmp_path)


def test_other_devices_are_no_gpu(tmp_path: Path) -> None:
    (tmp_path / "dev").mkdir()
    for name in ("nvme0", "nvidia-modeset", "null", "dri"):
        (tmp_path / "dev" / name).touch()
    assert not machine.has_gpu_driver(tmp_path)


@pytest.mark.parametrize(
    ("probe", "found"),
    [
        ("print(4)", 4),
        ("print(0)", 0),
        ("import sys; sys.exit('no such library')", 0),
        ("import os; os.abort()", 0),
        ("print('Traceback')", 0),
    ],
)
def test_torch_is_asked_in_a_process_of_its_own(probe: str, found: int) -> None:
    """Whatever becomes of that."""
    assert devices._ask(probe=probe) == found


def test_a_driver_that_hangs_is_waited_for_a_while_only() -> None:
    began_at = time.monotonic()
    assert devices._ask(seconds=0.3, probe="import time; time.sleep(60)") == 0
    assert time.monotonic() - began_at < 5


def test_the_process_is_asked_once_and_only_beside_a_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    monkeypatch.setattr(devices, "_ask", lambda: asked.append(1) or 2)  # type: ignore[func-returns-value]
    for has_driver, found, times in ((False, 0, 0), (True, 2, 1)):
        devices.gpus.cache_clear()
        monkeypatch.setattr(machine, "has_gpu_driver", lambda has_driver=has_driver: has_driver)
        assert [devices.gpus(), devices.gpus()] == [found, found]
        assert len(asked) == times
    devices.gpus.cache_clear()


@pytest.mark.parametrize(
    ("setting", "gpus", "queues"),
    [
        ("auto", 0, ("cpu",)),
        ("auto", 1, ("gpu", "cpu")),
        (" auto ", 2, ("gpu", "cpu")),
        ("cpu", 8, ("cpu",)),
        ("gpu", 0, ("gpu",)),
        ("gpu, cpu", 0, ("gpu", "cpu")),
    ],
)
def test_queues_of_a_setting(
    setting: str, gpus: int, queues: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(devices, "gpus", lambda: gpus)
    assert devices.queues(setting) == queues


@pytest.mark.parametrize(
    ("asked", "gpu", "device"),
    [
        ("cpu", None, "cpu"),
        ("auto", None, "cpu"),
        ("cpu", "cuda:1", "cpu"),
        ("auto", "cuda:1", "cuda:1"),
        ("cuda", "cuda:1", "cuda:1"),
    ],
)
def test_the_device_of_a_job(asked: str, gpu: str | None, device: str) -> None:
    assert devices.choose(asked, gpu) == device


def test_a_job_that_needs_a_gpu_is_not_trained_without() -> None:
    with pytest.raises(NoDeviceError, match="this worker has none"):
        devices.choose("cuda", None)


@pytest.mark.parametrize(
    ("processes", "gpus", "shares"),
    [
        (1, 1, [(0, 1)]),
        (2, 1, [(0, 2), (0, 2)]),
        (4, 2, [(0, 2), (1, 2), (0, 2), (1, 2)]),
        (3, 2, [(0, 2), (1, 1), (0, 2)]),
        (2, 8, [(0, 1), (1, 1)]),
    ],
)
def test_processes_spread_over_the_gpus(processes: int, gpus: int, shares: list[tuple[int, int]]) -> None:
    """Each has one, and knows with how many it has to share it."""
    assert [devices.share(index, processes, gpus) for index in range(processes)] == shares
